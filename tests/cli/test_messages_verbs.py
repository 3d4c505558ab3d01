"""`edge-agent messages`: read from the file, deleted by the speaker that runs, or in the file."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.host.service.control import ASKED_BY, ControlServer
from edge_agent.host.stores.message_store import Message, MessageStore

AT = datetime(2026, 11, 20, 18, 0, tzinfo=UTC).isoformat()
MESSAGES = (
    Message("a1", AT, "Milk \x1b[2Jplease", "Anna", "urgent", AT),
    Message("b2", AT, "Grandma called", problem="link.timeout"),
    Message("c3", AT, "Thank you"),
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MessageStore:
    file = tmp_path / "edge-agent.toml"
    file.write_text(
        f'[state]\npath = "{tmp_path}/state.json"\n[control]\npath = "{tmp_path}/c.sock"\n'
        '[messages]\nwebhook_url = "https://home.example/x"\n'
    )
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    store = MessageStore(tmp_path / "messages.json", lambda *_a, **_f: None)
    assert store.save(MESSAGES)
    return store


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["messages", *arguments])


def test_the_list_tells_who_when_what_and_whether_it_was_sent(store: MessageStore) -> None:
    result = run("list")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("1. 2026-11-20")
    assert lines[0].endswith("from Anna, URGENT, sent")
    assert lines[1] == "   Milk [2Jplease"  # nothing that a terminal would obey
    assert lines[2].endswith("from somebody, not sent yet (link.timeout)")
    assert lines[4].endswith("not sent yet")
    rows = json.loads(run("list", "--json").stdout)
    assert [row["id"] for row in rows] == ["a1", "b2", "c3"]
    store.save(())
    assert run("list").stdout == "Nobody left a message.\n"


def test_while_no_speaker_runs_the_file_is_changed(store: MessageStore) -> None:
    assert run("delete", "1", "3", "3").stdout == "Deleted 2 messages.\n"
    assert store.load() == MESSAGES[1:2]
    assert run("delete", "--all").stdout == "Deleted one message.\n"
    assert store.load() == ()
    assert store.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "name the numbers, or --all"),
        (("--all", "1"), 2, "name the numbers, or --all"),
        (("4",), 1, "There is no message 4."),
        (("0",), 1, "There is no message 0."),
    ],
)
def test_what_is_not_clear_deletes_nothing(
    store: MessageStore, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = run("delete", *arguments)
    assert (result.exit_code, words in result.output) == (code, True)
    assert store.load() == MESSAGES


def test_a_broken_file_is_told_and_kept(store: MessageStore, tmp_path: Path) -> None:
    store.path.write_text("{")
    result = run("list")
    assert result.exit_code == 1
    assert "cannot be read: not JSON" in result.stderr
    assert (tmp_path / "messages.json.unusable").read_text() == "{"


@contextmanager
def speaker(path: Path) -> Iterator[list[dict[str, Any]]]:
    """A running speaker's socket in a thread; yields what it was asked to forget."""
    asked: list[dict[str, Any]] = []

    def forget(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return {"deleted": len(request["ids"])}

    loop = asyncio.new_event_loop()
    server = ControlServer(path, {"forget_messages": forget})
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asked
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_running_speaker_is_told_the_ids_and_never_the_words(
    store: MessageStore, tmp_path: Path
) -> None:
    many = tuple(Message(f"{n:016x}", AT, "secret") for n in range(250))
    store.save(many)
    with speaker(tmp_path / "c.sock") as asked:
        assert run("delete", "2").stdout == "Deleted one message.\n"
        ids = [many[1].id]
        assert asked == [{"do": "forget_messages", "ids": ids, ASKED_BY: os.getuid()}]
        assert run("delete", "--all").stdout == "Deleted 250 messages.\n"
    assert [len(request["ids"]) for request in asked[1:]] == [100, 100, 50]
    assert "secret" not in str(asked)
    assert store.load() == many  # the file is the speaker's own
