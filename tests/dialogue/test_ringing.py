"""Ringing: a timer is heard and stopped, whatever the link, the microphone or the talk do."""

from __future__ import annotations

from typing import Any

import pytest
from driver import House, until
from hypothesis import given, settings
from hypothesis import strategies as st
from server_model import Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.calls.consent import Risk
from edge_agent.dialogue.journeys.alarms import (
    LATE_RING_MAX_S,
    LATE_TELL_S,
    RING_AT_LATEST_S,
    RING_MAX_S,
)
from edge_agent.dialogue.state import Microphone, Talk


def due(house: House, at_s: float, name: str = "pasta", late_s: float = 0.0) -> None:
    house.at(at_s, lambda: house.send(e.AlarmDue(at=house.now, name=name, late_s=late_s)))


def lights(house: House) -> list[str]:
    return [command.light for command in house.did(c.ShowLight)]


def bell(house: House) -> list[tuple[float, str]]:
    """When the bell began and ended."""
    return [
        (round(at, 2), "on" if isinstance(command, c.RingAlarm) else "off")
        for at, command in house.log
        if isinstance(command, (c.RingAlarm, c.StopAlarm))
    ]


@pytest.mark.parametrize("muted", [False, True])
def test_the_button_stops_it_without_link_and_while_muted(muted: bool) -> None:
    house = House(muted=muted)
    due(house, 1.0)
    house.at(4.0, lambda: house.press(hold_s=2.0))  # a sleepy hand: no long press either
    house.run(10.0)
    assert bell(house) == [(1.0, "on"), (4.0, "off")]
    assert house.did(c.StopAlarm) == [c.StopAlarm(("pasta",))]
    assert house.manager.talk is Talk.ASLEEP
    assert house.manager.microphone is (Microphone.MUTED if muted else Microphone.OPEN)
    assert ("alarm" in lights(house)) is not muted  # mute is always shown
    assert house.sent_frames() == []


def test_the_wake_word_stops_it_and_listens() -> None:
    house = House()
    house.connect()
    due(house, 1.0)
    house.wake_word(4.0)
    house.says(5.0, 6.5)
    house.run(8.0)
    assert bell(house) == [(1.0, "on"), (4.0, "off")]
    assert not [at for at in house.when(c.SendAudio) if at < 4.0]
    assert house.spoken_frames(5.0, 6.5) <= set(house.sent_frames())


def test_the_wake_word_without_link_explains_nothing_unless_somebody_goes_on() -> None:
    house = House()
    due(house, 1.0)
    house.wake_word(4.0)
    house.run(20.0)
    assert bell(house)[-1] == (4.0, "off")
    assert house.sentences() == []
    assert house.manager.talk is Talk.ASLEEP

    house = House()
    due(house, 1.0)
    house.wake_word(4.0)
    house.says(5.0, 7.0)
    house.run(10.0)
    assert house.sentences() == ["link.connecting"]


def test_nobody_stops_it_and_it_is_given_up() -> None:
    house = House()
    due(house, 1.0)
    due(house, 100.0, "tea")
    house.run(100.0 + RING_MAX_S + 1.0)
    assert bell(house) == [(1.0, "on"), (100.0 + RING_MAX_S, "off")]
    assert house.did(c.StopAlarm)[0].names == ("pasta", "tea")
    assert lights(house)[-1] == "asleep"


def test_the_models_tool_stops_it() -> None:
    house = House()
    due(house, 1.0)
    house.at(3.0, lambda: house.send(e.AlarmStopRequested(at=house.now)))
    house.at(4.0, lambda: house.send(e.AlarmStopRequested(at=house.now)))
    house.run(5.0)
    assert bell(house) == [(1.0, "on"), (3.0, "off")]


def answering(**config: Any) -> House:
    """A question until 2.4 s, then an answer of some five seconds."""
    house = House(**config)
    house.connect()
    house.server.plans = [Plan(items_ms=(5000,))]
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


def test_it_does_not_ring_into_a_question_or_an_answer() -> None:
    house = answering()
    due(house, 2.0)
    house.run(12.0)
    assert [cmd.name for cmd in house.did(c.PlayEarcon)] == ["timer"]  # told at once
    [(began, _)] = bell(house)
    assert len(house.speaker.played) == 1
    assert began > max(at for at, cmd in house.log if isinstance(cmd, c.EndVoice))
    assert house.manager.parts.alarms.rings


