"""Timers: rung once and at the right moment, whatever the clocks and the mains do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import ToolError
from edge_agent.tools.timers import (
    COUNT_MAX,
    JUMP_S,
    LOOK_EVERY_S,
    RANG_KEPT,
    Due,
    Moment,
    Timers,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=BERLIN)


def moment(mono_s: float = 0.0, *, at: datetime = NOON, wall_s: float | None = None) -> Moment:
    """`mono_s` after the start; the wall clock moved as far, or by `wall_s`."""
    moved = at.timestamp() + (mono_s if wall_s is None else wall_s)
    return Moment(datetime.fromtimestamp(moved, at.tzinfo), mono_s)


def wall(text: str) -> datetime:
    """Local time without a zone."""
    return datetime.fromisoformat(text)


def names(due: tuple[Due, ...]) -> list[str]:
    return [one.entry.name for one in due]


def restarted(timers: Timers, now: Moment) -> Timers:
    fresh = Timers()
    fresh.restore(timers.list(), timers.rang, now)
    return fresh


# --- one at a time --------------------------------------------------------------------------


def test_several_ring_each_at_its_time_and_once() -> None:
    timers = Timers()
    timers.set_timer("pasta", 600, moment())
    timers.set_timer("tea", 180, moment(60))
    timers.set_alarm("", wall("2026-11-20T12:30"), moment(60))
    assert timers.due(moment(239)) == ()
    assert names(timers.due(moment(240))) == ["tea"]
    assert timers.due(moment(241)) == ()
    assert names(timers.due(moment(600))) == ["pasta"]
    assert [entry.name for entry in timers.ringing] == ["pasta", "tea"]
    assert [rang.name for rang in timers.stopped(["pasta", "tea"], moment(601))] == ["pasta", "tea"]
    assert names(timers.due(moment(1800))) == ["alarm"]
    assert [rang.name for rang in timers.rang] == ["pasta", "tea"]


def test_only_what_was_named_is_over() -> None:
    timers = Timers()
    for name in ("a", "b"):
        timers.set_timer(name, 1, moment())
    timers.due(moment(1))
    timers.stopped(["A", "unknown"], moment(2))
    assert [entry.name for entry in timers.ringing] == ["b"]


@pytest.mark.parametrize("seconds", [0, -1, 0.99, 604_801, float("nan"), float("inf")])
def test_lengths_out_of_bounds_are_refused(seconds: float) -> None:
    with pytest.raises(ToolError, match="one second to seven days"):
        Timers().set_timer("x", seconds, moment())


@pytest.mark.parametrize("hours", [0, -1, 24 * 367])
def test_alarms_out_of_bounds_are_refused(hours: int) -> None:
    with pytest.raises(ToolError):
        Timers().set_alarm("x", moment().wall + timedelta(hours=hours), moment())


def test_names_are_unique_and_given_where_there_are_none() -> None:
    timers = Timers()
    assert [timers.set_timer("", 5, moment()).name for _ in range(3)] == [
        "timer",
        "timer 2",
        "timer 3",
    ]
    timers.set_timer("  Pasta  sauce ", 5, moment())
    for name in ("pasta SAUCE", "TIMER", "all", "x" * 41, "a\x00b"):
        with pytest.raises(ToolError):
            timers.set_timer(name, 5, moment())
    assert timers.list()[-1].name == "Pasta sauce"


def test_there_may_not_be_more_than_a_household_can_tell_apart() -> None:
    timers = Timers()
    for _ in range(COUNT_MAX):
        timers.set_timer("", 5, moment())
    with pytest.raises(ToolError, match="20 timers"):
        timers.set_alarm("", NOON.replace(tzinfo=None, hour=18), moment())
    timers.due(moment(5))
    timers.stopped([entry.name for entry in timers.ringing], moment(6))
    assert timers.list() == ()
    assert len(timers.rang) == RANG_KEPT


def test_cancel_by_name_the_only_one_or_all() -> None:
    timers = Timers()
    with pytest.raises(ToolError, match="no timer"):
        timers.cancel("pasta")
    timers.set_timer("pasta", 5, moment())
    assert [entry.name for entry in timers.cancel("")] == ["pasta"]
    for name in ("a", "b", "c"):
        timers.set_timer(name, 5, moment())
    with pytest.raises(ToolError, match="a, b, c"):
        timers.cancel("")
    assert [entry.name for entry in timers.cancel("B")] == ["b"]
    assert len(timers.cancel("all")) == 2
    assert timers.due(moment(10)) == ()


# --- clocks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-86_400.0, -3.0, 3.0, 86_400.0])
def test_a_clock_that_is_set_does_not_move_a_timer(jump_s: float) -> None:
    timers = Timers()
    timers.set_timer("pasta", 600, moment())
    timers.due(moment(10))
    assert timers.due(moment(599, wall_s=599 + jump_s)) == ()
    assert names(timers.due(moment(600, wall_s=600 + jump_s))) == ["pasta"]


def test_after_a_clock_was_set_a_restart_still_knows_what_is_left() -> None:
    timers = Timers()
    timers.set_timer("pasta", 600, moment())
    timers.due(moment(10))
    timers.due(moment(20, wall_s=5_000))
    later = restarted(timers, moment(3, wall_s=5_100))  # 100 s later, another monotonic clock
    [entry] = later.list()
    assert later.left_s(entry, moment(3, wall_s=5_100)) == pytest.approx(480)


def test_a_timer_missed_while_off_is_due_at_once_and_says_by_how_much() -> None:
    timers = Timers()
    timers.set_timer("pasta", 600, moment())
    now = moment(1, wall_s=1000)
    [due] = restarted(timers, now).due(now)
    assert due.late_s == pytest.approx(400)


def test_a_machine_without_a_clock_learns_the_time_late() -> None:
    timers = Timers()
    timers.set_timer("pasta", 600, moment())
    booted = moment(1, wall_s=2)  # off for 300 s, its clock stood still
    timers = restarted(timers, booted)
    assert timers.due(moment(20, wall_s=21)) == ()
    assert timers.due(moment(30, wall_s=330)) == ()  # the network has told it the time
    assert names(timers.due(moment(300, wall_s=600))) == ["pasta"]


def test_a_wrong_clock_cannot_stretch_a_timer() -> None:
    timers = Timers()
    timers.set_timer("pasta", 600, moment())
    timers = restarted(timers, moment(0, wall_s=-1e8))
    assert names(timers.due(moment(600, wall_s=600 - 1e8))) == ["pasta"]


def test_what_rang_when_the_mains_failed_rings_again() -> None:
    timers = Timers()
    timers.set_timer("pasta", 600, moment())
    assert timers.due(moment(600))
    now = moment(1, wall_s=630)
    [due] = restarted(timers, now).due(now)
    assert due.late_s == pytest.approx(30)


def test_seven_is_seven_on_the_wall_across_the_change_of_clocks() -> None:
    evening = datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN)  # the night with one hour more
    timers = Timers()
    timers.set_alarm("up", wall("2026-10-25T07:00"), moment(at=evening))
    assert timers.due(moment(9.9 * 3600, at=evening)) == ()
    [due] = timers.due(moment(10 * 3600, at=evening))
    assert due.late_s == 0


def test_an_alarm_in_the_hour_that_does_not_exist_rings_after_it_and_is_not_late() -> None:
    night = datetime(2026, 3, 29, 1, 0, tzinfo=BERLIN)
    timers = Timers()
    timers.set_alarm("up", wall("2026-03-29T02:30"), moment(at=night))
    assert timers.due(moment(3599, at=night)) == ()
    [due] = timers.due(moment(3600, at=night))  # it is three o'clock
    assert due.late_s == 0


def test_a_clock_that_jumps_over_an_alarm_lets_it_ring_once() -> None:
    timers = Timers()
    timers.set_alarm("up", wall("2026-11-20T13:00"), moment())
    timers.due(moment(10))
    assert names(timers.due(moment(20, wall_s=3700))) == ["up"]
    assert timers.due(moment(30, wall_s=30)) == ()  # set back again
    timers.stopped(["up"], moment(31, wall_s=31))
    assert timers.due(moment(3700)) == ()


@pytest.mark.parametrize(
    ("repeat", "days"),
    [
        ("daily", [21, 22, 23, 24]),
        ("weekdays", [23, 24, 25, 26]),  # the 20th is a Friday
        ("weekends", [21, 22, 28, 29]),
    ],
)
def test_an_alarm_that_repeats_rings_on_its_days(repeat: str, days: list[int]) -> None:
    timers = Timers()
    timers.set_alarm("up", wall("2026-11-21T07:00"), moment(), repeat=repeat)
    rung = []
    for minute in range(10 * 24 * 60):
        now = moment(minute * 60.0)
        for due in timers.due(now):
            assert (due.late_s, now.wall.hour, now.wall.minute) == (0, 7, 0)
            rung.append(now.wall.day)
        timers.stopped(["up"], now)
    assert rung[:4] == days
    timers.cancel("up")
    assert timers.list() == ()


def test_an_alarm_that_repeats_and_was_missed_for_days_is_told_once() -> None:
    timers = Timers()
    timers.set_alarm("up", wall("2026-11-21T07:00"), moment(), repeat="daily")
    now = moment(1, wall_s=5 * 86_400.0)  # the 25th, noon
    timers = restarted(timers, now)
    assert len(timers.due(now)) == 1
    timers.stopped(["up"], now)
    assert timers.due(now) == ()
    assert timers.list()[0].due_wall == wall("2026-11-26T07:00")


def test_next_look_is_soon_enough_and_not_at_all_without_timers() -> None:
    timers = Timers()
    assert timers.next_look_s(moment()) is None
    timers.set_timer("a", 5, moment())
    assert timers.next_look_s(moment(1)) == pytest.approx(4)
    timers.set_alarm("b", wall("2026-11-21T07:00"), moment())
    timers.due(moment(5))
    assert timers.next_look_s(moment(6)) == LOOK_EVERY_S
    timers.cancel("b")
    assert timers.next_look_s(moment(6)) is None  # what rings needs no look


# --- a household's life ------------------------------------------------------------------------


@dataclass
class Life:
    """One true time; a wall clock that can be set, a monotonic clock that begins at each boot."""

    true_s: float = 0.0
    wrong_s: float = 0.0
    booted_s: float = 0.0
    timers: Timers = field(default_factory=Timers)
    rung_at: dict[str, float] = field(default_factory=dict)
    late_s: dict[str, float] = field(default_factory=dict)

    @property
    def now(self) -> Moment:
        unix_s = NOON.timestamp() + self.true_s + self.wrong_s
        return Moment(datetime.fromtimestamp(unix_s, BERLIN), self.true_s - self.booted_s)

    def look(self) -> None:
        for due in self.timers.due(self.now):
            assert due.entry.name not in self.rung_at, "rung twice"
            self.rung_at[due.entry.name] = self.true_s
            self.late_s[due.entry.name] = due.late_s
            self.timers.stopped([due.entry.name], self.now)

    def wait(self, seconds: float) -> None:
        until = self.true_s + seconds
        while True:
            self.look()
            next_s = self.timers.next_look_s(self.now)
            step_s = until - self.true_s if next_s is None else min(next_s, until - self.true_s)
            if step_s <= 0:
                return
            self.true_s += step_s

    def off(self, seconds: float) -> None:
        self.true_s += seconds
        self.booted_s = self.true_s
        self.timers = restarted(self.timers, self.now)
        self.look()


DOINGS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.floats(1, 600)),
        st.tuples(st.just("wait"), st.floats(0, 300)),
        st.tuples(st.just("jump"), st.floats(-1e6, 1e6)),
        st.tuples(st.just("off"), st.floats(0, 900)),
    ),
    max_size=12,
)


@given(DOINGS)
def test_every_timer_rings_once_at_its_end_or_as_soon_as_there_is_power(
    doings: list[tuple[str, float]],
) -> None:
    life = Life()
    ends: dict[str, float] = {}
    offs: list[tuple[float, float]] = []
    for number, (what, value) in enumerate(doings):
        if what == "set" and len(life.timers.list()) < COUNT_MAX:
            life.timers.set_timer(str(number), value, life.now)
            ends[str(number)] = life.true_s + value
        elif what == "wait":
            life.wait(value)
        elif what == "jump":
            # A timer of an earlier run trusts the wall clock: from here on its end is unknown.
            for entry in life.timers.list():
                if entry.restored:
                    ends.pop(entry.name, None)
            life.wrong_s += value
            life.look()  # at most LOOK_EVERY_S later in service
        elif what == "off":
            life.off(value)
            offs.append((life.true_s - value, life.true_s))
    life.wait(700)
    assert life.timers.list() == ()
    for name, end in ends.items():
        rung_s = life.rung_at[name]
        earliest = max([on for off, on in offs if off <= end + JUMP_S and on >= end], default=end)
        # A wall clock may be set by JUMP_S without being noticed, and a restart goes by it.
        assert end - JUMP_S - 0.1 <= rung_s <= earliest + JUMP_S + 0.1
        assert life.late_s[name] == pytest.approx(max(0.0, rung_s - end), abs=JUMP_S + 0.1)
