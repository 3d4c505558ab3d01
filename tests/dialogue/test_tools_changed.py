"""Tools that change while the house runs: the model is told, now or as soon as it can hear."""

from __future__ import annotations

import pytest
from house_config import household_config
from playbook import MakesEvent, frames, on, playbook

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.persona import FlowPlan, FlowState
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.prompting.flow import FlowTerms

LAMP = {"type": "function", "name": "home__lamp", "parameters": {"type": "object"}}
LOCK = {"type": "function", "name": "home__lock", "parameters": {"type": "object"}}
TIME = {"type": "function", "name": "current_time", "parameters": {"type": "object"}}


OWN_TOOLS = household_config(tool_risks={"current_time": Risk.LOW})


def manager(flow: FlowTerms | None = None) -> DialogueManager:
    config = household_config(tool_risks={"current_time": Risk.LOW}, flow=flow)
    return DialogueManager(config, strict=True)


def ready(at: float) -> e.LinkReady:
    return e.LinkReady(at=at, model="m")


def changed(**risks: Risk) -> MakesEvent:
    known = {"home__lamp": LAMP, "home__lock": LOCK, "current_time": TIME}
    return on(e.ToolsChanged, schemas=tuple(known[name] for name in risks), risks=risks)


def updates(commands: list[c.Command]) -> list[c.UpdateSession]:
    return [command for command in commands if isinstance(command, c.UpdateSession)]


def called(house: DialogueManager, name: str, at: float) -> list[c.Command]:
    house.handle(e.ResponseStarted(at=at, response="r"))
    call = e.ToolCall(call_id=f"call {at}", name=name, arguments="{}")
    return house.handle(e.ResponseEnded(at=at, response="r", status="completed", calls=(call,)))


def test_the_model_is_told_at_once() -> None:
    assert (
        playbook(OWN_TOOLS)
        << on(e.LinkReady)
        << changed(current_time=Risk.LOW, home__lamp=Risk.LOW)
        >> [c.UpdateSession(tools=(TIME, LAMP))]
    )


def test_what_changed_while_the_link_was_down_is_told_when_it_is_up() -> None:
    assert (
        playbook(OWN_TOOLS)
        << changed(home__lamp=Risk.LOW)
        << changed(home__lock=Risk.HIGH)
        >> []
        << on(e.LinkReady)
        >> [c.UpdateSession(tools=(LOCK,))]
    )


def test_a_session_that_replaces_another_is_told_too() -> None:
    assert (
        playbook(OWN_TOOLS)
        << on(e.LinkReady)
        << changed(home__lamp=Risk.LOW)
        >> [c.UpdateSession(tools=(LAMP,))]
        << on(e.LinkReady, replaces=True)
        >> [c.UpdateSession(tools=(LAMP,))]
    )


def test_without_a_change_nothing_is_told() -> None:
    assert playbook(OWN_TOOLS) << on(e.LinkReady) >> []


LAMP_QUESTION = "Shall I do this: home lamp? If so, press my button."


@pytest.mark.parametrize(("risk", "runs"), [(Risk.LOW, True), (Risk.HIGH, False)])
def test_the_new_risks_hold(risk: Risk, runs: bool) -> None:
    call = e.ToolCall(call_id="1", name="home__lamp", arguments="{}")
    assert (
        playbook(OWN_TOOLS)
        << [on(e.LinkReady), changed(home__lamp=risk), on(e.ButtonPressed)]
        >> [c.UpdateSession(tools=(LAMP,))]
        << [0.6, frames(0.5, speech=True), on(e.ButtonReleased), on(e.ButtonPressed)]
        >> [...]
        << on(e.ResponseStarted, response="r")
        << on(e.ResponseEnded, response="r", status="completed", calls=(call,))
        >> (
            [c.RunTool("1", "home__lamp", "{}")]
            if runs
            else [c.SayText("consent_1", LAMP_QUESTION, 40.0)]
        )
    )


def test_a_guided_talk_narrows_the_new_tools_step_by_step() -> None:
    states = {
        "begin": FlowState("begin", goal="g", next=("end",), exit="x", tools=("home__lamp",)),
        "end": FlowState("end", goal="g", final=True),
    }
    plan = FlowPlan(start="begin", states=states, guided=True)
    terms = FlowTerms(plan, lambda offered: f"Use {', '.join(sorted(offered))}.", (TIME,))
    house = manager(terms)
    house.handle(ready(1.0))
    [update] = updates(house.handle(changed(home__lamp=Risk.LOW, home__lock=Risk.HIGH)(at=2.0)))
    names = [tool["name"] for tool in update.tools or ()]
    assert names == ["home__lamp", "set_conversation_state"]
    assert (update.instructions or "").startswith("Use home__lamp.")
    house.handle(e.LinkDown(at=3.0, code="link.lost", message="m", fix="", refused=False))
    house.handle(changed(home__lock=Risk.HIGH)(at=4.0))
    [update] = updates(house.handle(ready(5.0)))
    assert [tool["name"] for tool in update.tools or ()] == ["set_conversation_state"]
    assert (update.instructions or "").startswith("Use .")
