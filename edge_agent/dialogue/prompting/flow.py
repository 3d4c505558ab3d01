"""Flow: a guided talk, one step at a time, along allowed moves only.

Thread: event loop; pure.  It must never take the model's word for where the talk stands: the state
lives here, the model only asks to move.  What a step says and which tools it has go to the model by
`session.update` after each move.

A step is kept as the words of the talk are: over sleep, mute, guests, a lost line and a fresh
session, but not over a restart or `memory.closed`.  Two things end it sooner: a talk that goes to
sleep in a final step that nothing follows, and a sleep so long that it is another evening
(`journeys.notes.STEP_KEPT_S`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_agent.contract.commands import UpdateSession
from edge_agent.contract.persona import (
    MOVE_TOOL,
    SILENCE_TOOL,
    FlowPlan,
    FlowState,
    Persona,
    ToolPreamble,
)
from edge_agent.dialogue.prompting.prompt import (
    LEFT_OUT,
    compose,
    named_tools,
    with_stage,
    without_tools,
)

Schema = Mapping[str, Any]
Words = Callable[[Collection[str]], str]
"""The instructions that hold in every step, given the names of the tools that this one offers."""

IN_EVERY_STEP = frozenset({SILENCE_TOOL})
"""Where such a tool is there, a step has it also without naming it: what is not meant for the
speaker is said in any of them."""
NEEDS: Mapping[str, tuple[str, ...]] = {
    "set_timer": ("cancel_timer", "stop_alarm"),
    "set_alarm": ("cancel_timer", "stop_alarm"),
    "set_volume": ("get_volume",),
    "forget": ("recall",),
}
"""Tools that are of little use without others: what was set is also called off and silenced,
louder is counted from what is, and what is to be forgotten has to be found."""


@dataclass(frozen=True, slots=True)
class FlowTerms:
    """What a guided talk is made of.  `plan` must be free of `flow_problems`."""

    plan: FlowPlan
    words: Words
    """See `step_words`."""
    tools: tuple[Schema, ...] = ()
    """All tools, as `session.update` wants them; a step may narrow them."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The talk stands in `state` now; `text` tells the model."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The talk stays in `state`; `text` tells the model why, and where it may go."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class StepFault:
    """A step and its tools do not fit.  `is_error`: the model is told of a tool it has not got."""

    text: str
    is_error: bool = False


def step_words(
    persona: Persona,
    known: Collection[str],
    *,
    language: str = "",
    additions: str = "",
    preambles: Iterable[ToolPreamble] = (),
) -> Words:
    """The instructions of a persona for a step, with a word of its tools alone.

    `known`: all tools there may be; of those a step does not offer nothing is said.
    """
    named = {e.label.strip("`") for e in persona.sections.get("tools", ()) if "`" in e.label}
    known, preambles = named.union(known), tuple(preambles)

    def words(offered: Collection[str]) -> str:
        return compose(
            without_tools(persona, known.difference(offered)),
            language=language,
            additions=additions,
            preambles=[preamble for preamble in preambles if preamble.tool in offered],
        )

    return words


def offered(state: FlowState, tools: Iterable[str]) -> frozenset[str]:
    """The tools of a step, of those that there are."""
    there = frozenset(tools)
    return there if state.tools is None else there.intersection(state.tools) | there & IN_EVERY_STEP


class Flow:
    """Where one guided talk stands."""

    def __init__(self, terms: FlowTerms) -> None:
        self._terms = terms
        self.state = terms.plan.start

    @property
    def next(self) -> tuple[str, ...]:
        """The states that may follow."""
        return self._terms.plan.states[self.state].next

    @property
    def is_at_start(self) -> bool:
        """Has nothing been walked yet?"""
        return self.state == self._terms.plan.start

    @property
    def has_ended(self) -> bool:
        """Has the walk come to a step that is the last of all?"""
        return self._terms.plan.states[self.state].final and not self.next

    def reset(self) -> None:
        """Back to the start: another walk begins."""
        self.state = self._terms.plan.start

    def retool(self, tools: tuple[Schema, ...]) -> None:
        """The tools are others now; a step still narrows them."""
        self._terms = replace(self._terms, tools=tools)

    def move(self, to: str) -> Moved | Refused:
        """Ask to move.  A move that is not allowed changes nothing."""
        if to == self.state:
            return Refused(self.state, f"Refused: this is the step {to} already. {self._ways()}")
        if to not in self._terms.plan.states:
            return Refused(self.state, f"Refused: there is no such step. {self._ways()}")
        if to not in self.next:
            return Refused(self.state, f"Refused: {to} does not follow here. {self._ways()}")
        self.state = to
        return Moved(to, f"The step is now {to}. Follow its instructions.")

    def asked(self, arguments: str) -> Moved | Refused:
        """A call of `MOVE_TOOL` with the JSON text that the model wrote, whatever that is."""
        try:
            given = json.loads(arguments)
        except (ValueError, RecursionError):
            given = None
        to = given.get("state") if isinstance(given, dict) else None
        if not isinstance(to, str):
            return Refused(self.state, f'Refused: name the step as "state". {self._ways()}')
        return self.move(to)

    def schema(self) -> Schema | None:
        """The function by which the model moves: it can only name what may follow.

        None where nothing does.
        """
        if not self.next:
            return None
        when = self._terms.plan.states[self.state].when
        told = [f"{to}, when: {when[to]}" for to in self.next if to in when]
        told = told or [f"When: {self._terms.plan.states[self.state].exit}"]
        step = {"type": "string", "enum": list(self.next), "description": " ".join(told)}
        return {
            "type": "function",
            "name": MOVE_TOOL,
            "description": "Move to the next step of this talk once the present one has ended.",
            "parameters": {
                "type": "object",
                "properties": {"state": step},
                "required": ["state"],
                "additionalProperties": False,
            },
        }

    def instructions(self) -> str:
        """What the model is to be told in this state."""
        return with_stage(self._terms.words(self._offered()), self._terms.plan.states[self.state])

    def tools(self) -> tuple[Schema, ...]:
        """The tools of this state, the move among them."""
        names = self._offered()
        kept = [tool for tool in self._terms.tools if _name(tool) in names]
        move = self.schema()
        return tuple(kept) if move is None else (*kept, move)

    def _offered(self) -> frozenset[str]:
        state = self._terms.plan.states[self.state]
        return offered(state, map(_name, self._terms.tools))

    def update(self) -> UpdateSession:
        """The command that tells the model where the talk stands."""
        return UpdateSession(self.instructions(), self.tools())

    def _ways(self) -> str:
        if not self.next:
            return f"Nothing follows {self.state}: bring the talk to its end."
        return f"From {self.state} you may go to: {', '.join(self.next)}."


