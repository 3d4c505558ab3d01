"""Flow: along allowed moves only, whatever the model asks for."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.app.session_start import session_start
from edge_agent.contract.commands import UpdateSession
from edge_agent.contract.persona import (
    MOVE_TOOL,
    Entry,
    FlowPlan,
    FlowState,
    Persona,
    ToolPreamble,
)
from edge_agent.dialogue.prompting.flow import (
    IN_EVERY_STEP,
    Flow,
    FlowTerms,
    Moved,
    Refused,
    flow_problems,
    step_faults,
    step_words,
)
from edge_agent.dialogue.prompting.prompt import named_tools
from edge_agent.host.personas import load_persona
from edge_agent.host.settings.root import Settings
from edge_agent.tools.catalogue import shipped_tools

TOOLS = tuple(shipped_tools().schemas())
NAMES = {str(tool["name"]) for tool in TOOLS}


def base(_offered: Collection[str]) -> str:
    return "base"


def bedtime() -> tuple[FlowPlan, Flow]:
    """The shipped one, as the daemon has it."""
    persona = load_persona("bedtime")
    assert persona.plan is not None
    assert flow_problems(persona, NAMES) == ()
    settings = Settings.model_validate({"realtime": {"persona": "bedtime", "language": "en"}})
    terms = session_start(settings, TOOLS, shipped_tools().preambles()).flow
    assert terms is not None
    return persona.plan, Flow(terms)


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
    assert len(paths) == 4
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
            assert offered - {MOVE_TOOL, *IN_EVERY_STEP} == set(plan.states[to].tools or ())
            assert set(named_tools(flow.instructions(), {*NAMES, MOVE_TOOL})) <= offered
            assert flow.update() == UpdateSession(flow.instructions(), flow.tools())
        assert plan.states[flow.state].final
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
    ways = "From tidy you may go to: brush, good_night."
    assert flow.asked(arguments) == Refused("tidy", f"Refused: {words} {ways}")
    assert flow.update() == before


def test_nothing_follows_the_end() -> None:
    flow = Flow(FlowTerms(FlowPlan("z", {"z": state("z", final=True)}, guided=True), base))
    assert flow.has_ended
    assert flow.schema() is None
    assert flow.tools() == ()
    assert MOVE_TOOL not in flow.instructions()
    assert flow.move("a") == Refused(
        "z",
        "Refused: there is no such step. Nothing follows z: bring the talk to its end.",
    )


def test_each_way_is_offered_with_its_own_condition() -> None:
    plan, flow = bedtime()
    schema = flow.schema()
    assert schema is not None
    told = schema["parameters"]["properties"]["state"]
    when = plan.states["tidy"].when
    assert list(when) == told["enum"] == ["brush", "good_night"]
    assert len(set(when.values())) == 2
    for to, condition in when.items():
        assert f"{to}, when: {condition}" in told["description"]
        assert f"- Go on to {to} when: {condition}" in flow.instructions()
    old = FlowPlan("a", {"a": state("a", "b", "c"), "b": state("b"), "c": state("c")}, guided=True)
    schema = Flow(FlowTerms(old, base)).schema()
    assert schema is not None
    told = schema["parameters"]["properties"]["state"]
    assert told == {"type": "string", "enum": ["b", "c"], "description": "When: e"}


def test_every_way_of_a_shipped_guided_talk_says_when() -> None:
    plan, _ = bedtime()
    for one in plan.states.values():
        assert tuple(one.when) == one.next, one.name
        assert len(set(one.when.values())) == len(one.next), one.name


def test_a_step_is_told_of_its_own_tools_alone() -> None:
    """Their lines, what is said before them, and general lines that speak of them."""
    persona = Persona(
        "p",
        "p.toml",
        sections={
            "role": (Entry("role", ("You help.",)),),
            "tools": (
                Entry("general", ("Be quick.", "Never use `clock` twice.")),
                Entry("`clock`", ("for the time.",)),
                Entry("`set_lamp`", ("for light.",)),
                Entry("`home__door`", ("when it rings.",)),
            ),
            "rules": (Entry("general", ("After set_lamp, say so.", "Be kind.")),),
            "samples": (Entry("light", ("I call set_lamp.",)), Entry("time", ("It is noon.",))),
            "safety": (Entry("danger", ("In danger use `clock`.",)),),
        },
        plan=FlowPlan("a", {"a": state("a", "z", tools=("clock",)), "z": state("z")}, guided=True),
    )
    preambles = (ToolPreamble("clock", False, ("Let me see.",)), ToolPreamble("set_lamp", True, ()))
    assert persona.plan is not None
    tools = ({"name": "clock"}, {"name": "set_lamp"})
    words = step_words(persona, {"clock", "set_lamp", "home__door"}, preambles=preambles)
    flow = Flow(FlowTerms(persona.plan, words, tools))
    first = flow.instructions()
    for there in ("Be quick", "for the time", "Let me see", "It is noon", "Be kind", "In danger"):
        assert there in first
    for gone in ("set_lamp", "home__door", "Light:"):
        assert gone not in first
    flow.move("z")  # it has all tools
    assert "After set_lamp" in flow.instructions()
    assert "home__door" not in flow.instructions(), "its server is not there"
    flow.retool((*tools, {"name": "home__door"}))
    assert "home__door" in flow.instructions()


def test_a_step_can_always_be_silent() -> None:
    assert {"stay_silent"} == IN_EVERY_STEP
    plan = FlowPlan("z", {"z": state("z", final=True, tools=("clock",))}, guided=True)
    tools = ({"name": "clock"}, {"name": "lamp"}, {"name": "stay_silent"})
    told = Flow(FlowTerms(plan, lambda names: " ".join(sorted(names)), tools))
    assert [tool["name"] for tool in told.tools()] == ["clock", "stay_silent"]
    assert told.instructions().startswith("clock stay_silent\n")
    says_so = replace(plan.states["z"], goal="Use stay_silent.")
    persona = Persona("p", "p.toml", plan=replace(plan, states={"z": says_so}))
    assert step_faults(persona, {"clock", "lamp", "stay_silent"}) == ()


def test_what_a_step_names_and_does_not_offer_is_found() -> None:
    def faults(*states: FlowState, **sections: tuple[Entry, ...]) -> list[str]:
        plan = FlowPlan("a", {s.name: s for s in states}, guided=True)
        persona = Persona("p", "p.toml", sections=sections, plan=plan)
        known = {"set_timer", "cancel_timer", "stop_alarm", "get_volume", "recall"}
        found = step_faults(persona, known)
        assert step_faults(replace(persona, plan=replace(plan, guided=False)), known) == ()
        return [fault.text for fault in found]

    end = state("z", final=True, tools=())
    assert faults(state("a", "z", tools=None), end) == []
    assert faults(state("a", "z", tools=("recall",), goal="See get_volume."), end) == [
        "flow.states.a: names get_volume, which this step does not offer."
    ]
    asks = state("a", "z", tools=("recall",), when={"z": "Use `recall` or `stop_alarm`."})
    assert faults(asks, end) == ["flow.states.a: names stop_alarm, which this step does not offer."]
    assert faults(state("a", "z", tools=("set_timer", "stop_alarm")), end) == [
        "flow.states.a.tools: offers set_timer without cancel_timer."
    ]
    uses = (Entry("`stop_alarm`", ("after `recall`.",)), Entry("`get_volume`", ("at night.",)))
    assert faults(state("a", "z", tools=("stop_alarm",)), end, tools=uses) == [
        "flow.states.a.tools: offers stop_alarm, and its line names recall, "
        "which this step does not offer.",
        "tools.use.get_volume: no step offers this tool.",
    ]
    danger = (Entry("danger", ("Use `recall`.",)),)
    assert faults(state("a", "z", tools=("recall",)), end, safety=danger) == [
        "safety.danger: names recall, which the step z does not offer."
    ]


def state(name: str, *to: str, **more: Any) -> FlowState:
    return FlowState(name, **{"goal": "g", "next": to, "exit": "e", **more})


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
    flow = Flow(FlowTerms(plan, base))
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
