"""Linking: what a session's coming and going means for the talk (purpose).

Owner thread: event loop.  Must never lose what the household said, ask twice for one answer, or
leave anybody waiting without a word.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.talk.confirming import Confirming
from edge_agent.dialogue.talk.states import Cause, Link, Talk
from edge_agent.dialogue.talk.talk_core import Commands

ANNOUNCE_RETRY_S = 0.25
ANNOUNCE_AT_LATEST_S = 2.5
"""Wait for a pause before saying why nobody answers, but keep the promise of 3 s."""
TOLD_FIRST = 3
TOLD_AGAIN_S = 60.0
"""A provider that is away is dialled twice a second: the journal hears of each reason three times,
so that one sees it trying, and then once a minute."""
CONTINUE = (
    "The connection was lost while you were answering. Go on from where your last message stops, "
    "briefly, without repeating what was already said and without apologising."
)


class Linking(Confirming):
    """The link's journey: down, ready, rolled over."""

    def __init__(
        self, config: DialogueConfig, *, muted: bool = False, spending: Spending | None = None
    ) -> None:
        super().__init__(config, muted=muted, spending=spending)
        self._link_from: float | None = None
        """When the present attempt to get a session began."""
        self._told: dict[str, int] = {}
        """How often the journal heard of each reason in the present outage."""
        self._told_at = 0.0

    def _link_connecting(self, _event: e.LinkConnecting) -> Commands:
        if self.link is Link.DOWN:
            self.link = Link.CONNECTING
        if self.link is not Link.READY and self._link_from is None:
            self._link_from = self._now
        return []

    def _link_ready(self, event: e.LinkReady) -> Commands:
        # A second session may come without a word about the end of the first.
        out = self._session_over() if self.link is Link.READY else []
        self.link = Link.READY
        self._spending.model = event.model or self._spending.model
        self._link_trouble = None
        self._clear("announce", "keep")
        seconds = round(self._now - self._link_from, 2) if self._link_from is not None else 0.0
        self._link_from = None
        out.append(c.Note("link.ready", {"model": event.model, "seconds": seconds}))
        out += self._tools.tell_step()
        if in_vain := self._asks_in_vain():
            self._memory.forget_last_user()  # or it ends this session too
        if self._turn is not None and self._turn.ended:
            self._memory.forget_unheard_answer()
        half_told = self._memory.ends_with_answer
        self._remember_news()
        out += self._memory.reseed()
        out += self._tell_still_running()
        if in_vain:
            trouble = self._say("server_trouble")
            return [*out, c.Note("talk.no_answer", {}), trouble, *self._give_up("no answer")]
        turn = self._turn
        if turn is not None:
            out.append(c.Note("talk.replayed", {"ms": round(turn.ms)}))
            turn.server_heard = False  # this server has not
        if turn is not None and not turn.ended:
            out.append(c.SendAudio(turn.pcm24k))
        elif turn is not None:
            turn.replays += 1
            out += self._ask_again("")
        elif self._broken_answer:
            out.append(c.Note("talk.continued", {}))
            out += self._ask_again(CONTINUE if half_told else "")
        return out

    def _roll_over_due(self, _event: e.RollOverDue) -> Commands:
        """Change sessions in a quiet moment only: nobody speaks, nothing is owed.

        However little is left, no other moment is better: a swap while something is owed costs
        the same replay or continuation as the end of the session, where the link lets the fresh
        one take its place at once; and until then a follow-up window may still open.
        """
        return [c.RollOver()] if self._nothing_goes_on else []

    def _session_over(self) -> Commands:
        """What only the session that has ended knew is void."""
        awaited = self._answers.awaited or self._tools.waiting
        if self._turn is None and (
            self.talk in (Talk.THINKING, Talk.CONFIRMING)
            or (self.talk is Talk.SPEAKING and awaited)
        ):
            self._broken_answer = True
        out: Commands = [c.EndVoice(item) for item in self._answers.session_lost()]
        out += self._tools.session_lost()
        self._forget_session()
        out += self._asides.session_lost()
        self._watch_asides()
        self._commits_due = 0
        self._clear("thinking", "stalled", "confirm", "transcript")
        if self.talk is Talk.CONFIRMING:
            self._go(Cause.CONSENT_SETTLED)
        return out

    def _asks_in_vain(self) -> bool:
        """Has session after session died of the same question, without one word of an answer?

        Each costs money, and the household would hear why for ever.
        """
        owed = (self._turn is not None and self._turn.ended) or self._broken_answer
        since = self._asked_again_since
        return owed and since is not None and self._now - since > self.config.keep_max_age_s

    def _ask_again(self, instructions: str) -> Commands:
        self._broken_answer = False
        if self._asked_again_since is None:
            self._asked_again_since = self._now
        self._clear("follow-up")
        if self.talk is Talk.LISTENING:  # its first half has been heard to the end
            self._go(Cause.TURN_ENDED)
        if self.talk is Talk.THINKING:
            self._arm_at_once()
            self._at("thinking", self.config.thinking_max_s)
        return self._answers.request(c.RequestResponse(instructions), insist=True)

    def _link_down(self, event: e.LinkDown) -> Commands:
        had_session = self.link is Link.READY
        self.link = Link.DOWN
        self._link_trouble = event
        out = self._tell_down(event, anew=had_session)
        if had_session:
            self._link_from = self._now
            out += self._session_over()
        waiting = self.talk in (Talk.LISTENING, Talk.THINKING)
        if event.refused and (waiting or self._broken_answer):
            return [*out, self._say(event.code), *self._give_up("link refused")]
        if (waiting or self._broken_answer) and "announce" not in self._deadlines and had_session:
            self._at("announce", self.config.announce_after_s)
        if self.talk is Talk.THINKING:
            self._gate.shut()  # what is said between people now is not for us
            if "keep" not in self._deadlines:
                self._at("keep", self.config.keep_max_age_s)
        return out

    def _tell_down(self, event: e.LinkDown, *, anew: bool) -> Commands:
        if anew:
            self._told.clear()
        told = self._told[event.code] = self._told.get(event.code, 0) + 1
        soon = told > TOLD_FIRST and self._now - self._told_at < TOLD_AGAIN_S
        if soon and not event.refused:
            return []
        self._told_at = self._now
        note = "link.refused" if event.refused else "link.down"
        fields = {"code": event.code, "message": event.message, "fix": event.fix}
        return [c.Note(note, {**fields, "retry_in_s": round(event.retry_in_s, 2)})]

    def _announce(self) -> Commands:
        """Say why nobody answers, in a pause if there is one."""
        if self.link is Link.READY or self.talk is Talk.ASLEEP:
            return []
        turn = self._turn
        talking = turn is not None and not turn.ended and self._now - turn.last_speech_at < 0.5
        lost_at = self._link_trouble.at if self._link_trouble else self._woken_at
        owed_since = max(self._woken_at, lost_at)
        if self.talk is Talk.SPEAKING or (
            talking and self._now - owed_since < ANNOUNCE_AT_LATEST_S
        ):
            self._at("announce", ANNOUNCE_RETRY_S)
            return []
        code = self._link_trouble.code if self._link_trouble else "link.connecting"
        sentence = self.config.sentence_for.get(code, code)
        if sentence in self._explained:  # a link that comes and goes is one trouble
            return []
        self._explained.add(sentence)
        return [self._say(code)]

    def _kept_too_long(self) -> Commands:
        if self.link is Link.READY or self.talk is not Talk.THINKING:
            return []
        self._memory.forget_last_user()
        kept = {"ms": round(self._turn.ms)} if self._turn is not None else {}
        return [
            c.Note("talk.dropped_old", kept),
            self._say("too_old"),
            *self._give_up("kept too long"),
        ]

    def _complained(self, event: e.ServerComplained) -> Commands:
        if event.about == e.ABOUT_ASIDE:  # no response of the talk was refused
            return [c.Note("server.complaint", {"code": event.code})]
        if event.code == "conversation_already_has_active_response":
            self._answers.collided()
            self._question_crossed()
            return []
        if event.about.startswith("response.create"):
            self._answers.request_refused()
        elif event.about.startswith("input_audio_buffer.commit"):
            self._commits_due = max(0, self._commits_due - 1)
        refused = self._summary_refused(event.about)
        refused += self._question_refused(event.about)
        return [c.Note("server.complaint", {"code": event.code}), *refused]

    # --- beside the talk ----------------------------------------------------------------

    def _side_answered(self, event: e.SideAnswer) -> Commands:
        verdict, out = self._spending.count(event.usage)
        if verdict and self.talk is not Talk.ASLEEP:  # nobody is woken by a bill
            out.append(self._say(verdict))
        out += self._asides.answered(event)
        self._watch_asides()
        return out

    def _asides_overdue(self) -> Commands:
        out = self._asides.overdue(self._now)
        self._watch_asides()
        return out