def _name(tool: Schema) -> str:
    return str(tool.get("name"))


def flow_problems(persona: Persona, tools: Collection[str]) -> tuple[str, ...]:
    """What is wrong with a persona's flow: one sentence each, with file and key."""
    plan = persona.plan
    if plan is None:
        return ()
    return tuple(f"{persona.source}: {text}" for text in _problems(plan, tools))


def _problems(plan: FlowPlan, tools: Collection[str]) -> Iterator[str]:
    if plan.start not in plan.states:
        yield f"flow.start: there is no state {plan.start!r}."
    for name, state in plan.states.items():
        key = f"flow.states.{name}"
        for to in state.next:
            if to not in plan.states:
                yield f"{key}.next: there is no state {to!r}."
            elif to == name:
                yield f"{key}.next: a state cannot follow itself."
        if len(set(state.next)) != len(state.next):
            yield f"{key}.next: names a state twice."
        for tool in state.tools or ():
            if tool not in tools:
                yield f"{key}.tools: there is no tool {tool!r}."
        if plan.guided and not state.final and not state.next:
            yield f"{key}: is a dead end; give it a next state, or write final = true."
        if plan.guided and state.next and not (state.exit or state.when):
            yield f"{key}.exit: is missing: the model cannot know when to move on."
    if plan.guided and plan.start in plan.states:
        yield from _lost(plan)


def step_faults(
    persona: Persona, tools: Collection[str], additions: str = ""
) -> tuple[StepFault, ...]:
    """Where the steps of a guided talk, and what is told in all of them, name tools that a step
    does not offer, or a step offers half of what is needed.  `additions`: the owner's own words."""
    plan = persona.plan
    if plan is None or not plan.guided:
        return ()
    return tuple(_misfits(persona, plan, tools, additions))


def _misfits(
    persona: Persona, plan: FlowPlan, tools: Collection[str], additions: str
) -> Iterator[StepFault]:
    offers = {name: offered(state, tools) for name, state in plan.states.items()}
    for name, state in plan.states.items():
        yield from _step_faults(persona, state, tools, offers[name])
    yield from _faults_everywhere(persona, tools, offers, additions)


def _step_faults(
    persona: Persona, state: FlowState, tools: Collection[str], there: frozenset[str]
) -> Iterator[StepFault]:
    key = f"flow.states.{state.name}"
    text = " ".join((state.goal, state.respond, *state.samples, state.exit, *state.when.values()))
    for name in named_tools(text, tools):
        if name not in there:
            yield StepFault(f"{key}: names {name}, which this step does not offer.", True)
    for entry in persona.sections.get("tools", ()):
        tool = entry.label.strip("`")
        for name in named_tools(" ".join(entry.lines), tools) if tool in there else ():
            if name not in there:
                yield StepFault(
                    f"{key}.tools: offers {tool}, and its line names {name}, "
                    "which this step does not offer.",
                    True,
                )
    for tool in sorted(there):
        for name in NEEDS.get(tool, ()):
            if name in tools and name not in there:
                yield StepFault(f"{key}.tools: offers {tool} without {name}.")


def _faults_everywhere(
    persona: Persona, tools: Collection[str], offers: Mapping[str, frozenset[str]], additions: str
) -> Iterator[StepFault]:
    told = [
        (f"{key}.{entry.label}", " ".join(entry.lines))
        for key, entries in persona.sections.items()
        if key not in LEFT_OUT
        for entry in entries
    ]
    for key, text in (*told, ("realtime.instructions", additions)):
        for name in named_tools(text, tools):
            for step in (step for step, there in offers.items() if name not in there):
                told_of = f"names {name}, which the step {step} does not offer."
                yield StepFault(f"{key}: {told_of}", True)
    for entry in persona.sections.get("tools", ()):
        tool = entry.label.strip("`")
        if tool in tools and not any(tool in there for there in offers.values()):
            yield StepFault(f"tools.use.{tool}: no step offers this tool.")


def _lost(plan: FlowPlan) -> Iterator[str]:
    reached = _closure([plan.start], {n: s.next for n, s in plan.states.items()})
    for name in plan.states:
        if name not in reached:
            yield f"flow.states.{name}: cannot be reached from {plan.start}."
    back: dict[str, list[str]] = {name: [] for name in plan.states}
    for name, state in plan.states.items():
        for to in state.next:
            back.get(to, []).append(name)
    ending = _closure([n for n, s in plan.states.items() if s.final], back)
    for name, state in plan.states.items():
        if name in reached and state.next and name not in ending:
            yield f"flow.states.{name}: no way leads from it to a state with final = true."


def _closure(seeds: Iterable[str], edges: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(seeds)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(edges.get(name, ()))
    return found
