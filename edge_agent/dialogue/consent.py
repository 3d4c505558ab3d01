"""Consent: which tool calls may run, and one pending question (purpose).

Owner thread: event loop.  Must never be granted by the model, by a tool or by our own voice:
in this version only the physical button grants, for exactly one call id with exactly its
arguments, and only inside its window.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_agent.contract.events import ToolCall


class Risk(Enum):
    """What a tool can do to a household."""

    LOW = "low"
    """Reads, or changes what a word undoes: runs at once."""
    MEDIUM = "medium"
    """Costs, sends or unlocks something: asks first."""
    HIGH = "high"
    """Cannot be undone: asks for the physical button."""


@dataclass(frozen=True, slots=True)
class Question:
    """The one question that is open."""

    call: ToolCall
    expires_at: float


class Consent:
    """Holds at most one pending question."""

    def __init__(self) -> None:
        self._question: Question | None = None

    @property
    def pending(self) -> Question | None:
        """The open question, if any."""
        return self._question

    def ask(self, call: ToolCall, expires_at: float) -> bool:
        """Open a question for `call`; False when another one is open."""
        if self._question is not None:
            return False
        self._question = Question(call, expires_at)
        return True

    def grant(self, at: float) -> ToolCall | None:
        """The button was pressed: the call that may run now, exactly as it was asked."""
        question = self._question
        if question is None or at >= question.expires_at:
            return None
        self._question = None
        return question.call

    def withdraw(self) -> ToolCall | None:
        """The question is over without consent; the call that must not run."""
        question, self._question = self._question, None
        return question.call if question else None
