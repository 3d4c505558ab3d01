"""Which build this is: from git, from what was written in at build, or from the source alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent import __version__
from edge_agent import version as v

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / ".git").mkdir(parents=True)
    return folder


def git_says(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, status: int = 0
) -> None:
    """Puts a git in the way that says `text`, and fails if a hook's variables reach it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    git = programs / "git"
    git.write_text(f'#!/bin/sh\n[ -z "$GIT_DIR" ] || exit 9\necho "{text}"\nexit {status}\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")


@pytest.mark.parametrize(
    ("said", "build"),
    [
        ("3ce321f", f"{__version__}+g3ce321f"),
        ("3ce321f-dirty", f"{__version__}+g3ce321f.dirty"),
        ("v0.1.0-1234-g3ce321f", f"{__version__}+g3ce321f"),
        ("v0.1.0-1234-g3ce321f-dirty", f"{__version__}+g3ce321f.dirty"),
        ("v0.1.0-0-g944647c", "0.1.0"),
        ("v0.1.0-0-g944647c-dirty", f"{__version__}+g944647c.dirty"),
        ("v1.0.0rc1-0-g3ce321f", "1.0.0rc1"),
        ("", __version__),
        ("fatal: something", __version__),
    ],
)
def test_a_checkout_names_its_tag_or_its_commit(
    said: str, build: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_says(said, tmp_path, monkeypatch)
    assert v.build_of(checkout) == build


def test_without_git_the_version_alone_is_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert v.build_of(checkout) == __version__


def test_root_asks_git_as_the_owner_of_the_checkout(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    def run(words: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        asked.append(how)
        return subprocess.CompletedProcess(words, 0, "3ce321f", "")

    owned = os.stat_result((0o40755, 1, 1, 1, 1234, 5678, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _path, **_how: owned)
    monkeypatch.setattr(subprocess, "run", run)
    for account in (0, 1234):
        monkeypatch.setattr(os, "geteuid", lambda account=account: account)
        assert v.build_of(checkout) == f"{__version__}+g3ce321f"
    assert asked[0]["user"] == 1234
    assert asked[0]["group"] == 5678
    assert "user" not in asked[1]


def test_what_is_no_checkout_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git_says("3ce321f", tmp_path, monkeypatch)
    assert v.build_of(tmp_path) == __version__


def test_a_build_carries_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    (source / "edge_agent").mkdir(parents=True)
    (source / ".git").mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in ("__init__.py", "version.py"):
        shutil.copy(ROOT / "edge_agent" / name, source / "edge_agent" / name)
    git_says("3ce321f", tmp_path, monkeypatch)

    def run(*arguments: str, at: Path) -> str:
        command = [sys.executable, "-B", *arguments]
        done = subprocess.run(command, cwd=at, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    built = tmp_path / "built"
    run("setup.py", "-q", "build_py", "--build-lib", str(built), at=source)
    assert run("setup.py", "--version", at=source) == f"{__version__}+g3ce321f"
    assert not (source / "edge_agent" / v.BUILD_FILE).exists()
    ask = "from edge_agent.version import this_build; print(this_build())"
    assert run("-c", ask, at=built) == f"{__version__}+g3ce321f"
    # A source without history, as the installer makes one, is built under the name it was given.
    shutil.rmtree(source / ".git")
    (source / "edge_agent" / v.BUILD_FILE).write_text("0.2.0+g1234567\n")
    run("setup.py", "-q", "build_py", "--build-lib", str(built), at=source)
    assert run("-c", ask, at=built) == "0.2.0+g1234567"


def test_the_changelog_has_the_version_that_is_being_made() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    heads = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    is_release = ".dev" not in __version__
    assert heads[0].split()[0] == (__version__ if is_release else "Unreleased")
    assert heads[-1].startswith("0.1.0")
