"""Reference: what the loudspeaker played, and when each of its samples was audible.

Thread: `ReferenceTrack.write` belongs to the render callback, everything else to the front end.  It
must never block the render callback: a write copies under a lock that is held for microseconds
only, and an old reference is overwritten, never waited for.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from edge_agent.audio.device.sample_clock import SampleClock
from edge_agent.audio.resample import Int16Array, pcm_to_array

RING_S = 2.0
"""Longer than any output latency plus the front end's queue (1 s)."""

AUDIBLE_PEAK = 10
"""-70 dBFS: a block with no louder sample counts as silence: dither, or the end of a fade."""

SPANS = 4
"""Sounding stretches that are remembered: the writer is ahead of the reader by less than that."""

EARLY_S = 0.010
"""Our sound counts as audible from so much before its time stamp says."""


class ReferenceTrack:
    """The last two seconds of what was really rendered, addressed by time.

    `write(block, at)`: PCM16 at `rate_hz`, `at` the loop time at which its first sample becomes
    audible; blocks follow one another without gaps, silence included.  `index_of` says which of
    its samples was audible when, `read` gives them, with silence where nothing was rendered.
    `alignment.Alignment` makes of it what the canceller wants.
    """

    def __init__(self, rate_hz: int, *, tail_s: float) -> None:
        self.tail_s = tail_s
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
        peak = int(samples.max())
        if peak <= AUDIBLE_PEAK:
            peak = max(peak, -int(samples.min()))
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
                self._clock.begin(self._written, at)
            start = self._written
            self._store(samples)
            self._zeros = 0 if peak else self._zeros + samples.size
            if peak > AUDIBLE_PEAK:
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
                self._clock.begin(self._written, at)
            self._written += len(block) // 2
        return True

    def _store(self, samples: Int16Array) -> None:
        first = self._written % self._size
        head = min(samples.size, self._size - first)
        self._ring[first : first + head] = samples[:head]
        if head < samples.size:
            self._ring[: samples.size - head] = samples[head:]
        self._written += samples.size

    @property
    def written(self) -> int:
        """Samples so far; the next block's first one has this index."""
        return self._written

    @property
    def drift(self) -> float | None:
        """See `SampleClock.drift`."""
        return self._clock.drift

    def index_of(self, at: float) -> float | None:
        """Which sample (with a fraction) is audible at a loop time; None before the first."""
        with self._lock:
            return self._clock.index_of(at) if self._clock.running else None

    def read(self, first: int, count: int) -> Int16Array:
        """Samples from index `first` on; what is unknown, yet or no longer, reads as silence."""
        with self._lock:
            begin = max(0, first, self._written - self._size)
            end = min(first + count, self._written)
            if begin >= end:
                return np.zeros(count, dtype=np.int16)
            place, length = begin % self._size, end - begin
            known = self._ring[place : place + length]
            if known.size < length:
                known = np.concatenate((known, self._ring[: length - known.size]))
            elif length == count:
                return known.copy()
        out = np.zeros(count, dtype=np.int16)
        out[begin - first : end - first] = known
        return out

    def audible(self, at: float, delay_s: float = 0.0) -> bool:
        """Whether our speaker sounded within the tail before `at`, or is just about to.

        `delay_s`: how much later than its time stamps say it is heard, as far as that is known.
        """
        if not self._sounding:
            return False
        with self._lock:
            now = self._clock.index_of(at - delay_s)
            early = EARLY_S * self.rate_hz
            tail = self.tail_s * self.rate_hz
            while self._sounding and self._sounding[0][1] + tail < min(now, self._written):
                self._sounding.popleft()
            # What is still given to the device goes on, even if by its stamps it is long over.
            now = min(now, self._written)
            return any(first - early <= now <= last + tail for first, last in self._sounding)
