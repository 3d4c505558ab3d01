"""Ears: our own detectors, from the first sound to the end of the household's turn.

`called`, `wake`, `open` and `end_turn` are for journeys that know that somebody calls, speaks or
has finished; `ServerEars` is the server's detector.

Thread: event loop; pure.  It never ends our own voice itself: it asks `Moves` to, and `TurnTaking`
goes on from the speaker's report.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.dialogue.gate import Gate, GateState
from edge_agent.dialogue.journeys.costs import Costs
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.state import (
    AWAITING,
    Cause,
    Commands,
    CutFor,
    Deadline,
    Link,
    Microphone,
    Talk,
    TalkState,
)
from edge_agent.dialogue.turn import CALL_LAG_S, UserTurn

BREATH_SPEECH_FRAMES = 12
"""Of the 30 frames that follow: a person who goes on talking, not a door."""
SURE_SPEECH_FRAMES = 30
"""0.3 s of speech: somebody spoke, even if the server's detector says nothing (or is stuck)."""
OWN_SOUND_S = 0.2
"""Chime (150 ms) or the fade of an answer, and the way through speaker and room: what is heard
in it is no evidence that somebody speaks, though it is kept and sent if somebody does."""
SOFT_CHIME_S = 1.3
"""The soft chime (60 ms), the way through speaker and room, and the longest tail in which the front
end still takes what it hears for our own sound (`echo.tail_ms`, 1 s)."""
SERVER_PATIENCE_S = 8.0
"""semantic_vad with low eagerness waits so long after the last word."""


class Bell(Protocol):
    """What the ears need of the alarms."""

    rings: bool

    def silence(self, cause: str, *, unheard: bool = False) -> Commands:
        """Stop the bell; nothing if it has not rung."""


class Reply(Protocol):
    """What the ears need to know of an answer to a question of ours."""

    @property
    def is_given(self) -> bool:
        """Does the present turn answer the question?"""

    def begins(self) -> bool:
        """Somebody speaks while we ask; False when it is no answer."""

    def woken(self) -> None:
        """Somebody calls."""

    def talked_over(self) -> None:
        """Somebody speaks while we do, and it cuts nothing."""

    def turn_ended(self, *, by_us: bool) -> Commands:
        """A turn has ended, whether it answers a question or not."""

    def nobody_spoke(self) -> Commands:
        """The answer was no words."""


