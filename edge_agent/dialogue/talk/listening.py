"""Listening: from the first sound to the end of the household's turn (purpose).

Owner thread: event loop.  Must never end our own speech itself: that is `_interrupt`.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.gate import GateState
from edge_agent.dialogue.talk.ringing import Ringing
from edge_agent.dialogue.talk.states import Cause, Link, Microphone, Talk
from edge_agent.dialogue.talk.talk_core import Commands
from edge_agent.dialogue.turn import UserTurn

BREATH_LAG_S = 0.1
"""The wake model fires about here after the word's end; its tail is not "going on talking"."""
BREATH_SPEECH_FRAMES = 12
"""Of the 30 frames that follow: a person who goes on talking, not a door."""
MIN_TURN_SPEECH_FRAMES = 10
"""Less speech than this is not a turn when our own detector has to decide."""
SURE_SPEECH_FRAMES = 30
"""0.3 s of speech: somebody spoke, even if the server's detector says nothing (or is stuck)."""
OWN_SOUND_S = 0.2
"""Chime (150 ms) or the fade of an answer, and the way through speaker and room: what is heard
in it is no evidence that somebody speaks, though it is kept and sent if somebody does."""
SERVER_PATIENCE_S = 8.0
"""semantic_vad with low eagerness waits so long after the last word."""


