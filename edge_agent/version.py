"""Version: which build of the program this is.

Call `this_build` wherever the program names itself.  An installed package has it written in
(`BUILD_FILE`, by setup.py or scripts/install.sh); a checkout asks git.

Thread: the main thread, at start; it must never fail and never keep anybody waiting for long.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from edge_agent import __version__

PACKAGE = Path(__file__).parent
BUILD_FILE = "build.txt"
"""Stands beside this file in an installed package."""
GIT_TIMEOUT_S = 2.0
"""A start must not wait for a disk that hangs; git answers in some 10 ms."""

_DESCRIBED = re.compile(
    r"(?:v(?P<tag>\d[\w.]*)-(?P<since>\d+)-g)?(?P<commit>[0-9a-f]{7,40})(?P<dirty>-dirty)?"
)
"""What `git describe --long` says, with and without a tag."""


@functools.cache
def this_build() -> str:
    """The version, and the commit it was made from: `0.2.0.dev0+g3ce321f`."""
    try:
        return (PACKAGE / BUILD_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return build_of(PACKAGE.parent)


def build_of(checkout: Path) -> str:
    """The build that is made from this folder: its tag, or its version with its commit."""
    found = _DESCRIBED.fullmatch(_described(checkout))
    if found is None:
        return __version__
    if found["since"] == "0" and not found["dirty"]:
        return found["tag"]
    return f"{__version__}+g{found['commit']}{'.dirty' if found['dirty'] else ''}"


def _described(checkout: Path) -> str:
    """What git says of the folder; "" where it is no checkout, or git cannot tell."""
    if not (checkout / ".git").exists():
        return ""
    ask = ["git", "-C", str(checkout), "-c", f"safe.directory={checkout}", "describe", "--always"]
    ask += ["--long", "--abbrev=7", "--dirty", "--match", "v[0-9]*", "--tags"]
    # For root git would run what the owner has configured, and leave him an index of root's.
    owner = checkout.stat()
    as_owner: dict[str, Any] = {}
    if os.geteuid() == 0 != owner.st_uid:
        as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    # Within a hook of git these variables point elsewhere.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        told: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603  (words of ours, and the folder we run from)
            ask,
            env=environment,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
            **as_owner,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return told.stdout.strip()
