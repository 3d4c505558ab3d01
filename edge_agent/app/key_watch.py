"""Key watch: another key in its file is taken up by itself.

Call `look` every second; a change is acted on in the first second in which nobody talks.

Thread: event loop; asks the file system for the time of one small file per service.  It must never
keep a key, nor drop a session that stands for a file that is missing, empty or unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from edge_agent.host.secret_files import KeySource
from edge_agent.host.stores.json_file import NoteFunction

Stamp = tuple[int, int, int, int]
"""Times, size and number of a file: another one means that it was written, or may be read now."""


class KeyWatch:
    """Follows the files of `sources`.  `redial` is called when another key stands in one of them,
    and `is_quiet` says that nobody would notice."""

    def __init__(
        self,
        sources: Iterable[Callable[[], str | None]],
        *,
        is_quiet: Callable[[], bool],
        redial: Callable[[], None],
        note: NoteFunction,
    ) -> None:
        self._sources = [one for one in sources if isinstance(one, KeySource)]
        self._is_quiet = is_quiet
        self._redial = redial
        self._note = note
        self._stamps = [_stamp(source.file) for source in self._sources]
        self._marks = [_mark(source) for source in self._sources]
        self.is_due = False
        """Another key waits for the end of a talk."""

    def look(self) -> None:
        """See whether a file was written, and redial if its key is another one."""
        for place, source in enumerate(self._sources):
            stamp = _stamp(source.file)
            if stamp == self._stamps[place]:
                continue
            self._stamps[place] = stamp
            mark = _mark(source, self._note)
            if mark and mark != self._marks[place]:
                self._marks[place] = mark
                self.is_due = True
                self._note("link.key_changed")
        if self.is_due and self._is_quiet():
            self.is_due = False
            self._redial()


def _stamp(file: Path | None) -> Stamp | None:
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    if status is None:
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def _mark(source: KeySource, note: NoteFunction = lambda _code, **_fields: None) -> int:
    """What tells two keys apart and is none (Python's salted hash); 0: there is no key."""
    try:
        key = source()
    except OSError as problem:
        note("link.key_unreadable", error=problem.strerror or type(problem).__name__)
        return 0
    return hash(key) if key else 0
