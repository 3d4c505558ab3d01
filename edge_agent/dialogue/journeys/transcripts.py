"""Transcripts: what the household says, in text, where the owner wants that.

`builtin`: the server's own transcription, which `realtime` asked for with the session.
`out_of_band`: a side question to the model about exactly one item, after each turn.  A server that
fails at the first is asked the second way for the rest of the session.

Thread: event loop; pure.  It never holds up the talk, nor has more written down than was asked for:
a transcript may come late, or never, and nothing waits for it but a yes that was asked for.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.transcript import words_in
from edge_agent.dialogue.prompting.scribe import alone, written_down
from edge_agent.dialogue.recall.items import ServerItems
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.side_questions import Answered, SideQuestions
from edge_agent.dialogue.state import Commands, Deadline, Link, TalkState

LATE_S = 20.0
"""A transcript that is later than this is not waited for; the sound itself is remembered."""
TRANSCRIPT_WAIT_S = 8.0
"""A side question takes one to three seconds; whoever said yes has given up after this."""
TELL_AGAIN_S = 3600.0
"""How often the owner is told that turns are not written down; each one is a debug line."""


def write_down(
    side_questions: SideQuestions,
    kind: str,
    item: str,
    then: Answered,
    within_s: float,
    *,
    instructions: str,
    context: tuple[str, ...] = (),
) -> Commands:
    """Have one item written down, `context` before it; `kind` tells readers of the tag what it is
    for.  Whoever says nothing is answered with nothing."""
    if not item:
        return then(None)
    return side_questions.ask(
        kind,
        instructions,
        then,
        items=(*context, item),
        within_s=within_s,
        may_be_empty=True,
    )


class Reader(Protocol):
    """What is needed of `ConsentReply`."""

    @property
    def is_given(self) -> bool:
        """Does the present turn answer a question of ours?"""

    def read(self, item: str, words: str | None) -> Commands:
        """The words of an item are known (None: they cannot be had)."""


class Transcripts:
    """Turns into text, beside the talk; `reader` is told the words of each item (None: there are
    none)."""

    def __init__(
        self,
        state: TalkState,
        *,
        memory: Memory,
        side_questions: SideQuestions,
        items: ServerItems,
        reader: Reader,
    ) -> None:
        self._state = state
        self._memory = memory
        self._side_questions = side_questions
        self._items = items
        self._reader = reader
        self._is_told = False
        """That the server's own transcripts were replaced has been noted."""
        self._unwritten = 0
        """Turns that were not written down since the owner was told."""
        self._told_at = float("-inf")

    def session_began(self, event: e.LinkReady) -> Commands:
        """Another server perhaps: the owner's way counts again, where it has it."""
        self._state.transcription = self._state.config.transcription
        return self._replace("refused") if not event.transcribes else []

    def failed(self, event: e.TranscriptionFailed) -> Commands:
        """The server could not write a turn down: from now on the model is asked to."""
        state = self._state
        if state.transcription != "builtin":
            return []
        out = self._replace(event.code or "unknown")
        if Deadline.TRANSCRIPT in state.deadlines:
            state.deadlines.set(Deadline.TRANSCRIPT, TRANSCRIPT_WAIT_S)
        return out + self._write_down(event.item)

    def _replace(self, code: str) -> Commands:
        if self._state.transcription != "builtin":
            return []
        self._state.transcription = "out_of_band"
        if self._is_told:
            return []
        self._is_told = True
        return [c.Note("transcript.replaced", {"code": code})]

    def committed(self, event: e.UserTurnCommitted) -> Commands:
        """A turn has become an item of the conversation."""
        return self._write_down(event.item) if self._state.transcription == "out_of_band" else []

    def _write_down(self, item: str) -> Commands:
        if not item:
            return []
        config, decides = self._state.config, self._reader.is_given
        context = self._items.before(item, 0 if decides else config.transcription_context)
        hints = config.transcription_hints
        told = alone(hints) if decides else written_down(hints, has_context=bool(context))
        return write_down(
            self._side_questions,
            e.TRANSCRIPT,
            item,
            partial(self._answered, item),
            LATE_S,
            instructions=told,
            context=context,
        )

    def came(self, event: e.UserTranscript) -> Commands:
        """The server has written a turn down.  Where nobody asked it to, that is no answer."""
        words = words_in(event.text)
        self._memory.user_text(event.item, words)
        asked = self._state.config.transcription == "builtin"
        return self._reader.read(event.item, words) if asked else []

    def _answered(self, item: str, answer: e.SideAnswer | None) -> Commands:
        """A transcript came (None: it failed, and the sound is remembered instead)."""
        if answer is None:
            return [*self._failed(), *self._reader.read(item, None)]
        words = words_in(answer.text)
        self._memory.user_text(item, words)
        return self._reader.read(item, words)

    def _failed(self) -> Commands:
        """A turn stays unwritten; the end of a session, which takes its questions with it, has
        lines of its own."""
        out: Commands = [c.Note("transcript.failed", {})]
        self._unwritten += 1
        state = self._state
        if state.link is Link.READY and state.now >= self._told_at + TELL_AGAIN_S:
            out.append(c.Note("transcript.failing", {"count": self._unwritten}))
            self._unwritten, self._told_at = 0, state.now
        return out
