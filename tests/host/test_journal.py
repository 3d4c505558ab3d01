"""Journal: what a line looks like, where it goes, and what can never be in it."""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.host.journal import (
    FIELD_MAX_CHARS,
    Journal,
    LibraryWarnings,
    NativeSink,
    TextSink,
    fault_fields,
    open_journal,
)
from edge_agent.host.messages import DEBUG, MESSAGES, WARNING, catalog, message_id

CATALOG = Path(__file__).parents[2] / "systemd" / "edge-agent.catalog"


class Lines:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str, str, dict[str, str]]] = []

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        self.lines.append((level, text, code, dict(fields)))
        return True


def parse(datagram: bytes) -> dict[str, str]:
    """journald's reading of an entry, written from its protocol description."""
    fields: dict[str, str] = {}
    while datagram:
        head, _, datagram = datagram.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", datagram[:8])
            value, datagram = datagram[8 : 8 + length], datagram[9 + length :]
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> object:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        server.settimeout(2)
        yield server


# --- the catalogue ---------------------------------------------------------------------


def test_the_shipped_catalogue_is_what_the_program_would_write() -> None:
    assert CATALOG.read_text() == catalog()


def test_every_message_has_its_own_id_and_a_good_text() -> None:
    ids = [message_id(code) for code in MESSAGES]
    assert len(set(ids)) == len(ids)
    for code, message in MESSAGES.items():
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", code)
        assert re.fullmatch(r"[0-9a-f]{32}", message_id(code))
        assert 3 <= message.level <= 7
        assert len(message.explanation) > 20


def test_message_ids_never_change() -> None:
    assert message_id("talk.woken") == "63dea81b4d90522aa9b8e4dcd669fa8b"


# --- lines -----------------------------------------------------------------------------


def test_a_line_is_a_sentence_with_its_numbers() -> None:
    sink = Lines()
    Journal(sink).note("talk.answer_started", latency_ms=412.25)
    assert sink.lines == [
        (
            6,
            "Answering; the first sound came 412.25 ms after the end of the turn.",
            "talk.answer_started",
            {"latency_ms": "412.25"},
        )
    ]


def test_a_missing_field_and_an_unknown_code_still_make_a_line() -> None:
    sink = Lines()
    journal = Journal(sink)
    journal.note("link.down", code="link.lost")
    journal.note("talk.woken", cause="button")
    journal.note("talk.woken", cause="wake", word="okay_nabu")
    journal.note("response.failed")
    journal.note("new.thing", count=3)
    assert [line[1] for line in sink.lines] == [
        "The connection is down (link.lost).",
        "Woken by button.",
        "Woken by wake (okay_nabu).",
        "The answer failed (?).",
        "new.thing count=3",
    ]


def test_lines_below_the_level_are_not_written() -> None:
    sink = Lines()
    journal = Journal(sink, level=WARNING)
    journal.note("talk.asleep", why="done")
    journal.note("device.down", code="device.lost")
    assert [line[2] for line in sink.lines] == ["device.down"]


def test_content_is_left_out() -> None:
    sink = Lines()
    Journal(sink, level=DEBUG).note(
        "new.thing",
        transcript="my secret",
        pcm24k=b"sound",
        api_key="x",
        arguments="{}",
        data=b"abc",
        items=["a"],
        name="sk-abcdefgh12345",
        other="Bearer abc.def",
        long="x" * 500,
        lines="one\ntwo\x1b[31m",
        nothing=None,
    )
    fields = sink.lines[0][3]
    assert fields == {
        "data": "<bytes>",
        "items": "<list>",
        "name": "********",
        "other": "********",
        "long": "x" * (FIELD_MAX_CHARS - 1) + "…",
        "lines": "one two [31m",
    }


def test_words_are_written_only_if_the_owner_asked() -> None:
    sink = Lines()
    Journal(sink).note("talk.words", who="household", text="what time is it")
    assert sink.lines == []
    Journal(sink, transcripts=True).note("talk.words", who="household", text="what time is it")
    assert sink.lines[0][1] == "household: what time is it"


def test_a_fault_tells_kind_and_place_but_not_its_text() -> None:
    sink = Lines()
    with pytest.raises(ValueError, match="somebody") as caught:
        raise ValueError("what somebody said")
    Journal(sink).fault(caught.value)
    assert fault_fields(caught.value)["kind"] == "ValueError"
    assert "ValueError at test_journal.py:" in sink.lines[0][1]
    assert "somebody" not in repr(sink.lines)


