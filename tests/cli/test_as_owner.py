"""Every verb that touches what belongs to the speaker's account does so as that account."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.cli import main as cli
from edge_agent.host.service import account
from edge_agent.host.stores.message_store import Message, MessageStore

VERBS = (
    ("run",),
    ("messages", "list"),
    ("messages", "delete", "--all"),
    ("facts", "list"),
    ("facts", "edit", "1", "other words"),
    ("facts", "forget", "--all", "--yes"),
    ("privacy",),
    ("privacy", "--json"),
    ("privacy", "--delete", "all", "--yes"),
    ("voice-pack", "list"),
    ("voice-pack", "build", "--engine", "espeak"),
    ("mcp", "list"),
    ("mcp", "accept", "home"),
    ("status",),
    ("listen",),
    ("mute", "on"),
    ("guest", "on"),
    ("say", "hello"),
    ("volume",),
    ("volume", "40"),
    ("timers", "list"),
    ("timers", "add", "10m"),
    ("timers", "cancel", "all"),
    ("usage",),
    ("reload",),
    ("log-level",),
    ("log-level", "debug", "--for", "10m"),
)
ELSEWHERE = {
    "version": "says what it is",
    "config": "reads root's settings",
    "backup": "reads root's settings; a child becomes the account (test_backup)",
    "restore": "writes root's settings, then becomes the account (test_backup)",
    "support": "asks other verbs, each a program of its own, and writes where it is told to",
    "prompt": "reads root's settings and the personas beside them",
    "devices": "asks the sound system",
    "doctor": "looks at root's settings and key, and follows no link of the account's",
    "calibrate": "opens the card as who asks, then becomes the account to write (test_calibrate)",
    "demo": "writes where it is told to",
    "transcribe": "reads the file it is told to",
    "simulate-server": "keeps nothing",
}
"""Verbs that touch nothing of the account's."""


class Stepped(Exception):
    """The account was about to be taken on."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of another account's, seen by root."""
    folder = tmp_path / "state"
    folder.mkdir()
    file = tmp_path / "edge-agent.toml"
    file.write_text(
        f'[state]\npath = "{folder}/state.json"\n[control]\npath = "{folder}/c.sock"\n'
        f'[speech]\nvoice_pack_dir = "{folder}/voice-pack"\n'
    )
    (folder / "c.sock").touch()
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    quiet = MessageStore(folder / "messages.json", lambda *_a, **_f: None)
    quiet.save([Message("a1", "2026-11-20T18:00:00+00:00", "Milk please")])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "ROOT", 0)
    owners = folder.stat()
    monkeypatch.setattr(
        account, "first_owner", lambda path: owners if path.is_relative_to(folder) else None
    )

    def become(_uid: int, _gid: int) -> None:
        raise Stepped

    monkeypatch.setattr(account, "_become", become)
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_it_becomes_the_account_before_it_touches_a_file(
    state: Path, verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, opened = snapshot(state), []
    real = os.open

    def noted(path: str | Path, *args: object, **named: object) -> int:
        opened.append(str(path))
        return real(path, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", noted)
    result = CliRunner().invoke(cli.app, verb)
    monkeypatch.undo()
    assert "Stepped" in result.stderr, result.output
    assert snapshot(state) == before
    assert not [path for path in opened if path.startswith(str(state))]


def test_no_verb_is_forgotten() -> None:
    commands = {command.name for command in cli.app.registered_commands}
    functions = {one.callback.__name__ for one in cli.app.registered_commands if one.callback}
    groups = {group.name for group in cli.app.registered_groups}
    named = {verb[0] for verb in VERBS} | set(ELSEWHERE)
    assert {n for n in commands | groups if n} <= named
    assert {name.replace("_", "-") for name in functions} <= named
