"""Journal: one line per thing that happened, for people and for filters.

Thread: any; under systemd a thread of its own hands the lines over.  It must never write a
household's words (but for `talk.words` while the owner asked for it), a key or sound, and never
make the event loop wait for journald: a full queue drops the line and counts it.

Under systemd a line goes to journald with structured fields, through systemd-python; where that
cannot be loaded it is `<N>`-prefixed text on standard error (sd-daemon(3)), elsewhere plain text.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import re
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol, TextIO

from edge_agent.contract.foreign import printable, text_of_others
from edge_agent.host.journal.catalog import field_name, message_id
from edge_agent.host.journal.limits import Limits
from edge_agent.host.journal.messages import DEBUG, ERROR, INFO, MESSAGES, NOTICE, WARNING
from edge_agent.host.journal.reasons import reason_of

JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
"""Where libsystemd finds journald; without it, it drops every line and says that all is well."""
QUEUE_MAX_LINES = 512
"""Some minutes of a busy evening; 512 is also what systemd lets a socket hold."""
DEBUG_QUEUE_MAX_LINES = QUEUE_MAX_LINES // 2
"""Debug lines leave the rest to the lines that matter."""
CLOSE_S = 0.5
"""Far below `health.stop_s`: a stop does not wait for a log."""
NAME_MAX_CHARS = 64
"""journald drops a field whose name is longer."""
FIELD_MAX_CHARS = 200
"""A field is a number or a short name; more than this is content and does not belong here."""

LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}

CONTENT_FIELDS = frozenset(
    {"text", "transcript", "words", "audio", "pcm", "pcm24k", "arguments", "output"}
    | {"instructions", "key", "api_key", "authorization", "headers", "password", "token"}
)
"""Names that can only mean content or a secret: never written."""

_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_PLACE = re.compile(r"\{(\w+)\}")


class Sink(Protocol):
    """Where a finished line goes.  Must not raise and must not block."""

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        """Write one line; False if it had to be dropped."""


class Journal:
    """`note(code, **fields)`; make one with `open_journal`.

    `clock` is for the bounds of `limits`; without it there are none.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        level: int = INFO,
        transcripts: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock
        self._limits = Limits()
        self._lock = threading.Lock()
        """Notes come from several threads, and the limits count."""
        self._sink = sink
        self._level = level
        self._transcripts = transcripts
        self.dropped = 0
        """Lines that journald could not take."""
        self._untold = 0

    @property
    def is_debug(self) -> bool:
        """Whether debug lines are written: for whoever would make many of them."""
        return self._level >= DEBUG

    def set_level(self, level: int) -> None:
        """The least important line that is written from now on (one of `LEVELS`)."""
        self._level = level

    def note(self, code: str, /, **fields: object) -> None:
        """Write the line of `code` (see `messages.MESSAGES`; an unknown code is written as it
        is).  Fields are numbers and short names; anything else is left out."""
        message = MESSAGES.get(code)
        level = message.level if message else NOTICE
        if level > self._level:
            return
        if code == "talk.words":
            if not self._transcripts:
                return
            clean = {name: printable(str(value)) for name, value in fields.items()}
        else:
            clean = {n: text for n, v in fields.items() if (text := _clean(n, v)) is not None}
        if message:
            text = filled(message.text, clean)
        else:
            text = printable(" ".join([code, *(f"{n}={v}" for n, v in clean.items())]))
        left_out = repeated = 0
        if self._clock is not None:
            with self._lock:
                if not self._limits.takes(level, code, text, self._clock()):
                    return
                left_out, repeated = self._limits.owed()
        self._write(level, text, code, clean)
        if left_out:
            self.note("journal.left_out", count=left_out)
        if repeated:
            self.note("journal.repeated", count=repeated)

    def _write(self, level: int, text: str, code: str, clean: Mapping[str, str]) -> None:
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
    """`template` with its `{field}` places; a `[part]` whose fields are missing or empty is left
    out, elsewhere a field that is missing becomes a question mark."""
    places = defaultdict(lambda: "?", fields)

    def part(match: re.Match[str]) -> str:
        return match[1] if all(fields.get(name) for name in _PLACE.findall(match[1])) else ""

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
    return text_of_others(str(value), FIELD_MAX_CHARS)


# --- sinks -----------------------------------------------------------------------------


class JournaldSink:
    """journald through systemd-python, with a thread of its own.

    The library waits when journald does not read; a household must not.  So lines go through a
    bounded queue, and what does not fit is dropped and counted by `Journal`.
    """

    def __init__(self, send: Callable[..., object]) -> None:
        """`send` is `systemd.journal.send`, or something that takes the same arguments."""
        self._send = send
        self._queue: queue.Queue[dict[str, str] | None] = queue.Queue(QUEUE_MAX_LINES)
        self._refused = 0
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # the last lines of a run are the ones people look for

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        """Queue one entry.  May be called from any thread."""
        if level >= DEBUG and self._queue.qsize() >= DEBUG_QUEUE_MAX_LINES:
            return False
        entry = {field_name(name)[:NAME_MAX_CHARS]: _utf8(v) for name, v in fields.items()}
        entry |= _entry(level, _utf8(text), code, reason_of(code, dict(fields)))
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Let the thread write what is queued, for a bounded time.  Safe to call twice."""
        atexit.unregister(self.close)
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=CLOSE_S)
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        while (entry := self._queue.get()) is not None:
            try:
                self._send(**entry)
                if self._refused:  # journald was restarted, and is back
                    text = filled(MESSAGES["journal.dropped"].text, {"count": str(self._refused)})
                    lost = {"EDGE_COUNT": str(self._refused)}
                    self._refused = 0
                    self._send(**lost, **_entry(WARNING, text, "journal.dropped"))
            except OSError:
                self._refused += 1


def _entry(level: int, text: str, code: str, explained: str = "") -> dict[str, str]:
    """The fields that every entry has; `explained` is the code whose explanation fits."""
    return {
        "MESSAGE": text,
        "MESSAGE_ID": message_id(explained or code),
        "PRIORITY": str(level),
        "SYSLOG_IDENTIFIER": "edge-agent",
        "EDGE_CODE": code,
    }


def _utf8(text: str) -> str:
    """Without half letters, which the library refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")


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
    level: str,
    *,
    transcripts: bool = False,
    environ: Mapping[str, str] | None = None,
    stream: TextIO | None = None,
) -> Journal:
    """The journal that fits where standard error leads: journald, a terminal or a file."""
    env = os.environ if environ is None else environ
    out = sys.stderr if stream is None else stream
    if not leads_to_journald(env, out):
        sink: Sink = TextSink(out, colour=out.isatty() and "NO_COLOR" not in env)
        return Journal(sink, level=LEVELS[level], transcripts=transcripts, clock=time.monotonic)
    send, why = _journald()
    sink = JournaldSink(send) if send is not None else TextSink(out, prefix=True)
    journal = Journal(sink, level=LEVELS[level], transcripts=transcripts, clock=time.monotonic)
    if why:
        journal.note("journal.plain", why=why)
    return journal


def _journald() -> tuple[Callable[..., object] | None, str]:
    """The library's `send`, or None and why not."""
    try:
        from systemd.journal import send
    except ImportError:  # the module, or the system's libsystemd beneath it
        return None, "systemd-python cannot be loaded"
    if not JOURNAL_SOCKET.exists():
        return None, "journald's socket is out of reach"
    return send, ""


def leads_to_journald(environ: Mapping[str, str], stream: TextIO) -> bool:
    """Whether journald reads this stream.  systemd.exec: $JOURNAL_STREAM names device and inode of
    the stream it connected."""
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
