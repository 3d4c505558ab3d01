"""Accounts that are neither root nor the speaker's: a refusal names its cause."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.cli import main as cli


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that this account may not look into."""
    folder = tmp_path / "state"
    folder.mkdir()
    settings = tmp_path / "edge-agent.toml"
    settings.write_text(
        f'[state]\npath = "{folder}/state.json"\n[control]\npath = "{tmp_path}/c.sock"\n'
    )
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(settings))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    real = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.parent == folder or path == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    return folder


@pytest.mark.parametrize(
    "verb",
    [
        ("facts", "list"),
        ("facts", "forget", "--all", "--yes"),
        ("messages", "list"),
        ("messages", "delete", "--all"),
        ("usage",),
        ("timers", "list"),
        ("privacy",),
        ("privacy", "--delete", "all", "--yes"),
    ],
    ids=" ".join,
)
def test_what_is_the_speakers_own_wants_sudo_and_says_so(
    locked: Path, verb: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(cli.app, verb)
    assert result.exit_code == 1, result.output
    assert f"This account may not read {locked}" in result.stderr
    assert "Start it with sudo." in result.stderr
    assert "fault" not in result.stderr


def test_who_may_not_ask_is_told_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "edge-agent.toml"
    settings.write_text(f'[control]\npath = "{tmp_path}/c.sock"\n')
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(settings))

    def refused(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.connect", refused)
    for verb in (("status",), ("mute", "on"), ("reload",), ("log-level",)):
        result = CliRunner().invoke(cli.app, verb)
        assert result.exit_code == 69
        assert "it is not in the group edge-agent" in result.stderr
        assert "sudo usermod -a -G edge-agent" in result.stderr
