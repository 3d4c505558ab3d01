"""Consent question: a call needs the household's yes, until its question has been heard.

The call has no output while it waits; the model speaks the question in a response of its own that
may not call tools, and if it does not, a sentence of ours does.  `ask_due` whenever a question may
be next; from the moment it has been heard on, `ConsentReply` takes over.

Owner: event loop; pure.  It never counts a question as asked before it was audible to its end.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers, crossed
from edge_agent.dialogue.calls.consent import Question, Stage, Way
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.state import Cause, Commands, Deadline, Talk, TalkState

QUESTION_MIN_S = 0.3
"""What was audible for less than this was not a question: nobody heard it."""
DETAILS_MAX_CHARS = 600
"""Of a call's arguments that its question may name: nobody listens to more."""
SENTENCE = "confirm_by_voice"
UNHEARD_S = 0.01
"""Until a question that nobody could hear is given up: with the next frame."""
BUTTON_SENTENCE = "confirm_by_button"

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


class ConsentQuestion:
    """How a question is asked: by the model, by a sentence of ours, or for the button."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
        answers: Answers,
        tools: ToolCalls,
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate
        self._answers = answers
        self._tools = tools

    @property
    def _open(self) -> Question | None:
        return self._tools.consent.pending

    # --- asking ---------------------------------------------------------------------------

    def ask_due(self) -> Commands:
        """Ask what is due, or see that what was asked has not become a question."""
        question = self._open
        if question is not None:
            failed = question.stage is Stage.ASKING and question.is_over and not question.is_said
            return self._ask_by_sentence(question) if failed else []
        if self._answers.speaking and self._tools.consent.next_way is Way.BUTTON:
            return []  # what sounds is heard out first, and can be talked over until then
        question = self._tools.consent.next(self._state.now)
        if question is None:
            return []
        if question.way is Way.BUTTON:
            return self._ask_for_button(question)
        return self._ask_aloud(question, ASK)

    def ask_again(self, question: Question) -> Commands:
        """The answer was no plain yes or no."""
        return self._ask_aloud(question, ASK_AGAIN)

    def ask_for_button_instead(self) -> Commands:
        """Words could not be heard or read: the button has to do."""
        question = self._tools.consent.by_button()
        return self._ask_for_button(question) if question is not None else []

    def _ask_aloud(self, question: Question, words: str) -> Commands:
        call = question.call
        text = words.format(
            what=self._tools.speakable(call.name), details=call.arguments[:DETAILS_MAX_CHARS]
        )
        question.request = c.RequestResponse(text, may_call=False)
        self._expect_answer()
        return self._answers.request(question.request, insist=True)

    def _ask_by_sentence(self, question: Question) -> Commands:
        question.request, question.response, question.is_over = None, "", False
        question.sentence_at = self._state.now
        self._gate.shut()  # nobody is listened to before the end of it
        self._expect_answer()
        return [self._moves.say(SENTENCE)]

    def _expect_answer(self) -> None:
        self._state.deadlines.set(Deadline.THINKING, self._state.config.thinking_max_s)

    def _ask_for_button(self, question: Question) -> Commands:
        state = self._state
        state.transition(Cause.CONSENT_ASKED)
        state.deadlines.clear(Deadline.THINKING, Deadline.FOLLOW_UP)
        self._gate.shut()
        question.sentence_at = state.now
        state.deadlines.set(Deadline.CONFIRM, state.config.confirm_s)
        return [self._moves.say(BUTTON_SENTENCE)]

    def _heard_out(self) -> Commands:
        """It has been audible to its end: an answer may begin, once the room is quiet."""
        state = self._state
        self._tools.consent.heard_out(state.now)
        if state.talk is not Talk.CONFIRMING:  # the button's question stands there already
            state.transition(Cause.CONSENT_ASKED)
        state.deadlines.clear(Deadline.THINKING, Deadline.FOLLOW_UP, Deadline.STALLED)
        self._gate.shut()
        state.deadlines.set(Deadline.CONFIRM, state.config.confirm_s)
        return []

    # --- the response that speaks it ------------------------------------------------------

    def response_started(self, event: e.ResponseStarted) -> Commands:
        """Is it the one that was asked for?  To be told before `Answers` is."""
        question = self._open
        asked = question.request if question is not None else None
        if question is not None and asked is not None and self._answers.requested is asked:
            question.response = event.response
        return []

    def sounded(self, response: str) -> None:
        """Sound of that response has come."""
        question = self._open
        if question is not None and response == question.response:
            question.voiced = True

    def response_ended(self, event: e.ResponseEnded) -> Commands:
        """Has the question been said whole?"""
        question = self._open
        if question is not None and question.response and event.response == question.response:
            question.is_over = True
            question.is_said = event.status == "completed" and question.voiced
        return []

    def failed(self, event: e.ResponseEnded) -> Commands | None:
        """A response failed; None if it was not the question."""
        question = self._open
        if question is None or event.response != question.response:
            return None
        code, more = event.code or "server_error", self._state.server_notes_missed
        noted = self._state.server_note(c.Note("response.failed", {"code": code, "more": more}))
        return [*noted, *self._ask_by_sentence(question)]

    def complained(self, event: e.ServerComplained) -> Commands:
        """The server will not begin a response, or was giving another one."""
        question = self._open
        if question is None:
            return []
        if crossed(event):
            question.response = ""  # ours comes after it
            return []
        if question.request is None or question.response:
            return []
        mine = event.about.startswith("response.create") and question.stage is Stage.ASKING
        return self._ask_by_sentence(question) if mine else []

    def unanswered(self) -> Commands | None:
        """No sign of the response that was asked for; None if it was not the question."""
        question = self._open
        if question is None or question.stage is not Stage.ASKING or self._answers.speaking:
            return None
        if question.sentence_at is None:
            return self._answers.abandon(owed=False) + self._ask_by_sentence(question)
        return self.ask_for_button_instead()

    # --- hearing it -----------------------------------------------------------------------

    def playback_drained(self, event: e.PlaybackDrained) -> Commands:
        """How much of it has been audible?  To be told before `Answers` is."""
        question = self._open
        spoken = self._answers.speaking.get(event.item)
        if question is not None and spoken is not None and spoken.response == question.response:
            question.heard_ms += event.played_ms
        return []

    def settle(self) -> Commands | None:
        """An answer may be over; None if it was not the question."""
        question = self._open
        if question is None and not self._answers.speaking:
            return self.ask_due() or None  # the button's questions wait for the answer's end
        if question is None or question.stage is not Stage.ASKING or not question.is_said:
            return None
        if self._answers.speaking:
            return []
        if question.heard_ms < QUESTION_MIN_S * 1000:
            return self._ask_by_sentence(question)
        return self._heard_out()

    def sentence_drained(self, event: e.SentenceDrained) -> Commands:
        """Our own sentence in the model's place has been heard."""
        question = self._open
        if question is None or question.stage is not Stage.ASKING or question.sentence_at is None:
            return []
        by_button = question.way is Way.BUTTON
        if event.name != (BUTTON_SENTENCE if by_button else SENTENCE):
            return []
        # A speaker without recordings is done at once, and nobody has heard a question.
        if self._state.now - question.sentence_at >= QUESTION_MIN_S:
            return self._heard_out()
        if not by_button:
            return self.ask_for_button_instead()
        self._state.deadlines.set(Deadline.CONFIRM, UNHEARD_S)  # nobody can agree to it
        return []
