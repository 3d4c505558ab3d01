"""State: the little that survives a reboot.

Thread: the main thread for `load`, a worker's for `save` (a slow disk must not hold up the loop; a
stop waits for what is queued).  It must never hold anything that was said, and never stop the
speaker: a file that cannot be read or written costs a note, not a start.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from edge_agent.host.stores.json_file import (
    ASIDE,
    DEFAULT_FOLDER,
    HALF_WRITTEN,
    PRIVATE_MODE,
    JsonFile,
    NoteFunction,
    state_folder,
)

__all__ = [
    "DEFAULT_FOLDER",
    "FILE_MAX_BYTES",
    "Saved",
    "StateFile",
    "is_saved_as_muted",
    "state_path",
]

VERSION = 1
"""Grows when an older program could misread the file."""

KNOWN = ".known"
"""End of the name of an empty file that stands beside the state from the first start on: where the
state itself is missing then, it was lost."""

FILE_MAX_BYTES = 65_536
"""Ours has some 60; whatever is larger is not ours."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What is remembered.  `volume_percent` None: never changed, the setting holds.

    `guest`: guest mode is on; a whole file without a word about it is from an older program.
    """

    muted: bool = False
    volume_percent: int | None = None
    guest: bool = False


UNKNOWN = Saved(muted=True, guest=True)
"""What holds when nobody can know: nobody may be overheard, and nothing risky be done, because a
disk was full."""


@dataclass(frozen=True, slots=True)
class _File:
    muted: bool
    volume_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    guest: bool = False


def state_path(setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Where the state lives: the setting, else in the state folder."""
    return Path(setting) if setting else state_folder(environ) / "state.json"


def is_saved_as_muted(path: Path) -> bool:
    """Whether the speaker of this file is muted; reads only.  Yes where nobody can know."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # as `JsonFile.read`
        with os.fdopen(os.open(path, flags), "rb") as file:
            raw = file.read(FILE_MAX_BYTES)
    except FileNotFoundError:
        return any(os.path.lexists(trace) for trace in _traces(path))
    except OSError:
        return True
    return _salvaged(raw).muted


class StateFile:
    """`load` once, `save` at every change.  `note` is `Journal.note`.

    `beside`: the other stores.  The file is written at the first start, and then its mark
    (`KNOWN`), so where it is missing beside one of them, it was lost.
    """

    def __init__(self, path: Path, note: NoteFunction, *, beside: Iterable[Path] = ()) -> None:
        self._path = path
        self._note = note
        self._beside = tuple(beside)
        self._known = path.with_name(path.name + KNOWN)
        self._is_marked = False
        self.is_written = True
        """The disk took what was last given to it."""
        self._file = JsonFile(
            path,
            note,
            repaired="state.repaired",
            unwritable="state.unwritable",
            version=VERSION,
            max_bytes=FILE_MAX_BYTES,
        )

    def load(self) -> Saved:
        """What was saved, or what has to hold instead; that is on the disk before this returns,
        if the disk takes it, so that the next start decides the same.

        A file that is broken or from a newer program is moved aside; its mute and guest mode are
        kept where they can still be read.  What is not known is `UNKNOWN`.
        """
        try:
            raw = self._file.read()
        except OSError:
            return UNKNOWN  # not written over: it may be whole, and readable the next time
        if raw is None:
            saved = self._instead_of_none()
        else:
            try:
                found = self._file.decode(raw, _File)
                self._mark()
                return Saved(found.muted, found.volume_percent, found.guest)
            except ValueError as problem:
                self._file.set_aside(str(problem))
                saved = _salvaged(raw)
        self.save(saved)
        return saved

    def save(self, saved: Saved) -> bool:
        """Write it, whole or not at all.  False, and one note, if it cannot be written."""
        self.is_written = self._file.save(asdict(saved))
        if self.is_written:
            self._mark()
        return self.is_written

    def _mark(self) -> None:
        """From now on a missing state is a loss.  A disk that refuses is asked again next time."""
        if not self._is_marked:
            with contextlib.suppress(OSError):
                self._known.touch(PRIVATE_MODE)
                self._is_marked = True

    def _instead_of_none(self) -> Saved:
        """There is no file: a first start is open, a loss is not."""
        if not any(os.path.lexists(trace) for trace in (*_traces(self._path), *self._beside)):
            return Saved()
        self._note("state.repaired", why="missing", path="(missing)")
        return UNKNOWN


def _traces(path: Path) -> list[Path]:
    """Beside a missing state they tell that it was lost."""
    return [path.with_name(path.name + end) for end in (KNOWN, ASIDE, HALF_WRITTEN)]


def _salvaged(raw: bytes) -> Saved:
    """Mute and guest mode of a file that is otherwise of no use, where they can be read."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return UNKNOWN
    if not isinstance(entry, dict):
        return UNKNOWN
    muted, guest = entry.get("muted"), entry.get("guest")
    return Saved(muted=muted is not False, guest=guest is not False)
