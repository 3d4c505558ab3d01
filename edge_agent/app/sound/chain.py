"""The sound chain: microphone side, loudspeaker side, and the device between them.

Thread: event loop; the device's and the front end's threads come in through `frames`.  It must
never decide what is heard or said.  `run` it as a task; frames reach the inbox through `post`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge_agent.app.sound.ears import Ears
from edge_agent.app.sound.frames import FrameDoor
from edge_agent.app.wiring import wake_detector
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.detectors import VoiceDetector
from edge_agent.audio.device.standby import Standby
from edge_agent.audio.device.supervisor import DeviceSupervisor
from edge_agent.audio.front_end import FrontEnd
from edge_agent.audio.sound_check import Recording
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.events import DeviceDown, Event, HeardFrame
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.ports import EchoPath, SoundDevice, SoundDeviceInfo
from edge_agent.host.service.sound_health import SoundCounters
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.echo_store import EchoStore, pair
from edge_agent.host.stores.json_file import NoteFunction

COLLECT_EVERY_S = 0.05
"""While muted; the end of an answer is known so much later, and nobody can speak meanwhile."""

ALIKE_S = 0.004
ALIKE_DB = 3.0
"""What differs by less is the same room: nothing is written for it."""


def _alike(known: EchoPath, path: EchoPath) -> bool:
    nearer = abs(known.delay_s - path.delay_s) < ALIKE_S
    return nearer and abs(known.strength_db - path.strength_db) < ALIKE_DB


class SoundChain:
    """One speaker's ears and voice.

    `is_awake`: somebody talks with us; `is_listening`: it is their turn.  `is_muted`: the
    microphone has to be closed.  `hear`: takes the microphone's frames, by which the pump asks what
    was heard of us; while there are none, it is called with none.  `post`: all other news.
    `changed`: called when the device came or went.  `echoes`: how our voice reaches the microphone,
    by pair of cards; it is written to in the worker `disk`.
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
        hear: Callable[[Sequence[HeardFrame]], None],
        post: Callable[[Event], None],
        changed: Callable[[], None],
        fault: Callable[[BaseException], None],
        echoes: EchoStore,
        disk: Worker,
        note: NoteFunction,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._device = device
        self._devices = devices
        self._threads = threads
        self._is_awake = is_awake
        self._hear = hear
        self._post = post
        self._changed = changed
        self._fault = fault
        self._echoes = echoes
        self._disk = disk
        self._echo_paths = echoes.load()
        self._pair = ""
        self._learned: EchoPath | None = None
        self._trouble = ""
        """The code that the inbox knows of: a device looked for in vain once more is no news."""
        self.first_frame = asyncio.Event()
        self.reference = ReferenceTrack(WIRE_RATE_HZ, tail_s=settings.echo.tail_ms / 1000)
        self.playout = Playout(
            warm_up_ms=settings.device.warm_up_ms,
            volume_percent=volume_percent,
            volume_max_percent=settings.device.volume_max_percent,
            reference_write=self._played,
        )
        self.recording: Recording | None = None
        """While a sound check runs: what was heard and played.  Until it is None again the
        loudspeaker does not rest, and nothing that is heard wakes anybody (a button does)."""
        self.door = FrameDoor(self._loop, self._take_frames, threads=threads)
        self.front_end = FrontEnd(
            self.door.one,
            wake=wake_detector(settings),
            voice=VoiceDetector(settings.listen.vad_mode),
            reference=self.reference,
            echo=settings.echo.mode,
            sensitivity=settings.barge_in.sensitivity,
            on_fault=self._front_end_fault,
            emit_many=self.door.many if threads else None,
        )
        self.supervisor = DeviceSupervisor(
            device,
            on_capture=self._heard,
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
                is_audible=lambda: self.playout.audible or self.recording is not None,
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
            self._hear(())
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
    def cards(self) -> str:
        """The loudspeaker and the microphone that were opened last, by their stable names."""
        return self._pair

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

    # --- the device's callbacks -----------------------------------------------------------

    def _heard(self, block: bytes, at: float) -> None:
        if (recording := self.recording) is not None:
            recording.heard(block, at)
        self.front_end.on_capture(block, at)

    def _played(self, block: bytes, at: float) -> None:
        if (recording := self.recording) is not None:
            recording.played(block, at)
        self.reference.write(block, at)

    # --- the front end's news -------------------------------------------------------------

    def _take_frames(self, frames: Sequence[HeardFrame]) -> None:
        self.first_frame.set()
        if self.recording is not None and not self._is_awake():
            # Our own sample holds a wake word.
            frames = [replace(frame, speech=False, wake=None) for frame in frames]
        self.ears.heard(frames)
        self._hear(frames)
        # Asleep, nobody notices 30 ms, and the processor may rest.
        self.front_end.relaxed = not self._is_awake()
        if self.front_end.echo_path is not self._learned:
            self._learn(self.front_end.echo_path)

    def _learn(self, path: EchoPath | None) -> None:
        """A playback has shown how our voice reaches the microphone: keep what is new."""
        self._learned = path
        if path is None:
            return
        known = self._echo_paths.get(self._pair)
        if known is not None and _alike(known, path):
            return
        paths = self._with(path)
        self._disk.put(lambda: self._echoes.save(paths))

    async def keep(self, path: EchoPath) -> bool:
        """Have the canceller start from this when these cards are next opened, also after a
        restart.  False: the disk refuses it."""
        paths = self._with(path)
        return await self._disk.run(lambda: self._echoes.save(paths))

    def _with(self, path: EchoPath) -> dict[str, EchoPath]:
        """All that is known of echoes, with this of the present cards."""
        self._echo_paths.pop(self._pair, None)  # the newest is the last
        self._echo_paths[self._pair] = path
        return dict(self._echo_paths)

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
        self._pair = pair(info.render_name, info.capture_name)
        known = self._echo_paths.get(self._pair)
        self._learned = known
        self.front_end.start(info.capture_rate_hz, threaded=self._threads, echo_path=known)

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
