"""Confirming: a call needs the household's yes, from the question to what follows (purpose).

Owner thread: event loop.  Must never take for an answer what began before the question had been
audible to its end, what the model or a tool says, or what was said in another session.

The call has no output while it waits; the model speaks the question in a response of its own that
may not call tools, and if it does not, a sentence of ours does.  Words that talk over the question
or go on after a yes are no answer: they withdraw the question, and the model hears them.
"""

from __future__ import annotations

from functools import partial

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import FRAME_MS
from edge_agent.dialogue.calls.consent import Question, Stage, Verdict, Way
from edge_agent.dialogue.gate import GateState
from edge_agent.dialogue.talk.states import Cause, Link, Microphone, Talk
from edge_agent.dialogue.talk.talk_core import Commands
from edge_agent.dialogue.talk.transcribing import Transcribing

QUIET_FRAMES = 10
"""0.1 s without speech after the question; people take twice as long to begin an answer."""
QUESTION_MIN_S = 0.3
"""What was audible for less than this was not a question: nobody heard it."""
BUILT_IN_WAIT_S = 4.0
"""The server's own transcript comes within a second or two of the turn; later, we ask for one."""
TRANSCRIPT_WAIT_S = 8.0
"""A side question takes one to three seconds; whoever said yes has given up after this."""
DETAILS_MAX_CHARS = 600
"""Of a call's arguments that its question may name: nobody listens to more."""
SENTENCE = "confirm_by_voice"

ASK = (
    "You want to do this: {what}. It has not been done, because the household has to agree first. "
    "Ask them now, in the language they speak: one short question that can be answered with yes "
    "or no and that names what matters of these details: {details}. Say nothing else, answer "
    "nothing in their place, and do not say that it is done."
)
ASK_AGAIN = (
    "You asked whether you should do this: {what}. Their answer was neither a plain yes nor a "
    "plain no, so it has not been done. Ask once more, in the language they speak: one short "
    "question that can be answered with yes or no, naming what matters of these details: "
    "{details}. Say nothing else and do not say that it is done."
)


