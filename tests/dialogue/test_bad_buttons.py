"""Buttons that bounce, are stuck or wired the wrong way: from the pin to what the talk makes of it.

The pins are gpiozero's mock ones, which leave out the kernel's debouncing: what a worn contact
gives reaches the dialogue in full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
from driver import House, until
from gpiozero.pins.mock import MockFactory
from house_config import household_panel
from server_model import Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.state import Microphone, Talk
from edge_agent.panel.gpio import open_panel
from edge_agent.simulation.clock import run

RISKS = {"unlock": Risk.HIGH}
UNLOCK = e.ToolCall(call_id="call_1", name="unlock", arguments='{"door":"front"}')
DOWN, UP = True, False
Contact = Sequence[tuple[float, bool]]
"""(seconds, closed) of a contact to ground."""


def bouncing(at_s: float, closed: bool) -> Contact:
    """40 ms of chatter, as an old microswitch makes."""
    return [(round(at_s + n / 100, 2), closed is (n % 2 == 0)) for n in range(5)]


def events(
    contact: Contact, *, pull_up: bool = True, at_start: bool = UP, **wiring: bool
) -> list[e.Event]:
    """What the panel posts, timed from its start."""
    posted: list[e.Event] = []

    async def main() -> None:
        factory = MockFactory()
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        if at_start is DOWN:  # held by somebody, or by a wire, before we look at it
            factory.pin(17)._set_pull = lambda _value: None
            factory.pin(17)._change_state(False)
        config = household_panel(pull_up=pull_up, **wiring)
        panel = open_panel(config, loop, posted.append, factory=factory)
        if not pull_up:
            factory.pin(17).drive_high()  # the wire goes to ground: at rest it looks pressed
            await asyncio.sleep(0)
            posted.clear()
        for at_s, closed in contact:
            await asyncio.sleep(max(0.0, began_at + at_s - loop.time()))
            if closed:
                factory.pin(17).drive_low()
            else:
                factory.pin(17).drive_high()
            await asyncio.sleep(0)
        panel.close()
        factory.reset()

    run(main())
    start = posted[0].at if posted else 0.0
    return [replace(one, at=one.at - start) for one in posted]


def feel(house: House, felt: list[e.Event]) -> House:
    """The button does that, from now on."""
    start = house.now
    for one in felt:
        house.at(start + one.at, partial(move, house, type(one)))
    return house


def move(house: House, kind: type[e.Event]) -> None:
    house.send(kind(at=house.now, button="talk"))  # type: ignore[call-arg]


def asked() -> House:
    """The question has been heard to its end, a second ago."""
    house = House(tool_risks=RISKS)
    house.connect()
    house.server.plans = [Plan(items_ms=(), calls=(UNLOCK,))]
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    until(house, Talk.CONFIRMING)
    return house.run(house.now + 1.0)


def ran(house: House) -> list[str]:
    return [do.call_id for do in house.did(c.RunTool)]


PRESS = [*bouncing(0.0, DOWN), *bouncing(0.3, UP)]
HELD = [*bouncing(0.0, DOWN), *bouncing(3.0, UP)]


def test_the_mock_pins_bounce() -> None:
    assert [type(one) for one in events(PRESS)] == [e.ButtonPressed, e.ButtonReleased] * 5


def test_a_press_that_bounces_agrees_once_and_does_nothing_else() -> None:
    house = feel(asked(), events(PRESS))
    house.run(house.now + 6.0)
    assert ran(house) == ["call_1"]
    assert house.did(c.SaveGuest) == []
    assert house.did(c.SaveMute) == []
    assert len(house.speaker.played) == 2, "the question, and what came of it"


def test_a_hold_that_bounces_mutes_once_and_agrees_to_nothing() -> None:
    house = feel(asked(), events(HELD))
    house.run(house.now + 6.0)
    assert house.did(c.SaveMute) == [c.SaveMute(muted=True)]
    assert ran(house) == []


def test_a_press_that_bounces_out_of_sleep_wakes_and_is_no_gesture() -> None:
    house = House()
    house.connect()
    house.run(1.0)
    feel(house, events(PRESS)).run(2.0)
    assert house.manager.talk is Talk.LISTENING
    assert house.did(c.SaveGuest) == []
    assert house.did(c.SaveMute) == []


@pytest.mark.parametrize("bounces", [True, False])
def test_a_mute_button_that_bounces_mutes(bounces: bool) -> None:
    house = House()
    house.connect()
    house.press("mute", hold_s=0.01)
    if bounces:
        house.at(0.02, lambda: house.press("mute", hold_s=0.1))
    house.run(2.0)
    assert house.manager.microphone is Microphone.MUTED


def test_a_spike_agrees_to_nothing() -> None:
    house = feel(asked(), events([(0.0, DOWN), (0.02, UP)]))
    house.run(house.now + 5.0)
    assert ran(house) == []
    assert house.manager.talk is Talk.CONFIRMING


def test_a_spike_does_not_lend_its_beginning_to_a_press_that_means_something_else() -> None:
    house = feel(asked(), events([(0.0, DOWN), (0.02, UP)]))
    house.run(house.now + 0.5)
    house.send(e.StateUnsaved(at=house.now))
    house.run(house.now + 0.2)
    assert house.speaker.audible, "a sentence of ours"
    house.press()
    house.run(house.now + 3.0)
    assert ran(house) == []
    assert house.manager.talk is Talk.CONFIRMING


def test_a_button_that_is_stuck_down_mutes_and_agrees_to_nothing() -> None:
    house = feel(asked(), events([(0.0, DOWN)]))
    house.run(house.now + 30.0)
    assert ran(house) == []
    assert house.did(c.SaveMute) == [c.SaveMute(muted=True)]


def test_a_button_that_was_down_before_the_question_agrees_to_nothing_when_it_comes_up() -> None:
    assert events([(1.0, UP)], at_start=DOWN) == [], "nobody knows yet whose finger it was"
    house = feel(asked(), [e.ButtonReleased(at=1.0)])
    house.run(house.now + 5.0)
    assert ran(house) == []


def test_a_press_on_a_button_that_is_wired_the_wrong_way_agrees_to_nothing() -> None:
    """It seems down at rest: a press is felt when it ends, and then goes on until it mutes."""
    felt = events([(0.5, DOWN), (0.7, UP)], pull_up=False)
    assert [type(one) for one in felt] == [e.ButtonReleased, e.ButtonPressed]
    house = feel(asked(), felt)
    house.run(house.now + 10.0)
    assert ran(house) == []
    assert house.did(c.SaveMute) == [c.SaveMute(muted=True)]


@pytest.mark.parametrize("button", ["talk", "mute"])
def test_a_microphone_that_a_broken_button_opened_is_shut_again(button: str) -> None:
    house = House()
    house.connect()
    house.send(e.MuteRequested(at=house.now, muted=True))
    house.at(house.now + 1.0, lambda: house.send(e.ButtonPressed(at=house.now, button=button)))
    house.run(house.now + 4.0)
    assert house.did(c.SaveMute)[-1] == c.SaveMute(muted=False), "a hold may be meant"
    house.send(ButtonFaulty(at=house.now, button=button, fault="stuck"))
    assert house.manager.microphone is Microphone.MUTED
    assert [note.code for note in house.did(c.Note)][-2:] == ["panel.button_faulty", "mic.muted"]


def test_a_microphone_that_somebody_else_opened_stays_open() -> None:
    house = House()
    house.connect()
    house.send(e.MuteRequested(at=house.now, muted=True))
    house.press("mute", hold_s=0.2)
    house.send(e.MuteRequested(at=house.now, muted=True))
    house.send(e.MuteRequested(at=house.now, muted=False))
    house.send(ButtonFaulty(at=house.now, button="mute", fault="bounces"))
    house.send(ButtonWorks(at=house.now, button="mute"))
    assert house.manager.microphone is Microphone.OPEN
    assert house.did(c.Note)[-1] == c.Note("panel.button_works", {"button": "mute"})


def test_a_button_that_is_closed_at_rest_starts_no_talk_when_it_is_touched() -> None:
    assert events([(7.0, UP), (7.3, DOWN), (9.0, UP)], at_start=DOWN) == [
        ButtonFaulty(at=0.0, button="talk", fault="closed at the start")
    ]


def test_a_button_that_is_inverted_by_setting_is_an_ordinary_one() -> None:
    felt = events([(1.0, UP), (1.3, DOWN)], at_start=DOWN, button_inverted=True)
    assert [type(one) for one in felt] == [e.ButtonPressed, e.ButtonReleased]
