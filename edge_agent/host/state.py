"""State: the little that survives a reboot (purpose).

Owner thread: the event loop for `save` (one small file; a mute must be on the disk before the
light says so), the main thread for `load`.  Must never hold anything that was said, and never
stop the speaker: a file that cannot be read or written costs a note, not a start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

VERSION = 1
"""Grows when an older program could misread the file."""

DEFAULT_FOLDER = Path("/var/lib/edge-agent")
FILE_MAX_BYTES = 65_536
"""Ours has some 60; whatever is larger is not ours."""

NoteFunction = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Saved:
    """What is remembered.  `volume_percent` None: never changed, the setting holds."""

    muted: bool = False
    volume_percent: int | None = None


def state_path(setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Where the state lives: the setting, else systemd's `$STATE_DIRECTORY`, else the default."""
    if setting:
        return Path(setting)
    env = os.environ if environ is None else environ
    # systemd joins several directories with ":"; the unit asks for one.
    folder = env.get("STATE_DIRECTORY", "").split(":")[0]
    return (Path(folder) if folder else DEFAULT_FOLDER) / "state.json"


class StateFile:
    """`load` once, `save` at every change.  `note` is `Journal.note`."""

    def __init__(self, path: Path, note: NoteFunction) -> None:
        self._path = path
        self._note = note
        self._complained = False

    def load(self) -> Saved:
        """What was saved, or the defaults.

        A file that is broken or from a newer program is moved aside; its mute is kept where it
        can still be read.  An unknown mute is a mute: nobody may be overheard because a disk
        was full.
        """
        try:
            with self._path.open("rb") as file:
                raw = file.read(FILE_MAX_BYTES + 1)
        except FileNotFoundError:
            return Saved()
        except OSError as problem:
            self._note("state.repaired", why=problem.strerror or "unreadable", path="(unread)")
            return Saved(muted=True)
        try:
            return _decode(raw)
        except ValueError as problem:
            self._note("state.repaired", why=str(problem), path=str(self._set_aside()))
            return Saved(muted=_mute_of(raw))

    def save(self, saved: Saved) -> bool:
        """Write all of it or nothing (a power cut leaves the old or the new file, never half).
        False, and one note, if it cannot be written."""
        entry = {
            "version": VERSION,
            "muted": saved.muted,
            "volume_percent": saved.volume_percent,
        }
        beside = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("w", encoding="utf-8") as file:
                json.dump(entry, file)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as problem:
            if not self._complained:  # once: a full disk must not fill the journal as well
                self._note("state.unwritable", why=problem.strerror or type(problem).__name__)
            self._complained = True
            return False
        self._complained = False
        return True

    def _set_aside(self) -> Path:
        aside = self._path.with_name(self._path.name + ".unusable")
        try:
            self._path.replace(aside)
        except OSError:
            return self._path
        return aside


def _decode(raw: bytes) -> Saved:
    if len(raw) > FILE_MAX_BYTES:
        raise ValueError("too large")
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    version = entry.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError("no version")
    if version > VERSION:
        raise ValueError("written by a newer program")
    muted = entry.get("muted")
    volume = entry.get("volume_percent")
    if not isinstance(muted, bool):
        raise ValueError("mute is not true or false")
    if volume is not None and (
        not isinstance(volume, int) or isinstance(volume, bool) or not 0 <= volume <= 100
    ):
        raise ValueError("volume is not 0 to 100")
    return Saved(muted, volume)


def _mute_of(raw: bytes) -> bool:
    """The mute in a file that is otherwise of no use; True if that is not to be known."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return True
    return not isinstance(entry, dict) or entry.get("muted") is not False


def _sync_folder(folder: Path) -> None:
    """The rename itself reaches the disk only with its folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
