"""Side questions: asked of the model beside the talk, each answered once or given up.

`ask` with what is to follow from the answer.  Not every server answers a side question, and one
that does not know them drops the tag: each has a time after which nobody waits for it.

Thread: event loop; pure.  It never waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.contract.commands import AskSideQuestion
from edge_agent.contract.events import SideAnswer
from edge_agent.dialogue.state import Commands, Deadline, Link, TalkState

Answered = Callable[[SideAnswer | None], Commands]
"""What follows from the answer; None: there will be none (late, refused, session lost)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question under way."""

    then: Answered
    due_at: float
    may_be_empty: bool


class SideQuestions:
    """The questions that are open in the present session."""

    def __init__(self, state: TalkState) -> None:
        self._state = state
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
        within_s: float,
        may_be_empty: bool = False,
    ) -> Commands:
        """Ask, if there is a session; `then` is called exactly once, with the answer or with None.

        `kind` begins the tag, for whoever reads the wire; `items` and `question` as in
        `AskSideQuestion`; after `within_s` nobody waits any longer.  An answer without words is
        none, unless it `may_be_empty`.
        """
        if self._state.link is not Link.READY:
            return then(None)
        self._asked += 1
        tag = f"{kind}_{self._asked}"
        self._open[tag] = Asked(then, self._state.now + within_s, may_be_empty)
        self._set_deadline()
        return [AskSideQuestion(tag, instructions, items, question)]

    def answered(self, answer: SideAnswer) -> Commands:
        """The model answered; late and unknown answers yield nothing."""
        asked = self._open.pop(answer.tag, None)
        self._set_deadline()
        if asked is None:
            return []
        is_answer = answer.ok and (asked.may_be_empty or bool(answer.text.strip()))
        return asked.then(answer if is_answer else None)

    def overdue(self) -> Commands:
        """Give up what is due."""
        now = self._state.now
        return self._give_up([tag for tag, asked in self._open.items() if asked.due_at <= now])

    def session_lost(self) -> Commands:
        """Nothing that was asked will be answered."""
        return self._give_up(list(self._open))

    def _give_up(self, tags: list[str]) -> Commands:
        given_up = [self._open.pop(tag) for tag in tags]
        self._set_deadline()
        return [command for asked in given_up for command in asked.then(None)]

    def _set_deadline(self) -> None:
        deadlines = self._state.deadlines
        if self._open:
            first = min(asked.due_at for asked in self._open.values())
            deadlines.set_at(Deadline.SIDE_QUESTION, first)
        else:
            deadlines.clear(Deadline.SIDE_QUESTION)
