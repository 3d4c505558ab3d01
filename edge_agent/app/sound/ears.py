"""Ears: what is wrong with microphone and streams, told once, and mended where it can be.

Call `look` once a second; `on_event` is an observer of the pump, `heard` gets the frames.

Thread: event loop; the card's mixer is asked where `devices` works.  It must never take sound for
proof without `signs`, nor speak in the middle of a talk but to somebody who waits to be heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_agent.audio.device.pace import Pace
from edge_agent.audio.device.signs import DEAF, SETTLED_S, Ear, Sign, Signs
from edge_agent.audio.device.supervisor import TELL_S, DeviceSupervisor
from edge_agent.audio.front_end import FrontEnd
from edge_agent.contract.commands import Command, Note
from edge_agent.contract.events import DeviceDown, Event, HeardFrame, MicrophoneFailed
from edge_agent.contract.ports import DeviceState, SoundDevice, SoundDeviceInfo, TellingDevice
from edge_agent.host.service.worker import Worker
from edge_agent.host.stores.json_file import NoteFunction

ASK_EVERY_S = 10.0
"""The mixer, while one value lasts: whoever turns the switch looks at the light a moment later."""

WORDS = {
    Sign.OFF: (
        "The microphone delivers nothing but zeros.",
        "Switch it on at the device: its mute key, or its capture switch in alsamixer (F4).",
    ),
    Sign.STUCK: (
        "The microphone delivers one and the same value.",
        "Unplug it and plug it in again; if that does not help, it is broken.",
    ),
    Sign.FAINT: (
        "The microphone is so faint that nobody is heard.",
        "Turn its gain up: alsamixer, F4; or go nearer to it.",
    ),
}
STANDS_PERCENT = 50
"""Slower than this is no rate of any card, but a clock that hardly moves."""
STANDS = "A stream hardly moves: the sound device is opened again."
LOUD = ("The microphone is too loud.", "Turn its gain down: alsamixer, F4.")


class Ears:
    """Of one speaker.

    `is_listening`: somebody is being listened to; `is_busy`: a talk goes on, or something of ours
    sounds.
    """

    def __init__(
        self,
        device: SoundDevice,
        supervisor: DeviceSupervisor,
        front_end: FrontEnd,
        *,
        devices: Worker,
        is_listening: Callable[[], bool],
        is_busy: Callable[[], bool],
        post: Callable[[Event], None],
        note: NoteFunction,
    ) -> None:
        self._device = device
        self._supervisor = supervisor
        self._front_end = front_end
        self._devices = devices
        self._is_listening = is_listening
        self._is_busy = is_busy
        self._post = post
        self._note = note
        self._signs = Signs()
        self._moves = 0
        self._echo_found = False
        self._called_at: float | None = None
        self._has_spoken = False
        self._is_switched_off: bool | None = None
        self._asked_at = float("-inf")
        self._deaf_since = 0.0
        self._renew_at: float | None = None
        """When the device is to be opened anew, once it was told why."""
        self._advice = ""
        """The code of what is to be said once nobody is talked over."""
        self._dead = self._dead_told = 0
        """Channels."""
        self._microphone = Pace(1)
        self._loudspeaker = Pace(1)
        self._lost = 0
        self._told_pace: set[str] = set()

    # --- what comes in ----------------------------------------------------------------------

    def opened(self, info: SoundDeviceInfo) -> None:
        """The device, or its microphone alone, was opened."""
        self._echo_found = False
        self._moves = 0
        self._dead = 0
        self._is_switched_off, self._asked_at = None, float("-inf")
        self._microphone = Pace(info.capture_rate_hz or 1)
        self._loudspeaker = Pace(info.render_rate_hz)

    def on_event(self, _event: Event, commands: list[Command], at: float) -> None:
        """An observer of the pump: somebody calls."""
        if any(isinstance(one, Note) and one.code == "talk.woken" for one in commands):
            self._called_at, self._has_spoken = at, False

    def heard(self, frames: Sequence[HeardFrame]) -> None:
        """What was heard."""
        if not self._has_spoken:
            self._has_spoken = any(one.speech and not one.over_playback for one in frames)

    def advise(self, code: str) -> None:
        """Have this said as soon as nobody is talked over."""
        self._advice = code

    # --- what is known ------------------------------------------------------------------------

    @property
    def codes(self) -> tuple[str, ...]:
        """What is wrong now."""
        sign = self._signs.present
        found = [sign.value] if sign is not None and not self._supervisor.is_deaf else []
        found += ["audio.dead_channel"] if self._dead else []
        found += ["audio.mic_pace"] if self._microphone.wrong_percent else []
        found += ["audio.speaker_pace"] if self._loudspeaker.wrong_percent else []
        return tuple(found)

    @property
    def silent_s(self) -> float:
        """So long the microphone has given one value alone; 0 while it is closed, or not that
        long."""
        flat_s = self._front_end.levels.flat_s
        is_open = self._supervisor.present and not self._supervisor.is_deaf
        return flat_s if is_open and flat_s >= SETTLED_S else 0.0

    # --- a look -------------------------------------------------------------------------------

    def look(self, at: float) -> None:
        """Judge, tell, mend."""
        self._paces(at)
        if self._supervisor.present and not self._supervisor.is_deaf:
            self._microphone_signs(at)
            self._channels()
        if self._is_busy():
            return
        if self._advice:
            code, self._advice = self._advice, ""
            message, fix = LOUD if code == "audio.clipped" else WORDS[Sign(code)]
            self._post(MicrophoneFailed(at=at, code=code, message=message, fix=fix, hears=True))
        if self._renew_at is not None and at >= self._renew_at:
            self._renew_at = None
            self._renew(at)

    def _microphone_signs(self, at: float) -> None:
        front_end, levels = self._front_end, self._front_end.levels
        self._echo_found = self._echo_found or front_end.echo == "found"
        is_live = levels.moves != self._moves
        self._moves = levels.moves
        if levels.flat_s < SETTLED_S:
            self._is_switched_off = None
        elif at - self._asked_at >= ASK_EVERY_S and isinstance(self._device, TellingDevice):
            self._asked_at = at
            self._devices.put(self._ask)
        before = self._signs.present
        is_news = self._signs.look(
            Ear(
                at=at,
                flat_s=levels.flat_s,
                value=levels.value or 0,
                is_live=is_live,
                gaps=levels.gaps,
                peak_dbfs=levels.peak_dbfs(),
                played_s=front_end.playback_frames / 100,
                echo_found=self._echo_found,
                called_at=self._called_at if self._is_listening() else None,
                has_spoken=self._has_spoken,
                is_switched_off=self._is_switched_off,
            )
        )
        now = self._signs.present
        if now is not before:
            self._turned(before, now, at, aloud=is_news)

    def _ask(self) -> None:
        assert isinstance(self._device, TellingDevice)
        self._is_switched_off = self._device.is_switched_off()

    def _turned(self, before: Sign | None, now: Sign | None, at: float, *, aloud: bool) -> None:
        """The sign is another one than before."""
        self._supervisor.is_numb = now in DEAF
        if before in DEAF and now not in DEAF:
            self._renew_at = None
            self._note("audio.mic_back", seconds=round(at - self._deaf_since))
            self._supervisor.tell_ready()
        if now is None:
            return
        message, fix = WORDS[now]
        if now is Sign.FAINT:
            self._note("audio.faint")
            self._advice = now.value if aloud else ""
            return
        self._deaf_since = at
        if not aloud:
            self._note("audio.mic_gone", why=message)
            self._supervisor.tell_ready()  # by the light alone
            return
        self._post(MicrophoneFailed(at=at, code=now.value, message=message, fix=fix))
        if not self._is_switched_off:
            self._renew_at = at + TELL_S

    def _renew(self, at: float) -> None:
        sign = self._signs.present
        if sign is not None:
            message, fix = WORDS[sign]
            said = f"{message} It is opened again, in case that helps."
            self._supervisor.renew(DeviceDown(at=at, code=sign.value, message=said, fix=fix))

    def _channels(self) -> None:
        if not isinstance(self._device, TellingDevice):
            return
        count, dead = self._device.channels
        if dead > self._dead_told:
            self._dead_told = dead
            self._note("audio.dead_channel", count=dead, channels=count)
        self._dead = dead

    def _paces(self, at: float) -> None:
        """Do both streams run at the rate that they say?"""
        supervisor, device = self._supervisor, self._device
        lost = getattr(device, "overflows", 0) + getattr(device, "underflows", 0)
        is_even, self._lost = lost == self._lost, lost
        if not (is_even and supervisor.works) or supervisor.is_deaf:
            self._microphone.pause()
        if not (is_even and supervisor.state is DeviceState.OPEN):
            self._loudspeaker.pause()
        self._microphone.look(device.frames_captured, at)
        self._loudspeaker.look(device.frames_rendered, at)
        if self._is_new_pace("microphone", self._microphone, at):
            self._note("audio.mic_pace", percent=self._microphone.wrong_percent)
        if self._is_new_pace("loudspeaker", self._loudspeaker, at):
            self._note("audio.speaker_pace", percent=self._loudspeaker.wrong_percent)

    def _is_new_pace(self, side: str, pace: Pace, at: float) -> bool:
        """Whether a wrong pace is to be told; a stream that hardly moves is opened anew."""
        if not pace.wrong_percent or side in self._told_pace:
            return False
        self._told_pace.add(side)
        if pace.wrong_percent < STANDS_PERCENT:
            self._supervisor.renew(DeviceDown(at=at, code="device.lost", message=STANDS))
        return True
