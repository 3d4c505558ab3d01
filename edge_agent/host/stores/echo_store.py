"""Echo store: how our voice reaches the microphone, per pair of sound cards, kept over restarts.

Call `load` once and `save` when there is something new.  The daemon writes what its canceller has
found, `edge-agent calibrate` what it has measured.

Thread: the event loop for `load`; `save` may run in another thread.  It never gives what was
learned on one pair of cards to another, and a file that is of no use is moved aside: then it is
learned again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from edge_agent.contract.ports import EchoPath
from edge_agent.host.stores.json_file import JsonFile, NoteFunction, state_folder

VERSION = 1
"""Grows when an older program could misread the file."""
FILE_MAX_BYTES = 65_536
PAIRS_MAX = 32
"""Oldest first out: nobody has so many cards, but names of USB cards may change."""


@dataclass(frozen=True, slots=True)
class _Path:
    delay_s: Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]
    strength_db: Annotated[float, msgspec.Meta(ge=-120.0, le=60.0)]


@dataclass(frozen=True, slots=True)
class _File:
    cards: dict[str, _Path] = field(default_factory=dict)


def echo_path_file(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "echo.json"


def pair(render_name: str, capture_name: str) -> str:
    """What a pair of cards is called, by their stable names (see `audio.device.devices`)."""
    return f"{render_name} → {capture_name}"


class EchoStore:
    """`note` is `Journal.note`."""

    def __init__(self, path: Path, note: NoteFunction) -> None:
        self._file = JsonFile(
            path,
            note,
            repaired="echo.repaired",
            unwritable="echo.unwritable",
            version=VERSION,
            max_bytes=FILE_MAX_BYTES,
        )

    def load(self) -> dict[str, EchoPath]:
        """What is known, by `pair`.  A broken file, or one of a newer program, is moved aside."""
        found = self._file.load(_File) or _File()
        return {name: EchoPath(one.delay_s, one.strength_db) for name, one in found.cards.items()}

    def save(self, known: Mapping[str, EchoPath]) -> bool:
        """Write all of it, the last ones if there are many.  False, and one note, if it fails."""
        last = list(known.items())[-PAIRS_MAX:]
        cards = {
            name: {"delay_s": round(path.delay_s, 4), "strength_db": round(path.strength_db, 1)}
            for name, path in last
        }
        return self._file.save({"cards": cards})
