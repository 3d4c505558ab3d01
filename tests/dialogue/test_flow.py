"""Flow: along allowed moves only, whatever the model asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.commands import UpdateSession
from edge_agent.contract.persona import MOVE_TOOL, FlowPlan, FlowState, Persona
from edge_agent.dialogue.prompting.flow import Flow, FlowTerms, Moved, Refused, flow_problems
from edge_agent.dialogue.prompting.prompt import compose
from edge_agent.host.personas import load_persona
from edge_agent.tools.catalogue import shipped_tools

TOOLS = tuple({"type": "function", "name": name} for name in shipped_tools().risks())
NAMES = {str(tool["name"]) for tool in TOOLS}


def bedtime() -> tuple[FlowPlan, Flow]:
    persona = load_persona("bedtime")
    assert persona.plan is not None
    assert flow_problems(persona, NAMES) == ()
    return persona.plan, Flow(FlowTerms(persona.plan, compose(persona, language="en"), TOOLS))


def walks(plan: FlowPlan, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    ways = [to for to in plan.states[path[-1]].next if to not in path]
    if not ways:
        yield path
    for to in ways:
        yield from walks(plan, (*path, to))


def enum(flow: Flow) -> list[str]:
    schema = flow.schema()
    assert schema is not None
    return list(schema["parameters"]["properties"]["state"]["enum"])


def test_every_path_through_bedtime() -> None:
    plan, _ = bedtime()
    paths = list(walks(plan, (plan.start,)))
    assert len(paths) == 3
    assert {state for path in paths for state in path} == set(plan.states)
    for path in paths:
        _, flow = bedtime()
        for to in path[1:]:
            assert enum(flow) == list(plan.states[flow.state].next)
            answer = flow.asked(json.dumps({"state": to}))
            assert answer == Moved(to, f"The step is now {to}. Follow its instructions.")
            assert plan.states[to].goal in flow.instructions()
            others = [s.goal for s in plan.states.values() if s.name != to]
            assert not any(goal in flow.instructions() for goal in others)
            offered = {tool["name"] for tool in flow.tools()}
            assert offered - {MOVE_TOOL} == set(plan.states[to].tools or ())
            assert flow.update() == UpdateSession(flow.instructions(), flow.tools())
        assert plan.states[flow.state].final
        assert flow.schema() is None
        assert MOVE_TOOL not in {tool["name"] for tool in flow.tools()}
        flow.reset()
        assert flow.state == plan.start


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"state": "story"}', "story does not follow here."),
        ('{"state": "tidy"}', "this is the step tidy already."),
        ('{"state": "party"}', "there is no such step."),
        ('{"state": 3}', 'name the step as "state".'),
        ("[]", 'name the step as "state".'),
        ("garbage", 'name the step as "state".'),
        ("[" * 100_000, 'name the step as "state".'),
    ],
)
def test_an_illegal_move_changes_nothing_and_says_where_one_may_go(
    arguments: str, words: str
) -> None:
    _, flow = bedtime()
    before = flow.update()
    ways = "From tidy you may go to: choose_story, good_night."
    assert flow.asked(arguments) == Refused("tidy", f"Refused: {words} {ways}")
    assert flow.update() == before


def test_nothing_follows_the_end() -> None:
    _, flow = bedtime()
    flow.move("good_night")
    assert flow.move("tidy") == Refused(
        "good_night",
        "Refused: tidy does not follow here. "
        "Nothing follows good_night: bring the talk to its end.",
    )


def state(name: str, *to: str, **more: Any) -> FlowState:
    return FlowState(name, "g", next=to, **{"exit": "e", **more})


def problems(*states: FlowState, start: str = "a", guided: bool = True) -> list[str]:
    plan = FlowPlan(start, {s.name: s for s in states}, guided)
    found = flow_problems(Persona("p", "p.toml", plan=plan), {"clock"})
    return [text.removeprefix("p.toml: ") for text in found]


def test_each_mistake_in_a_flow_has_its_sentence() -> None:
    end = state("z", final=True)
    assert problems(state("a", "z", tools=("clock",)), end) == []
    assert problems(state("a", "b"), state("b"), start="a") == [
        "flow.states.b: is a dead end; give it a next state, or write final = true.",
        "flow.states.a: no way leads from it to a state with final = true.",
    ]
    assert problems(state("a", "z"), end, state("b", "z")) == [
        "flow.states.b: cannot be reached from a."
    ]
    assert problems(state("a", "z", "c"), end) == ["flow.states.a.next: there is no state 'c'."]
    assert problems(state("a", "z", "z"), end) == ["flow.states.a.next: names a state twice."]
    assert problems(state("a", "a", "z"), end) == [
        "flow.states.a.next: a state cannot follow itself."
    ]
    assert problems(state("a", "z", tools=("door",)), end) == [
        "flow.states.a.tools: there is no tool 'door'."
    ]
    assert problems(state("a", "z", exit=""), end) == [
        "flow.states.a.exit: is missing: the model cannot know when to move on."
    ]
    assert problems(end, start="q") == ["flow.start: there is no state 'q'."]
    assert problems(state("a", "b"), state("b", "a")) == [
        "flow.states.a: no way leads from it to a state with final = true.",
        "flow.states.b: no way leads from it to a state with final = true.",
    ]
    assert problems(state("a"), state("b"), guided=False) == []


names = st.sampled_from("abcdef")


@st.composite
def plans(draw: st.DrawFn) -> FlowPlan:
    chosen = draw(st.lists(names, min_size=1, unique=True))
    targets = st.lists(names, max_size=3).map(tuple)
    states = {
        name: FlowState(name, "g", exit="e", next=draw(targets), final=draw(st.booleans()))
        for name in chosen
    }
    return FlowPlan(draw(names), states, guided=True)


@given(plans(), st.lists(names | st.text(max_size=5), max_size=30))
def test_a_sound_flow_only_takes_allowed_moves_and_can_always_end(
    plan: FlowPlan, moves: list[str]
) -> None:
    if flow_problems(Persona("p", "p.toml", plan=plan), ()):
        return
    flow = Flow(FlowTerms(plan, "base"))
    for to in moves:
        before = flow.state
        allowed = plan.states[before].next
        answer = flow.move(to)
        assert isinstance(answer, Moved) == (to in allowed)
        assert flow.state == answer.state == (to if to in allowed else before)
        assert plan.states[flow.state].final or enum(flow)
        if flow.next:
            assert enum(flow) == list(flow.next)
    assert any(
        plan.states[path[-1]].final or any(plan.states[s].final for s in path)
        for path in walks(plan, (flow.state,))
    )


@given(plans())
def test_faults_in_a_flow_are_found_whatever_it_looks_like(plan: FlowPlan) -> None:
    found = flow_problems(Persona("p", "p.toml", plan=plan), ())
    dangling = {to for s in plan.states.values() for to in s.next} - set(plan.states)
    dead = [s for s in plan.states.values() if not s.next and not s.final]
    if dangling or dead or plan.start not in plan.states:
        assert found
    assert all(text.startswith("p.toml: flow.") and text.endswith(".") for text in found)
