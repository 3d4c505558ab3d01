"""The sound chain: microphone side, loudspeaker side, and the device between them.

Thread: event loop; the device's and the front end's threads come in through `frames`.  It must
never decide what is heard or said.  `run` it as a task; frames reach the inbox through `post`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from edge_agent.app.sound.ears import Ears
from edge_agent.app.sound.frames import FrameDoor
from edge_agent.app.wiring import wake_detector
from edge_agent.audio.cancel.echo import ReferenceTrack
from edge_agent.audio.detectors import VoiceDetector
from edge_agent.audio.device.standby import Standby
from edge_agent.audio.device.supervisor import DeviceSupervisor
from edge_agent.audio.front_end import FrontEnd
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.events import DeviceDown, Event, HeardFrame
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.ports import SoundDevice, SoundDeviceInfo
from edge_agent.host.service.sound_health import SoundCounters
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.json_file import NoteFunction

COLLECT_EVERY_S = 0.05
"""While muted; the end of an answer is known so much later, and nobody can speak meanwhile."""


class SoundChain:
    """One speaker's ears and voice.

    `is_awake`: somebody talks with us; `is_listening`: it is their turn.  `is_muted`: the
    microphone has to be closed.  `collect`:
    called often while no frame comes that would have the pump ask what was heard of us.  `changed`:
    called when the device came or went.
    """

    def __init__(
        self,
        settings: Settings,
        device: SoundDevice,
        *,
        devices: Worker,
        threads: bool,
        volume_percent: int,
        is_awake: Callable[[], bool],
        is_listening: Callable[[], bool],
        is_muted: Callable[[], bool],
        collect: Callable[[], None],
        post: Callable[[Event], None],
        changed: Callable[[], None],
        fault: Callable[[BaseException], None],
        note: NoteFunction,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._device = device
        self._devices = devices
        self._threads = threads
        self._is_awake = is_awake
        self._collect = collect
        self._post = post
        self._changed = changed
        self._fault = fault
        self._trouble = ""
        """The code that the inbox knows of: a device looked for in vain once more is no news."""
        self.first_frame = asyncio.Event()
        self.reference = ReferenceTrack(WIRE_RATE_HZ, tail_s=settings.echo.tail_ms / 1000)
        self.playout = Playout(
            warm_up_ms=settings.device.warm_up_ms,
            volume_percent=volume_percent,
            volume_max_percent=settings.device.volume_max_percent,
            reference_write=self.reference.write,
        )
        self.door = FrameDoor(self._loop, self._take_frame, threads=threads)
        self.front_end = FrontEnd(
            self.door.one,
            wake=wake_detector(settings),
            voice=VoiceDetector(settings.listen.vad_mode),
            reference=self.reference,
            echo=settings.echo.mode,
            on_fault=self._front_end_fault,
            emit_many=self.door.many if threads else None,
        )
        self.supervisor = DeviceSupervisor(
            device,
            on_capture=self.front_end.on_capture,
            on_render=self.playout.render,
            opened=self._opened,
            capture_opened=self._start_ears,
            capture_closed=self.front_end.stop,
            is_muted=is_muted,
            post=self._device_news,
            in_thread=devices.run,
            standby=Standby(
                settings.device.rest_after_s,
                self._loop.time(),
                is_awake=is_awake,
                is_audible=lambda: self.playout.audible,
                frames_made=lambda: self.playout.frames_rendered,
            ),
        )

        self.ears = Ears(
            device,
            self.supervisor,
            self.front_end,
            devices=devices,
            is_listening=is_listening,
            is_busy=lambda: is_awake() or self.playout.audible,
            post=post,
            note=note,
        )

    async def run(self) -> None:
        """Keep the device open until cancelled; then close it."""
        stand_in = self._loop.create_task(self._stand_in(), name="pulse")
        try:
            await self.supervisor.run()
        finally:
            stand_in.cancel()

    async def _stand_in(self) -> None:
        """For the microphone's frames, by which the pump learns what was heard of us."""
        while True:
            await self.supervisor.deafened.wait()
            self._collect()
            await asyncio.sleep(COLLECT_EVERY_S)

    # --- what came of it ------------------------------------------------------------------

    @property
    def frames(self) -> tuple[int, int, int]:
        """Frames that the microphone gave, that we made for the loudspeaker, that were heard."""
        # Not the device's count of rendered ones: it has a block of silence, too, where ours
        # could not be made.
        made = self.playout.frames_rendered
        return self._device.frames_captured, made, self.front_end.frames_out

    @property
    def has_moved(self) -> bool:
        """A first frame has come through, of the loudspeaker's where the microphone is muted."""
        deaf = self.supervisor.is_deaf
        return self.first_frame.is_set() or (deaf and self.playout.frames_rendered > 0)

    @property
    def drops(self) -> dict[str, int]:
        """Queue → entries dropped since the start."""
        return {"capture": self.front_end.blocks_dropped, "inbox": self.door.dropped}

    def counters(self) -> SoundCounters:
        """What the sound system and the front end have counted."""
        front_end = self.front_end
        return SoundCounters(
            opened=self.supervisor.reopened,
            clipped=front_end.clipped_samples,
            # A virtual room has no sound system that could lose anything.
            overflows=getattr(self._device, "overflows", 0),
            underflows=getattr(self._device, "underflows", 0),
            playback_frames=front_end.playback_frames,
            echo=front_end.echo,
            erle_db=front_end.erle_db,
        )

    # --- the front end's news -------------------------------------------------------------

    def _take_frame(self, frame: HeardFrame) -> None:
        self.first_frame.set()
        self.ears.frame(frame)
        self._post(frame)
        # Asleep, nobody notices 30 ms, and the processor may rest.
        self.front_end.relaxed = not self._is_awake()

    def _front_end_fault(self, problem: Exception) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving
            self._loop.call_soon_threadsafe(self._fault, problem)

    # --- the device's news ----------------------------------------------------------------

    def _opened(self, info: SoundDeviceInfo) -> None:
        """Until here the device's callbacks got silence and nobody heard them."""
        self.reference.restart(info.render_rate_hz)
        self.playout.open(info.render_rate_hz, info.output_latency_s)
        if info.capture_rate_hz:
            self._start_ears(info)
        else:
            self.ears.opened(info)

    def _start_ears(self, info: SoundDeviceInfo) -> None:
        """The microphone is open: canceller and detectors begin afresh."""
        self.ears.opened(info)
        self.front_end.start(info.capture_rate_hz, threaded=self._threads)

    def _device_news(self, event: Event) -> None:
        code = event.code if isinstance(event, DeviceDown) else ""
        if code:
            # Before the next `open`, whose callbacks may come before it has returned.
            self.playout.close()
            self._devices.put(self.front_end.stop)
        if not code or code != self._trouble:
            self._post(event)
        self._trouble = code
        self._changed()
