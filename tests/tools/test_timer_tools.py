"""Timer tools: what the model says and is told."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_agent.contract.errors import ToolError
from edge_agent.contract.risk import Risk
from edge_agent.tools.registry import Registry
from edge_agent.tools.timer_tools import timer_tools
from edge_agent.tools.timers import Moment, Timers

EVENING = datetime(2026, 11, 20, 21, 30, tzinfo=ZoneInfo("Europe/Berlin"))


class Kitchen:
    """The tools with a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.mono_s = 0.0
        self.changes = 0
        self.silenced = 0
        self.registry = Registry(
            timer_tools(self.timers, self.moment, changed=self._changed, stop_ringing=self._silence)
        )

    def moment(self) -> Moment:
        unix_s = EVENING.timestamp() + self.mono_s
        return Moment(datetime.fromtimestamp(unix_s, EVENING.tzinfo), self.mono_s)

    def call(self, name: str, arguments: str = "{}") -> Any:
        declared = self.registry.get(name)
        assert declared is not None
        return declared.function(**declared.validate(arguments))

    def _changed(self) -> None:
        self.changes += 1

    def _silence(self) -> None:
        self.silenced += 1
        self.timers.stopped([entry.name for entry in self.timers.ringing], self.moment())


def test_an_evening_in_the_kitchen() -> None:
    kitchen = Kitchen()
    assert kitchen.call("list_timers") == "No timer and no alarm is set."
    told = kitchen.call("set_timer", '{"minutes": 9, "seconds": 30, "name": "pasta"}')
    assert told == "The timer pasta rings in 9 minutes 30 seconds."
    assert kitchen.call("set_timer", '{"hours": 1}') == "The timer rings in 1 hour."
    told = kitchen.call("set_alarm", '{"time": "06:45", "name": "school"}')
    assert told == "The alarm school rings tomorrow at 6 45 in the morning."
    told = kitchen.call("set_alarm", '{"time": "08:00", "date": "2026-12-24"}')
    assert told == "The alarm rings on Thursday the 24th of December at 8 o'clock in the morning."
    assert kitchen.call("set_alarm", '{"time": "22:00", "name": "bed"}').endswith(
        "today at 10 o'clock at night."
    )
    assert kitchen.call("cancel_timer", '{"name": "bed"}') == "Cancelled: bed."
    told = kitchen.call("set_alarm", '{"time": "06:00", "repeat": "weekdays", "name": "work"}')
    assert told == (
        "The alarm work rings on Monday the 23rd of November at 6 o'clock in the morning, "
        "and then from Monday to Friday."
    )
    kitchen.call("cancel_timer", '{"name": "work"}')
    kitchen.mono_s = 570.0
    kitchen.timers.due(kitchen.moment())
    assert kitchen.call("list_timers") == (
        "The timer pasta is ringing now. The timer has 50 minutes 30 seconds left. "
        "The alarm school rings tomorrow at 6 45 in the morning. "
        "The alarm rings on Thursday the 24th of December at 8 o'clock in the morning."
    )
    assert kitchen.call("stop_alarm") == "Stopped: pasta."
    assert kitchen.call("list_timers").endswith(
        "The timer pasta rang today at 9 39 in the evening."
    )
    assert kitchen.changes == 8
    assert kitchen.silenced == 1


def test_to_cancel_what_rings_stops_the_bell_and_what_waits_does_not() -> None:
    kitchen = Kitchen()
    kitchen.call("set_timer", '{"seconds": 1, "name": "a"}')
    kitchen.call("set_timer", '{"seconds": 9, "name": "b"}')
    kitchen.mono_s = 1.0
    kitchen.timers.due(kitchen.moment())
    kitchen.call("cancel_timer", '{"name": "b"}')
    assert kitchen.silenced == 0
    kitchen.call("cancel_timer")
    assert kitchen.silenced == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("set_timer", "{}"),
        ("set_timer", '{"seconds": -5}'),
        ("set_timer", '{"hours": 169}'),
        ("set_timer", '{"minutes": 1e99}'),
        ("set_timer", '{"minutes": 5, "name": 7}'),
        ("set_alarm", '{"time": "25:00"}'),
        ("set_alarm", '{"time": "quarter past"}'),
        ("set_alarm", "{}"),
        ("set_alarm", '{"time": "08:00", "repeat": "hourly"}'),
        ("set_alarm", '{"time": "08:00", "date": "2026-02-30"}'),
        ("set_alarm", '{"time": "08:00", "date": "2026-11-20"}'),
        ("set_alarm", '{"time": "08:00", "date": "9999-12-31"}'),
        ("cancel_timer", '{"name": "pasta"}'),
        ("stop_alarm", "{}"),
    ],
)
def test_what_cannot_be_done_changes_nothing_and_is_told(name: str, arguments: str) -> None:
    kitchen = Kitchen()
    with pytest.raises(ToolError) as told:
        kitchen.call(name, arguments)
    assert str(told.value).endswith(".")
    assert (kitchen.timers.list(), kitchen.changes) == ((), 0)


def test_a_zone_in_the_time_does_not_matter_it_is_the_wall_that_counts() -> None:
    assert (
        Kitchen()
        .call("set_alarm", '{"time": "07:00Z"}')
        .endswith("tomorrow at 7 o'clock in the morning.")
    )


def test_all_of_them_are_of_low_risk_and_have_schemas() -> None:
    registry = Kitchen().registry
    assert set(registry.risks().values()) == {Risk.LOW}
    names = {str(schema["name"]) for schema in registry.schemas()}
    assert names == {"set_timer", "set_alarm", "cancel_timer", "list_timers", "stop_alarm"}
