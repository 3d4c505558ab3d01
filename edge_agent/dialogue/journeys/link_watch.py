"""Link watch: what a session's coming and going means for the talk.

A fresh session knows nothing: `link_ready` tells it of the talk and asks again for what is owed.
What is told of an outage is `Outage`'s.

Thread: event loop; pure.  It never loses what the household said, asks twice for one answer, or
tells a session of the talk while the microphone is muted.
"""

from __future__ import annotations

from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import error_codes
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers, crossed
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.journeys.outage import Outage
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.side_questions import SideQuestions
from edge_agent.dialogue.state import Cause, Commands, Deadline, Link, Microphone, Talk, TalkState

CONTINUE = (
    "The connection was lost while you were answering. In your next message, go on from where your "
    "last one stops, briefly, without repeating what was already said and without apologising."
)
"""Told as a system message.  As `instructions` of the request it would take the place of the
session's for that answer, and with them of the persona, its safety rules and the language; the
documented services do so, and servers at home do either."""


class SessionNotes(Protocol):
    """What is needed of the notes."""

    def session_over(self) -> None:
        """The session is over."""


class LostCallNews(Protocol):
    """What is needed of `ToolResults`: calls that outlived their session."""

    def remember_news(self) -> None:
        """What became of them goes into memory."""

    def tell_news(self) -> Commands:
        """Tell the present session what became of them."""

    def tell_still_running(self) -> Commands:
        """Tell a fresh session what runs on."""


