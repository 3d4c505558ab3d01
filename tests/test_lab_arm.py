"""The arm64 machine's parts that need no machine: scripts, lists, tables."""

from __future__ import annotations

import json
import os
import re
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


TRIED = {
    "test_good.py": "def test_a(): pass\ndef test_b(): pass\n",
    "test_bad.py": "def test_a(): pass\ndef test_b(): assert False\n",
    "test_broken_stage.py": "import pytest\n@pytest.fixture\ndef stage(): raise OSError\n"
    "def test_a(stage): pass\n",
    "test_elsewhere.py": "import pytest\ndef test_a(): pytest.skip('not here')\n"
    "@pytest.mark.skip(reason='never')\ndef test_b(): pass\ndef test_c(): pass\n",
}


def progress(folder: Path, files: dict[str, str]) -> tuple[int, list[str]]:
    """pytest's exit code on these files and what the plugin printed, without the seconds."""
    plugins = ("-p", "lab_arm.guest.progress", "-p", "no:cacheprovider", "-p", "no:xdist")
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "--rootdir", str(folder), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
    )
    lines = done.stdout.splitlines()
    told = [line for line in lines if re.match(r"(passed|FAILED) \S+ \d+ tests", line)]
    return done.returncode, [re.sub(r" tests \d+\.\d s", "", line) for line in told]


def test_a_file_has_passed_only_if_nothing_of_it_failed_and_what_was_skipped_is_told(
    tmp_path: Path,
) -> None:
    assert progress(tmp_path, TRIED) == (
        1,
        [
            "FAILED test_bad.py 1",
            "FAILED test_broken_stage.py 0",
            "passed test_elsewhere.py 1, 2 skipped",
            "passed test_good.py 2",
        ],
    )


def test_a_file_that_was_not_gone_through_has_not_passed(tmp_path: Path) -> None:
    stopped = "def test_a(): pass\ndef test_b(): raise KeyboardInterrupt\ndef test_c(): pass\n"
    files = {"test_a.py": TRIED["test_good.py"], "test_b.py": stopped}
    assert progress(tmp_path, files) == (2, ["passed test_a.py 2"])


SUITE = """
set -euo pipefail
HERE={here} ROOT={root} LAB={lab} FAILED=0 PYTHON=python3
say() {{ echo "$*"; }}
fail() {{ echo "$*"; exit 2; }}
needs_installed() {{ :; }}
layer() {{ : >"$1"; }}
up() {{ :; }}
down() {{ :; }}
clone() {{ :; }}
push_programs() {{ :; }}
quietly() {{ shift; "$@"; }}
inside() {{
    [[ $1 == *'pytest -p'* ]] || return 0
    echo "$1" >>"$LAB/asked.txt"
    case $1 in
    *tests/panel*) echo 'passed tests/panel/test_patterns.py 20 tests 19.8 s'
        [[ -e $LAB/mended ]] || echo 'FAILED tests/panel/test_gpio.py 33 tests 16.0 s'
        [[ -e $LAB/mended ]] ;;
    *tests/audio*) echo 'passed tests/audio/test_wav.py 5 tests 0.5 s, 2 skipped' ;;
    *) return 255 ;;
    esac
}}
source "$HERE/suite.sh"
suite {parts}
echo "exit code $FAILED"
"""


def suite(lab: Path, parts: str) -> list[str]:
    """The last lines of `lab-arm.sh suite` with a machine that only says it has tested."""
    (lab / "installed.commit").write_text("0000000\n", encoding="utf-8")
    program = SUITE.format(here=HERE, root=ROOT, lab=lab, parts=parts)
    done = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    lines = done.stdout.splitlines()
    assert "exit code" in done.stdout, done.stderr
    table = max(number for number, line in enumerate(lines) if line.startswith("part "))
    return [" ".join(line.split()) for line in lines[table + 1 :]]


def test_a_part_that_fails_is_in_the_table_and_in_the_exit_code_and_the_others_are_tried(
    tmp_path: Path,
) -> None:
    assert suite(tmp_path, "panel audio") == [
        "audio 1 5 2 0",
        "panel 1 20 0 20 FAILED: 1",
        "exit code 1",
    ]
    (tmp_path / "mended").touch()
    assert suite(tmp_path, "panel audio")[-1] == "exit code 0"
    asked = (tmp_path / "asked.txt").read_text(encoding="utf-8")
    assert "--ignore=tests/panel/test_patterns.py" in asked, "what has passed is tried once"
    assert "--ignore=tests/panel/test_gpio.py" not in asked


def test_a_machine_that_is_lost_is_an_exit_code(tmp_path: Path) -> None:
    assert suite(tmp_path, "audio realtime")[-1] == "exit code 1"
