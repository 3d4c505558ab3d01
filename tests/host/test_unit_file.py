"""The unit file: systemd itself reads it, and finds it tight."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_agent.cli.outcome import EXIT_CONFIG
from edge_agent.host.settings.load import DEFAULT_PATH
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.sources import CREDENTIAL_NAME

UNIT = Path(__file__).parents[2] / "systemd" / "edge-agent.service"
EXPOSURE_TENTHS_MAX = 15
"""`systemd-analyze security` says 1.4: what is left is sound, GPIO and the network."""


@pytest.fixture
def analyze() -> str:
    path = shutil.which("systemd-analyze")
    assert path, "systemd-analyze is missing; run: sudo apt-get install -y systemd"
    return path


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine."""
    text, count = re.subn(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text())
    assert count == 1
    copy = tmp_path / UNIT.name
    copy.write_text(text)
    return copy


def settings_of(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_systemd_finds_no_mistake(analyze: str, installed: Path) -> None:
    answer = subprocess.run(
        [analyze, "verify", installed], capture_output=True, text=True, check=False
    )
    # An unknown key is a warning with exit code 0.
    complaints = [line for line in answer.stderr.splitlines() if UNIT.name in line]
    assert complaints == []
    assert answer.returncode == 0


def test_systemd_finds_it_tight(analyze: str, installed: Path) -> None:
    command = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE_TENTHS_MAX}"]
    answer = subprocess.run([*command, installed], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout[-300:]


def test_unit_and_program_agree() -> None:
    unit = settings_of(UNIT)
    assert unit["RestartPreventExitStatus"] == [str(EXIT_CONFIG)]
    # The service reads the key itself, and can follow a change: no copy made at the start.
    assert "LoadCredential" not in unit
    key = DEFAULT_PATH.parent / CREDENTIAL_NAME
    # Root's own file, with rights that somebody gave it by hand, can be read all the same.
    rights = [
        f"-+/usr/bin/chgrp -f {unit['User'][0]} {key}",
        f"-+/usr/bin/chmod -f 640 {key}",
    ]
    assert unit["ExecStartPre"] == rights
    assert unit["ExecReload"] == [*rights, "/bin/sh -c 'kill -HUP $MAINPID'"]
    # Programs of packages that every Debian has; a minimal one has no procps.
    commands = [*unit["ExecStartPre"], *unit["ExecReload"]]
    programs = {command.lstrip("-+").split()[0] for command in commands}
    assert programs == {"/usr/bin/chgrp", "/usr/bin/chmod", "/bin/sh"}
    assert float(unit["TimeoutStopSec"][0]) > Settings().health.stop_s
    # A stalled device is noticed, and reported, before systemd acts.
    assert float(unit["WatchdogSec"][0]) > 2 * Settings().health.stall_s
    assert unit["Type"] == ["notify"]
    assert unit["Restart"] == ["always"]
    assert unit["StartLimitIntervalSec"] == ["0"]