class LinkWatch:
    """The link: down, ready, rolled over."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
        answers: Answers,
        tools: ToolCalls,
        memory: Memory,
        side_questions: SideQuestions,
        notes: SessionNotes,
        lost_calls: LostCallNews,
        outage: Outage,
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate
        self._answers = answers
        self._tools = tools
        self._memory = memory
        self._side_questions = side_questions
        self._notes = notes
        self._lost_calls = lost_calls
        self._outage = outage
        self._link_from: float | None = None
        """When the present attempt to get a session began."""
        self._is_untold = False
        """The present session has not been told of the talk: the microphone was muted."""

    # --- it comes -------------------------------------------------------------------------

    def connecting(self, _event: e.LinkConnecting) -> Commands:
        """A connection attempt began."""
        state = self._state
        if state.link is Link.DOWN:
            state.link = Link.CONNECTING
        if state.link is not Link.READY and self._link_from is None:
            self._link_from = state.now
        return []

    def ready(self, event: e.LinkReady) -> Commands:
        """A fresh session: tell it of the talk, then ask for what is owed."""
        state = self._state
        # A second session may come without a word about the end of the first.
        out = self._session_over() if state.link is Link.READY else []
        state.link = Link.READY
        state.link_trouble = None
        state.deadlines.clear(Deadline.ANNOUNCE, Deadline.KEEP)
        seconds = round(state.now - self._link_from, 2) if self._link_from is not None else 0.0
        self._link_from = None
        told = {"model": event.model, "address": event.address, "seconds": seconds}
        out.append(c.Note("link.ready", told))
        out += self._tools.tell_step()
        if state.microphone is Microphone.MUTED:
            self._memory.session_over()
            self._is_untold = True
            return out + self._nobody_is_told()
        if in_vain := self._asks_in_vain():
            self._memory.forget_last_user()  # or it ends this session too
        if state.turn is not None and state.turn.ended:
            self._memory.forget_unheard_answer()
        half_told = self._memory.ends_with_answer
        out += self._tell()
        if in_vain:
            out += [c.Note("talk.no_answer", {}), self._moves.say("server_trouble")]
            return out + self._moves.end_talk("no answer")
        return out + self._resume(half_told=half_told)

    def _tell(self) -> Commands:
        """Tell a fresh session of the talk so far."""
        self._is_untold = False
        self._lost_calls.remember_news()
        return self._memory.reseed() + self._lost_calls.tell_still_running()

    def _resume(self, *, half_told: bool) -> Commands:
        """Send again what has not been answered, or have a broken answer continued."""
        turn, owed = self._state.turn, self._state.owed
        if turn is not None:
            turn.server_heard = False  # this server has not
            replayed = c.Note("talk.replayed", {"ms": round(turn.ms)})
            if not turn.ended:
                return [replayed, c.SendAudio(turn.pcm24k)]
            turn.replays += 1
            return [replayed, *self._ask_again()]
        if owed.broken_answer:
            continued = c.Note("talk.continued", {})
            wish = c.AddMessage(self._memory.next_id("go_on"), "system", CONTINUE)
            return [continued, *([wish] if half_told else []), *self._ask_again()]
        return []

    def _ask_again(self) -> Commands:
        state = self._state
        state.owed.broken_answer = False
        if state.owed.asked_again_since is None:
            state.owed.asked_again_since = state.now
        state.deadlines.clear(Deadline.FOLLOW_UP)
        if state.talk is Talk.LISTENING:  # its first half has been heard to the end
            state.transition(Cause.TURN_ENDED)
        if state.talk is Talk.THINKING:
            self._moves.arm_gate()
            state.deadlines.set(Deadline.THINKING, state.config.thinking_max_s)
        return self._answers.request(c.RequestResponse(), insist=True)

    def _asks_in_vain(self) -> bool:
        """Has session after session died of the same question, without one word of an answer?

        Each costs money, and the household would hear why for ever.
        """
        turn, owed = self._state.turn, self._state.owed
        is_owed = (turn is not None and turn.ended) or owed.broken_answer
        since = owed.asked_again_since
        too_long_s = self._state.config.keep_max_age_s
        return is_owed and since is not None and self._state.now - since > too_long_s

    def roll_over_due(self, _event: e.RollOverDue) -> Commands:
        """Change sessions in a quiet moment only: nobody speaks, nothing is owed.

        However little is left, no other moment is better: a swap while something is owed costs
        the same replay or continuation as the end of the session, where the link lets the fresh
        one take its place at once; and until then a follow-up window may still open.
        """
        return [c.RollOver()] if self._moves.nothing_goes_on else []

    # --- the microphone -------------------------------------------------------------------

    def muted(self) -> Commands:
        """From now on no session is told anything of the talk, and what was kept is dropped."""
        return [] if self._state.link is Link.READY else self._nobody_is_told()

    def _nobody_is_told(self) -> Commands:
        """The session that knew what is owed is gone, and no other will be told."""
        state, turn = self._state, self._state.turn
        if state.talk is not Talk.THINKING and not state.owed.broken_answer:
            return []
        self._memory.forget_last_user()
        kept = {"ms": round(turn.ms)} if turn is not None else {}
        note = c.Note("talk.dropped_muted", kept)
        return [note, self._moves.say("not_sent"), *self._moves.end_talk("muted")]

    def unmuted(self) -> Commands:
        """A session that knows nothing of the talk is told now."""
        if self._state.link is not Link.READY:
            return []
        return self._tell() if self._is_untold else self._lost_calls.tell_news()

    # --- it goes --------------------------------------------------------------------------

    def down(self, event: e.LinkDown) -> Commands:
        """The session is gone, or an attempt to get one has failed."""
        state, deadlines = self._state, self._state.deadlines
        had_session = state.link is Link.READY
        state.link = Link.DOWN
        state.link_trouble = event
        out = self._outage.note_down(event, anew=had_session)
        if had_session:
            self._link_from = state.now
            out += self._session_over()
        waiting = state.talk in (Talk.LISTENING, Talk.THINKING) or state.owed.broken_answer
        if waiting and state.microphone is Microphone.MUTED:
            return out + self._nobody_is_told()
        if event.refused and waiting:
            return [*out, self._moves.say(event.code), *self._moves.end_talk("link refused")]
        if waiting and Deadline.ANNOUNCE not in deadlines and had_session:
            deadlines.set(Deadline.ANNOUNCE, state.config.announce_after_s)
        if state.talk is Talk.THINKING:
            self._gate.shut()  # what is said between people now is not for us
            if Deadline.KEEP not in deadlines:
                deadlines.set(Deadline.KEEP, state.config.keep_max_age_s)
        return out

    def _session_over(self) -> Commands:
        """What only the session that has ended knew is void."""
        state = self._state
        awaited = self._answers.awaited or self._tools.waiting
        if state.turn is None and (
            state.talk in (Talk.THINKING, Talk.CONFIRMING)
            or (state.talk is Talk.SPEAKING and awaited)
        ):
            state.owed.broken_answer = True
        out: Commands = [c.EndVoice(item) for item in self._answers.session_lost()]
        out += self._tools.session_lost()
        self._notes.session_over()
        out += self._side_questions.session_lost()
        state.commits_due = 0
        state.deadlines.clear(Deadline.THINKING, Deadline.STALLED, Deadline.ASK_AGAIN)
        state.deadlines.clear(Deadline.CONFIRM, Deadline.TRANSCRIPT)
        if state.talk is Talk.CONFIRMING:
            state.transition(Cause.CONSENT_SETTLED)
        elif state.talk is Talk.SPEAKING and not self._answers.speaking:  # a question for consent
            state.transition(Cause.ANSWER_PAUSED)
            state.owed.broken_answer |= state.turn is None  # also of a question just withdrawn
        return out

    def complained(self, event: e.ServerComplained) -> Commands:
        """An error of the server that did not end the session."""
        if crossed(event) or event.code == error_codes.COMMIT_EMPTY:
            return []
        more = self._state.server_notes_missed
        note = c.Note("server.complaint", {"code": event.code, "more": more})
        return self._state.server_note(note)
