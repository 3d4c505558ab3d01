"""The arm64 machine's parts that need no machine: scripts, lists, tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lab_arm.guest.lean import TEST_PACKAGES, lean, locked

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "tests" / "lab_arm"


@pytest.mark.parametrize("script", sorted(HERE.rglob("*.sh")), ids=lambda path: path.name)
def test_script_is_sound(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_what_the_suite_leaves_out_is_there_and_has_a_reason() -> None:
    lines = (HERE / "left_out.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if not line.startswith("#"):
            place, _, reason = line.partition(" ")
            file, _, test = place.partition("::")
            assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8"), line
            assert len(reason.split()) > 2, line


def test_the_lean_lock_is_what_the_installed_speaker_lacks_for_its_tests() -> None:
    folder = ROOT / "requirements"
    got = locked(lean(folder))
    runs, tools = (locked((folder / f"{name}.txt").read_text("utf-8")) for name in ("run", "mcp"))
    assert tools.keys() | TEST_PACKAGES <= runs.keys() | got.keys()
    assert not runs.keys() & got.keys()
    assert all("--hash=sha256:" in lines for lines in got.values())


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
def test_one_check_that_does_not_hold_is_an_exit_code(
    tmp_path: Path, *, holds: bool, code: int
) -> None:
    kept = tmp_path / "checks.jsonl"
    rows = [{"what": "it wakes", "holds": True, "guest_s": 3.5, "said": ""}]
    rows.append({"what": "it installs", "holds": holds, "host_s": 400, "said": ""})
    kept.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(HERE / "table.py"), str(kept)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert f"{1 + holds} of 2 checks hold" in done.stdout
    assert "3.5 guest" in done.stdout
