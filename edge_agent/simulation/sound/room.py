"""The virtual room: a sound card, a loudspeaker, people and walls in one process.

Thread: the event loop, in virtual or in real time alike.  It must never start a thread, read a
clock other than the loop's, or depend on anything but its seed.

Every block (10 ms): `on_render` is asked what the loudspeaker plays, which becomes audible
after the output latency; the loudspeaker reaches the microphone through the echo path; people
and noise are added; after the input latency `on_capture` gets what the microphone heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.contract.errors import DeviceError, DeviceMissing
from edge_agent.contract.ports import CaptureCallback, RenderCallback, SoundDeviceInfo
from edge_agent.simulation.sound import acoustics
from edge_agent.simulation.sound.room_capsule import Capsule
from edge_agent.simulation.sound.room_people import People, Utterance
from edge_agent.simulation.sound.room_record import Samples, Tape, Track

BLOCK_S = 0.010
"""Step of the sound card, as small as PortAudio runs comfortably on a Pi."""

OUTPUT_LATENCY_S = 0.020
"""From handing samples over to hearing them: two blocks, a usual USB card."""

INPUT_LATENCY_S = 0.010
"""From the last sample of a block at the microphone to its delivery."""

ACOUSTIC_DELAY_S = 0.002
"""Sound needs 3 ms per metre; loudspeaker and microphone share a box, with filters between."""

RT60_S = 0.35
"""A furnished living room, and what our echo figures were measured with."""

DIRECT_TO_REVERB_DB = 3.0
"""The microphone sits near the loudspeaker, but not in front of it."""

CATCH_UP_BLOCKS = 100
"""Most blocks worked off in one turn of the loop when real time ran ahead (1 s): other
callbacks must come in between."""

LATE_BLOCKS = 2
"""Blocks behind from which real time counts as missed; one is ordinary timer jitter."""

RECORD_S = 300.0
"""Seconds kept by default: three tracks of 48 kHz take 29 MB per 100 s."""


class Room:
    """A `contract.ports.SoundDevice` with a world around it.

    `echo_gain_db`: level of our own voice at the microphone against what the loudspeaker was
    given (None: it does not reach the microphone).  `noise_dbfs`: pink room noise (None: digital
    silence).  `distortion`: drive of the loudspeaker's soft clipping (0: linear, 1: mild).
    `record_s`: seconds of the three tracks to keep (0: record nothing).  The same `seed`, calls
    and times give the same samples.  Needs a running loop, or `loop` if built elsewhere.
    """

    def __init__(
        self,
        *,
        rate_hz: int = 48_000,
        echo_gain_db: float | None = -10.0,
        noise_dbfs: float | None = -65.0,
        output_latency_s: float = OUTPUT_LATENCY_S,
        input_latency_s: float = INPUT_LATENCY_S,
        acoustic_delay_s: float = ACOUSTIC_DELAY_S,
        rt60_s: float = RT60_S,
        distortion: float = 0.0,
        seed: int = 1,
        record_s: float = RECORD_S,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self.rate_hz = rate_hz
        self.block_frames = round(rate_hz * BLOCK_S)
        self.echo_gain_db = echo_gain_db
        self.noise_dbfs = noise_dbfs
        self.name = "virtual"
        """Of the card; another one may be plugged in."""
        self.capsule = Capsule()
        self.is_switched_off = self.capsule.is_switched_off
        self.late_blocks = 0
        """Blocks that real time made us miss and that were worked off late."""
        self._seed = seed
        self._distortion = distortion
        self._out_delay = round(output_latency_s * rate_hz)
        self._in_delay = round(input_latency_s * rate_hz)
        self._response = acoustics.impulse_response(
            rate_hz,
            delay_s=acoustic_delay_s,
            rt60_s=rt60_s,
            direct_to_reverb_db=DIRECT_TO_REVERB_DB,
            seed=seed,
        )
        self._echo = acoustics.EchoPath(self._response, self.block_frames)
        self._noise = acoustics.pink_noise(rate_hz, seed + 1)
        self._people = People(rate_hz, seed + 100)
        self._silence = bytes(2 * self.block_frames)

        # Block k is worked off at `_start_s + k * BLOCK_S`; the sample axis counts from
        # `_origin_s`, the first instant that the microphone of block 0 heard.
        self._start_s = self._loop.time()
        self._origin_s = self._start_s - (self.block_frames + self._in_delay) / rate_hz
        self._block = 0
        # Handed over and not yet audible, or audible and not yet at the microphone's block.
        self._air = bytearray(2 * (self._out_delay + self._in_delay + self.block_frames))

        self._timer: asyncio.Handle | None = None
        self._on_capture: CaptureCallback | None = None
        self._on_render: RenderCallback | None = None
        self._opening: tuple[CaptureCallback, RenderCallback] | None = None
        self._captures = True
        self.frames_captured = 0
        self.frames_rendered = 0
        self._plugged = True
        self._renders = True
        self._stalled_until_s = 0.0
        self._refusal: DeviceError | None = None
        self._plan: list[asyncio.Handle] = []
        self._last_heard = self._last_spoken = self._silence
        self._tape = Tape(rate_hz, self._origin_s, record_s)

    # --- SoundDevice ------------------------------------------------------------------

    def open(
        self, on_capture: CaptureCallback, on_render: RenderCallback, *, capture: bool = True
    ) -> SoundDeviceInfo:
        """Start the callbacks, on the loop.  Raises `DeviceMissing` while unplugged."""
        self._check_there()
        if self._on_render is not None or self._opening is not None:
            raise DeviceError("The virtual sound card is open already.", code="device.busy")
        self._opening = (on_capture, on_render)
        self._captures = capture
        # Right also from a thread that opens devices; the room itself lives on the loop.
        self._on_loop(self._begin)
        return self._info()

    def close_capture(self) -> None:
        """Nobody records; the loudspeaker goes on."""
        self._captures = False

    def open_capture(self) -> SoundDeviceInfo:
        """Record again, from the next block on.  Raises `DeviceMissing` while unplugged."""
        self._check_there()
        self._captures = True
        return self._info()

    @property
    def channels(self) -> tuple[int, int]:
        """How many the microphone has, and how many of them are dead."""
        return self.capsule.channels

    @property
    def is_recorded(self) -> bool:
        """Whether somebody has the microphone open, as an operating system would show it."""
        return self._captures and (self._on_capture or self._opening) is not None

    def _check_there(self) -> None:
        if self._refusal is not None:
            error, self._refusal = self._refusal, None
            raise error
        if not self._plugged:
            raise DeviceMissing(
                "The virtual sound card is unplugged.", fix="Plug it in again (`Room.replug`)."
            )

    def _info(self) -> SoundDeviceInfo:
        return SoundDeviceInfo(
            capture_name=f"{self.name} microphone" if self._captures else "",
            render_name=f"{self.name} loudspeaker",
            capture_rate_hz=self.rate_hz if self._captures else 0,
            render_rate_hz=self.rate_hz,
            block_frames=self.block_frames,
            input_latency_s=(self._in_delay + self.block_frames) / self.rate_hz,
            output_latency_s=self._out_delay / self.rate_hz,
        )

    def close(self) -> None:
        """Stop the callbacks; what was handed over and is not audible yet is lost."""
        self._opening = None
        if self._on_render is not None:
            self._on_capture = self._on_render = None
            self._on_loop(self._cut_power)

    def rest_render(self) -> None:
        """Ask for no more sound: silence goes out."""
        self._renders = False

    def resume_render(self) -> None:
        """Ask for sound again, from the next block on."""
        self._renders = True

    # --- people and things ------------------------------------------------------------

    def say(
        self,
        pcm: bytes | NDArray[np.int16],
        rate_hz: int,
        *,
        at: float | None = None,
        gain_db: float = 0.0,
        dry: bool = False,
    ) -> Utterance:
        """Somebody speaks PCM16 mono at loop time `at` (default: now) into the microphone.

        `dry` leaves out the person's reverberation.  Raises `ValueError` for a time that the
        microphone has delivered already.
        """
        when_s = self._loop.time() if at is None else at
        self._sync()
        begin = round((when_s - self._origin_s) * self.rate_hz)
        if begin < self._block * self.block_frames:
            raise ValueError(f"{when_s:.3f} s is past; now is {self._loop.time():.3f} s.")
        clip = acoustics.resample(acoustics.from_pcm(pcm), rate_hz, self.rate_hz)
        clip = clip * acoustics.gain(gain_db)
        onset, offset = self._people.add(begin, clip, dry=dry)
        places = (begin, begin + len(clip), begin + onset, begin + offset)
        return Utterance(*(self._origin_s + place / self.rate_hz for place in places))

    def hush(self) -> None:
        """Everybody stops speaking at once, also those who were to speak later."""
        self._people.hush()

    def near_to_echo(
        self, ratio_db: float, *, near: bytes, far: bytes, rate_hz: int = 24_000
    ) -> float:
        """Set `echo_gain_db` so that the person `near` is `ratio_db` louder than our `far`.

        Both are PCM16 of `rate_hz`, compared by their active levels at the microphone.  Returns
        the new echo gain in dB.
        """
        voice, ours = (
            acoustics.resample(acoustics.from_pcm(pcm), rate_hz, self.rate_hz)
            for pcm in (near, far)
        )
        echo = acoustics.convolve(acoustics.soft_clip(ours, self._distortion), self._response)
        levels = [acoustics.active_level_dbfs(sound, self.rate_hz) for sound in (voice, echo)]
        self.echo_gain_db = levels[0] - levels[1] - ratio_db
        return self.echo_gain_db

    def unplug(self) -> None:
        """Pull the sound card out: frames stop without a word, `open` fails until `replug`."""
        self._plugged = False
        self._cut_power()

    def replug(self) -> None:
        """Put the sound card in again; streams that were open stay dead until reopened."""
        if not self._plugged:
            self._on_capture = self._on_render = None
        self._plugged = True

    def stall(self, seconds: float = float("inf")) -> None:
        """Frames stop moving for a while, though the device stays open (a hung driver)."""
        self._stalled_until_s = self._loop.time() + seconds
        self._cut_power()

    def resume(self) -> None:
        """End a stall."""
        self._stalled_until_s = 0.0

    def refuse_next_open(self, error: DeviceError) -> None:
        """Make the next `open` raise this."""
        self._refusal = error

    def play(self, plan: Iterable[tuple[float, Callable[[], object]]]) -> None:
        """Do each action at its time, in seconds from now."""
        now_s = self._loop.time()
        self._plan += [self._loop.call_at(now_s + after_s, act) for after_s, act in plan]

    def stop(self) -> None:
        """Close, and forget what was planned.  Safe to call twice."""
        self.close()
        for handle in self._plan:
            handle.cancel()
        self._plan.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what there was to hear -------------------------------------------------------

    @property
    def spoken(self) -> Track:
        """What the loudspeaker emitted, at the times at which it was audible."""
        self._sync()
        return self._tape.spoken

    @property
    def heard(self) -> Track:
        """What the microphone heard: echo, people, noise."""
        self._sync()
        return self._tape.heard

    @property
    def mix(self) -> Track:
        """What somebody in the room hears: people and the loudspeaker."""
        self._sync()
        return self._tape.mix

    @property
    def heard_dbfs(self) -> float:
        """Level of the microphone's last block (for a live meter)."""
        return acoustics.level_dbfs(acoustics.from_pcm(self._last_heard))

    @property
    def spoken_dbfs(self) -> float:
        """Level of the loudspeaker's last block (for a live meter)."""
        return acoustics.level_dbfs(acoustics.from_pcm(self._last_spoken))

    def speaker_level(self, t0_s: float, t1_s: float) -> float:
        """RMS level of the loudspeaker between two loop times, dBFS."""
        return self.spoken.level_dbfs(t0_s, t1_s)

    def silent_from(self, at_s: float, *, hold_s: float = 0.1) -> float | None:
        """When the loudspeaker fell silent after `at_s` (see `Track.silent_from`)."""
        return self.spoken.silent_from(at_s, hold_s=hold_s)

    def emitted_ms(self, t0_s: float, t1_s: float | None = None) -> float:
        """Milliseconds between the first and the last sound of the loudspeaker in a span."""
        span = self.spoken.audible(t0_s, t1_s)
        return 0.0 if span is None else (span[1] - span[0]) * 1000

    def samples(self, t0_s: float, t1_s: float) -> Samples:
        """What the microphone heard between two loop times."""
        return self.heard.samples(t0_s, t1_s)

    def write_wav(self, path: Path | str, track: Track | None = None) -> None:
        """Write a track (default: `mix`) as a mono 16-bit WAV file."""
        (track or self.mix).write_wav(path)

    # --- the clockwork ----------------------------------------------------------------

    def _due_s(self, block: int) -> float:
        # A product, not a sum: rounding does not pile up over a day.
        return self._start_s + block * self.block_frames / self.rate_hz

    def _on_loop(self, act: Callable[[], None]) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            act()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act)

    def _begin(self) -> None:
        if self._opening is not None:
            # What passed in the room while no device was open.
            self._work_off(self._loop.time())
            self._on_capture, self._on_render = self._opening
            self._renders = True
            self._opening = None
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is None and self._on_render is not None:
            self._timer = self._loop.call_at(self._due_s(self._block), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        try:
            self._work_off(now_s, CATCH_UP_BLOCKS)
        finally:
            # Whatever a callback did: the card goes on.
            self._schedule()

    def _sync(self) -> None:
        """While no device is open nothing ticks, but people are heard all the same."""
        if self._on_render is None:
            self._work_off(self._loop.time())

    def _work_off(self, now_s: float, most: int | None = None) -> None:
        # A nanosecond: the grain of asyncio's own timers.
        due = int((now_s - self._start_s + 1e-9) * self.rate_hz / self.block_frames) + 1
        todo = due - self._block if most is None else min(due - self._block, most)
        if self._on_render is not None and todo > LATE_BLOCKS:
            self.late_blocks += todo - 1
        for _ in range(todo):
            self._one_block()

    def _one_block(self) -> None:
        begin = self._block * self.block_frames
        due_s = self._due_s(self._block)
        self._block += 1
        alive = self._plugged and due_s >= self._stalled_until_s
        fault: Exception | None = None
        rendered = self._silence
        if alive and self._renders and self._on_render is not None:
            self.frames_rendered += self.block_frames
            try:
                rendered = self._on_render(
                    self.block_frames, due_s + self._out_delay / self.rate_hz
                )
                if len(rendered) != len(self._silence):
                    fault = ValueError(
                        f"on_render gave {len(rendered)} bytes instead of {len(self._silence)}; "
                        "a real stream would end here without a word."
                    )
                    rendered = self._silence
            except Exception as error:
                fault, rendered = error, self._silence
        self._air += rendered
        spoken = bytes(self._air[: len(self._silence)])
        del self._air[: len(self._silence)]
        heard = self._listen(begin, spoken)
        if alive and self._captures and self._on_capture is not None:
            self.frames_captured += self.block_frames
            self._on_capture(heard, self._origin_s + begin / self.rate_hz)
        if fault is not None:
            raise fault

    def _listen(self, begin: int, spoken: bytes) -> bytes:
        """Sound at the microphone while the loudspeaker emits `spoken`; records all tracks."""
        ours = None
        if spoken != self._silence:
            ours = acoustics.soft_clip(acoustics.from_pcm(spoken), self._distortion)
        echo = self._echo.process(ours)
        people = self._people.mix(begin, self.block_frames)
        mic = np.zeros(self.block_frames, np.float32)
        if self.noise_dbfs is not None:
            offset = begin % len(self._noise)
            noise = self._noise[offset : offset + self.block_frames]
            mic += noise * acoustics.gain(self.noise_dbfs)
        if people is not None:
            mic += people
        if echo is not None and self.echo_gain_db is not None:
            mic += echo * acoustics.gain(self.echo_gain_db)
        heard = self.capsule.pcm(mic)
        self._last_heard, self._last_spoken = heard, spoken
        self._tape.append(spoken, heard, people, ours)
        return heard

    def _cut_power(self) -> None:
        """What is not audible yet will never be; the echo of what was, dies away."""
        # The air line begins at the block that the microphone hears next.
        next_s = self._origin_s + self._block * self.block_frames / self.rate_hz
        keep = round((self._loop.time() - next_s) * self.rate_hz)
        keep = min(max(keep, 0), len(self._air) // 2)
        self._air[2 * keep :] = bytes(len(self._air) - 2 * keep)