def test_an_interruption_does_not_lose_what_was_not_heard_yet() -> None:
    house = answering()
    due(house, 4.0)
    house.wake_word(5.0)
    house.run(30.0)
    assert [state for _, state in bell(house)] == ["on"]
    assert house.manager.parts.alarms.rings


def test_a_cut_by_speech_lets_it_ring_again() -> None:
    house = answering(follow_up_s=6.0)
    house.run(5.0)
    until(house, Talk.LISTENING)
    house.send(e.AlarmDue(at=house.now, name="pasta"))
    assert house.did(c.RingAlarm) == [c.RingAlarm("pasta")]
    house.server.plans = [Plan(items_ms=(5000,))]
    began = house.now + 0.5
    house.says(began, began + 1.5)  # asks on, over the bell
    until(house, Talk.SPEAKING)
    house.says(house.now + 1.0, house.now + 3.0)
    house.run(house.now + 40.0)
    cuts, rings = house.when(c.CutPlayback), house.when(c.RingAlarm)
    assert began < cuts[0] < began + 0.2  # silent while somebody speaks to us
    assert len(cuts) == 2
    assert rings[-1] > cuts[-1]
    assert not [at for at in rings if cuts[0] < at < began + 1.5]
    assert house.did(c.StopAlarm) == []


def test_a_device_that_was_lost_rings_when_it_is_back() -> None:
    house = House()
    due(house, 1.0)
    lost = e.DeviceDown(at=2.0, code="device.lost", message="gone")
    house.at(2.0, lambda: house.send(lost))
    house.at(9.0, lambda: house.send(e.DeviceReady(at=house.now)))
    house.run(12.0)
    assert bell(house) == [(1.0, "on"), (9.0, "on")]


def test_consent_is_not_given_by_a_hand_that_stops_the_bell() -> None:
    house = answering(tool_risks={"x": Risk.HIGH})
    house.server.plans = [
        Plan(items_ms=(), calls=(e.ToolCall(call_id="1", name="x", arguments=""),))
    ]
    house.run(3.0)
    until(house, Talk.CONFIRMING)
    house.send(e.AlarmDue(at=house.now, name="pasta"))
    house.run(house.now + RING_AT_LATEST_S + 0.5)
    assert house.manager.parts.alarms.rings
    house.press()
    house.run(house.now + 1.0)
    assert house.did(c.StopAlarm)
    assert house.did(c.RunTool) == []
    assert house.manager.talk is Talk.CONFIRMING


def test_late_is_told_once_and_very_late_is_not_rung() -> None:
    house = House()
    due(house, 1.0, "a", LATE_TELL_S + 1)
    due(house, 1.0, "b", LATE_RING_MAX_S + 1)
    house.run(5.0)
    assert house.sentences() == ["alarm_missed"]
    assert [state for _, state in bell(house)] == ["on"]

    house = House()
    due(house, 1.0, "a", LATE_RING_MAX_S + 1)
    due(house, 1.0, "b", LATE_RING_MAX_S + 1)
    house.run(5.0)
    assert house.sentences() == ["alarm_missed"]
    assert house.did(c.RingAlarm) == []
    assert house.did(c.StopAlarm) == [c.StopAlarm(("a",)), c.StopAlarm(("b",))]
    assert house.notes().count("alarm.missed") == 2


def test_after_a_wish_to_stop_no_deadline_is_left() -> None:
    house = House()
    due(house, 1.0)
    house.run(2.0)
    house.send(e.StopRequested(at=house.now))
    assert house.manager.next_deadline() is None


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(0.1, 6.0), st.sampled_from(["word", "press", "mute", "drop", "due"])),
        max_size=8,
    ),
    st.booleans(),
)
def test_every_alarm_is_heard_or_stopped_and_ends(
    doings: list[tuple[float, str]], linked: bool
) -> None:
    house = House()
    if linked:
        house.connect()
    names = set()
    for number, (wait_s, what) in enumerate(doings):
        house.run(house.now + wait_s)
        if what == "word":
            house.wakes[house.steps + 1] = "okay_nabu"
        elif what == "press":
            house.press()
        elif what == "mute":
            house.press("mute")
        elif what == "drop":
            house.drop()
        else:
            names.add(str(number))
            house.send(e.AlarmDue(at=house.now, name=str(number)))
    house.send(e.Tick(at=house.now + RING_MAX_S + 60.0))
    house.send(e.Tick(at=house.now + 2 * RING_MAX_S + 120.0))
    stopped = [name for command in house.did(c.StopAlarm) for name in command.names]
    assert sorted(stopped) == sorted(names)
    assert not house.manager.parts.alarms.rings
