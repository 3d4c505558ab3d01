"""State: the little that survives a reboot (purpose).

Owner thread: the main thread for `load`, a worker's for `save` (a slow disk must not hold up the
loop; a stop waits for what is queued).  Must never hold anything that was said, and never stop
the speaker: a file that cannot be read or written costs a note, not a start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_agent.host.stores.json_file import DEFAULT_FOLDER, JsonFile, NoteFunction, state_folder

__all__ = ["DEFAULT_FOLDER", "FILE_MAX_BYTES", "Saved", "StateFile", "state_path"]

VERSION = 1
"""Grows when an older program could misread the file."""

FILE_MAX_BYTES = 65_536
"""Ours has some 60; whatever is larger is not ours."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What is remembered.  `volume_percent` None: never changed, the setting holds.

    `guest`: guest mode is on; a file without a word about it is from an older program.
    """

    muted: bool = False
    volume_percent: int | None = None
    guest: bool = False


def state_path(setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Where the state lives: the setting, else in the state folder."""
    return Path(setting) if setting else state_folder(environ) / "state.json"


class StateFile:
    """`load` once, `save` at every change.  `note` is `Journal.note`."""

    def __init__(self, path: Path, note: NoteFunction) -> None:
        self._file = JsonFile(
            path,
            note,
            repaired="state.repaired",
            unwritable="state.unwritable",
            version=VERSION,
            max_bytes=FILE_MAX_BYTES,
        )

    def load(self) -> Saved:
        """What was saved, or the defaults.

        A file that is broken or from a newer program is moved aside; its mute is kept where it
        can still be read.  An unknown mute is a mute: nobody may be overheard because a disk
        was full.
        """
        try:
            raw = self._file.read()
        except OSError:
            return Saved(muted=True)
        if raw is None:
            return Saved()
        try:
            return _decode(self._file.object_in(raw))
        except ValueError as problem:
            self._file.set_aside(str(problem))
            return Saved(muted=_mute_of(raw))

    def save(self, saved: Saved) -> bool:
        """Write it, whole or not at all.  False, and one note, if it cannot be written."""
        return self._file.save(asdict(saved))


def _decode(entry: Mapping[str, object]) -> Saved:
    muted = entry.get("muted")
    volume = entry.get("volume_percent")
    if not isinstance(muted, bool):
        raise ValueError("mute is not true or false")
    if volume is not None and (
        not isinstance(volume, int) or isinstance(volume, bool) or not 0 <= volume <= 100
    ):
        raise ValueError("volume is not 0 to 100")
    return Saved(muted, volume, entry.get("guest") is True)


def _mute_of(raw: bytes) -> bool:
    """The mute in a file that is otherwise of no use; True if that is not to be known."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return True
    return not isinstance(entry, dict) or entry.get("muted") is not False
