"""The calendar: tells the inbox when a new day begins.

Thread: event loop.  It must never keep a timer of its own, which a clock that is set would fool:
`look` is called every second or so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from edge_agent.contract.events import DayBegan, Event


class Calendar:
    """Posts one `DayBegan` a day, the first at the first look."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        time: Callable[[], float],
        post: Callable[[Event], None],
    ) -> None:
        self._now = now
        self._time = time
        self._post = post
        self._day = now().date()
        self._is_new = True

    def look(self) -> None:
        """See what day it is."""
        day = self._now().date()
        if self._is_new or day != self._day:
            self._day, self._is_new = day, False
            self._post(DayBegan(at=self._time(), day=day))
