"""Echo: what the loudspeaker played, and WebRTC's canceller.

Thread: `ReferenceTrack.write` belongs to the render callback, everything else to the front end.  It
must never block the render callback: a write copies under a lock that is held for microseconds
only, and an old reference is overwritten, never waited for.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from typing import Any

import numpy as np

from edge_agent.audio.device.sample_clock import SampleClock
from edge_agent.audio.resample import Int16Array, pcm_to_array

RING_S = 2.0
"""Longer than any output latency plus the front end's queue (1 s)."""

AUDIBLE_DBFS = -70.0
"""Peak below which a rendered block counts as silence: dither, or the end of a fade."""

SPANS = 4
"""Sounding stretches that are remembered: the writer is ahead of the reader by less than that."""

LEAD_S = 0.010
"""The reference is read this much ahead, so that its echo comes after it even when the time
stamps are a few milliseconds off.  Sound cards ask for their sound at least this early."""

SLEW_START_S = 0.001
SLEW_STOP_S = 0.0002
"""Drift between the two cards' clocks is corrected in single samples, once it exceeds 1 ms and
until it is below 0.2 ms; jitter of the time stamps never reaches the canceller."""

SLEW_INTERVAL_S = 0.1
"""One sample per 0.1 s at 48 kHz is 208 ppm: AEC3 does not notice 200 ppm."""

REALIGN_S = 0.025
"""Further off than this is no drift: the track is re-aligned in one step, and counted."""


class ReferenceTrack:
    """The last two seconds of what was really rendered, addressed by time.

    `write(block, at)`: PCM16 at `rate_hz`, `at` the loop time at which its first sample becomes
    audible; blocks follow one another without gaps, silence included.  `read(at, samples)` gives
    what was audible when a microphone block was captured, plus the lead, with silence where
    nothing was rendered.
    """

    def __init__(self, rate_hz: int, *, lead_s: float = LEAD_S, tail_s: float) -> None:
        self.lead_s = lead_s
        self.tail_s = tail_s
        self.realignments = 0
        """Steps of more than 25 ms in the middle of sound; each costs AEC3 about 2 s."""
        self.late_samples = 0
        """Samples asked for before they were rendered (read as silence)."""
        self._lock = threading.Lock()
        self.restart(rate_hz)

    def restart(self, rate_hz: int) -> None:
        """Forget everything: the device was opened again, maybe at another rate.

        Call it while neither the device nor the front end runs.
        """
        self.rate_hz = rate_hz
        self._size = round(RING_S * rate_hz)
        self._ring: Int16Array = np.zeros(self._size, dtype=np.int16)
        self._clock = SampleClock(rate_hz)
        self._written = 0
        self._zeros = self._size
        """Silent samples stored since the last that was not; at the ring's size all is silent."""
        self._silence = b""
        self._sounding: deque[list[int]] = deque(maxlen=SPANS)
        self._next: int | None = None
        self._may_step = False
        self._slewing = False
        self._slew_pause = 0

    def write(self, block: bytes | Int16Array, at: float) -> None:
        """Remember a rendered block (render callback's thread: copies, nothing else)."""
        if isinstance(block, bytes):
            if self._pass_over(block, at):
                return
            samples = pcm_to_array(block)
        else:
            samples = block
        if not samples.size:
            return
        samples = samples[-self._size :]
        peak = max(int(samples.max()), -int(samples.min()))
        with self._lock:
            jump_s = self._clock.observe(self._written, at)
            if abs(jump_s) >= RING_S:
                self._ring[:] = 0
                self._zeros = self._size
                self._sounding.clear()
            elif jump_s > 0.0:
                # The device played nothing in between, and time went on.
                gap = round(jump_s * self.rate_hz)
                self._store(np.zeros(gap, dtype=np.int16))
                self._clock.reset()
                self._clock.observe(self._written, at)
            start = self._written
            self._store(samples)
            self._zeros = 0 if peak else self._zeros + samples.size
            if peak > 32768 * 10 ** (AUDIBLE_DBFS / 20):
                tail = round(self.tail_s * self.rate_hz)
                if self._sounding and start <= self._sounding[-1][1] + tail:
                    self._sounding[-1][1] = self._written
                else:
                    self._sounding.append([start, self._written])

    def _pass_over(self, block: bytes, at: float) -> bool:
        """Take silence into a ring that is silent: most of the day, so without numpy."""
        if len(self._silence) != len(block):
            self._silence = bytes(len(block))
        if not block or self._zeros < self._size or block != self._silence:
            return False
        with self._lock:
            jump_s = self._clock.observe(self._written, at)
            if abs(jump_s) >= RING_S:
                self._sounding.clear()
            elif jump_s > 0.0:
                self._written += round(jump_s * self.rate_hz)
                self._clock.reset()
                self._clock.observe(self._written, at)
            self._written += len(block) // 2
        return True

    def _store(self, samples: Int16Array) -> None:
        first = self._written % self._size
        head = min(samples.size, self._size - first)
        self._ring[first : first + head] = samples[:head]
        self._ring[: samples.size - head] = samples[head:]
        self._written += samples.size

    def read(self, at: float, samples: int) -> Int16Array:
        """Return what belongs to the `samples` microphone samples captured from `at` on.

        Consecutive reads give consecutive sound: the position follows the clock sample by sample
        and steps only when it is more than 25 ms off.
        """
        with self._lock:
            if not self._clock.running:
                return np.zeros(samples, dtype=np.int16)
            wanted = self._clock.index_of(at + self.lead_s)
            start = self._follow(wanted, samples)
            self._next = start + samples
            indices = np.arange(start, start + samples)
            out = self._ring[indices % self._size]
            known = (indices < self._written) & (indices >= self._written - self._size)
            self.late_samples += int(np.count_nonzero(indices >= self._written))
            return np.where(known & (indices >= 0), out, 0).astype(np.int16)

    def skip(self, samples: int) -> None:
        """Pass over samples that nobody needs, our speaker being silent."""
        if self._next is not None:
            self._next += samples

    def align(self) -> None:
        """Let the next read step to where the clock says, if that is more than 1 ms off.

        Call it after our speaker has been silent: such a step costs nothing then.  Less is
        jitter; stepping after it would undo what the cancellers have learned.
        """
        self._may_step = True

    def _follow(self, wanted: float, samples: int) -> int:
        may_step, self._may_step = self._may_step, False
        if self._next is None:
            self._slewing = False
            return round(wanted)
        off_s = (wanted - self._next) / self.rate_hz
        if may_step and abs(off_s) > SLEW_START_S:
            self._slewing = False
            return round(wanted)
        if abs(off_s) > REALIGN_S:
            self.realignments += 1
            self._slewing = False
            return round(wanted)
        if abs(off_s) > SLEW_START_S:
            self._slewing = True
        elif abs(off_s) < SLEW_STOP_S:
            self._slewing = False
        self._slew_pause -= samples
        if self._slewing and self._slew_pause <= 0:
            self._slew_pause = round(SLEW_INTERVAL_S * self.rate_hz)
            return self._next + (1 if off_s > 0 else -1)
        return self._next

    def audible(self, at: float) -> bool:
        """Whether our speaker sounded within the tail before `at`, or does within the lead."""
        with self._lock:
            now = self._clock.index_of(at)
            lead = self.lead_s * self.rate_hz
            tail = self.tail_s * self.rate_hz
            return any(first - lead <= now <= last + tail for first, last in self._sounding)


