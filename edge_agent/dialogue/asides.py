"""Asides: questions to the model beside the talk, each answered once or given up (purpose).

Owner thread: event loop; pure.  Must never wait for ever: not every server answers a side
question, and one that does not know them drops the tag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.contract.commands import AskAside, Command
from edge_agent.contract.events import SideAnswer

Answered = Callable[[SideAnswer | None], list[Command]]
"""What follows from the answer; None: there will be none (late, refused, session lost)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question under way."""

    then: Answered
    due_at: float


class Asides:
    """The questions that are open in the present session."""

    def __init__(self) -> None:
        self._open: dict[str, Asked] = {}
        self._asked = 0

    def ask(
        self,
        kind: str,
        instructions: str,
        then: Answered,
        *,
        items: tuple[str, ...] | None = None,
        question: str = "",
        due_at: float,
    ) -> list[Command]:
        """Ask; `then` is called exactly once, with the answer or with None.

        `kind` begins the tag, for whoever reads the wire; `items` and `question` as in
        `AskAside`; `due_at` is the loop time at which nobody waits any longer.
        """
        self._asked += 1
        tag = f"{kind}_{self._asked}"
        self._open[tag] = Asked(then, due_at)
        return [AskAside(tag, instructions, items, question)]

    def waiting_for(self, kind: str) -> bool:
        """Is a question of that kind open?"""
        return any(tag.rpartition("_")[0] == kind for tag in self._open)

    def answered(self, answer: SideAnswer) -> list[Command]:
        """The model answered; late and unknown answers yield nothing."""
        asked = self._open.pop(answer.tag, None)
        if asked is None:
            return []
        return asked.then(answer if answer.ok and answer.text.strip() else None)

    def overdue(self, now: float) -> list[Command]:
        """Give up what is due."""
        return self._give_up([tag for tag, asked in self._open.items() if asked.due_at <= now])

    def session_lost(self) -> list[Command]:
        """Nothing that was asked will be answered."""
        return self._give_up(list(self._open))

    def next_due_at(self) -> float | None:
        """When `overdue` should be called; None: nothing is open."""
        return min((asked.due_at for asked in self._open.values()), default=None)

    def _give_up(self, tags: list[str]) -> list[Command]:
        out: list[Command] = []
        for asked in [self._open.pop(tag) for tag in tags]:
            out += asked.then(None)
        return out
