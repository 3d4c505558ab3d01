"""Timers and alarms: which there are, and which are due.

Thread: event loop.  It must never read a clock, do I/O or sound anything: time is passed in as a
`Moment`, and `app.timers` does the rest.

A timer is a length of time.  While the program runs only the monotonic clock counts, so that a
clock that is set (by hand, by the network, at the end of summer) neither hurries nor delays it.
Over a restart only the wall clock can tell how much is left; that anchor is moved whenever the
wall clock is found to have jumped.  An alarm is a time of day, kept without a zone: seven
o'clock is seven o'clock on the kitchen's wall, before and after the clocks change.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from edge_agent.contract.errors import ToolError

TIMER = "timer"
ALARM = "alarm"

COUNT_MAX = 20
"""More than a household can tell apart, and nothing here may grow without bound."""
TIMER_MIN_S = 1.0
TIMER_MAX_S = 7 * 86_400.0
"""A week; what is further away has a date, and is an alarm."""
ALARM_AHEAD_MAX_S = 366 * 86_400.0
"""A birthday next year at the latest."""
NAME_MAX_CHARS = 40
"""A few words; it is spoken and stored."""
RANG_KEPT = 10
"""What rang lately, for the question: what was that?"""
REPEATS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "once": frozenset(),
        "daily": frozenset(range(7)),
        "weekdays": frozenset(range(5)),
        "weekends": frozenset({5, 6}),
    }
)
"""How often an alarm rings: on which days of the week, Monday being 0."""
LOOK_EVERY_S = 10.0
"""How long a wall clock that was set may go unnoticed."""
DUE_WITHIN_S = 0.001
"""Nobody hears a millisecond, and a sleep that is too short to move a clock would never end."""
JUMP_S = 2.0
"""Wall and monotonic clock drift by less between two looks; a daemon that corrects a clock
slowly stays below 0.5 ms per second."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: local time with its zone, and seconds of a clock that is never set."""

    local: datetime
    mono_s: float

    @property
    def unix_s(self) -> float:
        """Seconds since 1970."""
        return self.local.timestamp()

    @property
    def wall(self) -> datetime:
        """What the clock on the wall shows: local time without its zone."""
        return self.local.replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One timer or alarm."""

    name: str
    kind: str
    """`timer` or `alarm`."""
    length_s: float = 0.0
    """Of a timer."""
    due_unix_s: float = 0.0
    """Of a timer: its end by the wall clock, which is what a restart goes by."""
    due_mono_s: float = math.inf
    """Of a timer: its end by the clock of this run."""
    due_wall: datetime | None = None
    """Of an alarm: local time without a zone."""
    repeat: str = "once"
    """Of an alarm: a key of `REPEATS`."""
    restored: bool = False
    """Of a timer: set in an earlier run, so that the wall clock's word counts."""
    ringing: bool = False


@dataclass(frozen=True, slots=True)
class Rang:
    """One that is over: its name and kind, and when it rang by the clock on the wall."""

    name: str
    kind: str
    wall: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """One that is to ring now, and by how much it is late (it was due while we were off)."""

    entry: Entry
    late_s: float


