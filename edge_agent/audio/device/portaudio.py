"""Microphone and loudspeaker through PyAudio.

Thread: `open` and `close` run in the executor thread (they may take a second); the two callbacks
run in PortAudio's threads.  It must never raise, block or log in a callback, return a short block,
or choose a device by its index.

Two streams, not one duplex stream: PyAudio has one rate and channel count for both directions
of a stream.  They are aligned by time stamps instead (`timeline`), and the microphone's can be
closed alone (`close_capture`).  Callbacks may come before `open` has returned.  When it starts,
PortAudio opens each card for a moment to ask what it can do; nothing is recorded then.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from edge_agent.audio.device.cards import read_cards
from edge_agent.audio.device.channels import Channels
from edge_agent.audio.device.choice import DEFAULT, Choice, Wishes, choose
from edge_agent.audio.device.devices import DeviceEntry
from edge_agent.audio.device.mixer import is_capture_off
from edge_agent.audio.device.portaudio_library import (
    PA_ABORT,
    PA_CONTINUE,
    PA_INPUT_OVERFLOW,
    PA_INT16,
    PA_INVALID_CHANNEL_COUNT,
    PA_INVALID_SAMPLE_RATE,
    PA_OUTPUT_UNDERFLOW,
    PA_SAMPLE_FORMAT_NOT_SUPPORTED,
    library,
    quiet_libraries,
    scan,
    start_portaudio,
    translated,
)
from edge_agent.audio.device.timeline import Timeline
from edge_agent.audio.resample import RATES_HZ
from edge_agent.contract.errors import DeviceError, DeviceFormatRefused, DeviceLost
from edge_agent.contract.pcm import BYTES_PER_SAMPLE
from edge_agent.contract.ports import CaptureCallback, RenderCallback, SoundDeviceInfo

PREFERRED_RATES_HZ = (48_000, 44_100, 16_000, 32_000, 96_000, 24_000, 22_050, 8_000)
"""Tried in this order where no rate is configured.  48 kHz first: it is the own rate of nearly
every card and sound server and a multiple of 24 and 16 kHz."""

ALSA = "ALSA"
"""Under this host API a device's "default rate" is merely the one nearest to 44.1 kHz that
PortAudio found possible (44.1 kHz over PulseAudio, whatever the sink runs at): not asked."""

MAX_PROBED_CHANNELS = 8
"""Microphone arrays have up to 8 and may refuse fewer; what offers 32 or more is a plugin that
takes any number."""

BLOCK_MAX_MS = 40
"""An interruption is noticed a block later; longer ones are felt."""

LAST_BLOCK_MAX_S = 0.5
"""A stream that has not noticed by then that it should rest, stands still."""


SOUNDS_FOR_S = 0.5
"""So long after a block of ours that was no silence, what the sound system has not got from us is a
hole that could be heard: more than any latency.  A speaker that never spoke has no holes."""

GIVE_WAY_S = 0.0005
"""So long another thread may compute while a callback waits for the interpreter.  A callback asks
for it several times within its 10 ms; at Python's 5 ms, a loop with messages to read left 17 holes
in 8 s of sound, at this none (`scripts/hostile.sh --only added`)."""


class PortAudioDevice:
    """`contract.ports.SoundDevice` over PyAudio.

    Names as in `portaudio_library.list_devices`, "" to have `choice` decide; a rate of 0 takes
    what suits best.  `capture_channel` picks one channel of a microphone that refuses mono (None:
    the mean of those that live).

    Counters: `frames_captured`, `frames_rendered`, `overflows` (microphone frames lost),
    `underflows` (holes in what sounded), `faults` (errors swallowed in a callback).
    """

    def __init__(
        self,
        capture_device: str = "",
        render_device: str = "",
        *,
        capture_rate_hz: int = 0,
        render_rate_hz: int = 0,
        block_ms: int,
        capture_channel: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wishes = Wishes(capture_device, render_device)
        self._capture_rate_hz = capture_rate_hz
        self._render_rate_hz = render_rate_hz
        self._block_ms = block_ms
        self._capture_channel = capture_channel
        self._clock = clock
        self._captured = 0
        self._rendered = 0
        self.overflows = 0
        self.underflows = 0
        self._gave_way_s: float | None = None
        """Python's own time to give way, while ours is in force."""
        self.faults = 0
        self._capture_generation = 0
        self._render_generation = 0
        self._audio: Any = None
        self._listening: Any = None
        """The microphone's stream; None while it is closed."""
        self._speaking: Any = None
        """The loudspeaker's."""
        self._on_capture: CaptureCallback
        self._info: SoundDeviceInfo
        self._resting = False
        self._rests = threading.Event()
        """The last block before the rest is out."""
        self._heard: tuple[Timeline, Channels]
        self._control = ""
        """ALSA's name for the mixer of the microphone's card; "" while there is none."""
        self._spoken: tuple[Timeline, int]
        self._quiet = ExitStack()
        """Holds `quiet_libraries` while the streams are open: ALSA reports every hole."""

    @property
    def frames_captured(self) -> int:
        """Frames the microphone has delivered, over all openings."""
        return self._captured

    @property
    def frames_rendered(self) -> int:
        """Frames the loudspeaker has asked for, over all openings."""
        return self._rendered

    @property
    def active(self) -> bool:
        """What PortAudio says.  It is no proof of life: a suspended source stays "active", so
        watch `frames_captured` and `frames_rendered`.  False while it is opened or closed."""
        if not library.acquire(blocking=False):
            return False
        try:
            listening, speaking = self._listening, None if self._resting else self._speaking
            streams = [stream for stream in (listening, speaking) if stream is not None]
            return bool(streams) and all(stream.is_active() for stream in streams)
        except OSError:
            return False
        finally:
            library.release()

    def open(
        self, on_capture: CaptureCallback, on_render: RenderCallback, *, capture: bool = True
    ) -> SoundDeviceInfo:
        """Look for the devices anew and open both, without `capture` the loudspeaker alone.

        Raises `DeviceMissing`, `DeviceFormatRefused`, `DeviceLost`; whatever was half open is then
        closed.
        """
        self.close()
        self._gave_way_s = sys.getswitchinterval()
        sys.setswitchinterval(min(GIVE_WAY_S, self._gave_way_s))
        with library:
            try:
                self._quiet.enter_context(quiet_libraries())
                return self._open(on_capture, on_render, capture=capture)
            except DeviceError:
                self.close()
                raise
            except OSError as error:
                self.close()
                raise translated(error, "sound device") from error

    def close(self) -> None:
        """Release both streams.  Safe to call twice and after a loss."""
        if self._gave_way_s is not None:
            sys.setswitchinterval(self._gave_way_s)
            self._gave_way_s = None
        with library:
            self.close_capture()
            self._render_generation += 1  # late callbacks of the old stream reach nobody
            if self._speaking is not None:
                # `close` aborts; `stop_stream` would wait for a suspended sink to drain.
                with suppress(OSError):
                    self._speaking.close()
                self._speaking = None
            self._resting = False
            if self._audio is not None:
                # Also what makes PortAudio see newly plugged devices at the next start.
                with suppress(OSError):
                    self._audio.terminate()
                self._audio = None
            self._quiet.close()

    def close_capture(self) -> None:
        """Release the microphone's stream: the system shows that nobody records.  Safe to call
        twice; the loudspeaker goes on."""
        with library:
            self._capture_generation += 1  # late callbacks of the old stream reach nobody
            stream, self._listening = self._listening, None
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def open_capture(self) -> SoundDeviceInfo:
        """Open the microphone again, among the devices there were when `open` looked.  Raises as
        `open` does; the loudspeaker goes on."""
        with library:
            if self._audio is None:
                raise DeviceLost("The sound device is closed.")
            if self._listening is None:
                try:
                    stream, self._info = self._listen(self._info)
                    stream.start_stream()
                except (DeviceError, OSError) as error:
                    self.close_capture()
                    if isinstance(error, OSError):
                        raise translated(error, "microphone") from error
                    raise
            return self._info

    def rest_render(self) -> None:
        """End the loudspeaker's stream with its next block; the microphone goes on."""
        self._rests.clear()
        self._resting = True

    def resume_render(self) -> None:
        """Start the loudspeaker's stream again.  Raises `DeviceLost`."""
        with library:
            stream = self._speaking
            if not self._resting or stream is None:
                return
            try:
                if not self._rests.wait(LAST_BLOCK_MAX_S):
                    raise DeviceLost("The loudspeaker stands still.")
                stream.stop_stream()  # its last block is out: this only waits for its thread
                timeline, channels = self._spoken
                self._spoken = timeline.anew(), channels
                self._resting = False
                stream.start_stream()
            except OSError as error:
                raise translated(error, "loudspeaker") from error

    def is_switched_off(self) -> bool | None:
        """What the mixer of the microphone's card says of its switch; None: nothing."""
        return is_capture_off(self._control) if self._control else None

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of the microphone, and how many of them are dead (and left out)."""
        if self._listening is None:
            return 0, 0
        channels = self._heard[1]
        return channels.count, len(channels.dead)

    def stretch_blocks(self) -> int:
        """Twice as long from the next opening on: their length in ms, 0 if that is too long."""
        if 2 * self._block_ms > BLOCK_MAX_MS:
            return 0
        self._block_ms *= 2
        return self._block_ms

    # --- inside -------------------------------------------------------------------------

    def _open(
        self, on_capture: CaptureCallback, on_render: RenderCallback, *, capture: bool
    ) -> SoundDeviceInfo:
        self._audio = start_portaudio()
        self._on_capture = on_capture
        info = SoundDeviceInfo("", "", 0, 0, 0, 0.0, 0.0)
        if capture:
            _stream, info = self._listen(info)
        render = self._choose(capture=False)
        speaking, rate_hz, channels = self._open_stream(
            render.entry, self._render_rate_hz, self._render_loop(on_render), capture=False
        )
        self._speaking = speaking
        # The callbacks learn their format here; they start below.
        latency_s = speaking.get_output_latency()
        self._spoken = Timeline(rate_hz, latency_s, self._clock), channels
        self._info = replace(
            info,
            render_name=render.entry.name,
            render_why=render.why,
            render_rate_hz=rate_hz,
            block_frames=rate_hz * self._block_ms // 1000,
            output_latency_s=latency_s,
        )
        if self._listening is not None:
            self._listening.start_stream()
        speaking.start_stream()
        return self._info

    def _listen(self, info: SoundDeviceInfo) -> tuple[Any, SoundDeviceInfo]:
        """Open the microphone's stream, not started yet; the facts with its side."""
        chosen = self._choose(capture=True)
        stream, rate_hz, channels = self._open_stream(
            chosen.entry, self._capture_rate_hz, self._capture_loop(self._on_capture), capture=True
        )
        self._listening = stream
        latency_s = stream.get_input_latency()
        heard = Channels(channels, self._capture_channel)
        self._heard = Timeline(rate_hz, latency_s, self._clock), heard
        pcm = chosen.entry.pcm
        self._control = f"hw:{pcm[0]}" if pcm is not None else DEFAULT
        return stream, replace(
            info,
            capture_name=chosen.entry.name,
            capture_why=chosen.why,
            capture_rate_hz=rate_hz,
            input_latency_s=latency_s,
        )

    def _choose(self, *, capture: bool) -> Choice:
        return choose(scan(self._audio), read_cards(), self._wishes, capture=capture)

    def _open_stream(
        self, entry: DeviceEntry, rate_hz: int, callback: Any, *, capture: bool
    ) -> tuple[Any, int, int]:
        """Return the stream, its rate and its channels; mono if the card can."""
        direction = "input" if capture else "output"
        most = entry.capture_channels if capture else entry.render_channels
        channel_counts = [n for n in (1, 2) if n <= most]
        if 2 < most <= MAX_PROBED_CHANNELS:
            channel_counts.append(most)
        rates_hz = [rate_hz] if rate_hz else list(PREFERRED_RATES_HZ)
        if not rate_hz and entry.host_api != ALSA:
            rates_hz.insert(0, entry.default_rate_hz)
        for rate in (rate for rate in rates_hz if rate in RATES_HZ):
            for channels in channel_counts:
                arguments = {direction: True, f"{direction}_device_index": entry.index}
                try:
                    stream = self._audio.open(
                        rate=rate,
                        channels=channels,
                        format=PA_INT16,
                        frames_per_buffer=rate * self._block_ms // 1000,
                        start=False,
                        stream_callback=callback,
                        **arguments,
                    )
                except OSError as error:
                    if error.errno == PA_INVALID_SAMPLE_RATE:
                        break
                    if error.errno in (PA_INVALID_CHANNEL_COUNT, PA_SAMPLE_FORMAT_NOT_SUPPORTED):
                        continue
                    side = read_cards().side(entry.pcm, is_capture=capture)
                    holder = side.holder if side is not None else ""
                    raise translated(error, entry.name, holder) from error
                return stream, rate, channels
        works = self._working_rates(entry, channel_counts, direction)
        refused = f"{rate_hz} Hz" if rate_hz else "every rate we can use"
        raise DeviceFormatRefused(
            f"The device {entry.name!r} refused {refused} with 16-bit samples.",
            fix=f"It takes these rates in Hz: {', '.join(map(str, works))}; 0 chooses by itself."
            if works
            else "It may be busy: close other programs that use it, or choose another device.",
        )

    def _working_rates(
        self, entry: DeviceEntry, channel_counts: list[int], direction: str
    ) -> list[int]:
        works = []
        for rate in RATES_HZ:
            for channels in channel_counts:
                arguments = {
                    f"{direction}_device": entry.index,
                    f"{direction}_channels": channels,
                    f"{direction}_format": PA_INT16,
                }
                with suppress(ValueError, OSError):
                    self._audio.is_format_supported(rate, **arguments)
                    works.append(rate)
                    break
        return works

    def _capture_loop(self, deliver: CaptureCallback) -> Any:
        """The callback of the microphone stream that is about to be opened."""
        generation = self._capture_generation

        def on_block(
            data: bytes | None, frames: int, times: Mapping[str, float], flags: int
        ) -> tuple[None, int]:
            try:
                if generation == self._capture_generation and data is not None:
                    timeline, channels = self._heard
                    lost = bool(flags & PA_INPUT_OVERFLOW)
                    self.overflows += lost
                    at = timeline.captured(frames, times, lost=lost)
                    self._captured += frames
                    deliver(channels.mono(data), at)
            except Exception:
                self.faults += 1
            return None, PA_CONTINUE

        return on_block

    def _render_loop(self, ask: RenderCallback) -> Any:
        """The callback of the loudspeaker stream that is about to be opened."""
        generation = self._render_generation
        sounded_at = float("-inf")
        """In frames: when a block of ours was no silence."""

        def on_block(
            _data: bytes | None, frames: int, times: Mapping[str, float], flags: int
        ) -> tuple[bytes, int]:
            nonlocal sounded_at
            channels = 1
            block = b""
            try:
                if generation == self._render_generation and self._resting:
                    self._rests.set()
                    return bytes(frames * self._spoken[1] * BYTES_PER_SAMPLE), PA_ABORT
                if generation == self._render_generation:
                    timeline, channels = self._spoken
                    hole = bool(flags & PA_OUTPUT_UNDERFLOW)
                    at = timeline.rendered(frames, times, lost=hole)
                    self._rendered += frames
                    block = ask(frames, at)
                    if block != bytes(len(block)):
                        sounded_at = self._rendered
                    recently = self._rendered - sounded_at <= SOUNDS_FOR_S * timeline.rate_hz
                    self.underflows += hole and recently
                    if channels > 1:
                        block = np.repeat(np.frombuffer(block, dtype="<i2"), channels).tobytes()
            except Exception:
                self.faults += 1
                block = b""
            length = frames * channels * BYTES_PER_SAMPLE
            if len(block) != length:  # a short block would end the stream without a word
                block = block[:length].ljust(length, b"\0")
            return block, PA_CONTINUE

        return on_block
