"""Spoken: what the tools tell can be said as it stands, at the edges of clock and calendar too."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.app.spoken_status import spoken_status
from edge_agent.host.service.status import Failure, Status
from edge_agent.tools import spoken
from edge_agent.tools.builtin import SpeakerControls, builtin_tools
from edge_agent.tools.catalogue import shipped_tools
from edge_agent.tools.desk_tools import LEFT, PARTS_LEFT_OUT
from edge_agent.tools.fact_tools import fact_tools
from edge_agent.tools.registry import Registry
from edge_agent.tools.timer_tools import timer_tools
from edge_agent.tools.timers import Moment, Timers

UNSAYABLE = re.compile(
    r"\d[:/]\d|\d{4}-\d|[%`\[\]{}<>|_]|\d (?:min|ms|dB|[hsd])\b|\b(?:USD|CET|AM|PM)\b|  "
)
"""Signs and abbreviations that are for the eye."""
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 21, 30, tzinfo=BERLIN)


# --- the words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("00:00", "midnight"),
        ("00:01", "1 minute past midnight"),
        ("00:59", "59 minutes past midnight"),
        ("01:00", "1 o'clock in the morning"),
        ("06:45", "6 45 in the morning"),
        ("11:59", "11 59 in the morning"),
        ("12:00", "noon"),
        ("12:05", "12 05 in the afternoon"),
        ("17:30", "5 30 in the afternoon"),
        ("18:00", "6 o'clock in the evening"),
        ("22:00", "10 o'clock at night"),
        ("23:59", "11 59 at night"),
    ],
)
def test_times_of_day(at: str, words: str) -> None:
    assert spoken.clock(datetime.fromisoformat(f"2026-11-20T{at}")) == words


@pytest.mark.parametrize(
    ("wall", "words"),
    [
        ("2026-11-20T21:39", "today at 9 39 in the evening"),
        ("2026-11-21T12:00", "tomorrow at noon"),
        ("2026-11-19T23:59", "yesterday at 11 59 at night"),
        ("2026-11-21T00:00", "at midnight, when tomorrow begins"),
        ("2026-11-20T00:30", "at 30 minutes past midnight, when today began"),
        ("2026-11-23T06:00", "on Monday the 23rd of November at 6 o'clock in the morning"),
        ("2026-12-24T00:00", "at midnight, when Thursday the 24th of December begins"),
        ("2027-01-01T08:00", "on Friday the 1st of January 2027 at 8 o'clock in the morning"),
    ],
)
def test_days_seen_from_an_evening_in_november(wall: str, words: str) -> None:
    assert spoken.day_and_time(datetime.fromisoformat(wall), NOW.replace(tzinfo=None)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 seconds"),
        (1, "1 second"),
        (59.6, "1 minute"),
        (60, "1 minute"),
        (3_600, "1 hour"),
        (5_400, "1 hour 30 minutes"),
        (604_800, "7 days"),
        (90_061, "1 day 1 hour 1 minute 1 second"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert spoken.duration(seconds) == words


@given(st.integers(0, 604_800))
def test_a_span_says_all_of_it(seconds: int) -> None:
    unit_s = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
    words = spoken.duration(seconds).split()
    pairs = zip(words[::2], words[1::2], strict=True)
    assert sum(int(count) * unit_s[unit.removesuffix("s")] for count, unit in pairs) == seconds


@given(st.datetimes(), st.datetimes())
def test_no_time_is_told_in_digits_for_the_eye_and_no_two_sound_alike(
    one: datetime, other: datetime
) -> None:
    told = [spoken.day_and_time(wall, one) for wall in (one, other)]
    assert not any(UNSAYABLE.search(text) for text in told)
    same = one.replace(second=0, microsecond=0) == other.replace(second=0, microsecond=0)
    assert (told[0] == told[1]) == same


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (1, "the 1st of May"),
        (2, "the 2nd of May"),
        (3, "the 3rd of May"),
        (4, "the 4th of May"),
        (11, "the 11th of May"),
        (13, "the 13th of May"),
        (22, "the 22nd of May"),
        (31, "the 31st of May"),
    ],
)
def test_days_of_a_month(day: int, words: str) -> None:
    assert spoken.date_in_year(date(2026, 5, day)) == words


def test_a_date_in_a_text_and_what_only_looks_like_one() -> None:
    told = spoken.without_iso_dates("ends on 2027-02-26; part 2026-13-45, 12026-01-01")
    assert told == "ends on Friday the 26th of February 2027; part 2026-13-45, 12026-01-01"


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        (BERLIN, "Europe/Berlin, 1 hour ahead of UTC"),
        (ZoneInfo("UTC"), "UTC"),
        (timezone(timedelta(hours=-3, minutes=-30)), "3 hours 30 minutes behind UTC"),
        (None, "unknown"),
    ],
)
def test_time_zones(zone: tzinfo | None, words: str) -> None:
    assert spoken.zone(datetime(2026, 3, 1, tzinfo=zone)) == words


@pytest.mark.parametrize(
    ("microusd", "words"),
    [
        (0, "0 US dollars"),
        (1, "less than 1 cent"),
        (10_000, "1 US cent"),
        (412_345, "41 US cents"),
        (999_999, "1 US dollar"),
        (2_050_000, "2 US dollars and 5 cents"),
    ],
)
def test_money(microusd: int, words: str) -> None:
    assert spoken.us_dollars(microusd) == words


# --- the tools ---------------------------------------------------------------------------


class Home:
    """A speaker and its timers, at any moment."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.percent = 40
        self.timers = Timers()
        nothing = cast(Any, lambda: None)
        self.registry = Registry(
            (
                *builtin_tools(cast(SpeakerControls, self), lambda: self.now),
                *timer_tools(self.timers, self.moment, changed=nothing, stop_ringing=nothing),
            )
        )

    def moment(self) -> Moment:
        return Moment(self.now, self.now.timestamp())

    def volume(self) -> int:
        return self.percent

    def volume_max(self) -> int:
        return 100

    def set_volume(self, percent: int) -> None:
        self.percent = percent

    def call(self, name: str, arguments: str = "{}") -> str:
        declared = self.registry.get(name)
        assert declared is not None
        output = declared.function(**declared.validate(arguments))
        return " ".join(map(str, output.values())) if isinstance(output, dict) else str(output)


