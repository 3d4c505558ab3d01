"""Another way is told at the end of a run, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from other_ways import namespaces

CONFTEST = "pytest_plugins = ('other_ways',)\n"


def end_of_a_run(folder: Path, test: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_another_way_is_told_once(tmp_path: Path) -> None:
    out = end_of_a_run(tmp_path, "def test_it(another_way): another_way('by foot: no train')\n")
    assert "other ways taken" in out
    assert out.count("test_it.py::test_it: by foot: no train") == 1


def test_where_none_was_taken_nothing_is_told(tmp_path: Path) -> None:
    assert "other ways" not in end_of_a_run(tmp_path, "def test_it(another_way): pass\n")


def test_what_is_refused_inside_counts_as_refused() -> None:
    command, why = namespaces("--net", "echo no veth here >&2; exit 3")
    assert command == []
    assert why


def test_a_missing_program_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert namespaces("--net", "true") == ([], "unshare is missing")
