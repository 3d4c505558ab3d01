"""Timer store: timers and alarms in a file beside the state, so that they survive (purpose).

Owner thread: the event loop for `load`; `save` may run in another.  Must never read a clock,
decide what is due, or stop the speaker: a file that is of no use is moved aside with a note.
The names in it are the household's words: they stay in this file and out of the journal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_agent.host.stores.json_file import JsonFile, NoteFunction, state_folder

VERSION = 1
"""Grows when an older program could misread the file."""
FILE_MAX_BYTES = 65_536
"""20 timers and 10 that rang, of less than 400 bytes each."""
ENTRIES_MAX = 100
"""More than any version of ours would write."""
NAME_MAX_CHARS = 200
SECONDS_MAX = 1e12
"""Some 30,000 years: whatever is larger is not a time of ours."""
REPEATS = ("once", "daily", "weekdays", "weekends")


@dataclass(frozen=True, slots=True)
class SavedTimer:
    """One that waits: a timer has `due_unix_s` and `length_s`, an alarm has `due_wall`."""

    name: str
    kind: str
    length_s: float = 0.0
    due_unix_s: float = 0.0
    due_wall: str = ""
    """ISO 8601 without a zone."""
    repeat: str = "once"
    """Of an alarm; one of `REPEATS`."""


@dataclass(frozen=True, slots=True)
class SavedRang:
    """One that rang, and when (ISO 8601 without a zone)."""

    name: str
    kind: str
    wall: str


@dataclass(frozen=True, slots=True)
class SavedTimers:
    """All of the file."""

    timers: tuple[SavedTimer, ...] = ()
    rang: tuple[SavedRang, ...] = ()


def timers_path(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "timers.json"


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
        try:
            raw = self._file.read()
        except OSError:
            return SavedTimers()
        if raw is None:
            return SavedTimers()
        try:
            entry = self._file.object_in(raw)
            return SavedTimers(
                tuple(_timer(one) for one in _list(entry, "timers")),
                tuple(_rang(one) for one in _list(entry, "rang")),
            )
        except ValueError as problem:
            self._file.set_aside(str(problem))
            return SavedTimers()

    def save(self, saved: SavedTimers) -> bool:
        """Write it, whole or not at all.  False, and one note, if it cannot be written."""
        return self._file.save(
            {
                "timers": [asdict(one) for one in saved.timers],
                "rang": [asdict(one) for one in saved.rang],
            }
        )


def _timer(entry: Mapping[str, Any]) -> SavedTimer:
    saved = SavedTimer(
        _name(entry),
        _kind(entry),
        _seconds(entry, "length_s"),
        _seconds(entry, "due_unix_s"),
        _wall(entry, "due_wall") if entry.get("kind") == "alarm" else "",
        entry.get("repeat", "once"),
    )
    if saved.repeat not in REPEATS:
        raise ValueError("an alarm repeats in an unknown way")
    if saved.kind == "timer" and saved.length_s <= 0:
        raise ValueError("a timer has no length")
    return saved


def _rang(entry: Mapping[str, Any]) -> SavedRang:
    return SavedRang(_name(entry), _kind(entry), _wall(entry, "wall"))


def _list(entry: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    value = entry.get(key)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"{key} is not a list of objects")
    if len(value) > ENTRIES_MAX:
        raise ValueError(f"{key} is too long")
    return value


def _name(entry: Mapping[str, Any]) -> str:
    value = entry.get("name")
    if not isinstance(value, str) or not 0 < len(value) <= NAME_MAX_CHARS:
        raise ValueError("a name is not a short text")
    return value


def _kind(entry: Mapping[str, Any]) -> str:
    value = entry.get("kind")
    if value not in ("timer", "alarm"):
        raise ValueError("a kind is neither timer nor alarm")
    return str(value)


def _seconds(entry: Mapping[str, Any], key: str) -> float:
    value = entry.get(key, 0.0)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or abs(value) > SECONDS_MAX:
        raise ValueError(f"{key} is not a number of seconds")
    return float(value)


def _wall(entry: Mapping[str, Any], key: str) -> str:
    try:
        value = datetime.fromisoformat(str(entry.get(key)))
    except ValueError:
        raise ValueError(f"{key} is not a date and time") from None
    if value.tzinfo is not None:
        raise ValueError(f"{key} has a zone")
    return value.isoformat()
