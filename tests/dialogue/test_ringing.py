"""Ringing: a timer is heard and stopped, whatever the link, the microphone or the talk do."""

from __future__ import annotations

from typing import Any

import pytest
from driver import House, until
from hypothesis import given, settings
from hypothesis import strategies as st
from playbook import ANY, Given, Playbook, frames, on, playbook, wake
from server_model import Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.journeys.alarms import (
    LATE_RING_MAX_S,
    LATE_TELL_S,
    RING_AT_LATEST_S,
    RING_MAX_S,
)
from edge_agent.dialogue.state import Microphone, Talk


def due(house: House, at_s: float, name: str = "pasta", late_s: float = 0.0) -> None:
    house.at(at_s, lambda: house.send(e.AlarmDue(at=house.now, name=name, late_s=late_s)))


NOTHING_CUT = on(e.PlaybackCut, item=None, played_ms=0.0)


def pasta(name: str = "pasta", late_s: float = 0.0) -> Given:
    return on(e.AlarmDue, name=name, late_s=late_s)


def ringing() -> Playbook:
    """A table that begins with a bell, without a link."""
    return playbook() << [on(e.DeviceReady), 1.0, pasta()] >> [c.RingAlarm("pasta")]


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
    def shown(light: str) -> list[c.Command]:
        return [] if muted else [c.ShowLight(light)]  # mute is always shown

    said = [c.PlaySentence("bell_muted")] if muted else []
    heard = [on(e.SentenceDrained, name="bell_muted")] if muted else []
    assert (
        playbook(muted=muted, ignoring=(c.Note, c.SetStatus))
        << on(e.DeviceReady)
        >> [c.ShowLight("muted" if muted else "asleep")]
        << pasta()
        >> [c.RingAlarm("pasta"), *said, *shown("alarm")]
        << [frames(3.0, speech=False), *heard]
        << on(e.ButtonPressed)
        >> [c.StopAlarm(("pasta",)), *shown("asleep")]
        << frames(2.0, speech=False)  # a sleepy hand: no long press either
        << [on(e.ButtonReleased), frames(4.0, speech=False)]
        >> []
        >> Talk.ASLEEP
        >> (Microphone.MUTED if muted else Microphone.OPEN)
    )


def test_a_bell_in_a_muted_house_says_once_what_stops_it() -> None:
    house = House()
    house.connect()
    house.press("mute")
    due(house, 1.0)
    due(house, 3.0, "tea")
    house.run(20.0)
    assert house.sentences() == ["bell_muted"]
    house.press()
    due(house, 40.0, "bread")
    house.run(40.5)
    assert house.sentences() == ["bell_muted", "bell_muted"]
    assert house.did(c.CutPlayback) == []
    house.press(hold_s=4.0)  # into the sentence, and a sleepy hand stays on it
    assert len(house.did(c.CutPlayback)) == 1
    house.run(50.0)
    assert [state for _, state in bell(house)] == ["on", "off", "on", "off"]
    assert house.manager.microphone is Microphone.MUTED


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


def test_the_wake_word_without_link_explains_nothing() -> None:
    assert (
        ringing()
        << [frames(3.0, speech=False), wake()]
        >> [c.StopAlarm(("pasta",))]
        << frames(16.0, speech=False)
        >> [c.PlayEarcon("woken")]
        >> Talk.ASLEEP
    )


def test_the_wake_word_without_link_is_explained_where_somebody_goes_on() -> None:
    assert (
        ringing()
        << [frames(3.0, speech=False), wake()]
        >> [c.StopAlarm(("pasta",))]
        << [frames(1.0, speech=False), frames(2.0, speech=True), frames(3.0, speech=False)]
        >> [c.PlayEarcon("woken"), c.PlaySentence("link.connecting")]
    )


def test_nobody_stops_it_and_it_is_given_up() -> None:
    assert (
        ringing()
        << [99.0, on(e.AlarmDue, name="tea"), RING_MAX_S - 0.01]
        >> []
        << 0.02
        >> [c.StopAlarm(("pasta", "tea"))]
    )


def test_the_models_tool_stops_it() -> None:
    assert (
        ringing()
        << [2.0, on(e.AlarmStopRequested)]
        >> [c.StopAlarm(("pasta",))]
        << [1.0, on(e.AlarmStopRequested), 1.0]
        >> []
    )


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
    assert (
        ringing()
        << [1.0, on(e.DeviceDown, code="device.lost", message="gone")]
        >> [c.CutPlayback()]
        << [NOTHING_CUT, 7.0]
        >> []
        << on(e.DeviceReady)
        >> [c.RingAlarm("pasta")]
    )


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
    assert (
        playbook()
        << [on(e.DeviceReady), pasta("a", LATE_TELL_S + 1), pasta("b", LATE_RING_MAX_S + 1)]
        >> [c.PlayEarcon("timer"), c.PlaySentence("alarm_missed"), c.RingAlarm("a")]
        << [1.2, on(e.SentenceDrained, name="alarm_missed"), 2.8]
        >> []
    )


def test_very_late_alone_is_told_once() -> None:
    missed = c.Note("alarm.missed", ANY)
    assert (
        playbook(ignoring=(c.SetStatus, c.ShowLight, c.PlayEarcon))
        << [on(e.DeviceReady), pasta("a", LATE_RING_MAX_S + 1)]
        >> [..., missed, c.PlaySentence("alarm_missed"), c.StopAlarm(("a",))]
        << pasta("b", LATE_RING_MAX_S + 1)
        >> [missed, c.StopAlarm(("b",))]
        << [1.2, on(e.SentenceDrained, name="alarm_missed"), 3.0]
        >> []
    )


def test_after_a_wish_to_stop_no_deadline_is_left() -> None:
    table = ringing() << [1.0, on(e.StopRequested), NOTHING_CUT] >> [c.CutPlayback(), c.Exit()]
    assert table
    assert table.manager.next_deadline() is None


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