EDGES = ["2026-11-20T00:00", "2026-11-20T12:00", "2026-12-31T23:59", "2028-02-29T00:01"]


@pytest.mark.parametrize("edge", EDGES)
def test_clock_volume_timers_and_alarms_can_be_said(edge: str) -> None:
    home = Home(datetime.fromisoformat(edge).replace(tzinfo=BERLIN))
    told = [home.call("current_time"), home.call("get_volume")]
    told.append(home.call("set_volume", '{"percent": 100}'))
    for minutes in (1, 60, 90):
        told.append(home.call("set_timer", f'{{"minutes": {minutes}, "name": "tea {minutes}"}}'))
    for number, time in enumerate(("00:00", "06:45", "12:00", "23:59")):
        told.append(home.call("set_alarm", f'{{"time": "{time}", "name": "bell {number}"}}'))
    soon = (home.now + timedelta(days=360)).date()
    told.append(home.call("set_alarm", f'{{"time": "07:00", "date": "{soon}"}}'))
    told.append(home.call("list_timers"))
    home.now += timedelta(hours=2)
    home.timers.due(home.moment())
    home.timers.stopped(["tea 1"], home.moment())
    told += [home.call("list_timers"), home.call("cancel_timer", '{"name": "all"}')]
    assert [text for text in told if UNSAYABLE.search(text.replace("Europe/Berlin", ""))] == []
    assert "tea 90 rings in 1 hour 30 minutes." in " ".join(told)
    assert f" {soon.year} at 7 o'clock in the morning." in " ".join(told)


