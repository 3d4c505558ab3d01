"""Consent reply: the household answers a question of ours, by voice or button, and what follows.

`ConsentQuestion` asks; from the end of the question on, words and presses come here.  Words that
talk over the question or go on after a yes are no answer: they withdraw it, and the model hears
them.

Thread: event loop; pure.  It never takes for an answer what began before the question had been
audible to its end, what the model or a tool says, or what was said in another session.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import FRAME_MS
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.calls.consent import Question, Stage, Verdict, Way
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate, GateState
from edge_agent.dialogue.journeys.transcripts import TRANSCRIPT_WAIT_S, write_down
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.prompting.scribe import alone
from edge_agent.dialogue.side_questions import SideQuestions
from edge_agent.dialogue.state import Cause, Commands, Deadline, Microphone, Talk, TalkState

QUIET_FRAMES = 10
"""0.1 s without speech after the question; people take twice as long to begin an answer."""
OTHERS_QUIET_FRAMES = 100
"""1 s, where somebody spoke before it: who talks through a question (a television) does not answer
it, and pauses for less between two sentences."""
OTHERS_FRAMES = 5
"""A syllable, as for the gate."""
TALKED_OVER_S = 2.0
"""Whoever spoke so shortly before the end of the question still speaks."""
BUILT_IN_WAIT_S = 4.0
"""The server's own transcript comes within a second or two of the turn; later, we ask for one."""


class Asking(Protocol):
    """What is needed of `ConsentQuestion`."""

    def go_on(self, decided: Commands) -> Commands:
        """Ask the next question, or have the model tell how it ended."""

    def ask_again(self, question: Question) -> Commands:
        """The answer was no plain yes or no."""

    def ask_for_button_instead(self) -> Commands:
        """The answer could not be read."""


