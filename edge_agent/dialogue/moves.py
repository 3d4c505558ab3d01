"""Moves that several journeys make: fall silent, say a sentence, close or arm the gate, end a talk.

Every cause that ends our own voice goes through `fall_silent`; nothing else issues `CutPlayback`.

Thread: event loop; pure.  It never handles an event itself: the journeys do.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate, GateState
from edge_agent.dialogue.state import (
    Cause,
    Commands,
    CutFor,
    Deadline,
    Microphone,
    PendingCut,
    Talk,
    TalkState,
)

PATIENCE_S = 18.0
"""From the end of the words to ours about the wait: the promise is 20 s."""


class Moves:
    """What one talk can do, whoever asks for it."""

    def __init__(self, state: TalkState, gate: Gate, answers: Answers, tools: ToolCalls) -> None:
        self._state = state
        self._gate = gate
        self._answers = answers
        self._tools = tools

    @property
    def sounding(self) -> bool:
        """Does our own voice come from the speaker, or is it about to?"""
        return bool(self._state.sentences or self._answers.speaking)

    @property
    def nothing_goes_on(self) -> bool:
        """Nobody speaks, is spoken to or waits, and nothing is owed."""
        busy = self._answers.pending or self._tools.waiting or self.sounding
        return self._state.is_idle and not busy

    # --- our own voice --------------------------------------------------------------------

    def fall_silent(
        self, why: CutFor, cause: str, at: float, *, overrule: bool = False
    ) -> Commands:
        """Cut whatever comes from our speaker; `PlaybackCut` says what was heard of it.

        While a cut is pending another one changes nothing, unless it is to `overrule` what the
        first was for.
        """
        state = self._state
        if state.pending_cut is not None and not overrule:
            return []
        state.pending_cut = PendingCut(why, cause, at)
        return [c.CutPlayback()]

    def interrupt(self, cause: str, at: float) -> Commands:
        """Somebody wants to say something: be silent, then listen."""
        return self.fall_silent(CutFor.INTERRUPT, cause, at)

    def say(self, sentence: str) -> c.PlaySentence:
        """One of our own sentences; it counts as sounding until `SentenceDrained`."""
        self._state.sentences[sentence] += 1
        return c.PlaySentence(sentence)

    def say_text(self, name: str, text: str, least_volume_percent: float = 0.0) -> c.SayText:
        """Words of our own; they count as sounding until `TextDrained` or `TextFailed`."""
        self._state.sentences[name] += 1
        return c.SayText(name, text, least_volume_percent)

    def await_answer(self) -> None:
        """From now on somebody waits for an answer."""
        deadlines, config = self._state.deadlines, self._state.config
        deadlines.set(Deadline.THINKING, config.thinking_max_s)
        deadlines.set(Deadline.PATIENCE, PATIENCE_S)

    # --- the gate -------------------------------------------------------------------------

    def arm_gate(self) -> None:
        """Listen from now on; a first sound that began just before is sent, not counted."""
        state = self._state
        if state.microphone is Microphone.OPEN:
            self._gate.arm(state.now, state.now - state.config.onset_pre_roll_ms / 1000)

    def close_gate(self) -> None:
        """The gate between talks: shut, or armed where the microphone is always open."""
        state = self._state
        always = state.config.mode == "always" and state.talk is Talk.ASLEEP
        if always and state.microphone is Microphone.OPEN and state.device_ok:
            self.arm_gate()
        else:
            self._gate.shut()

    # --- the end of a talk ----------------------------------------------------------------

    def end_talk(self, why: str) -> Commands:
        """Back to sleep; what was streamed and not committed is forgotten by the server too."""
        state = self._state
        out: Commands = []
        turn, state.turn = state.turn, None
        if self._gate.state is GateState.OPEN or (turn is not None and not turn.ended):
            out.append(c.ClearAudio())
        owed = turn is not None and (turn.ended or turn.server_heard)
        out += self._answers.abandon(owed=owed)
        state.breath_from = None
        state.owed.clear()
        state.deadlines.clear_talk()
        out += self._tools.withdraw("gone")
        out += self._tools.talk_over()
        if state.talk is not Talk.ASLEEP:
            state.transition(Cause.GAVE_UP)
            out.append(c.Note("talk.asleep", {"why": why}))
        self.close_gate()
        return out