class Ears:
    """Wake, speech and turns of the household."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
        barge_in: BargeIn,
        answers: Answers,
        memory: Memory,
        costs: Costs,
        bell: Bell,
        reply: Reply,
        explain_link: Callable[[], Commands],
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate
        self._barge_in = barge_in
        self._answers = answers
        self._memory = memory
        self._costs = costs
        self._bell = bell
        self._reply = reply
        self._explain_link = explain_link
        self._is_call_open = False
        """Somebody has called and has not said anything yet."""

    # --- our own detectors ----------------------------------------------------------------

    def frame_heard(self, frame: e.HeardFrame) -> Commands:
        """10 ms from the microphone."""
        state = self._state
        if state.microphone is Microphone.MUTED:
            return []
        pcm24k = self._gate.hear(frame)
        out: Commands = []
        if frame.wake is not None and state.config.mode != "button":
            out += self.called("wake word", frame.at, word=frame.wake)
        if state.talk is Talk.SPEAKING:
            if self._barge_in.hear(frame):
                if state.config.barge_in_by_speech:
                    out += self._moves.interrupt("speech", self._barge_in.onset_at)
                else:
                    self._reply.talked_over()
        elif state.talk is Talk.CONFIRMING and state.sentences:  # the question stands
            if self._barge_in.hear(frame) and state.config.barge_in_by_speech:
                out += self._moves.fall_silent(CutFor.HUSH, "speech", self._barge_in.onset_at)
        elif self._gate.state is GateState.ARMED:
            out += self._armed()
        elif self._gate.state is GateState.OPEN and pcm24k:
            out += self._stream(pcm24k, frame)
        return out

    def called(self, cause: str, at: float, word: str = "") -> Commands:
        """Wake word or button."""
        talk = self._state.talk
        if self._gate.state is GateState.OPEN and talk is Talk.LISTENING:
            # Already streaming: the word is part of what is said, and its words are to come.
            if self._state.turn is not None:
                self._state.turn.called_at = at
                self._state.is_called = True
            return self._bell.silence(cause)
        if self._moves.sounding or talk in (Talk.SPEAKING, Talk.THINKING, Talk.CONFIRMING):
            return self._moves.interrupt(cause, at)
        return self.wake(cause, at, word)

    def wake(self, cause: str, at: float, word: str = "") -> Commands:
        """Listen to somebody who called, and see whether they go on at once."""
        state, config, deadlines = self._state, self._state.config, self._state.deadlines
        was_asleep = state.talk is Talk.ASLEEP
        state.transition(Cause.WOKEN)
        state.woken_at = state.now
        self._is_call_open = cause != "speech"
        self._reply.woken()
        deadlines.clear(Deadline.QUIET, Deadline.FOLLOW_UP, Deadline.UTTERANCE)
        deadlines.clear(*AWAITING, Deadline.ONE_BREATH)
        onset_s = config.onset_pre_roll_ms / 1000
        spoken = cause == "wake word"
        if cause == "speech":
            state.breath_from = None
            self._gate.arm(at, at - onset_s)
        else:
            # See whether the person goes on without a pause.  One breath holds the wake word
            # itself; nobody says a button, and our own fading voice is not the person.
            own_sound = not spoken and not was_asleep
            state.breath_from = at + (OWN_SOUND_S - CALL_LAG_S if own_sound else 0.0)
            self._gate.arm(float("-inf"), float("-inf") if spoken else at - onset_s)
            deadlines.set(Deadline.ONE_BREATH, config.one_breath_ms / 1000)
        rang = self._bell.silence(cause)
        out: Commands = [*rang, c.Note("talk.woken", {"cause": cause, "word": word})]
        if not self._costs.may_start_turn(by_button=cause == "button"):
            return [*out, self._moves.say("budget_spent"), *self._moves.end_talk("budget spent")]
        out += self._answers.abandon(owed=False)
        if not state.device_ok or rang:  # silence was what was wanted; words will be explained
            return out
        return out + self._explain_link()

    def _armed(self) -> Commands:
        state, config = self._state, self._state.config
        if state.breath_from is not None:
            going_on = self._gate.speech_frames_since(state.breath_from + CALL_LAG_S)
            if going_on < BREATH_SPEECH_FRAMES:
                return []
            state.breath_from = None
            state.deadlines.clear(Deadline.ONE_BREATH)
            opened = self.open(config.pre_roll_ms + config.one_breath_ms, "one breath")
            return opened + self._chime_softly()
        if not self._gate.onset():
            return []
        out: Commands = []
        if state.talk is Talk.THINKING:
            return self._moves.interrupt("speech", state.now)
        if state.talk is Talk.ASLEEP:  # mode `always`
            out += self.wake("speech", state.now)
            if state.talk is Talk.ASLEEP:  # nobody can answer: it has been said why
                return out
        return out + self.open(config.onset_pre_roll_ms, "speech")

    def paused_after_wake(self) -> Commands:
        """The wake word stood alone: now a chime can't land on the first words."""
        state, chime = self._state, self._state.config.chime != "never"
        if state.breath_from is None:
            return []
        self._gate.arm(state.now + (OWN_SOUND_S if chime else 0.0), state.breath_from)
        state.breath_from = None
        state.deadlines.set(Deadline.QUIET, state.config.quiet_end_s)
        return [c.PlayEarcon("woken")] if chime else []

    def _chime_softly(self) -> Commands:
        """Tell somebody who speaks on, and may not see the light, that it is heard.  The words are
        streamed whole all the same, and the chime proves nothing about them."""
        state = self._state
        turn, is_open = state.turn, self._gate.state is GateState.OPEN
        if state.config.chime != "always" or turn is None or not is_open or self._moves.sounding:
            return []
        turn.chimed_until = state.now + SOFT_CHIME_S
        self._gate.spare(turn.chimed_until)
        return [c.PlayEarcon("woken_soft")]

    def open(self, pre_roll_ms: int, cause: str) -> Commands:
        """Somebody speaks, by what `cause` says: stream, the pre-roll first."""
        state, config = self._state, self._state.config
        if state.talk is Talk.CONFIRMING and not self._reply.begins():
            return []
        pre_roll = self._gate.open(pre_roll_ms)
        state.turn = UserTurn(state.now, config.keep_max_s)
        state.turn.add(pre_roll.words, state.now, speech_frames=pre_roll.speech_frames)
        state.is_called, self._is_call_open = self._is_call_open, False
        state.owed.server_cancelled = False
        state.owed.asked_again_since = None
        state.deadlines.clear(Deadline.FOLLOW_UP)
        state.deadlines.set(Deadline.QUIET, config.quiet_end_s)
        state.deadlines.set(Deadline.UTTERANCE, config.utterance_max_s)
        out: Commands = [c.Note("mic.streams", {"cause": cause})]
        out += self._answers.abandon(owed=False)
        if pre_roll.unsent:
            out.append(c.SendAudio(pre_roll.unsent))
        if self._bell.rings or state.sentences:
            out += self._moves.fall_silent(CutFor.HUSH, "speech", state.now)
        return out + self._explain_link()

    def _stream(self, pcm24k: bytes, frame: e.HeardFrame) -> Commands:
        state, config = self._state, self._state.config
        out: Commands = [c.SendAudio(pcm24k)]
        turn = state.turn
        if turn is None or turn.ended:
            return out  # after a commit the server may still hear the person go on
        chimed = frame.over_playback and frame.at < turn.chimed_until
        turn.add(pcm24k, frame.at, speech_frames=int(frame.speech and not chimed))
        if chimed:  # no evidence of speech, and none of its end
            turn.last_speech_at = frame.at
        if frame.speech:
            state.deadlines.set(Deadline.QUIET, config.quiet_end_s)
        ours_to_end = not config.server_turns or state.link is not Link.READY
        silence_s = frame.at - turn.last_speech_at
        # Who has just called has as long for the first word as after any other call (`quiet`).
        is_over = turn.is_spoken and silence_s * 1000 >= config.local_silence_ms
        if ours_to_end and is_over and not turn.ends_with_call:
            out += self.end_turn(by_us=True)
        return out

    # --- the end of a turn ----------------------------------------------------------------

    def end_turn(self, *, by_us: bool) -> Commands:
        """The household has finished; `by_us`: our own detector, a limit or the button said so."""
        turn = self._state.turn
        if turn is None or turn.ended:
            return self._reply.turn_ended(by_us=by_us) if self._reply.is_given else []
        return self._turn_over(turn, by_us=by_us) + self._reply.turn_ended(by_us=by_us)

    def _turn_over(self, turn: UserTurn, *, by_us: bool) -> Commands:
        state, config, deadlines = self._state, self._state.config, self._state.deadlines
        turn.end(state.now, by_us=by_us)
        self._answers.expect()
        state.turn_ended_at = state.now
        state.is_served = False
        self._memory.user_said(turn.pcm24k)
        state.transition(Cause.TURN_ENDED)
        deadlines.clear(Deadline.QUIET, Deadline.UTTERANCE, Deadline.FOLLOW_UP, Deadline.ONE_BREATH)
        state.breath_from = None
        out: Commands = [c.Note("talk.turn_sent", {"ms": round(turn.ms)})]
        if state.link is not Link.READY:
            self._gate.shut()
            deadlines.set(Deadline.KEEP, config.keep_max_age_s)
            return [*out, c.Note("talk.kept_for_later", {"ms": round(turn.ms)})]
        self._moves.await_answer()
        if turn.ends_with_call and not by_us:
            self._gate.arm(state.now)  # the words are to come; a stalled server would not hear them
        if by_us:
            self._gate.shut()
            state.commits_due += 1
            out.append(c.CommitAudio())
            if not self._reply.is_given:  # the model does not answer what is said to us
                out += self._answers.request(c.RequestResponse(), insist=False)
        return out

    def quiet(self) -> Commands:
        """Nobody has spoken for a while although the gate is open."""
        state = self._state
        turn = state.turn
        if state.talk is not Talk.LISTENING:
            return []
        if turn is None:
            return self._nobody_spoke()
        patience_s = turn.last_speech_at + SERVER_PATIENCE_S - state.now
        if turn.server_heard and patience_s > 0:
            state.deadlines.set(Deadline.QUIET, patience_s)
            return []
        servers_to_end = state.config.server_turns and state.link is Link.READY
        doubt = servers_to_end and not turn.server_heard
        if turn.speech_frames >= SURE_SPEECH_FRAMES if doubt else turn.is_spoken:
            return self.end_turn(by_us=True)
        return self._nobody_spoke()

    def _nobody_spoke(self) -> Commands:
        if self._reply.is_given:
            return self._reply.nobody_spoke()
        return [c.Note("talk.false_wake", {}), *self._moves.end_talk("nobody spoke")]

    def utterance_capped(self) -> Commands:
        """The longest turn that is taken."""
        turn = self._state.turn
        if turn is None or turn.ended:
            return []
        note = c.Note("talk.utterance_capped", {"ms": round(turn.ms)})
        return [note, *self.end_turn(by_us=True)]
