"""Pong store: how late each provider answers pings, kept over restarts.

Call `load` once and `save` when there is something new.

Thread: the event loop for `load`; `save` may run in another thread.  It never holds more than
counts, and a file that is of no use is moved aside: then it is learnt again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.host.stores.json_file import Count, JsonFile, NoteFunction, state_folder

VERSION = 1
"""Grows when an older program could misread the file, for one because it counts otherwise."""
FILE_MAX_BYTES = 65_536
"""Ours has less than 1 kB for each provider in the settings."""

Known = tuple[Sequence[int], int]
"""Pongs by how late they came, and healthy sessions that were cut."""


@dataclass(frozen=True, slots=True)
class _Provider:
    pongs: list[Count]
    healthy_cuts: Count


@dataclass(frozen=True, slots=True)
class _File:
    providers: dict[str, _Provider] = field(default_factory=dict)


def pongs_path(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "pongs.json"


class PongStore:
    """`note` is `Journal.note`."""

    def __init__(self, path: Path, note: NoteFunction) -> None:
        self._file = JsonFile(
            path,
            note,
            repaired="pongs.repaired",
            unwritable="pongs.unwritable",
            version=VERSION,
            max_bytes=FILE_MAX_BYTES,
        )

    def load(self) -> dict[str, Known]:
        """What is known, by provider.  A broken file, or one of a newer program, is moved aside."""
        found = self._file.load(_File) or _File()
        return {name: (one.pongs, one.healthy_cuts) for name, one in found.providers.items()}

    def save(self, known: Mapping[str, Known]) -> bool:
        """Write all of it.  False, and one note, if that is not possible."""
        providers = {
            name: {"pongs": list(counts), "healthy_cuts": cuts}
            for name, (counts, cuts) in known.items()
        }
        return self._file.save({"providers": providers})
