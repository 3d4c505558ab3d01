"""Turn-taking: who speaks next, after an answer's end or after its cut.

`settle` whenever an answer may be over; `playback_cut` goes on from the speaker's report of a cut.

Thread: event loop; pure.  It never lets the household wait for nothing: either more is to come, or
a follow-up window is open, or the talk has ended.
"""

from __future__ import annotations

from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.journeys.costs import Costs
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.state import (
    AWAITING,
    Cause,
    Commands,
    CutFor,
    Deadline,
    Microphone,
    PendingCut,
    Talk,
    TalkState,
)


class Listener(Protocol):
    """What is needed of the ears."""

    def open(self, pre_roll_ms: int, cause: str) -> Commands:
        """Somebody speaks."""

    def wake(self, cause: str, at: float, word: str = "") -> Commands:
        """Somebody called."""


class Question(Protocol):
    """What is needed of a question for consent."""

    def settle(self) -> Commands | None:
        """An answer may be over; None if it was not the question."""

    def pressed_over(self) -> Commands:
        """The button has cut what sounded; it may have been the question."""


class TurnTaking:
    """From the end of what we say to the household's next words, or to sleep."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        answers: Answers,
        tools: ToolCalls,
        memory: Memory,
        costs: Costs,
        listener: Listener,
        question: Question,
    ) -> None:
        self._state = state
        self._moves = moves
        self._answers = answers
        self._tools = tools
        self._memory = memory
        self._costs = costs
        self._listener = listener
        self._question = question

    # --- the end of an answer -------------------------------------------------------------

    def settle(self) -> Commands:
        """Is the answer over, or is there more to come?"""
        state, deadlines = self._state, self._state.deadlines
        asked = self._question.settle()
        if asked is not None:
            return asked
        if self._tools.waiting or self._answers.pending:
            if state.talk is Talk.SPEAKING and not self._answers.speaking:
                state.transition(Cause.ANSWER_PAUSED)
                self._moves.arm_gate()
                self._moves.await_answer()
            return []
        if state.talk not in (Talk.SPEAKING, Talk.THINKING):
            return []
        state.turn = None
        state.transition(Cause.ANSWER_DONE)
        deadlines.clear(*AWAITING)
        if state.owed.broken_answer:
            deadlines.set(Deadline.ANNOUNCE, state.config.announce_after_s)
        if self._tools.take_finish() or state.microphone is Microphone.MUTED:
            return self._moves.end_talk("talk finished")
        if not self._costs.may_start_turn(by_button=False):
            return self._moves.end_talk("budget spent")
        self._moves.arm_gate()
        deadlines.set(Deadline.FOLLOW_UP, state.config.follow_up_s)
        return []

    def follow_up_over(self) -> Commands:
        """Nobody goes on."""
        cancelled = self._state.owed.server_cancelled
        out: Commands = [self._moves.say("response.empty")] if cancelled else []
        return out + self._moves.end_talk("follow-up window over")

    # --- the cut --------------------------------------------------------------------------

    def playback_cut(self, event: e.PlaybackCut) -> Commands:
        """The speaker has fallen silent: correct the server, then do what the cut was for."""
        state, tools = self._state, self._tools
        cut, state.pending_cut = state.pending_cut, None
        heard = self._answers.heard_ms(event)
        corrections: Commands = []
        for item, heard_ms in heard.items():
            received_ms = int(self._answers.speaking[item].received_ms)
            share = heard_ms / received_ms if received_ms else 0.0
            corrections += self._memory.assistant_cut(item, share)
        out = self._answers.cut(event) + corrections
        if cut is None:  # the speaker's own doing
            return out + (self.settle() if state.talk is Talk.SPEAKING else [])
        if cut.why is CutFor.HUSH:
            return out
        if cut.why is CutFor.STOP:
            return [*out, c.Exit()]
        if cut.why is CutFor.SLEEP:
            return out + self._moves.end_talk(cut.cause)
        state.owed.broken_answer = False
        if heard:
            state.owed.explained.clear()
            fields = {
                "cause": cut.cause,
                "audio_end_ms": heard.get(event.item or "", 0),
                "latency_ms": round((state.now - cut.at) * 1000),
            }
            out.append(c.Note("talk.interrupted", fields))
        if cut.cause == "button":
            out += self._question.pressed_over()
        out += tools.withdraw("interrupted") + tools.interrupted()
        tools.take_finish()  # the talk goes on after all
        state.deadlines.clear(*AWAITING)
        state.deadlines.clear(Deadline.CONFIRM, Deadline.TRANSCRIPT)
        state.deadlines.clear(Deadline.ANNOUNCE, Deadline.KEEP)
        return out + self._listen_after(cut)

    def _listen_after(self, cut: PendingCut) -> Commands:
        """We fell silent because somebody wants to say something: listen."""
        state = self._state
        if state.talk is Talk.ASLEEP and cut.cause in ("speech", "server"):
            return []  # a deadline ended the talk between the cut and its report
        state.transition(Cause.INTERRUPTED)
        turn, state.turn = state.turn, None
        self._answers.abandon(owed=turn is not None and turn.ended)
        if state.microphone is Microphone.MUTED:
            return self._moves.end_talk("interrupted while muted")
        if cut.cause in ("speech", "server"):
            out = self._listener.open(state.config.interrupt_pre_roll_ms, cut.cause)
            if state.turn is not None and cut.cause == "server":
                state.turn.server_heard = True
                self._answers.expect()
            return out
        return self._listener.wake(cut.cause, cut.at)
