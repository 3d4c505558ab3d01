"""Timer tools: what the model can do with timers and alarms, in sentences it can speak.

Thread: event loop.  It must never sound anything or read a clock: `moment` and the two callbacks
come from `app.timers`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from edge_agent.contract.errors import ToolError
from edge_agent.contract.risk import Risk
from edge_agent.tools.registry import Tool, tool
from edge_agent.tools.spoken import day_and_time, duration
from edge_agent.tools.timers import ALARM, Entry, Moment, Rang, Timers

Name = Annotated[
    str, Field(max_length=200, description="What it is for, in the household's own word: pasta")
]
Amount = Annotated[int, Field(ge=0, le=604_800)]

OFTEN = {"daily": "every day", "weekdays": "from Monday to Friday", "weekends": "at weekends"}


def timer_tools(
    timers: Timers,
    moment: Callable[[], Moment],
    *,
    changed: Callable[[], None],
    stop_ringing: Callable[[], None],
) -> tuple[Tool, ...]:
    """The tools for one speaker.  `changed` is called after every change; `stop_ringing` ends
    the sound."""

    @tool(risk=Risk.LOW, speakable="the timer")
    def set_timer(
        hours: Amount = 0, minutes: Amount = 0, seconds: Amount = 0, name: Name = ""
    ) -> str:
        """Start a timer on this speaker; it rings without internet, and also after a power cut.
        There may be several: give each a name if the household did. Seven days at most."""
        entry = timers.set_timer(name, hours * 3600 + minutes * 60 + seconds, moment())
        changed()
        return f"{_title(entry)} rings in {duration(entry.length_s)}."

    @tool(risk=Risk.LOW, speakable="the alarm")
    def set_alarm(
        time: Annotated[dt.time, Field(description="Local time, 24 hours: 06:45")],
        date: Annotated[
            dt.date | None, Field(description="YYYY-MM-DD; leave out for the next such time")
        ] = None,
        repeat: Literal["once", "daily", "weekdays", "weekends"] = "once",
        name: Name = "",
    ) -> str:
        """Set an alarm for a time of day; it rings without internet. If it is not clear whether
        morning or evening is meant, ask first."""
        now = moment()
        entry = timers.set_alarm(name, _wall(time, date, now), now, repeat=repeat)
        changed()
        return _line(entry, 0.0, now)

    @tool(risk=Risk.LOW, speakable="the timer")
    def cancel_timer(
        name: Annotated[
            str,
            Field(max_length=200, description="Its name; `all` for every timer and alarm"),
        ] = "",
    ) -> str:
        """Cancel a timer or an alarm. Without a name: the only one there is."""
        gone = timers.cancel(name)
        if any(entry.ringing for entry in gone):
            stop_ringing()
        changed()
        return f"Cancelled: {', '.join(entry.name for entry in gone)}."

    @tool(risk=Risk.LOW, speakable="the timers")
    def list_timers() -> str:
        """All timers and alarms with the time that is left, and which ones rang lately. Use it
        for: how long is left, when do I get up, what was that ringing?"""
        now = moment()
        lines = [_line(entry, timers.left_s(entry, now), now) for entry in timers.list()]
        lines = lines or ["No timer and no alarm is set."]
        lines += [
            f"{_title(rang)} rang {day_and_time(rang.wall, now.wall)}." for rang in timers.rang
        ]
        return " ".join(lines)

    @tool(risk=Risk.LOW, speakable="the alarm")
    def stop_alarm() -> str:
        """Silence the timer or alarm that is ringing now, when the household says stop, off or
        enough. Timers that still run are not touched."""
        names = [entry.name for entry in timers.ringing]
        if not names:
            raise ToolError("Nothing is ringing.", code="tool.not_found")
        stop_ringing()
        return f"Stopped: {', '.join(names)}."

    return set_timer, set_alarm, cancel_timer, list_timers, stop_alarm


def _line(entry: Entry, left_s: float, now: Moment) -> str:
    if entry.ringing:
        return f"{_title(entry)} is ringing now."
    if entry.kind == ALARM:
        often = "" if entry.repeat == "once" else f", and then {OFTEN[entry.repeat]}"
        return f"{_title(entry)} rings {day_and_time(_due(entry), now.wall)}{often}."
    return f"{_title(entry)} has {duration(left_s)} left."


def _title(entry: Entry | Rang) -> str:
    """`The timer pasta`; one that was given no name is called what it is."""
    bare = entry.name == entry.kind or entry.name.startswith(f"{entry.kind} ")
    return f"The {entry.name}" if bare else f"The {entry.kind} {entry.name}"


def _due(entry: Entry) -> dt.datetime:
    assert entry.due_wall is not None, "only alarms have a time of day"
    return entry.due_wall


def _wall(time: dt.time, date: dt.date | None, now: Moment) -> dt.datetime:
    """The local time that is meant; without a date the next one."""
    of_day = time.replace(tzinfo=None)  # "07:00Z" means seven o'clock here
    wall = dt.datetime.combine(date or now.wall.date(), of_day)
    if date is None and wall <= now.wall:
        wall += dt.timedelta(days=1)
    return wall
