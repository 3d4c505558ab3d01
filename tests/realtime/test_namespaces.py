"""Cables, addresses and black holes between real network namespaces (purpose).

Owner thread: the test's; the play runs in a process of its own.  Must never touch this
machine's own network, and says clearly what is missing where namespaces cannot be had.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLAY = Path(__file__).with_name("namespace_play.py")
ROOT = PLAY.parents[2]


def in_a_namespace() -> list[str]:
    """The command that gives a process a network of its own; fails with a sentence."""
    for tool, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            pytest.fail(f"This test needs {tool}: install the package {package}.")
    command = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    tried = subprocess.run(
        [*command, "true"], capture_output=True, text=True, timeout=10, check=False
    )
    if tried.returncode != 0:
        pytest.fail(
            "This test needs a network namespace: run it as root, or allow user namespaces "
            f"(sysctl kernel.unprivileged_userns_clone=1). {tried.stderr.strip()}"
        )
    return command


def test_a_home_network_and_its_troubles() -> None:
    done = subprocess.run(
        [*in_a_namespace(), sys.executable, str(PLAY)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["unrelated"] == {"downs": 0, "sessions": 1}
    assert told["hole_code"] == "link.dead"
    assert told["notes"] == []
    assert told["moved"] >= 1
    # The promises: 3 s to notice in a turn, 2 s to be back; twice that on a busy machine.
    assert told["cable_out_noticed_s"] < 6
    assert told["hole_noticed_s"] < 6
    for back in ("cable_in_ready_s", "moved_ready_s", "hole_over_ready_s"):
        assert told[back] < 4, told