def test_library_warnings_come_without_their_arguments() -> None:
    sink = Lines()
    logger = logging.Logger("some.library")
    logger.addHandler(LibraryWarnings(Journal(sink)))
    logger.warning("header %s refused", "Bearer abc")
    logger.warning("key sk-1234567890 refused")
    logger.info("chatter")
    assert [line[1] for line in sink.lines] == [
        "some.library: header %s refused",
        "some.library: (text left out)",
    ]


# --- where lines go --------------------------------------------------------------------


def test_a_journald_entry_has_fields_to_filter_on(journald: socket.socket, tmp_path: Path) -> None:
    sink = NativeSink(str(tmp_path / "socket"))
    journal = Journal(sink)
    journal.note("link.down", code="link.lost", retry_in_s=2.5)
    sink.close()
    assert parse(journald.recv(4096)) == {
        "MESSAGE": "The connection is down (link.lost); next try in 2.5 s.",
        "MESSAGE_ID": message_id("link.down"),
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "edge-agent",
        "EDGE_CODE": "link.down",
        "EDGE_REASON_CODE": "link.lost",
        "EDGE_RETRY_IN_S": "2.5",
    }


@given(st.text(max_size=50), st.text(min_size=1, max_size=50))
def test_no_field_can_break_out_of_its_line(name: str, value: str) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        sink = NativeSink.__new__(NativeSink)
        sink._socket = left
        Journal(sink).note("new.thing", **{name: value})
        fields = parse(right.recv(65536))
    assert fields["EDGE_CODE"] == "new.thing"
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", field) for field in fields)
    assert len(fields) <= 6


def test_a_full_journald_costs_lines_and_not_time(journald: socket.socket, tmp_path: Path) -> None:
    sink = NativeSink(str(tmp_path / "socket"))
    journal = Journal(sink)
    for _ in range(20_000):
        journal.note("talk.asleep", why="done")
        if journal.dropped:
            break
    sink.close()
    assert journal.dropped == 1


def test_a_restarted_journald_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as first:
        first.bind(str(path))
        sink = NativeSink(str(path))
        journal = Journal(sink)
    path.unlink()
    journal.note("talk.asleep", why="nobody is there")
    assert journal.dropped == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as second:
        second.bind(str(path))
        second.settimeout(2)
        journal.note("talk.asleep", why="back")
        assert parse(second.recv(4096))["EDGE_WHY"] == "back"
        lost = parse(second.recv(4096))
        assert (lost["EDGE_CODE"], lost["EDGE_COUNT"]) == ("journal.dropped", "1")
    sink.close()


def test_under_systemd_lines_go_to_journald(
    journald: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        path = str(tmp_path / "socket")
        journal = open_journal(environ=environ, stream=stream, socket_path=path)
        journal.note("agent.ready", seconds=0.5)
        assert parse(journald.recv(4096))["EDGE_CODE"] == "agent.ready"
        # The socket is out of reach: the stream that systemd connected still works.
        lost = open_journal(environ=environ, stream=stream, socket_path=path + "x")
        lost.note("agent.ready", seconds=0.5)
        journal._sink.close()  # type: ignore[attr-defined]
    assert (tmp_path / "stderr").read_text() == "<5>Ready after 0.5 s. [agent.ready]\n"


def test_a_variable_from_somewhere_else_does_not_count(tmp_path: Path) -> None:
    stream = io.StringIO()
    journal = open_journal(environ={"JOURNAL_STREAM": "1:2"}, stream=stream)
    journal.note("agent.ready", seconds=1)
    assert stream.getvalue().endswith("  Ready after 1 s.  [agent.ready]\n")


def test_a_terminal_gets_colour_and_time() -> None:
    stream = io.StringIO()
    sink = TextSink(stream, colour=True, now=lambda: datetime(2026, 1, 2, 3, 4, 5, 6000, UTC))
    Journal(sink).note("device.down", code="device.lost")
    assert stream.getvalue() == (
        "\x1b[31m03:04:05.006  No sound device (device.lost); looking for it."
        "  [device.down]\x1b[0m\n"
    )


def test_a_closed_terminal_does_not_stop_the_speaker() -> None:
    stream = io.StringIO()
    journal = Journal(TextSink(stream))
    stream.close()
    journal.note("agent.ready", seconds=1)
    assert journal.dropped == 1
