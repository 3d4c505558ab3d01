"""Rules 6 and 7: the cut, and who may cause it."""

from __future__ import annotations

from collections import deque

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import bytes_to_ms
from referee.records import Emitted, Record, Sound, Step
from referee.rule import Found, Rule
from referee.scene import NEVER, Scene

EXACT_MS = 10.0
"""`audio_end_ms` may differ by this from what was heard."""
REMEMBERED = 512
FADE_S = 0.08
"""The fade, one block of the device and the reverberation of a hard room's first moments."""
EARCON_S = 0.4
"""The longest earcon; it is mixed over everything, and no part of an answer."""
SILENT_PEAK = 64
"""Of 32,767: what dithering or a resampler's tail may leave."""


class Cut(Rule):
    """Once we are interrupted nothing of that answer is audible any more, and the server is told
    how much of it was: between nothing and all that came, within 10 ms of what was heard."""

    number = 6

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._came: dict[str, float] = {}
        """Item → milliseconds that were handed to the loudspeaker."""
        self._response: dict[str, str] = {}
        self._over: deque[str] = deque(maxlen=REMEMBERED)
        """Items that were cut: nothing of them may sound any more."""
        self._sounding: dict[str, None] = {}
        self._foreign: set[str] = set()
        """Items of a session that is over: no other one knows them."""
        self._cut_at = NEVER
        self._is_cut = False
        """Nothing has been begun since: nothing may sound."""
        self._earcon_at = NEVER

    def event(self, event: e.Event) -> Found:
        match event:
            case e.PlaybackDrained():
                self._sounding.pop(event.item, None)
                self._came.pop(event.item, None)
                self._foreign.discard(event.item)
            case e.LinkReady() | e.LinkDown():
                self._foreign.update(self._sounding)
                if isinstance(event, e.LinkReady):
                    self._forget_ids()
            case _:
                pass
        return ()

    def _forget_ids(self) -> None:
        """A new session may use the same names again."""
        self._over.clear()
        for item in [item for item in self._came if item not in self._sounding]:
            del self._came[item]

    def command(self, command: c.Command, step: Step) -> Found:
        match command:
            case c.PlayVoice():
                if command.item in self._over:
                    yield "cut.late", f"{command.item} is played although it was cut"
                ms = bytes_to_ms(len(command.pcm24k))
                self._came[command.item] = self._came.get(command.item, 0.0) + ms
                self._sounding[command.item] = None
                self._is_cut = False
            case c.PlaySentence() | c.SayText() | c.RingAlarm():
                self._is_cut = False
            case c.PlayEarcon():
                self._earcon_at = self.scene.now
            case c.CutPlayback():
                self._cut_at = self.scene.now
                self._is_cut = True
            case c.TruncateItem():
                came = self._came.get(command.item)
                if came is None or not 0 < command.audio_end_ms <= came + 0.5:
                    yield "cut.range", f"truncated at {command.audio_end_ms} ms of {came} ms"

    def after(self, step: Step) -> Found:
        if not isinstance(step.event, e.PlaybackCut):
            return
        told: dict[str, float] = {}
        for command in step.commands:
            if isinstance(command, c.TruncateItem):
                told[command.item] = command.audio_end_ms
            elif isinstance(command, c.DeleteItem):
                told[command.item] = 0.0
        item = step.event.item
        if item in self._sounding and item not in self._foreign and self.scene.link_up:
            heard = min(max(0.0, step.event.played_ms), self._came[item])
            if item not in told:
                yield "cut.untold", f"the server was not told that {item} was cut"
            elif abs(told[item] - heard) > EXACT_MS:
                yield "cut.exact", f"told {told[item]:.0f} ms of {item}, {heard:.0f} ms were heard"
        self._over.extend(self._sounding)
        for item in self._sounding:
            self._came.pop(item, None)
            self._foreign.discard(item)
        self._sounding.clear()

    def record(self, record: Record) -> Found:
        if isinstance(record, Emitted) and record.told_ms > record.ms + EXACT_MS:
            told, ms = record.told_ms, record.ms
            yield "cut.measured", f"told {told:.0f} ms of {record.item}, {ms:.0f} ms were emitted"
        if not isinstance(record, Sound):
            return
        silent_at = max(self._cut_at + FADE_S, self._earcon_at + EARCON_S)
        if self._is_cut and record.at > silent_at and record.peak > SILENT_PEAK:
            after_ms = 1000 * (record.at - self._cut_at)
            yield "cut.audible", f"a peak of {record.peak}, {after_ms:.0f} ms after the cut"


class Nobody(Rule):
    """Nobody interrupts who does not exist: no cut without speech, a wake word, a button, a word of
    the server, or a reason in the house (mute, a lost device, the end)."""

    number = 7

    CAUSES = (
        e.ButtonPressed,
        e.ButtonReleased,
        e.MuteRequested,
        e.GuestRequested,
        e.StopRequested,
        e.DeviceDown,
        e.UserSpeechStarted,
    )

    def command(self, command: c.Command, step: Step) -> Found:
        if not isinstance(command, c.CutPlayback) or isinstance(step.event, self.CAUSES):
            return
        event = step.event
        heard = isinstance(event, e.HeardFrame) and (event.speech or event.wake is not None)
        held = isinstance(event, e.Tick) and self._is_held()
        if not (heard or held):
            yield "nobody.cut", f"{type(event).__name__} made us fall silent"

    def _is_held(self) -> bool:
        return self.scene.pressed_at > NEVER
