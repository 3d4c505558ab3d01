"""Guided talks: the dialogue answers a move itself, and every session knows where it stands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from driver import House
from house_config import household_config
from hypothesis import given
from hypothesis import strategies as st
from playbook import Given, Playbook, frames, on, playbook, wake
from server_model import Plan

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.persona import MOVE_TOOL, FlowPlan, FlowState
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.journeys.notes import STEP_KEPT_S
from edge_agent.dialogue.prompting.flow import Flow, FlowTerms
from edge_agent.dialogue.state import Talk

STATES = {
    "ask": FlowState("ask", "Know the dish.", exit="Known.", next=("cook",)),
    "cook": FlowState("cook", "Cook it.", exit="Done.", next=("eat",), tools=("clock",)),
    "eat": FlowState("eat", "Enjoy it.", final=True),
}
TOOLS = ({"name": "clock"}, {"name": "volume"})
PLAN = FlowPlan("ask", STATES, guided=True)
TERMS = FlowTerms(PLAN, lambda _offered: "Be a cook.", TOOLS)


def move(to: str, call_id: str = "m1") -> e.ToolCall:
    return e.ToolCall(call_id=call_id, name=MOVE_TOOL, arguments=json.dumps({"state": to}))


def guided(*plans: Plan) -> House:
    """Asked until 2.4 s; the responses follow `plans`."""
    house = House(tool_risks={"clock": Risk.LOW, "volume": Risk.LOW}, flow=TERMS)
    house.connect()
    house.server.plans = list(plans)
    house.says(0.5, 2.4)
    house.wake_word(1.1)
    return house


def steps(house: House) -> list[str]:
    """The step that each `UpdateSession` told, in order."""
    told = [update.instructions or "" for update in house.did(c.UpdateSession)]
    return [text.rpartition("Step: ")[2].partition("\n")[0] for text in told]


def test_a_move_is_answered_and_told_before_the_model_is_asked_again() -> None:
    house = guided(Plan(items_ms=(), calls=(move("cook"),))).run(8.0)
    assert house.did(c.RunTool) == []
    [output] = house.did(c.AddToolOutput)
    assert output == c.AddToolOutput("m1", "The step is now cook. Follow its instructions.")
    assert steps(house) == ["ask", "cook"]
    tools = house.did(c.UpdateSession)[-1].tools
    assert tools is not None
    assert [tool["name"] for tool in tools] == ["clock", MOVE_TOOL]
    wire = (c.AddToolOutput, c.UpdateSession, c.RequestResponse)
    last = [type(cmd) for _, cmd in house.log if isinstance(cmd, wire)][-3:]
    assert last == [c.AddToolOutput, c.UpdateSession, c.RequestResponse]
    assert house.manager.talk is Talk.LISTENING
    assert house.sentences() == []
    assert house.server.offences == []


def test_an_illegal_move_is_told_and_changes_nothing() -> None:
    house = guided(Plan(items_ms=(), calls=(move("eat"),))).run(8.0)
    [output] = house.did(c.AddToolOutput)
    assert output.output == ("Refused: eat does not follow here. From ask you may go to: cook.")
    assert steps(house) == ["ask"]
    assert len(house.did(c.RequestResponse)) == 1
    assert house.server.offences == []


def test_a_move_and_a_tool_in_one_response_have_one_output_each() -> None:
    clock = e.ToolCall(call_id="t", name="clock", arguments="{}")
    again = move("eat", "m2")
    house = guided(Plan(items_ms=(), calls=(move("cook"), clock, again))).run(8.0)
    outputs = {out.call_id: out.output for out in house.did(c.AddToolOutput)}
    assert set(outputs) == {"m1", "t", "m2"}
    assert outputs["m2"] == "Refused: one move at a time; first follow the step you are in now."
    assert steps(house) == ["ask", "cook"]
    assert len(house.did(c.RequestResponse)) == 1
    assert house.server.offences == []


def test_a_fresh_session_is_told_the_step_first_and_sleep_changes_nothing() -> None:
    house = guided(Plan(items_ms=(), calls=(move("cook"),))).run(8.0)
    house.blip(8.1, 1.0)
    house.run(9.5)
    assert steps(house) == ["ask", "cook", "cook"]
    house.run(600.0)
    assert house.manager.talk is Talk.ASLEEP
    assert steps(house) == ["ask", "cook", "cook"]
    assert house.server.offences == []


def test_the_step_is_kept_without_a_line_too() -> None:
    house = guided(Plan(items_ms=(), calls=(move("cook"),))).run(8.0)
    house.drop()
    house.run(60.0)
    assert house.manager.talk is Talk.ASLEEP
    house.connect()
    assert steps(house) == ["ask", "cook", "cook"]


MINUTE_S, HOUR_S = 60.0, 3600.0


def walked(*to: str, forget_after_h: float, terms: FlowTerms = TERMS) -> Playbook:
    """A talk that has walked along these steps and has been asleep for almost a minute."""
    config = household_config(flow=terms, forget_after_h=forget_after_h)
    press: Given = [on(e.ButtonPressed), 0.1, on(e.ButtonReleased)]
    talk = playbook(config) << [on(e.LinkReady, model="m"), press, 0.6]
    talk << [frames(0.5, speech=True), press]
    for number, calls in enumerate([*((move(name, name),) for name in to), ()]):
        talk << on(e.ResponseStarted, response=f"r{number}")
        talk << on(e.ResponseEnded, response=f"r{number}", status="completed", calls=calls)
    return talk << MINUTE_S >> Talk.ASLEEP >> [...]


def told(step: str, terms: FlowTerms = TERMS) -> c.UpdateSession:
    flow = Flow(terms)
    flow.state = step
    return flow.update()


def test_a_step_is_kept_as_long_as_the_words_of_the_talk() -> None:
    talk = walked("cook", forget_after_h=2.0)
    assert talk << HOUR_S >> [] << HOUR_S >> [told("ask")]


@pytest.mark.parametrize("forget_after_h", [0.0, 12.0])
def test_a_new_evening_begins_at_the_first_step_whatever_is_remembered(
    forget_after_h: float,
) -> None:
    talk = walked("cook", forget_after_h=forget_after_h)
    talk << STEP_KEPT_S - 2 * MINUTE_S >> []
    talk << [on(e.ButtonPressed), 0.1, on(e.ButtonReleased), MINUTE_S] >> [...] >> Talk.ASLEEP
    assert talk << STEP_KEPT_S - 2 * MINUTE_S >> [] << 2 * MINUTE_S >> [told("ask")]
    assert talk << 2 * STEP_KEPT_S >> []


def test_a_step_is_not_taken_from_somebody_who_has_just_come() -> None:
    talk = walked("cook", forget_after_h=12.0) << STEP_KEPT_S - 60.0 >> []
    talk << [wake(), 2.0] >> [...] >> Talk.LISTENING
    assert talk << on(e.LinkReady, model="m", replaces=True) >> [told("cook"), ...]


def test_a_walk_that_has_come_to_its_end_is_over_with_the_talk() -> None:
    talk = walked("cook", "eat", forget_after_h=12.0)
    assert talk << on(e.LinkReady, model="m", replaces=True) >> [told("ask"), ...]


def test_a_talk_goes_on_at_a_last_step_that_something_follows() -> None:
    states = {**STATES, "eat": FlowState("eat", "Enjoy it.", exit="More.", next=("ask",))}
    states["eat"] = replace(states["eat"], final=True)
    terms = FlowTerms(FlowPlan("ask", states, guided=True), TERMS.words, TOOLS)
    talk = walked("cook", "eat", forget_after_h=12.0, terms=terms)
    assert talk << on(e.LinkReady, model="m", replaces=True) >> [told("eat", terms), ...]


def test_the_step_outlives_mute_and_guests_as_the_words_do_but_no_restart() -> None:
    talk = walked("cook", forget_after_h=12.0)
    talk << [on(e.GuestRequested, on=True), on(e.MuteRequested, muted=True), MINUTE_S]
    talk << [on(e.MuteRequested, muted=False), on(e.GuestRequested, on=False)] >> [...]
    assert talk << on(e.LinkReady, model="m", replaces=True) >> [told("cook"), ...]
    anew = playbook(household_config(flow=TERMS))
    assert anew << on(e.LinkReady, model="m") >> [told("ask")]


MOVES = st.lists(st.sampled_from([*STATES, "party"]), max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("moves"), MOVES),
        st.sampled_from([("down", []), ("ready", []), ("over", []), ("forgotten", [])]),
    ),
    max_size=30,
)


@given(STEPS)
def test_a_live_session_always_knows_the_step_and_each_call_has_one_output(
    happenings: list[tuple[str, list[str]]],
) -> None:
    calls = ToolCalls({}, TERMS, window_s=15.0)
    up, told, stands, number = True, "ask", "ask", 0
    for what, targets in happenings:
        out: list[c.Command] = []
        if what == "moves" and up:  # without a session nobody asks
            asked = [move(to, f"m{number + i}") for i, to in enumerate(targets)]
            number += len(asked)
            out = calls.take(asked, 1.0)
            outputs = [cmd.call_id for cmd in out if isinstance(cmd, c.AddToolOutput)]
            assert outputs == [call.call_id for call in asked]
            # The first move that is allowed is made, and none after it.
            stands = next((to for to in targets if to in STATES[stands].next), stands)
        elif what == "down":
            up = False
            calls.session_lost()
        elif what == "ready":
            up = True
            out = calls.tell_step()
        elif what == "over":
            stands = "ask" if stands == "eat" else stands  # nothing follows there
            out = calls.talk_over()
        elif what == "forgotten":
            stands = "ask"
            out = calls.begin_anew()
        for cmd in out if up else []:  # what is said without a line is lost
            if isinstance(cmd, c.UpdateSession):
                told = str(cmd.instructions).rpartition("Step: ")[2].partition("\n")[0]
        assert not calls.waiting
        assert not up or told == stands