def _let_it_call_nothing() -> None:
    """Have the threads of `livekit` call a function of the C library that does nothing.

    They would forward its log lines to Python, and one that waits for the interpreter while that
    ends takes the process down with it (SIGABRT after all was done).  What we ask the library is
    answered within the call.  Its callback has no public setting; the version is locked.  Call this
    before its first object is made.
    """
    from livekit.rtc import _ffi_client

    nothing = ctypes.CDLL(None).labs
    _ffi_client.ffi_event_callback = ctypes.cast(nothing, _ffi_client.ffi_cb_fnc)


class WebRtcEcho:
    """WebRTC's AEC3 (`livekit`), frames of 10 ms at 16 kHz.

    Building imports a native library (0.1 to 1 s): do it off the event loop.  Raises `ImportError`
    where the `echo` extra is not installed.  It decides well *that* somebody speaks, but swallows
    the words; do not stream its output.
    """

    def __init__(self, rate_hz: int = 16_000) -> None:
        from livekit.rtc import AudioFrame
        from livekit.rtc.apm import AudioProcessingModule

        _let_it_call_nothing()
        self.rate_hz = rate_hz
        self._samples = rate_hz // 100
        self._frame: Any = AudioFrame
        # Gain control raises the residual echo to speech level (12 false barge-ins a minute).
        self._apm: Any = AudioProcessingModule(
            echo_cancellation=True,
            noise_suppression=False,
            high_pass_filter=False,
            auto_gain_control=False,
        )

    def process(self, microphone: bytes, reference: bytes) -> bytes:
        """Return the microphone frame without echo; the reference goes in first."""
        far = self._frame(bytearray(reference), self.rate_hz, 1, self._samples)
        self._apm.process_reverse_stream(far)
        near = self._frame(bytearray(microphone), self.rate_hz, 1, self._samples)
        self._apm.process_stream(near)
        return bytes(near.data)
