"""Rules 1 and 2: what may leave the house."""

from __future__ import annotations

from collections import deque

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import bytes_to_ms
from referee.records import Frame, Record, Step
from referee.rule import Found, Rule
from referee.scene import NEVER, Scene

PAUSE_FRAMES = 10
"""So many frames that were heard and not sent: what is sent then begins a stream anew."""
EVIDENCE_S = 1.6
"""Between somebody's first sound and the first byte: the longest pre-roll and the pause that tells
one breath from two."""
EVIDENCE_FRAMES = 5
"""Of 10 ms that our own detector called speech: a syllable.  Over our own voice one is enough: that
detector has weighed what it heard before it says so."""
REPLAY_S = 61.0
"""A fresh session is told again of what was said up to a minute ago."""
SLACK_S = 1.0
"""A window closes with the tick after its end, and a pre-roll reaches back."""
BASE64_MS = 3 / 4 / 48
"""Of PCM16 at 24 kHz, for each character of its base64 text …"""
WIRE_SLACK_MS = 1.0
"""… which is padded at the end of each message."""


class Gate(Rule):
    """No sound leaves unless the household opened the gate.

    A stream begins with a wake word, a press of the talk button, or speech that our own detector
    heard while the household's turn is thought about or answered, in the follow-up window of its
    answer, or after an audible question.  Nothing else opens it: no alarm, no sentence of ours, no
    answer that nobody asked for, no word of the server.
    """

    number = 1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._speech: deque[float] = deque(maxlen=EVIDENCE_FRAMES)
        self._sent_at = NEVER
        self._unsent = PAUSE_FRAMES
        """Frames that were heard since something was sent."""
        self._sent_ms = self._wire_ms = 0.0
        self._turn = False
        """The household has said something that is not yet answered to its end."""
        self._asked = False
        """We have asked for a response to it."""
        self._ours: set[str] = set()
        """Responses that answer the household."""
        self._item_ours: dict[str, bool] = {}
        self._follow_up_until = NEVER
        self._question_until = NEVER
        self._waiting = False
        """A call waits for the household's word."""

    def event(self, event: e.Event) -> Found:
        scene = self.scene
        if isinstance(event, e.HeardFrame):
            self._unsent += 1
            if event.speech and not scene.muted:
                labels = EVIDENCE_FRAMES if event.over_playback else 1
                self._speech.extend([scene.now] * labels)
            return ()
        match event:
            case e.ResponseStarted() if self._turn or self._asked:
                self._ours.add(event.response)
            case e.VoiceChunk():
                self._item_ours[event.item] = event.response in self._ours
            case e.ResponseEnded() if event.calls:
                self._waiting = True
            case e.PlaybackDrained() if self._item_ours.get(event.item):
                self._follow_up_until = scene.now + scene.household.follow_up_s + SLACK_S
            case e.LinkReady() | e.LinkDown():
                self._asked = False
            case _:
                pass
        if (
            isinstance(event, e.PlaybackDrained | e.SentenceDrained | e.TextDrained)
            and self._waiting
        ):
            self._question_until = scene.now + scene.household.confirm_s + SLACK_S
        return ()

    def command(self, command: c.Command, step: Step) -> Found:
        match command:
            case c.SendAudio():
                self._sent_ms += bytes_to_ms(len(command.pcm24k))
                yield from self._begins(step)
                self._sent_at = self.scene.now
                self._unsent = 0
                self._turn = True
            case c.AddMessage(role="user"):
                self._turn = True
            case c.RequestResponse():
                self._asked = self._turn
            case c.ShowLight(light="listening" | "asleep"):
                self._turn = self._sent_at == self.scene.now
                self._waiting = False
            case c.ShowLight(light="confirming"):
                self._question_until = self.scene.now + self.scene.household.confirm_s + SLACK_S

    def _begins(self, step: Step) -> Found:
        now, household = self.scene.now, self.scene.household
        if self._unsent <= PAUSE_FRAMES:
            return
        called = now - self.scene.called_at
        horizon_s = REPLAY_S if isinstance(step.event, e.LinkReady) else EVIDENCE_S
        spoke = len(self._speech) == EVIDENCE_FRAMES and now - self._speech[0] <= horizon_s
        if not spoke and called > horizon_s:
            yield "gate.evidence", f"{_name(step.event)} opened it and nobody was heard"
        if not (
            household.mode == "always"
            or called <= household.quiet_end_s + SLACK_S
            or self._turn
            or now <= max(self._follow_up_until, self._question_until)
        ):
            yield "gate.window", f"{_name(step.event)} opened it and no window was open"

    def forget(self) -> None:
        self._ours.clear()
        self._item_ours.clear()

    def record(self, record: Record) -> Found:
        if not isinstance(record, Frame) or not record.is_sound:
            return
        self._wire_ms += len(str(record.message.get("audio", ""))) * BASE64_MS
        if self._wire_ms > self._sent_ms + WIRE_SLACK_MS:
            more_ms = self._wire_ms - self._sent_ms
            yield "gate.wire", f"{more_ms:.0f} ms more were sent than the gate let out"


class Mute(Rule):
    """Muted, no sound and no word from the room is sent, of now or of earlier."""

    number = 2

    def command(self, command: c.Command, step: Step) -> Found:
        if not self.scene.muted:
            return
        match command:
            case c.SendAudio():
                yield "mute.sound", f"{bytes_to_ms(len(command.pcm24k)):.0f} ms of sound"
            case c.CommitAudio():
                yield "mute.commit", "a turn was ended"
            case c.AddMessage(role="user" | "assistant"):
                what = "sound" if command.pcm24k else "words"
                yield "mute.memory", f"{what} of the talk ({command.role}) for a session"

    def record(self, record: Record) -> Found:
        if isinstance(record, Frame) and record.is_sound and self.scene.muted:
            yield "mute.wire", "sound on the wire"


def _name(event: e.Event) -> str:
    return type(event).__name__
