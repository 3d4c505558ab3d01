"""Journal: what a line looks like, where it goes, and what can never be in it."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from other_ways import TELL, namespaces

from edge_agent.host.journal.catalog import catalog, message_id
from edge_agent.host.journal.journal import (
    FIELD_MAX_CHARS,
    QUEUE_MAX_LINES,
    Journal,
    JournaldSink,
    LibraryWarnings,
    TextSink,
    fault_fields,
    open_journal,
)
from edge_agent.host.journal.messages import DEBUG, MESSAGES, WARNING

CATALOG = Path(__file__).parents[2] / "systemd" / "edge-agent.catalog"


class Lines:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str, str, dict[str, str]]] = []

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        self.lines.append((level, text, code, dict(fields)))
        return True


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
        "name": "[key]",
        "other": "[key]",
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


class Library:
    """Stands where `systemd.journal.send` does: remembers, stalls or refuses."""

    def __init__(self) -> None:
        self.entries: list[dict[str, str]] = []
        self.open = threading.Event()
        self.open.set()
        self.refusing = False

    def send(self, **entry: str) -> None:
        assert self.open.wait(5)
        if self.refusing:
            raise ConnectionRefusedError(111, "Connection refused")
        self.entries.append(entry)


def test_a_journald_entry_has_fields_to_filter_on() -> None:
    library = Library()
    sink = JournaldSink(library.send)
    journal = Journal(sink)
    journal.note("link.down", code="link.lost", retry_in_s=2.5)
    journal.note("talk.answer_done", ms=900, turn=12, response="resp_1")
    sink.close()
    down, done = library.entries
    assert {name: done[name] for name in ("EDGE_TURN", "EDGE_RESPONSE")} == {
        "EDGE_TURN": "12",
        "EDGE_RESPONSE": "resp_1",
    }
    assert [down] == [
        {
            "MESSAGE": "The connection is down (link.lost); next try in 2.5 s.",
            "MESSAGE_ID": message_id("link.lost"),
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "edge-agent",
            "EDGE_CODE": "link.down",
            "EDGE_REASON_CODE": "link.lost",
            "EDGE_RETRY_IN_S": "2.5",
        }
    ]


@pytest.mark.parametrize(
    ("note", "code", "explained"),
    [
        ("link.down", "link.dns", "link.dns"),
        ("link.refused", "link.no_quota", "link.no_quota"),
        ("device.down", "device.no_microphone", "device.no_microphone"),
        ("response.failed", "insufficient_quota", "response.insufficient_quota"),
        ("link.down", "link.brand_new", "link.down"),
        ("server.complaint", "link.dns", "server.complaint"),
    ],
)
def test_every_cause_has_an_id_of_its_own(note: str, code: str, explained: str) -> None:
    library = Library()
    sink = JournaldSink(library.send)
    Journal(sink).note(note, code=code)
    sink.close()
    (entry,) = library.entries
    assert entry["MESSAGE_ID"] == message_id(explained)
    assert (entry["EDGE_CODE"], entry["EDGE_REASON_CODE"]) == (note, code)
    assert f"-- {message_id(explained)}\n" in catalog()


@given(st.text(max_size=80), st.text(min_size=1, max_size=50))
def test_no_field_can_break_out_of_its_place(name: str, value: str) -> None:
    library = Library()
    sink = JournaldSink(library.send)
    Journal(sink).note("new.thing", **{name: value})
    sink.close()
    (entry,) = library.entries
    assert entry["EDGE_CODE"] == "new.thing"
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", field) for field in entry)
    assert all("\n" not in text and text.encode() for text in entry.values())
    assert len(entry) <= 6


def test_a_journald_that_stands_still_costs_lines_and_not_time() -> None:
    library = Library()
    library.open.clear()
    sink = JournaldSink(library.send)
    journal = Journal(sink)
    journal.note("talk.asleep", why="in the thread's hands")
    while not sink._queue.empty():
        time.sleep(0.001)
    for _ in range(QUEUE_MAX_LINES + 9):
        journal.note("talk.asleep", why="done")
    assert journal.dropped == 9
    library.open.set()
    while not sink._queue.empty():
        time.sleep(0.001)
    journal.note("talk.asleep", why="back")
    sink.close()
    sink.close()
    assert [e["EDGE_COUNT"] for e in library.entries if e["EDGE_CODE"] == "journal.dropped"] == [
        "9"
    ]


def test_a_journald_that_was_restarted_is_told_what_it_missed() -> None:
    library = Library()
    sink = JournaldSink(library.send)
    journal = Journal(sink)
    library.refusing = True
    journal.note("talk.asleep", why="nobody is there")
    journal.note("talk.asleep", why="nobody is there")
    while not sink._queue.empty() or sink._refused < 2:
        time.sleep(0.001)
    library.refusing = False
    journal.note("talk.asleep", why="back")
    sink.close()
    assert [(e["EDGE_CODE"], e.get("EDGE_COUNT")) for e in library.entries] == [
        ("talk.asleep", None),
        ("journal.dropped", "2"),
    ]


A_JOURNALD = """
export RUNTIME_DIRECTORY="$2" LOGS_DIRECTORY="$3"
mkdir -p "$RUNTIME_DIRECTORY" "$LOGS_DIRECTORY" || exit 1
/lib/systemd/systemd-journald edge-agent-test >"$3/said" 2>&1 </dev/null &
for _ in $(seq 200); do [ -S "$RUNTIME_DIRECTORY/socket" ] && break; sleep 0.05; done
"$0" -c "$1" "$RUNTIME_DIRECTORY/socket" || cat "$3/said"
for _ in $(seq 200); do
    entry=$(journalctl -D "$LOGS_DIRECTORY" -o json EDGE_CODE=link.down)
    [ -n "$entry" ] && break
    sleep 0.05