class Listening(Ringing):
    """Ears: our own detectors first, then the server's."""

    def _heard(self, frame: e.HeardFrame) -> Commands:
        if self.microphone is Microphone.MUTED or self._stopping:
            return []
        pcm24k = self._gate.hear(frame)
        out: Commands = []
        if frame.wake is not None and self.config.mode != "button":
            out += self._called("wake word", frame.at, word=frame.wake)
        if self.talk is Talk.SPEAKING:
            if self._barge_in.hear(frame) and self.config.barge_in_by_speech:
                out += self._interrupt("speech", self._barge_in.onset_at)
        elif self._gate.state is GateState.ARMED:
            out += self._armed()
        elif self._gate.state is GateState.OPEN and pcm24k:
            out += self._stream(pcm24k, frame)
        return out

    def _called(self, cause: str, at: float, word: str = "") -> Commands:
        """Wake word or button."""
        if self._gate.state is GateState.OPEN and self.talk is Talk.LISTENING:
            # Already streaming: the word is part of what is said.
            return self._silence_alarm(cause)
        if self._sounding or self.talk in (Talk.SPEAKING, Talk.THINKING, Talk.CONFIRMING):
            return self._interrupt(cause, at)
        return self._wake(cause, at, word)

    def _wake(self, cause: str, at: float, word: str = "") -> Commands:
        was_asleep = self.talk is Talk.ASLEEP
        self._go(Cause.WOKEN)
        self._woken_at = self._now
        self._clear("quiet", "follow-up", "utterance", "thinking", "one breath")
        spoken = cause == "wake word"
        if cause == "speech":
            self._breath_from = None
            self._gate.arm(at, at - self.config.onset_pre_roll_ms / 1000)
        else:
            # See whether the person goes on without a pause.  One breath holds the wake word
            # itself; nobody says a button, and our own fading voice is not the person.
            own_sound = not spoken and not was_asleep
            self._breath_from = at + (OWN_SOUND_S - BREATH_LAG_S if own_sound else 0.0)
            onset_s = self.config.onset_pre_roll_ms / 1000
            self._gate.arm(float("-inf"), float("-inf") if spoken else at - onset_s)
            self._at("one breath", self.config.one_breath_ms / 1000)
        rang = self._silence_alarm(cause)
        out: Commands = [*rang, c.Note("talk.woken", {"cause": cause, "word": word})]
        if not self._spending.may_start_turn(by_button=cause == "button"):
            return [*out, self._say("budget_spent"), *self._give_up("budget spent")]
        out += self._answers.abandon(owed=False)
        if not self._device_ok or rang:  # silence was what was wanted; words will be explained
            return out
        return out + self._explain_link()

    def _explain_link(self) -> Commands:
        """Somebody wants an answer and the link is down: keep the words, say why."""
        if self.link is Link.READY or "announce" in self._deadlines:
            return []
        if self._link_trouble is not None and self._link_trouble.refused:
            return [self._say(self._link_trouble.code), *self._give_up("link refused")]
        self._at("announce", self.config.announce_after_s)
        return []

    def _armed(self) -> Commands:
        if self._breath_from is not None:
            going_on = self._gate.speech_frames_since(self._breath_from + BREATH_LAG_S)
            if going_on < BREATH_SPEECH_FRAMES:
                return []
            self._breath_from = None
            self._clear("one breath")
            return self._open(self.config.pre_roll_ms + self.config.one_breath_ms)
        if not self._gate.onset():
            return []
        out: Commands = []
        if self.talk is Talk.THINKING:
            return self._interrupt("speech", self._now)
        if self.talk is Talk.ASLEEP:  # mode `always`
            out += self._wake("speech", self._now)
            if self.talk is Talk.ASLEEP:  # nobody can answer: it has been said why
                return out
        return out + self._open(self.config.onset_pre_roll_ms)

    def _paused_after_wake(self) -> Commands:
        """The wake word stood alone: now a chime can't land on the first words."""
        if self._breath_from is None:
            return []
        own_sound_s = OWN_SOUND_S if self.config.chime else 0.0
        self._gate.arm(self._now + own_sound_s, self._breath_from)
        self._breath_from = None
        self._at("quiet", self.config.quiet_end_s)
        return self._chime()

    def _chime(self) -> Commands:
        return [c.PlayEarcon("woken")] if self.config.chime else []

    def _open(self, pre_roll_ms: int) -> Commands:
        """Somebody speaks: stream, the pre-roll first."""
        pre_roll = self._gate.open(pre_roll_ms)
        self._turn = UserTurn(self._now, self.config.keep_max_s)
        self._turn.add(pre_roll.words, self._now, speech_frames=pre_roll.speech_frames)
        self._unanswered = False
        self._asked_again_since = None
        self._clear("follow-up")
        self._at("quiet", self.config.quiet_end_s)
        self._at("utterance", self.config.utterance_max_s)
        out = self._answers.abandon(owed=False)
        if pre_roll.unsent:
            out.append(c.SendAudio(pre_roll.unsent))
        return out + self._hush() + self._explain_link()

    def _stream(self, pcm24k: bytes, frame: e.HeardFrame) -> Commands:
        out: Commands = [c.SendAudio(pcm24k)]
        turn = self._turn
        if turn is None or turn.ended:
            return out  # after a commit the server may still hear the person go on
        turn.add(pcm24k, frame.at, speech_frames=int(frame.speech))
        if frame.speech:
            self._at("quiet", self.config.quiet_end_s)
        ours_to_end = not self.config.server_turns or self.link is not Link.READY
        silence_s = frame.at - turn.last_speech_at
        if (
            ours_to_end
            and turn.speech_frames >= MIN_TURN_SPEECH_FRAMES
            and silence_s * 1000 >= self.config.local_silence_ms
        ):
            out += self._end_turn(by_us=True)
        return out

    def _end_turn(self, *, by_us: bool) -> Commands:
        turn = self._turn
        if turn is None or turn.ended:
            return []
        turn.end(self._now, by_us=by_us)
        self._answers.expect()
        self._turn_ended_at = self._now
        self._memory.user_said(turn.pcm24k)
        self._go(Cause.TURN_ENDED)
        self._clear("quiet", "utterance", "follow-up", "one breath")
        self._breath_from = None
        out: Commands = [c.Note("talk.turn_sent", {"ms": round(turn.ms)})]
        if self.link is not Link.READY:
            self._gate.shut()
            self._at("keep", self.config.keep_max_age_s)
            return [*out, c.Note("talk.kept_for_later", {"ms": round(turn.ms)})]
        self._at("thinking", self.config.thinking_max_s)
        if by_us:
            self._gate.shut()
            self._commits_due += 1
            out += [c.CommitAudio(), *self._request_answer()]
        return out

    def _request_answer(self) -> Commands:
        return self._answers.request(c.RequestResponse(), insist=False)

    def _quiet(self) -> Commands:
        """Nobody has spoken for a while although the gate is open."""
        turn = self._turn
        if self.talk is not Talk.LISTENING:
            return []
        if turn is None:
            return self._nobody_spoke()
        patience_s = turn.last_speech_at + SERVER_PATIENCE_S - self._now
        if turn.server_heard and patience_s > 0:
            self._at("quiet", patience_s)
            return []
        servers_to_end = self.config.server_turns and self.link is Link.READY
        doubt = servers_to_end and not turn.server_heard
        if turn.speech_frames >= (SURE_SPEECH_FRAMES if doubt else MIN_TURN_SPEECH_FRAMES):
            return self._end_turn(by_us=True)
        return self._nobody_spoke()

    def _nobody_spoke(self) -> Commands:
        return [c.Note("talk.false_wake", {}), *self._give_up("nobody spoke")]

    def _utterance_capped(self) -> Commands:
        turn = self._turn
        if turn is None or turn.ended:
            return []
        note = c.Note("talk.utterance_capped", {"ms": round(turn.ms)})
        return [note, *self._end_turn(by_us=True)]

    # --- the server's ears ----------------------------------------------------------------

    def _server_heard(self, event: e.UserSpeechStarted) -> Commands:
        turn = self._turn
        if self.microphone is Microphone.MUTED:
            return []
        if self.talk is Talk.LISTENING:
            if turn is None and self._gate.state is GateState.ARMED and self._breath_from is None:
                # The tail of what was streamed before: somebody has been speaking since.
                out = self._open(self.config.onset_pre_roll_ms)
                turn = self._turn
            else:
                out = []
            if turn is not None:
                turn.server_heard = True
                self._answers.expect()
            return out
        if self.talk is Talk.THINKING and turn is not None:
            late = turn.ended_by_us and not turn.server_heard
            turn.server_heard = True
            if late:  # it is the very turn that is being answered
                return []
        if self.talk in (Talk.THINKING, Talk.SPEAKING):
            return self._interrupt("server", event.at)
        return []

    def _server_heard_end(self, _event: e.UserSpeechStopped) -> Commands:
        if self.talk is Talk.LISTENING and self._turn is not None:
            self._answers.expect()
        return []

    def _committed(self, event: e.UserTurnCommitted) -> Commands:
        out: Commands = []
        if self._commits_due:
            self._commits_due -= 1
        elif self.talk is Talk.LISTENING:
            out = self._end_turn(by_us=False)
        self._memory.user_item(event.item)
        return out

    def _user_transcript(self, event: e.UserTranscript) -> Commands:
        self._memory.user_text(event.item, event.text)
        return []
