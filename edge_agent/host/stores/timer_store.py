"""Timer store: timers and alarms in a file beside the state, so that they survive.

Thread: the event loop for `load`; `save` may run in another.  It must never read a clock, decide
what is due, or stop the speaker: a file that is of no use is moved aside with a note. The names in
it are the household's words: they stay in this file and out of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from edge_agent.host.stores.json_file import (
    JsonFile,
    NoteFunction,
    check_time,
    look_into,
    state_folder,
)

VERSION = 1
"""Grows when an older program could misread the file."""
FILE_MAX_BYTES = 65_536
"""20 timers and 10 that rang, of less than 400 bytes each."""
ENTRIES_MAX = 100
"""More than any version of ours would write."""
NAME_MAX_CHARS = 200
SECONDS_MAX = 1e12
"""Some 30,000 years: whatever is larger is not a time of ours."""

Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX_CHARS)]
Kind = Annotated[str, Meta(pattern=r"^(timer|alarm)\Z")]
Repeat = Annotated[str, Meta(pattern=r"^(once|daily|weekdays|weekends)\Z")]
Seconds = Annotated[float, Meta(ge=-SECONDS_MAX, le=SECONDS_MAX)]


@dataclass(frozen=True, slots=True)
class SavedTimer:
    """One that waits: a timer has `due_unix_s` and `length_s`, an alarm has `due_wall`."""

    name: Name
    kind: Kind
    length_s: Seconds = 0.0
    due_unix_s: Seconds = 0.0
    due_wall: str = ""
    """ISO 8601 without a zone."""
    repeat: Repeat = "once"
    """Of an alarm."""

    def left_s(self, now: datetime) -> float:
        """Seconds until it is due, by the wall clock; `now` has its zone."""
        if self.due_wall:
            wall = datetime.fromisoformat(self.due_wall)
            return (wall - now.replace(tzinfo=None)).total_seconds()
        return self.due_unix_s - now.timestamp()


@dataclass(frozen=True, slots=True)
class SavedRang:
    """One that rang, and when (ISO 8601 without a zone)."""

    name: Name
    kind: Kind
    wall: str


@dataclass(frozen=True, slots=True)
class SavedTimers:
    """All of the file."""

    timers: tuple[SavedTimer, ...] = ()
    rang: tuple[SavedRang, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    timers: Annotated[tuple[SavedTimer, ...], Meta(max_length=ENTRIES_MAX)]
    rang: Annotated[tuple[SavedRang, ...], Meta(max_length=ENTRIES_MAX)]

    def __post_init__(self) -> None:
        for timer in self.timers:
            if timer.kind == "alarm":
                check_time(timer.due_wall, zone=False)
            elif timer.length_s <= 0 or timer.due_wall:
                raise ValueError("a timer has no length, or a time of day")
        for rang in self.rang:
            check_time(rang.wall, zone=False)


def timers_path(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "timers.json"


def read_timers(path: Path) -> SavedTimers:
    """Look into the file of a speaker that does not run.  Raises AgentError."""
    found = look_into(path, _File, version=VERSION, max_bytes=FILE_MAX_BYTES)
    return SavedTimers(found.timers, found.rang) if found else SavedTimers()


class TimerStore:
    """`load` once, `save` at every change.  `note` is `Journal.note`."""

    def __init__(self, path: Path, note: NoteFunction) -> None:
        self._file = JsonFile(
            path,
            note,
            repaired="timers.repaired",
            unwritable="timers.unwritable",
            version=VERSION,
            max_bytes=FILE_MAX_BYTES,
        )

    def load(self) -> SavedTimers:
        """What was saved; nothing if the file is not there, broken or from a newer program."""
        found = self._file.load(_File)
        return SavedTimers(found.timers, found.rang) if found else SavedTimers()

    def save(self, saved: SavedTimers) -> bool:
        """Write it, whole or not at all.  False, and one note, if it cannot be written."""
        return self._file.save(asdict(saved))