done
printf '%s' "$entry"
kill $!
"""
"""A real journald, with a folder for its sockets and one for its journal.  Any account may start
it: as a journal namespace it needs nothing of the machine."""

CONTROL_GROUPS = Path("/sys/fs/cgroup")
PRIVATE_RUN = "mount -t tmpfs tmpfs /run"

A_LINE_UNDER_SYSTEMD = """
import os, sys
from edge_agent.host.journal.journal import JournaldSink, open_journal
status = os.fstat(2)
journal = open_journal("info", environ={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
assert isinstance(journal._sink, JournaldSink), journal._sink
journal.note("link.down", code="link.lost", retry_in_s=2.5)
"""

TO_THAT_SOCKET = """
import socket, sys
from pathlib import Path
from systemd import journal as library
from edge_agent.host.journal import journal as ours
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
door.connect(sys.argv[1])
ours.JOURNAL_SOCKET = Path(sys.argv[1])
library.sendv = lambda *fields: door.send("".join(field + "\\n" for field in fields).encode())
"""
"""libsystemd sends to the machine's journald only: the same fields, in its protocol, elsewhere."""


def received(folder: Path) -> dict[str, str]:
    """What journald would get, read from a socket of the test's own."""
    line = TO_THAT_SOCKET + A_LINE_UNDER_SYSTEMD
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(folder / "door"))
        subprocess.run([sys.executable, "-c", line, folder / "door"], check=True, timeout=60)
        fields = door.recv(65536).decode().splitlines()
    return dict(field.split("=", 1) for field in fields)


def kept(enter: list[str], setup: str, line: str, *folders: object) -> dict[str, str]:
    """The entry as a real journald has it."""
    command = [*enter, "bash", "-c", setup + A_JOURNALD, sys.executable, line, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    entry: dict[str, str] = json.loads(done.stdout)
    assert entry["_TRANSPORT"] == "journal"
    return entry


def kept_elsewhere(folder: Path, another_way: TELL) -> dict[str, str]:
    if not CONTROL_GROUPS.is_mount():
        another_way(f"the datagram alone, because journald does not start without {CONTROL_GROUPS}")
        return received(folder)
    return kept([], "", TO_THAT_SOCKET + A_LINE_UNDER_SYSTEMD, folder / "run", folder / "log")


def judge(entry: dict[str, str]) -> None:
    assert entry["MESSAGE"] == "The connection is down (link.lost); next try in 2.5 s."
    assert entry["MESSAGE_ID"] == message_id("link.lost")
    assert entry["SYSLOG_IDENTIFIER"] == "edge-agent"
    assert (entry["PRIORITY"], entry["EDGE_REASON_CODE"]) == ("4", "link.lost")


def test_journald_in_its_place_takes_the_line_and_its_fields(
    tmp_path: Path, another_way: TELL
) -> None:
    # The library knows one place only for the socket, so /run must be ours.
    enter, why = namespaces("--mount", PRIVATE_RUN)
    if not enter:
        another_way(f"not through the library's own socket ({why})")
        judge(kept_elsewhere(tmp_path, another_way))
        return
    run, log = "/run/systemd/journal", tmp_path / "log"
    judge(kept(enter, f"{PRIVATE_RUN} || exit 1\n", A_LINE_UNDER_SYSTEMD, run, log))


def test_journald_elsewhere_takes_the_line_and_its_fields(
    tmp_path: Path, another_way: TELL
) -> None:
    judge(kept_elsewhere(tmp_path, another_way))


def test_the_datagram_has_the_line_and_its_fields(tmp_path: Path) -> None:
    judge(received(tmp_path))


@pytest.fixture
def under_systemd(tmp_path: Path) -> Iterator[tuple[dict[str, str], TextIO]]:
    """An environment and a stream as systemd hands them over."""
    with (tmp_path / "stderr").open("w") as stream:
        status = os.fstat(stream.fileno())
        yield {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, stream


def test_without_the_library_lines_are_plain_and_say_so_once(
    under_systemd: tuple[dict[str, str], TextIO], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    environ, stream = under_systemd
    open_journal("info", environ=environ, stream=stream).note("agent.ready", seconds=0.5)
    assert (tmp_path / "stderr").read_text() == (
        "<5>Journal lines come without fields: systemd-python cannot be loaded. [journal.plain]\n"
        "<5>Ready after 0.5 s. [agent.ready]\n"
    )


def test_without_a_journald_lines_are_plain(
    under_systemd: tuple[dict[str, str], TextIO], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.host.journal.journal.JOURNAL_SOCKET", tmp_path / "nobody")
    environ, stream = under_systemd
    open_journal("info", environ=environ, stream=stream).note("agent.ready", seconds=0.5)
    lines = (tmp_path / "stderr").read_text().splitlines()
    assert lines[1:] == ["<5>Ready after 0.5 s. [agent.ready]"]
    assert "out of reach" in lines[0]


def test_a_variable_from_somewhere_else_does_not_count() -> None:
    stream = io.StringIO()
    journal = open_journal("info", environ={"JOURNAL_STREAM": "1:2"}, stream=stream)
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