class Timers:
    """All timers and alarms of this speaker.

    `due` says what must ring now and marks it as ringing; `stopped` when somebody has heard it.
    What still rang when the program ended is due again after `restore`.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._rang: deque[Rang] = deque(maxlen=RANG_KEPT)
        self._ahead_s: float | None = None
        """Wall clock minus monotonic clock at the last look."""
        self._utc_offset: timedelta | None = None

    # --- what there is --------------------------------------------------------------------

    def list(self) -> tuple[Entry, ...]:
        """All that wait or ring."""
        return tuple(self._entries.values())

    @property
    def rang(self) -> tuple[Rang, ...]:
        """Those that rang lately, the newest last."""
        return tuple(self._rang)

    @property
    def ringing(self) -> tuple[Entry, ...]:
        """Those that are due and have not been stopped."""
        return tuple(entry for entry in self._entries.values() if entry.ringing)

    def left_s(self, entry: Entry, now: Moment) -> float:
        """Seconds until it rings, 0 if it is due."""
        if entry.due_wall is None:
            return max(0.0, entry.due_mono_s - now.mono_s)
        return max(0.0, (entry.due_wall - now.wall).total_seconds())

    # --- what the household wants ------------------------------------------------------------

    def set_timer(self, name: str, seconds: float, now: Moment) -> Entry:
        """Begin a timer of that length.  Raises `ToolError`, worded for the model."""
        if not TIMER_MIN_S <= seconds <= TIMER_MAX_S:  # also refuses what is no number
            raise ToolError(
                "A timer lasts from one second to seven days. For a later time set an alarm.",
                code="tool.bad_arguments",
            )
        if self._ahead_s is None:
            self._look_at_clocks(now)
        return self._add(
            Entry(
                name=self._free_name(name, TIMER),
                kind=TIMER,
                length_s=float(seconds),
                due_unix_s=now.unix_s + seconds,
                due_mono_s=now.mono_s + seconds,
            )
        )

    def set_alarm(self, name: str, wall: datetime, now: Moment, *, repeat: str = "once") -> Entry:
        """Set an alarm for a local time (without zone); one that repeats begins with the first
        such day from then on.  Raises `ToolError`."""
        wall = _next_day(wall, repeat)
        ahead_s = (wall - now.wall).total_seconds()
        if ahead_s <= 0:
            raise ToolError("That time has passed already.", code="tool.bad_arguments")
        if ahead_s > ALARM_AHEAD_MAX_S:
            raise ToolError("An alarm can be one year ahead at most.", code="tool.bad_arguments")
        return self._add(
            Entry(name=self._free_name(name, ALARM), kind=ALARM, due_wall=wall, repeat=repeat)
        )

    def cancel(self, name: str) -> tuple[Entry, ...]:
        """Take away the one of that name (`all`: every one); those that were taken away.

        Without a name it means the only one there is.  Raises `ToolError` if that can't be told.
        """
        wanted = name.strip().casefold()
        if not self._entries:
            raise ToolError("There is no timer and no alarm.", code="tool.not_found")
        if wanted == "all" or (not wanted and len(self._entries) == 1):
            gone = tuple(self._entries.values())
        else:
            gone = tuple(e for key, e in self._entries.items() if key == wanted)
        if not gone:
            there = ", ".join(entry.name for entry in self._entries.values())
            raise ToolError(f"Say which one. There are: {there}.", code="tool.not_found")
        for entry in gone:
            del self._entries[entry.name.casefold()]
        return gone

    # --- time ------------------------------------------------------------------------------

    def due(self, now: Moment) -> tuple[Due, ...]:
        """What must begin to ring now, the one that waited longest first."""
        jumped_s, shifted_s = self._look_at_clocks(now)
        if jumped_s:
            self._entries = {key: self._moved(entry, now) for key, entry in self._entries.items()}
        found = []
        for key, entry in self._entries.items():
            if entry.ringing or self.left_s(entry, now) > DUE_WITHIN_S:
                continue
            if entry.due_wall is None:
                late_s = now.mono_s - entry.due_mono_s
            else:
                # When clocks go forward, the hour that is missing has not been waited for.
                late_s = (now.wall - entry.due_wall).total_seconds() - max(0.0, shifted_s)
            found.append(Due(replace(entry, ringing=True), max(0.0, late_s)))
            self._entries[key] = found[-1].entry
        return tuple(sorted(found, key=lambda due: -due.late_s))

    def next_look_s(self, now: Moment) -> float | None:
        """In how many seconds `due` should be asked again; None: not before a change."""
        waiting = [entry for entry in self._entries.values() if not entry.ringing]
        if not waiting:
            return None
        return min(LOOK_EVERY_S, *(self.left_s(entry, now) for entry in waiting))

    def stopped(self, names: Iterable[str], now: Moment) -> tuple[Rang, ...]:
        """Somebody stopped the ringing, or it was given up: these are over, if they rang.

        An alarm that repeats waits for its next time that is still to come.
        """
        wanted = {name.casefold() for name in names}
        over = tuple(
            Rang(entry.name, entry.kind, now.wall)
            for entry in self.ringing
            if entry.name.casefold() in wanted
        )
        for rang in over:
            entry = self._entries.pop(rang.name.casefold())
            if entry.due_wall is not None and REPEATS[entry.repeat]:
                # Not of one day after the other: it may have been off for a year.
                following = datetime.combine(max(entry.due_wall, now.wall), entry.due_wall.time())
                if following <= max(entry.due_wall, now.wall):
                    following += timedelta(days=1)
                self._add(
                    replace(entry, due_wall=_next_day(following, entry.repeat), ringing=False)
                )
        self._rang.extend(over)
        return over

    def restore(self, entries: Iterable[Entry], rang: Iterable[Rang], now: Moment) -> None:
        """Take over what an earlier run left; of a name that comes twice, the first."""
        self._look_at_clocks(now)
        for entry in entries:
            key = entry.name.casefold()
            if key not in self._entries and len(self._entries) < COUNT_MAX:
                fresh = replace(entry, restored=True, ringing=False)
                self._entries[key] = self._moved(fresh, now)
        self._rang.extend(rang)

    # --- inside ----------------------------------------------------------------------------

    def _look_at_clocks(self, now: Moment) -> tuple[float, float]:
        """`(seconds by which the wall clock was set, seconds by which the zone shifted)`."""
        ahead_s = now.unix_s - now.mono_s
        offset = now.local.utcoffset() or timedelta()
        jumped_s = 0.0 if self._ahead_s is None else ahead_s - self._ahead_s
        shifted_s = (offset - (self._utc_offset or offset)).total_seconds()
        self._utc_offset = offset
        if self._ahead_s is None or abs(jumped_s) > JUMP_S:
            self._ahead_s = ahead_s
            return jumped_s, shifted_s
        return 0.0, shifted_s

    @staticmethod
    def _moved(entry: Entry, now: Moment) -> Entry:
        """A timer after the wall clock was set."""
        if entry.kind != TIMER or entry.ringing:
            return entry
        if not entry.restored:
            return replace(entry, due_unix_s=now.unix_s + entry.due_mono_s - now.mono_s)
        # A wrong clock must not stretch it beyond its length.
        left_s = min(entry.due_unix_s - now.unix_s, entry.length_s)
        return replace(entry, due_mono_s=now.mono_s + left_s)

    def _add(self, entry: Entry) -> Entry:
        self._entries[entry.name.casefold()] = entry
        return entry

    def _free_name(self, wanted: str, kind: str) -> str:
        if len(self._entries) >= COUNT_MAX:
            raise ToolError(
                f"There are {COUNT_MAX} timers and alarms already. Cancel one first.",
                code="tool.too_many",
            )
        name = " ".join(wanted.split())
        if len(name) > NAME_MAX_CHARS or not name.isprintable():
            raise ToolError("Take a shorter, plain name.", code="tool.bad_arguments")
        if name.casefold() == "all":
            raise ToolError("Take another name.", code="tool.bad_arguments")
        if name.casefold() in self._entries:
            raise ToolError(
                f"There is a {self._entries[name.casefold()].kind} called {name} already. Take "
                "another name, or cancel that one first.",
                code="tool.name_taken",
            )
        if name:
            return name
        numbers = range(2, COUNT_MAX + 2)
        names = (kind, *(f"{kind} {number}" for number in numbers))
        return next(name for name in names if name not in self._entries)


def _next_day(wall: datetime, repeat: str) -> datetime:
    """The same time on the first day from then on of which `repeat` speaks."""
    days = REPEATS[repeat]
    while days and wall.weekday() not in days:
        wall += timedelta(days=1)
    return wall