@dataclass
class Fact:
    """One fact of a file, whatever stands in it as a day."""

    id: int
    text: str
    day: str


def test_facts_and_messages_can_be_said() -> None:
    class Memory:
        async def all(self) -> Sequence[Fact]:
            return [Fact(1, "The key is at Mia's", "2026-01-01"), Fact(2, "The bins", "some day")]

    recall = next(one for one in fact_tools(cast(Any, Memory())) if one.name == "recall")
    told = asyncio.run(recall.function())
    assert "(told on Thursday the 1st of January 2026)" in told
    assert "(told on some day)" in told
    assert [t for t in (told, PARTS_LEFT_OUT, *LEFT.values()) if UNSAYABLE.search(t.strip())] == []


def test_the_model_is_told_to_ask_before_it_ends_a_talk_in_doubt() -> None:
    finish = shipped_tools().get("finish_session")
    assert finish is not None
    assert "not sure that the talk is meant, ask first" in " ".join(finish.description.split())


# --- the speaker's state -----------------------------------------------------------------

GOOD = Status(
    link="ready",
    provider="openai",
    model="gpt-realtime-2.1",
    device_present=True,
    capture_name="USB Mic",
    render_name="Headphones",
    volume_percent=70,
    uptime_s=3_725,
    answers=12,
    tokens_in=9000,
    tokens_cached=7000,
    tokens_out=3000,
    cost_microusd=412_345,
)


def test_a_good_day_can_be_said() -> None:
    assert spoken_status(GOOD) == (
        "The microphone is on. The connection to openai is ready, with the model "
        "gpt-realtime-2.1. The sound is there: USB Mic in, Headphones out. The volume is 70 "
        "percent. Today 12 answers, 9000 tokens in and 3000 out, for 41 US cents. It has been "
        "running for 1 hour 2 minutes 5 seconds."
    )


FAILED = Failure(code="link.dns", message="No name.", fix="See `the router`.", ago_s=65)
BAD = replace(
    GOOD,
    microphone="muted",
    guest=True,
    link="down",
    link_code="link.dns",
    link_retry_in_s=12.4,
    unsaved=True,
    failure=FAILED,
    unpriced=2,
    cap_microusd=400_000,
    echo="found",
    echo_quieter_db=23,
    pongs=400,
    pong_p50_ms=45,
    mic_clipped=4,
    faults=1,
    drops={"capture": 4},
    endings=("the model whisper-1 ends on 2027-02-26: choose another one",),
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "The last trouble was 1 minute 5 seconds ago: No name. See the router."),
        ({}, "and 2 of unknown cost; the limit of the day is 40 US cents."),
        ({}, "Today's budget is spent."),
        (
            {},
            "Mute, guest mode and volume cannot be saved. After a restart they will be as before.",
        ),
        ({}, "There were faults in the program since its start: 1. "),
        ({}, "only the button on the speaker opens it."),
        ({}, "it keeps trying, again in 12 seconds."),
        ({}, "23 decibels quieter"),
        ({}, "ends on Friday the 26th of February 2027"),
        ({"failure": Failure(code="talk.no_answer", ago_s=5)}, "ago: no words for it. "),
        ({"link_refused": True}, "Openai refuses this speaker."),
        ({"link": "connecting"}, "It is connecting to openai."),
        ({"device_present": False}, "There is no sound device: nothing is heard"),
        ({"volume_max_percent": 80}, "The volume is 70 percent, and 80 at most."),
        ({"version": "1.2.3"}, "The program is version 1.2.3."),
        ({"capture_why": "it is the only one"}, "Microphone: it is the only one."),
        ({"unpriced": 12}, "at a cost that is not known"),
        ({"answers": 0}, "No answers yet today."),
    ],
)
def test_a_bad_day_can_be_said(change: dict[str, Any], words: str) -> None:
    told = spoken_status(replace(BAD, **change))
    assert words in told
    assert UNSAYABLE.search(told) is None
