"""Link watch: what a session's coming and going means for the talk.

A fresh session knows nothing: `link_ready` tells it of the talk and asks again for what is owed.
`explain` when somebody wants an answer and there may be no session.

Owner: event loop; pure.  It never loses what the household said, asks twice for one answer, or
leaves anybody waiting without a word.
"""

from __future__ import annotations

from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers, crossed
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.side_questions import SideQuestions
from edge_agent.dialogue.state import Cause, Commands, Deadline, Link, Talk, TalkState

ANNOUNCE_RETRY_S = 0.25
ANNOUNCE_AT_LATEST_S = 2.5
"""Wait for a pause before saying why nobody answers, but keep the promise of 3 s."""
NOTED_FIRST = 3
NOTED_AGAIN_S = 60.0
"""A provider that is away is dialled twice a second: each reason is noted three times, so that the
journal shows it trying, and then once a minute."""
CONTINUE = (
    "The connection was lost while you were answering. Go on from where your last message stops, "
    "briefly, without repeating what was already said and without apologising."
)


class SessionNotes(Protocol):
    """What is needed of the notes."""

    def session_over(self) -> None:
        """The session is over."""


class LostCallNews(Protocol):
    """What is needed of `ToolResults`: calls that outlived their session."""

    def remember_news(self) -> None:
        """What became of them goes into memory."""

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
        self._link_from: float | None = None
        """When the present attempt to get a session began."""
        self._noted: dict[str, int] = {}
        """How often each reason was noted in the present outage."""
        self._noted_at = 0.0

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
        out.append(c.Note("link.ready", {"model": event.model, "seconds": seconds}))
        out += self._tools.tell_step()
        if in_vain := self._asks_in_vain():
            self._memory.forget_last_user()  # or it ends this session too
        if state.turn is not None and state.turn.ended:
            self._memory.forget_unheard_answer()
        half_told = self._memory.ends_with_answer
        self._lost_calls.remember_news()
        out += self._memory.reseed()
        out += self._lost_calls.tell_still_running()
        if in_vain:
            out += [c.Note("talk.no_answer", {}), self._moves.say("server_trouble")]
            return out + self._moves.end_talk("no answer")
        return out + self._resume(half_told=half_told)

    def _resume(self, *, half_told: bool) -> Commands:
        """Send again what has not been answered, or have a broken answer continued."""
        turn, owed = self._state.turn, self._state.owed
        if turn is not None:
            turn.server_heard = False  # this server has not
            replayed = c.Note("talk.replayed", {"ms": round(turn.ms)})
            if not turn.ended:
                return [replayed, c.SendAudio(turn.pcm24k)]
            turn.replays += 1
            return [replayed, *self._ask_again("")]
        if owed.broken_answer:
            continued = c.Note("talk.continued", {})
            return [continued, *self._ask_again(CONTINUE if half_told else "")]
        return []

    def _ask_again(self, instructions: str) -> Commands:
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
        return self._answers.request(c.RequestResponse(instructions), insist=True)

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

    # --- it goes --------------------------------------------------------------------------

    def down(self, event: e.LinkDown) -> Commands:
        """The session is gone, or an attempt to get one has failed."""
        state, deadlines = self._state, self._state.deadlines
        had_session = state.link is Link.READY
        state.link = Link.DOWN
        state.link_trouble = event
        out = self._note_down(event, anew=had_session)
        if had_session:
            self._link_from = state.now
            out += self._session_over()
        waiting = state.talk in (Talk.LISTENING, Talk.THINKING) or state.owed.broken_answer
        if event.refused and waiting:
            return [*out, self._moves.say(event.code), *self._moves.end_talk("link refused")]
        if waiting and Deadline.ANNOUNCE not in deadlines and had_session:
            deadlines.set(Deadline.ANNOUNCE, state.config.announce_after_s)
        if state.talk is Talk.THINKING:
            self._gate.shut()  # what is said between people now is not for us
            if Deadline.KEEP not in deadlines:
                deadlines.set(Deadline.KEEP, state.config.keep_max_age_s)
        return out

    def _note_down(self, event: e.LinkDown, *, anew: bool) -> Commands:
        now = self._state.now
        if anew:
            self._noted.clear()
        count = self._noted[event.code] = self._noted.get(event.code, 0) + 1
        soon = count > NOTED_FIRST and now - self._noted_at < NOTED_AGAIN_S
        if soon and not event.refused:
            return []
        self._noted_at = now
        note = "link.refused" if event.refused else "link.down"
        fields = {"code": event.code, "message": event.message, "fix": event.fix}
        return [c.Note(note, {**fields, "retry_in_s": round(event.retry_in_s, 2)})]

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
        state.deadlines.clear(Deadline.THINKING, Deadline.STALLED)
        state.deadlines.clear(Deadline.CONFIRM, Deadline.TRANSCRIPT)
        if state.talk is Talk.CONFIRMING:
            state.transition(Cause.CONSENT_SETTLED)
        return out

    # --- somebody waits -------------------------------------------------------------------

    def explain(self) -> Commands:
        """Somebody wants an answer and the link is down: keep the words, say why."""
        state = self._state
        if state.link is Link.READY or Deadline.ANNOUNCE in state.deadlines:
            return []
        trouble = state.link_trouble
        if trouble is not None and trouble.refused:
            return [self._moves.say(trouble.code), *self._moves.end_talk("link refused")]
        state.deadlines.set(Deadline.ANNOUNCE, state.config.announce_after_s)
        return []

    def announce(self) -> Commands:
        """Say why nobody answers, in a pause if there is one."""
        state, turn = self._state, self._state.turn
        if state.link is Link.READY or state.talk is Talk.ASLEEP:
            return []
        talking = turn is not None and not turn.ended and state.now - turn.last_speech_at < 0.5
        trouble = state.link_trouble
        owed_since = max(state.woken_at, trouble.at if trouble else state.woken_at)
        if state.talk is Talk.SPEAKING or (
            talking and state.now - owed_since < ANNOUNCE_AT_LATEST_S
        ):
            state.deadlines.set(Deadline.ANNOUNCE, ANNOUNCE_RETRY_S)
            return []
        code = trouble.code if trouble else "link.connecting"
        sentence = state.config.sentence_for.get(code, code)
        if sentence in state.owed.explained:  # a link that comes and goes is one trouble
            return []
        state.owed.explained.add(sentence)
        return [self._moves.say(code)]

    def kept_too_long(self) -> Commands:
        """Words kept for a session are too old to be answered."""
        state, turn = self._state, self._state.turn
        if state.link is Link.READY or state.talk is not Talk.THINKING:
            return []
        self._memory.forget_last_user()
        kept = {"ms": round(turn.ms)} if turn is not None else {}
        out: Commands = [c.Note("talk.dropped_old", kept)]
        out.append(self._moves.say("too_old"))
        return out + self._moves.end_talk("kept too long")

    def complained(self, event: e.ServerComplained) -> Commands:
        """An error of the server that did not end the session."""
        return [] if crossed(event) else [c.Note("server.complaint", {"code": event.code})]