class Confirming(Transcribing):
    """The question, its answer by voice or button, and what follows."""

    @property
    def _question(self) -> Question | None:
        return self._tools.consent.pending

    @property
    def _answering(self) -> Question | None:
        """The question that the present turn of the household answers."""
        question = self._question
        return question if question is not None and question.stage is Stage.ANSWERING else None

    # --- asking -----------------------------------------------------------------------------

    def _ask_consent(self) -> Commands:
        """Ask what is due, or see that what was asked has not become a question."""
        question = self._question
        if question is not None:
            failed = question.stage is Stage.ASKING and question.is_over and not question.is_said
            return self._ask_by_sentence(question) if failed else []
        question = self._tools.consent.next(self._now)
        if question is None:
            return []
        if question.way is Way.BUTTON:
            return self._ask_for_button()
        return self._ask_aloud(question, ASK)

    def _ask_aloud(self, question: Question, words: str) -> Commands:
        call = question.call
        text = words.format(
            what=self._tools.speakable(call.name), details=call.arguments[:DETAILS_MAX_CHARS]
        )
        question.request = c.RequestResponse(text, may_call=False)
        self._at("thinking", self.config.thinking_max_s)
        return self._answers.request(question.request, insist=True)

    def _ask_by_sentence(self, question: Question) -> Commands:
        question.request, question.response, question.is_over = None, "", False
        question.sentence_at = self._now
        self._gate.shut()  # nobody is listened to before the end of it
        self._at("thinking", self.config.thinking_max_s)
        return [self._say(SENTENCE)]

    def _ask_for_button(self) -> Commands:
        self._go(Cause.CONSENT_ASKED)
        self._clear("thinking", "follow-up")
        self._gate.shut()
        self._tools.consent.heard_out(self._now)
        self._at("confirm", self.config.confirm_s)
        return [self._say("confirm_by_button")]

    def _question_heard(self) -> Commands:
        """It has been audible to its end: an answer may begin, once the room is quiet."""
        self._tools.consent.heard_out(self._now)
        self._go(Cause.CONSENT_ASKED)
        self._clear("thinking", "follow-up", "stalled")
        self._gate.shut()
        self._at("confirm", self.config.confirm_s)
        return []

    def _response_started(self, event: e.ResponseStarted) -> Commands:
        question = self._question
        asked = question.request if question is not None else None
        if question is not None and asked is not None and self._answers.requested is asked:
            question.response = event.response
        return super()._response_started(event)

    def _voice_chunk(self, event: e.VoiceChunk) -> Commands:
        out = super()._voice_chunk(event)
        question = self._question
        if out and question is not None and event.response == question.response:
            question.voiced = True
        return out

    def _response_ended(self, event: e.ResponseEnded) -> Commands:
        question = self._question
        if question is not None and question.response and event.response == question.response:
            question.is_over = True
            question.is_said = event.status == "completed" and question.voiced
        return super()._response_ended(event)

    def _answer_failed(self, event: e.ResponseEnded) -> Commands:
        question = self._question
        if question is None or event.response != question.response:
            return super()._answer_failed(event)
        note = c.Note("response.failed", {"code": event.code or "server_error"})
        return [note, *self._ask_by_sentence(question)]

    def _question_crossed(self) -> None:
        """The server was answering something else when we asked for the question."""
        if (question := self._question) is not None:
            question.response = ""  # ours comes after it

    def _question_refused(self, about: str) -> Commands:
        question = self._question
        if question is None or question.request is None or question.response:
            return []
        mine = about.startswith("response.create") and question.stage is Stage.ASKING
        return self._ask_by_sentence(question) if mine else []

    def _no_answer(self) -> Commands:
        question = self._question
        if question is None or question.stage is not Stage.ASKING or self._answers.speaking:
            return super()._no_answer()
        if question.sentence_at is None:
            return self._answers.abandon(owed=False) + self._ask_by_sentence(question)
        return self._instead_the_button()

    def _playback_drained(self, event: e.PlaybackDrained) -> Commands:
        question = self._question
        spoken = self._answers.speaking.get(event.item)
        if question is not None and spoken is not None and spoken.response == question.response:
            question.heard_ms += event.played_ms
        return super()._playback_drained(event)

    def _settle(self) -> Commands:
        question = self._question
        if question is None or question.stage is not Stage.ASKING or not question.is_said:
            return super()._settle()
        if self._answers.speaking:
            return []
        if question.heard_ms < QUESTION_MIN_S * 1000:
            return self._ask_by_sentence(question)
        return self._question_heard()

    def _sentence_drained(self, event: e.SentenceDrained) -> Commands:
        out = super()._sentence_drained(event)
        question = self._question
        if question is None or event.name != SENTENCE or question.stage is not Stage.ASKING:
            return out
        if question.sentence_at is None:
            return out
        # A speaker without recordings is done at once, and nobody has heard a question.
        if self._now - question.sentence_at < QUESTION_MIN_S:
            return out + self._instead_the_button()
        return out + self._question_heard()

    def _instead_the_button(self) -> Commands:
        self._tools.consent.by_button()
        return self._ask_for_button()

    # --- the answer ---------------------------------------------------------------------------

    def _heard(self, frame: e.HeardFrame) -> Commands:
        """Whoever speaks already when the question ends does not answer it, nor does its echo."""
        out = super()._heard(frame)
        question = self._question
        if self.talk is not Talk.CONFIRMING or question is None or question.way is not Way.VOICE:
            return out
        if self._gate.state is not GateState.SHUT or self.microphone is Microphone.MUTED:
            return out
        if frame.at >= question.opened_at:
            question.quiet_frames = 0 if frame.speech else question.quiet_frames + 1
        if question.quiet_frames >= QUIET_FRAMES:
            self._gate.arm(self._now, self._now - QUIET_FRAMES * FRAME_MS / 1000)
        return out

    def _open(self, pre_roll_ms: int) -> Commands:
        if self.talk is Talk.CONFIRMING:
            if not self._tools.consent.answer_began(self._now):
                return []
            self._go(Cause.INTERRUPTED)
            self._clear("confirm")
        return super()._open(pre_roll_ms)

    def _request_answer(self) -> Commands:
        """The model does not answer the household's answer to us; we do."""
        return [] if self._answering is not None else super()._request_answer()

    def _end_turn(self, *, by_us: bool) -> Commands:
        out = super()._end_turn(by_us=by_us)
        if self._answering is not None:
            out += self._answers.abandon(owed=True)
            self._at("transcript", TRANSCRIPT_WAIT_S)
            if by_us:  # whoever goes on speaking takes the yes back
                self._arm_at_once()
        elif out:
            self._tools.consent.household_spoke()
        return out

    def _committed(self, event: e.UserTurnCommitted) -> Commands:
        out = super()._committed(event)
        question = self._answering
        if question is None or self._turn is None or not self._turn.ended or question.item:
            return out
        question.item = event.item
        if self.config.transcription == "builtin":
            self._at("transcript", BUILT_IN_WAIT_S)
        elif self.config.transcription == "off" and event.item:
            out += self._read_aside()
        return out  # out of band, it is being written down already

    def _transcript_overdue(self) -> Commands:
        """The server has not told which item it is, or nothing has come of writing it down."""
        question = self._answering
        if question is None:
            return []
        if question.item and self.config.transcription == "builtin":
            return self._read_aside()
        question.item = question.item or "unknown"
        return self._answer_read(question.item, None)

    def _read_aside(self) -> Commands:
        """Have this one turn written down, for nothing but its yes or no."""
        question = self._answering
        if question is None:
            return []
        self._clear("transcript")  # a side question has its own limit
        then = partial(self._transcript_for_consent, question.item)
        return self._transcribe_aside("consent", question.item, then, TRANSCRIPT_WAIT_S)

    def _transcript_for_consent(self, item: str, answer: e.SideAnswer | None) -> Commands:
        return self._answer_read(item, answer.text if answer is not None else None)

    def _transcribed(self, item: str, text: str | None) -> Commands:
        return super()._transcribed(item, text) + self._answer_read(item, text)

    def _answer_read(self, item: str, words: str | None) -> Commands:
        question = self._answering
        if question is None or not item or item != question.item:
            return []  # about something else, or too late
        self._clear("transcript")
        verdict, call = self._tools.consent.read(words, self._now)
        self._turn = None  # it has been understood: nothing to replay
        if verdict is Verdict.AGAIN and self._question is not None:
            return self._ask_aloud(self._question, ASK_AGAIN)
        if verdict is Verdict.UNREADABLE:
            return self._instead_the_button()
        if call is not None:
            waited_s = self._now - question.asked_at
            return self._go_on(self._tools.granted(call, self._now, "voice", waited_s))
        return self._go_on(self._tools.refuse(verdict.value))

    def _nobody_spoke(self) -> Commands:
        if self._answering is None:
            return super()._nobody_spoke()
        self._turn = None
        self._gate.shut()
        self._go(Cause.TURN_ENDED)
        return [c.ClearAudio(), *self._go_on(self._tools.refuse("expired"))]

    # --- what follows -------------------------------------------------------------------------

    def _pressed_for_consent(self) -> Commands:
        question = self._question
        if question is None:
            return []
        call = self._tools.consent.pressed(self._now)
        waited_s = self._now - question.asked_at
        return self._settle_consent(self._tools.granted(call, self._now, "button", waited_s))

    def _settle_consent(self, decided: Commands) -> Commands:
        """The question on which the talk stood is decided."""
        if self.talk is not Talk.CONFIRMING:
            return decided
        self._clear("confirm")
        self._go(Cause.CONSENT_SETTLED)
        self._arm_at_once()
        return self._go_on(decided)

    def _go_on(self, decided: Commands) -> Commands:
        """Ask the next question, or have the model tell how it ended."""
        self._at("thinking", self.config.thinking_max_s)
        out = decided + self._ask_consent()
        if not self._tools.waiting:
            out += self._answers.request(c.RequestResponse(), insist=True)
        return out

    # --- calls whose session is gone ------------------------------------------------------------

    def _remember_news(self) -> None:
        """What became of them, for the next session to be told with the rest of the talk."""
        for text in self._tools.lost.take_news():
            self._memory.system_said("", text)

    def _tell_still_running(self) -> Commands:
        text = self._tools.lost.still_running()
        return [c.AddMessage(self._memory.next_id("lost"), "system", text)] if text else []

    def _tell_news(self) -> Commands:
        """The same, to a session that stands already."""
        out: Commands = []
        for text in self._tools.lost.take_news() if self.link is Link.READY else []:
            item = self._memory.next_id("lost")
            self._memory.system_said(item, text)
            out.append(c.AddMessage(item, "system", text))
        return out

    # --- guests -------------------------------------------------------------------------------

    def _guest_requested(self, event: e.GuestRequested) -> Commands:
        return self._set_guest(event.on)

    def _set_guest(self, on: bool) -> Commands:
        if on is self._tools.guest:
            return []
        self._tools.guest = on
        told: Commands = [c.SaveGuest(on), c.Note("guest.on" if on else "guest.off", {})]
        if self.talk in (Talk.ASLEEP, Talk.LISTENING):
            told.append(self._say("guest_on" if on else "guest_off"))
        if not on or self._question is None:
            return told
        told += self._tools.withdraw("guest")
        return self._go_on(told) if self.talk is Talk.THINKING else self._settle_consent(told)

    @property
    def guest(self) -> bool:
        """Is guest mode on?"""
        return self._tools.guest
