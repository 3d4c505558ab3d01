"""Log level: how much the journal tells, changed while the speaker runs.

Call `want` with a level, for a while or until the next start; `follow` with that of the settings.

Thread: event loop.  It must never change what the journal may hold: also at `debug` no word that
was spoken, no key and no sound stands in it.
"""

from __future__ import annotations

import asyncio

from edge_agent.host.journal.journal import LEVELS, Journal

FOR_MAX_S = 86_400
"""A day: who wants more changes journal.level."""


class LogLevel:
    """The level of one journal; `level` is the one that holds now."""

    def __init__(self, journal: Journal, level: str) -> None:
        self._journal = journal
        self._settings_level = level
        self.level = level
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left_s(self) -> float:
        """How long it holds, until that of the settings does again; 0: no end is set."""
        if self._timer is None:
            return 0.0
        return max(0.0, self._timer.when() - asyncio.get_running_loop().time())

    def follow(self, level: str) -> None:
        """The settings have another level; one that was asked for by hand stays for its time."""
        self._settings_level = level
        if self._timer is None:
            self._set(level)

    def want(self, level: str, seconds: float = 0.0) -> None:
        """Use `level` from now on, for `seconds` (0: until the next start or change)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(seconds, FOR_MAX_S), self._over)
        self._set(level)

    def _over(self) -> None:
        self._timer = None
        self._set(self._settings_level)

    def _set(self, level: str) -> None:
        if level != self.level:
            # Told while the wider of both holds: a change to `error` would hide itself.
            self._journal.set_level(max(LEVELS[level], LEVELS[self.level]))
            self._journal.note("journal.level", level=level, seconds=round(self.left_s) or None)
        self.level = level
        self._journal.set_level(LEVELS[level])