class ConsentReply:
    """The answer to the open question."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
        answers: Answers,
        tools: ToolCalls,
        side_questions: SideQuestions,
        asking: Asking,
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate
        self._answers = answers
        self._tools = tools
        self._side_questions = side_questions
        self._asking = asking

    @property
    def _open(self) -> Question | None:
        return self._tools.consent.pending

    @property
    def _answered(self) -> Question | None:
        """The question that the present turn of the household answers."""
        question = self._open
        return question if question is not None and question.stage is Stage.ANSWERING else None

    @property
    def stands(self) -> bool:
        """Is there a question, heard or not?"""
        return self._open is not None

    @property
    def is_given(self) -> bool:
        """Does the present turn of the household answer a question of ours?"""
        return self._answered is not None

    # --- the answer is spoken -------------------------------------------------------------

    def frame_heard(self, frame: e.HeardFrame) -> Commands:
        """Whoever speaks already when the question ends does not answer it, nor does its echo."""
        state = self._state
        if state.talk is not Talk.CONFIRMING:
            return []
        question = self._open
        if question is None or question.way is not Way.VOICE:
            return []
        if state.microphone is Microphone.MUTED:
            return []
        if state.sentences:  # what is heard now may be its echo
            self._gate.shut()
            question.quiet_frames = 0
            return []
        if self._gate.state is not GateState.SHUT:
            return []
        if frame.at >= question.opened_at:
            question.others_frames += frame.speech
            quiet = question.quiet_frames
            question.quiet_frames = max(0, quiet - QUIET_FRAMES) if frame.speech else quiet + 1
        if question.quiet_frames >= self._quiet_needed(question):
            self._gate.arm(state.now, state.now - QUIET_FRAMES * FRAME_MS / 1000)
        return []

    @staticmethod
    def _quiet_needed(question: Question) -> int:
        talked_over = question.opened_at - question.talked_over_at <= TALKED_OVER_S
        others = talked_over or question.others_frames >= OTHERS_FRAMES
        return OTHERS_QUIET_FRAMES if others else QUIET_FRAMES

    def talked_over(self) -> None:
        """Somebody speaks while we do, and it cuts nothing."""
        if self._open is not None:
            self._open.talked_over_at = self._state.now

    def begins(self) -> bool:
        """Somebody speaks while we wait for an answer; False when it is none."""
        state = self._state
        if not self._tools.consent.answer_began(state.now):
            return False
        state.transition(Cause.INTERRUPTED)
        state.deadlines.clear(Deadline.CONFIRM)
        return True

    def woken(self) -> None:
        """The household calls: it may be asked for everything again."""
        self._tools.consent.woken()

    def turn_ended(self, *, by_us: bool) -> Commands:
        """A turn of the household has ended, an answer to us or not."""
        if not self.is_given:
            self._tools.consent.household_spoke()
            return []
        out = self._answers.abandon(owed=True)
        self._state.deadlines.set(Deadline.TRANSCRIPT, TRANSCRIPT_WAIT_S)
        if by_us:  # whoever goes on speaking takes the yes back
            self._moves.arm_gate()
        return out

    def nobody_spoke(self) -> Commands:
        """What sounded like an answer was none."""
        self._state.turn = None
        self._gate.shut()
        self._state.transition(Cause.TURN_ENDED)
        return [c.ClearAudio(), *self._asking.go_on(self._tools.refuse("expired"))]

    # --- the answer is read ---------------------------------------------------------------

    def committed(self, event: e.UserTurnCommitted) -> Commands:
        """The answer has become an item: have it written down."""
        question, turn, state = self._answered, self._state.turn, self._state
        is_fresh = self._tools.consent.is_fresh(event.item)
        if question is None or turn is None or not turn.ended or question.item or not is_fresh:
            return []
        question.item = event.item
        if state.transcription == "builtin":
            state.deadlines.set(Deadline.TRANSCRIPT, BUILT_IN_WAIT_S)
        elif state.transcription == "off" and event.item:
            return self._write_down(question)
        return []  # out of band, it is being written down already

    def transcript_overdue(self) -> Commands:
        """The server has not told which item it is, or nothing has come of writing it down."""
        question = self._answered
        if question is None:
            return []
        if question.item and self._state.transcription == "builtin":
            return self._write_down(question)
        question.item = question.item or "unknown"
        return self.read(question.item, None)

    def _write_down(self, question: Question) -> Commands:
        """Have this one turn written down, for nothing but its yes or no."""
        self._state.deadlines.clear(Deadline.TRANSCRIPT)  # a side question has its own limit
        then = partial(self._written_down, question.item)
        return write_down(
            self._side_questions,
            "consent",
            question.item,
            then,
            TRANSCRIPT_WAIT_S,
            instructions=alone(self._state.config.transcription_hints),
        )

    def _written_down(self, item: str, answer: e.SideAnswer | None) -> Commands:
        return self.read(item, answer.text if answer is not None else None)

    def read(self, item: str, words: str | None) -> Commands:
        """The words of an item are known (None: they cannot be had)."""
        question = self._answered
        if question is None or not item or item != question.item:
            return []  # about something else, or too late
        state, tools = self._state, self._tools
        state.deadlines.clear(Deadline.TRANSCRIPT)
        if words is not None and self._goes_on():
            words = ""  # who knows what becomes of it
        verdict, call = tools.consent.read(words, state.now)
        state.turn = None  # it has been understood: nothing to replay
        again = self._open
        if verdict is Verdict.AGAIN and again is not None:
            return self._asking.ask_again(again)
        if verdict is Verdict.UNREADABLE:
            return self._asking.ask_for_button_instead()
        if call is not None:
            waited_s = state.now - question.asked_at
            return self._asking.go_on(tools.granted(call, state.now, Way.VOICE, waited_s))
        return self._asking.go_on(tools.refuse(verdict.value))

    def _goes_on(self) -> bool:
        """Has somebody spoken since the answer's end?"""
        turn = self._state.turn
        ended_at = turn.ended_at if turn is not None else None
        if ended_at is None:
            return False
        return self._gate.speech_frames_since(ended_at) >= OTHERS_FRAMES

    # --- the button, and no answer at all -------------------------------------------------

    def pressed(self, at: float) -> Commands:
        """The button went down while a question waits and nothing sounds.

        It agrees when it comes up again (`released`), unless it is held to mute (`held`).
        """
        if self._tools.consent.press_began(at, self._state.own_words_until):
            return []
        return [self._moves.say("press_early"), c.Note("consent.press_ignored", {})]

    def released(self) -> Commands:
        """The button came up: that agrees, if it went down to agree."""
        question = self._open
        call = self._tools.consent.press_ended(self._state.now)
        if question is None or call is None:
            return []
        waited_s = self._state.now - question.asked_at
        return self.settle(self._tools.granted(call, self._state.now, Way.BUTTON, waited_s))

    def held(self) -> None:
        """The button is held: that means something else."""
        self._tools.consent.press_means_mute()

    def expired(self) -> Commands:
        """Nobody has answered."""
        return self.settle(self._tools.refuse("expired"))

    def withdraw(self, why: str) -> Commands:
        """No question stands any longer; nothing if there is none."""
        if self._open is None:
            return []
        withdrawn = self._tools.withdraw(why)
        thinking = self._state.talk is Talk.THINKING
        return self._asking.go_on(withdrawn) if thinking else self.settle(withdrawn)

    # --- what follows ---------------------------------------------------------------------

    def settle(self, decided: Commands) -> Commands:
        """The question on which the talk stood is decided."""
        state = self._state
        if state.talk is not Talk.CONFIRMING:
            return decided
        state.deadlines.clear(Deadline.CONFIRM)
        state.transition(Cause.CONSENT_SETTLED)
        self._moves.arm_gate()
        return self._asking.go_on(decided)
