"""Messages for the owner: bounded, whole or absent, and never in the journal."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import ToolError
from edge_agent.host.stores.message_store import (
    COUNT_MAX,
    TEXT_MAX_CHARS,
    Message,
    MessageBox,
    MessageStore,
    messages_path,
)

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


class Notes:
    def __init__(self) -> None:
        self.codes: list[str] = []
        self.texts: list[str] = []

    def __call__(self, code: str, **fields: object) -> None:
        self.codes.append(code)
        self.texts.append(str(fields))


def box(*messages: Message, keep: int = 10, per_hour: int = 5) -> MessageBox:
    return MessageBox(messages, keep=keep, per_hour=per_hour)


def left(number: int, *, sent: bool = False, ago_h: float = 10) -> Message:
    at = (NOW - timedelta(hours=ago_h)).isoformat()
    return Message(f"id{number}", at, f"words {number}", "Anna", "normal", at if sent else "")


# --- the box -----------------------------------------------------------------------------


def test_what_was_left_waits_until_it_was_sent() -> None:
    kept = box()
    one = kept.add("Come home", "Anna", "urgent", NOW)
    two = kept.add("Milk", "", "normal", NOW)
    assert one.id != two.id
    assert list(kept.unsent) == [one, two]
    kept.not_sent(one.id, "link.timeout")
    assert kept.unsent[0].problem == "link.timeout"
    kept.sent(one.id, NOW)
    assert list(kept.unsent) == [two]
    assert kept.messages[0].sent_at == NOW.isoformat()
    assert kept.messages[0].problem == ""
    kept.sent("unknown", NOW)
    assert kept.delete([one.id, "unknown"]) == 1
    assert kept.messages == (two,)


def test_a_full_box_forgets_what_was_sent_and_never_what_was_not() -> None:
    kept = box(left(1, sent=True), left(2), left(3, sent=True), keep=3)
    kept.add("new", "", "normal", NOW)
    assert [message.id for message in kept.messages[:2]] == ["id2", "id3"]
    kept = box(left(1), left(2), left(3), keep=3)
    with pytest.raises(ToolError, match="no room"):
        kept.add("new", "", "normal", NOW)
    assert len(kept.messages) == 3


def test_so_many_an_hour_and_then_a_refusal() -> None:
    kept = box(left(1, ago_h=1.01), left(2, ago_h=-3), keep=100)  # one long ago, one to come
    for _ in range(5):
        kept.add("x", "", "normal", NOW)
    with pytest.raises(ToolError, match="5 messages were left within an hour"):
        kept.add("x", "", "normal", NOW)
    kept.add("x", "", "normal", NOW + timedelta(hours=1))


# --- the file ----------------------------------------------------------------------------


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=50)


@given(texts, st.text(max_size=20), st.sampled_from(["normal", "urgent"]))
def test_any_words_come_back(text: str, sender: str, urgency: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        notes = Notes()
        store = MessageStore(Path(folder) / "messages.json", notes)
        kept = box()
        kept.add(text, sender, urgency, NOW)
        kept.add(text, "", "normal", NOW)
        kept.sent(kept.messages[0].id, NOW)
        assert store.save(kept.messages)
        assert store.load() == kept.messages
        assert notes.codes == []


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    old = os.umask(0)
    try:
        MessageStore(path, Notes()).save([left(1)])
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_largest_box_can_be_read_again(tmp_path: Path) -> None:
    text = "\U0001f600" * TEXT_MAX_CHARS
    at = NOW.isoformat()
    messages = [Message(f"id{n}", at, text, "ä" * 100, "urgent", at) for n in range(COUNT_MAX)]
    store = MessageStore(tmp_path / "messages.json", Notes())
    assert store.save(messages)
    assert store.load() == tuple(messages)


def broken(**changes: Any) -> bytes:
    message = {"id": "a", "at": NOW.isoformat(), "text": "secret", "sender": "secret"} | changes
    return json.dumps({"version": 1, "messages": [message]}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"version": 1}',
        b'{"version": 1, "messages": [1]}',
        b'{"version": 2, "messages": []}',
        json.dumps({"version": 1, "messages": [{}] * (COUNT_MAX + 1)}).encode(),
        broken(id=""),
        broken(id=1),
        broken(text=""),
        broken(text="x" * 1001),
        broken(sender=None),
        broken(at="yesterday"),
        broken(at="2026-11-20T18:00:00"),
        broken(sent_at="secret"),
        broken(urgency="mortal"),
        broken(problem=5),
        json.dumps({"version": 1, "messages": json.loads(broken())["messages"] * 2}).encode(),
    ],
)
def test_a_file_of_no_use_is_kept_aside_and_not_quoted(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "messages.json"
    path.write_bytes(raw)
    notes = Notes()
    assert MessageStore(path, notes).load() == ()
    assert notes.codes == ["messages.repaired"]
    assert "secret" not in str(notes.texts)
    assert path.with_name("messages.json.unusable").read_bytes() == raw


def test_a_full_disk_is_told_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    store = MessageStore(tmp_path / "messages.json", notes)
    assert store.save([left(1)])

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert not store.save([left(1), left(2)])
    assert not store.save([left(1), left(2)])
    assert notes.codes == ["messages.unwritable"]
    monkeypatch.undo()
    assert store.load() == (left(1),)


def test_beside_the_state() -> None:
    assert messages_path("/x/state.json") == Path("/x/messages.json")
    assert messages_path("", {"STATE_DIRECTORY": "/y:/z"}) == Path("/y/messages.json")
