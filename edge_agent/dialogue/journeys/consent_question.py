"""Consent question: a call needs the household's yes, until its question has been heard.

The call has no output while it waits.  A sentence of ours names it with all its details, whatever
the model has said before.  `ask_due` whenever a question may be next; from the moment it has been
heard on, `ConsentReply` takes over.

Thread: event loop; pure.  It never counts a question as asked before it was audible to its end, and
what cannot be asked aloud is refused.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.dialogue.calls import wording
from edge_agent.dialogue.calls.consent import Question, Stage, Way
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.state import AWAITING, Cause, Commands, Deadline, Talk, TalkState

QUESTION_MIN_S = 0.3
"""What was audible for less than this was not a question: nobody heard it."""
LEAST_VOLUME_PERCENT = 40.0
"""Understood across a room; a voice that was turned low must not hide a question."""
CUTS_MAX = 1
"""A question that was cut short for no wish of the household is asked once more."""
NOT_HEARD = {"text.no_voice": "no voice", "text.too_long": "too long"}
"""Code of `TextFailed` → why the call is refused; any other is `unheard`."""
TOLD = dict.fromkeys(("no voice", "too long", "unspeakable", "unheard"), "cannot_ask")
TOLD["no button"] = "no_button"
"""Why a call is refused → what the household hears of it, whatever the model makes of it."""


class ConsentQuestion:
    """How a question is asked: aloud, in a sentence of our own."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
        answers: Answers,
        tools: ToolCalls,
        barge_in: BargeIn,
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate
        self._answers = answers
        self._tools = tools
        self._barge_in = barge_in
        self._asked = 0
        self._sounding = ""
        """The question that sounded last."""

    @property
    def _open(self) -> Question | None:
        return self._tools.consent.pending

    # --- asking ---------------------------------------------------------------------------

    def ask_due(self) -> Commands:
        """Ask what is due: what sounds is heard out first, and can be talked over until then."""
        if self._answers.speaking:
            return []
        question = self._tools.consent.next(self._state.now)
        return self._ask(question) if question is not None else []

    def ask_again(self, question: Question) -> Commands:
        """The answer was no plain yes or no."""
        return self._ask(question)

    def ask_for_button_instead(self) -> Commands:
        """Words could not be heard or read: the button has to do."""
        question = self._tools.consent.by_button()
        return self._ask(question) if question is not None else []

    def _ask(self, question: Question) -> Commands:
        state, call = self._state, question.call
        by_button = question.way is Way.BUTTON
        if by_button and not state.config.has_button:
            return self._refuse("no button")
        try:
            text = wording.question(
                state.config.wording,
                self._tools.speakable(call.name),
                call.arguments,
                by_button=by_button,
            )
        except wording.Unspeakable as problem:
            return self._refuse(problem.why)
        self._asked += 1
        question.text = f"consent_{self._asked}"
        question.began_at = None
        self._gate.shut()  # nobody is listened to before the end of it
        state.deadlines.clear(Deadline.FOLLOW_UP)
        self._moves.await_answer()
        return [self._moves.say_text(question.text, text, LEAST_VOLUME_PERCENT)]

    def _refuse(self, why: str) -> Commands:
        """Nobody can be asked: that is said once, however many calls wait."""
        told = TOLD[why]
        said = [] if told in self._state.sentences else [self._moves.say(told)]
        return said + self.go_on(self._tools.refuse(why))

    def go_on(self, decided: Commands) -> Commands:
        """Ask the next question, or have the model tell how it ended."""
        if self._state.talk is Talk.SPEAKING and not self._answers.speaking:
            self._state.transition(Cause.ANSWER_PAUSED)  # what sounded before is over
            self._moves.arm_gate()
        self._moves.await_answer()
        asked = self.ask_due()  # what cannot be asked has been gone on from already
        if asked or self._tools.waiting:
            return decided + asked
        return decided + self._answers.request(c.RequestResponse(), insist=True)

    # --- hearing it -----------------------------------------------------------------------

    def text_started(self, event: e.TextStarted) -> Commands:
        """It begins to sound: from now on it can be talked over."""
        state, question = self._state, self._open
        if question is None or question.text != event.name:
            return []
        question.began_at = state.now
        self._sounding = event.name
        state.deadlines.clear(*AWAITING, Deadline.FOLLOW_UP)
        state.deadlines.clear(
            Deadline.QUIET, Deadline.UTTERANCE, Deadline.ANNOUNCE, Deadline.ONE_BREATH
        )
        state.breath_from = None
        self._gate.shut()
        if state.talk is not Talk.SPEAKING:
            state.transition(Cause.ANSWER_STARTED)
        self._barge_in.reset()
        self._barge_in.playback_started(event.at)
        return []

    def text_drained(self, event: e.TextDrained) -> Commands:
        """It is over: has it been heard?"""
        state, question = self._state, self._open
        if question is None or question.text != event.name or question.stage is not Stage.ASKING:
            return self._withdrawn_is_over(event.name)
        began_at = question.began_at
        if not event.whole or began_at is None or state.now - began_at < QUESTION_MIN_S:
            question.cuts += 1
            return self._refuse("unheard") if question.cuts > CUTS_MAX else self._ask(question)
        self._tools.consent.heard_out(state.now)
        state.transition(Cause.CONSENT_ASKED)
        state.deadlines.clear(*AWAITING)
        state.deadlines.clear(Deadline.FOLLOW_UP, Deadline.STALLED)
        self._gate.shut()
        state.deadlines.set(Deadline.CONFIRM, state.config.confirm_s)
        return []

    def _withdrawn_is_over(self, name: str) -> Commands:
        """A question that was withdrawn while it sounded has ended: the talk waits for nothing."""
        sounds_on = self._state.pending_cut is not None or self._answers.speaking
        if name != self._sounding or self._state.talk is not Talk.SPEAKING or sounds_on:
            return []
        self._state.transition(Cause.ANSWER_PAUSED)
        self._moves.arm_gate()
        self._moves.await_answer()
        return [] if self._open is not None or self._answers.pending else self.go_on([])

    def pressed_over(self) -> Commands:
        """The button has cut it, and somebody may have meant to agree."""
        question = self._open
        if question is None or question.began_at is None or question.stage is not Stage.ASKING:
            return []
        if question.way is not Way.BUTTON:
            return []
        return [self._moves.say("press_over_question"), c.Note("consent.press_ignored", {})]

    def text_failed(self, event: e.TextFailed) -> Commands:
        """Nobody will hear it."""
        question = self._open
        if question is None or question.text != event.name or question.stage is not Stage.ASKING:
            return []
        return self._refuse(NOT_HEARD.get(event.code, "unheard"))

    def unanswered(self) -> Commands | None:
        """It does not begin to sound; None if there is no question."""
        question = self._open
        if question is None or question.stage is not Stage.ASKING or self._answers.speaking:
            return None
        return self._refuse("unheard")

    def settle(self) -> Commands | None:
        """An answer may be over; None if it was not the question."""
        question = self._open
        if question is None:
            return self.ask_due() or None
        return [] if question.stage is Stage.ASKING else None
