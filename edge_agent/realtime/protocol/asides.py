"""Asides: which responses answer side questions, also on a server that does not know those.

A server without them answers in the conversation: without our tag, or with it and all the same
among the turns of the talk.  That would be read into the room.  `begun` finds such an answer out;
from then on nothing is asked aside (`terms.answers_aside`).

Thread: event loop; pure.  It never takes an answer for astray that the talk may be waiting for.
"""

from __future__ import annotations

from edge_agent.realtime.protocol import shapes
from edge_agent.realtime.protocol.terms import Terms
from edge_agent.realtime.protocol.tracking import tag_of, text_of

OPEN_MAX = 16
"""Side questions that may wait for an answer; the dialogue asks two or three."""


class Asides:
    """The side questions of one session."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._open: dict[str, None] = {}
        self._is_answer_due = False
        """The talk may expect an answer: a turn was taken, or we have asked for one."""
        self._has_answered = False
        """One was answered as it should be: whatever has no tag belongs to the talk."""

    def asked(self, tag: str) -> None:
        """A side question leaves."""
        self._open[tag] = None
        while len(self._open) > OPEN_MAX:
            del self._open[next(iter(self._open))]

    def answer_due(self) -> None:
        """The talk may expect an answer from now on."""
        self._is_answer_due = True

    def begun(self, response: shapes.Response) -> str | None:
        """A response begins: the tag of the side question that it answers as a part of the talk;
        None: it is where it belongs."""
        tag = tag_of(response)
        if tag is not None:
            self._open.pop(tag, None)
            if text_of(response.conversation_id):
                return tag
            self._has_answered = True
            return None
        if self._has_answered or self._is_answer_due or not self._open:
            self._is_answer_due = False
            return None
        tag = next(iter(self._open))
        del self._open[tag]
        return tag

    def not_known(self) -> bool:
        """The server does not know side questions; False: that was known already."""
        was_thought, self._terms.answers_aside = self._terms.answers_aside, False
        return was_thought
