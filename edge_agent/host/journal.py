"""Journal: one line per thing that happened, for people and for filters (purpose).

Owner thread: any; one datagram or one write per line.  Must never write a household's words (but
for `talk.words` while the owner asked for it), a key or sound, and never make the event loop wait
for journald: a full queue drops the line and counts it.

Under systemd the line goes to journald's own socket with structured fields (protocol:
systemd.io/JOURNAL_NATIVE_PROTOCOL); elsewhere it is text on standard error.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import struct
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol, TextIO

from edge_agent.host.messages import (
    DEBUG,
    ERROR,
    INFO,
    MESSAGES,
    NOTICE,
    WARNING,
    field_name,
    message_id,
)

JOURNAL_SOCKET = "/run/systemd/journal/socket"
FIELD_MAX_CHARS = 200
"""A field is a number or a short name; more than this is content and does not belong here."""

LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}

CONTENT_FIELDS = frozenset(
    {"text", "transcript", "words", "audio", "pcm", "pcm24k", "arguments", "output"}
    | {"instructions", "key", "api_key", "authorization", "headers", "password", "token"}
)
"""Names that can only mean content or a secret: never written."""

_KEY_LIKE = re.compile(r"\b(?:sk|ek|xai)[-_][\w-]{6,}|(?i:\bbearer\s+\S+)")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_PLACE = re.compile(r"\{(\w+)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Sink(Protocol):
    """Where a finished line goes.  Must not raise and must not block."""

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        """Write one line; False if it had to be dropped."""


class Journal:
    """`note(code, **fields)`; make one with `open_journal`."""

    def __init__(self, sink: Sink, *, level: int = INFO, transcripts: bool = False) -> None:
        self._sink = sink
        self._level = level
        self._transcripts = transcripts
        self.dropped = 0
        """Lines that journald could not take."""
        self._untold = 0

    def note(self, code: str, /, **fields: object) -> None:
        """Write the line of `code` (see `messages.MESSAGES`; an unknown code is written as it
        is).  Fields are numbers and short names; anything else is left out."""
        message = MESSAGES.get(code)
        level = message.level if message else NOTICE
        if code == "talk.words":
            if not self._transcripts:
                return
            clean = {name: _CONTROL.sub(" ", str(value)) for name, value in fields.items()}
        else:
            clean = {n: text for n, v in fields.items() if (text := _clean(n, v)) is not None}
        if level > self._level:
            return
        if message:
            text = filled(message.text, clean)
        else:
            text = " ".join([code, *(f"{n}={v}" for n, v in clean.items())])
        if not self._sink.write(level, text, code, clean):
            self.dropped += 1
            self._untold += 1
        elif self._untold:
            count, self._untold = self._untold, 0
            self.note("journal.dropped", count=count)

    def fault(self, problem: BaseException) -> None:
        """Write `agent.fault`: kind and place of an exception, never its text."""
        self.note("agent.fault", **fault_fields(problem))


def filled(template: str, fields: Mapping[str, str]) -> str:
    """`template` with its `{field}` places; a `[part]` whose fields were not given is left out,
    elsewhere a field that is missing becomes a question mark."""
    places = defaultdict(lambda: "?", fields)

    def part(match: re.Match[str]) -> str:
        return match[1] if all(name in fields for name in _PLACE.findall(match[1])) else ""

    return _OPTIONAL.sub(part, template).format_map(places)


def fault_fields(problem: BaseException) -> dict[str, str]:
    """Kind and innermost place of an exception; its message may hold content and is left out."""
    frames = traceback.extract_tb(problem.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    return {"kind": type(problem).__name__, "place": place}


def _clean(name: str, value: object) -> str | None:
    if name in CONTENT_FIELDS or value is None:
        return None
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if not isinstance(value, (int, str)):  # bool is an int
        return f"<{type(value).__name__}>"
    text = _KEY_LIKE.sub("********", _CONTROL.sub(" ", str(value)))
    return text if len(text) <= FIELD_MAX_CHARS else text[: FIELD_MAX_CHARS - 1] + "…"


# --- sinks -----------------------------------------------------------------------------


class NativeSink:
    """journald's datagram socket, never waiting."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        """Raises OSError if nobody listens there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._path = path

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        """One datagram.  A restarted journald is found again at the next line."""
        entry = {
            "MESSAGE": text,
            "MESSAGE_ID": message_id(code),
            "PRIORITY": str(level),
            "SYSLOG_IDENTIFIER": "edge-agent",
            "EDGE_CODE": code,
        }
        for name, value in fields.items():
            entry[field_name(name)] = value
        datagram = b"".join(_native(name, value) for name, value in entry.items())
        for attempt in (1, 2):
            try:
                self._socket.send(datagram)
            except BlockingIOError:
                return False
            except OSError:
                if attempt == 1:
                    with contextlib.suppress(OSError):
                        self._socket.connect(self._path)
            else:
                return True
        return False

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()


def _native(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" in data:
        return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


class TextSink:
    """Readable lines; with colour on a terminal, with `<N>` where journald reads our stderr."""

    _COLOURS: Mapping[int, str] = {ERROR: "31", WARNING: "33", NOTICE: "36", DEBUG: "2"}

    def __init__(
        self,
        stream: TextIO,
        *,
        colour: bool = False,
        prefix: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._stream = stream
        self._colour = colour
        self._prefix = prefix
        self._now = now

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        """One line: time of day, text, code (the fields are in the text already)."""
        del fields
        if self._prefix:
            line = f"<{level}>{text} [{code}]"
        else:
            line = f"{self._now():%H:%M:%S.%f}"[:-3] + f"  {text}  [{code}]"
            paint = self._COLOURS.get(level)
            if self._colour and paint:
                line = f"\x1b[{paint}m{line}\x1b[0m"
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a closed terminal or pipe must not stop the speaker
            return False
        return True


# --- choosing --------------------------------------------------------------------------


def open_journal(
    level: str = "info",
    *,
    transcripts: bool = False,
    environ: Mapping[str, str] | None = None,
    stream: TextIO | None = None,
    socket_path: str = JOURNAL_SOCKET,
) -> Journal:
    """The journal that fits where standard error leads: journald, a terminal or a file."""
    env = os.environ if environ is None else environ
    out = sys.stderr if stream is None else stream
    sink: Sink
    if _leads_to_journald(env, out):
        try:
            sink = NativeSink(socket_path)
        except OSError:
            sink = TextSink(out, prefix=True)
    else:
        sink = TextSink(out, colour=out.isatty() and "NO_COLOR" not in env)
    return Journal(sink, level=LEVELS[level], transcripts=transcripts)


def _leads_to_journald(environ: Mapping[str, str], stream: TextIO) -> bool:
    """systemd.exec: $JOURNAL_STREAM names device and inode of the stream it connected."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class LibraryWarnings(logging.Handler):
    """Brings warnings of libraries into the journal, without their arguments (which may hold
    addresses, headers or sound)."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging` in whatever thread warned."""
        template = record.msg if record.args else "(text left out)"
        self._journal.note("library.complained", logger=record.name, template=str(template))
