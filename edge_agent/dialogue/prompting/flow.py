"""Flow: a guided talk, one step at a time, along allowed moves only.

Thread: event loop; pure.  It must never take the model's word for where the talk stands: the state
lives here, the model only asks to move.  What a step says and which tools it has go to the model by
`session.update` after each move.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge_agent.contract.commands import UpdateSession
from edge_agent.contract.persona import MOVE_TOOL, FlowPlan, Persona
from edge_agent.dialogue.prompting.prompt import with_stage

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FlowTerms:
    """What a guided talk is made of.  `plan` must be free of `flow_problems`."""

    plan: FlowPlan
    instructions: str
    """What holds in every step (`prompt.compose`)."""
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

    def reset(self) -> None:
        """Back to the start: another talk begins."""
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
        step = {"type": "string", "enum": list(self.next)}
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
        return with_stage(self._terms.instructions, self._terms.plan.states[self.state])

    def tools(self) -> tuple[Schema, ...]:
        """The tools of this state, the move among them."""
        only = self._terms.plan.states[self.state].tools
        kept = [tool for tool in self._terms.tools if only is None or tool.get("name") in only]
        move = self.schema()
        return tuple(kept) if move is None else (*kept, move)

    def update(self) -> UpdateSession:
        """The command that tells the model where the talk stands."""
        return UpdateSession(self.instructions(), self.tools())

    def _ways(self) -> str:
        if not self.next:
            return f"Nothing follows {self.state}: bring the talk to its end."
        return f"From {self.state} you may go to: {', '.join(self.next)}."


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
        if plan.guided and state.next and not state.exit:
            yield f"{key}.exit: is missing: the model cannot know when to move on."
    if plan.guided and plan.start in plan.states:
        yield from _lost(plan)


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
