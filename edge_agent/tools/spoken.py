"""Spoken: times, dates, spans and money in English words that the model can say or translate.

It must never give a colon, an ISO date or a unit's abbreviation: a voice model reads them out as
they stand.  Every tool's result that tells a time or an amount is made here; nothing here has a
state or reads a clock.

The words are English whatever the locale and the language of the talk.  Hours have twelve, with the
part of the day, because every language can make its own of that and none can mistake it.
"""

from __future__ import annotations

import datetime as dt
import re

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
PARTS_OF_DAY = (
    (12, "in the morning"),
    (18, "in the afternoon"),
    (22, "in the evening"),
    (24, "at night"),
)
"""Until which hour.  Two o'clock is in the morning: "tomorrow at two at night" may be either night.
"""
MICROUSD_PER_CENT = 10_000

_ISO_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")


def duration(seconds: float) -> str:
    """A span, to the second: `1 hour 5 minutes`."""
    left, parts = max(0, round(seconds)), []
    for unit, length_s in UNITS:
        count, left = divmod(left, length_s)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts) or "0 seconds"


def clock(time: dt.time | dt.datetime) -> str:
    """A time of day: `6 45 in the morning`, `noon`, `5 minutes past midnight`."""
    hour, minute = time.hour, time.minute
    if hour == 0:
        return f"{duration(minute * 60)} past midnight" if minute else "midnight"
    if (hour, minute) == (12, 0):
        return "noon"
    part = next(words for until, words in PARTS_OF_DAY if hour < until)
    minutes = f"{minute:02}" if minute else "o'clock"
    return f"{(hour - 1) % 12 + 1} {minutes} {part}"


def date(day: dt.date, *, year: bool = True) -> str:
    """A date: `Friday the 1st of January 2027`."""
    return f"{WEEKDAYS[day.weekday()]} {date_in_year(day)}{f' {day.year}' if year else ''}"


def date_in_year(day: dt.date) -> str:
    """A date without weekday and year: `the 3rd of May`."""
    teens = 11 <= day.day <= 13
    ending = "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return f"the {day.day}{ending} of {MONTHS[day.month - 1]}"


def day_and_time(wall: dt.datetime, now: dt.datetime) -> str:
    """When, seen from `now`: `tomorrow at 6 45 in the morning`.

    Nobody knows which midnight "tomorrow at midnight" is: before one o'clock the day that begins
    is told.
    """
    days = (wall.date() - now.date()).days
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get(days, "")
    day = near or date(wall.date(), year=wall.year != now.year)
    if wall.hour == 0:
        begins = "began" if wall <= now else "begins"
        return f"at {clock(wall)}, when {day} {begins}"
    return f"{'' if near else 'on '}{day} at {clock(wall)}"


def zone(moment: dt.datetime) -> str:
    """The time zone: `Europe/Berlin, 1 hour ahead of UTC`."""
    offset = moment.utcoffset()
    if offset is None:
        return "unknown"
    seconds = offset.total_seconds()
    where = f"{duration(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} UTC"
    where = where if seconds else "UTC"
    key = getattr(moment.tzinfo, "key", None)  # a named zone says more than its offset
    return where if key in (None, where) else f"{key}, {where}"


def without_iso_dates(text: str) -> str:
    """`text` with its ISO dates in words; what only looks like one stays."""

    def words(match: re.Match[str]) -> str:
        try:
            return date(dt.date.fromisoformat(match[0]))
        except ValueError:
            return match[0]

    return _ISO_DATE.sub(words, text)


def us_dollars(microusd: int) -> str:
    """An amount: `2 US dollars and 5 cents`, `less than 1 cent`."""
    if 0 < microusd < MICROUSD_PER_CENT:
        return "less than 1 cent"
    dollars, cents = divmod(round(microusd / MICROUSD_PER_CENT), 100)
    parts = [f"{dollars} US dollar{'' if dollars == 1 else 's'}"] if dollars or not cents else []
    if cents:
        parts.append(f"{cents} {'' if dollars else 'US '}cent{'' if cents == 1 else 's'}")
    return " and ".join(parts)
