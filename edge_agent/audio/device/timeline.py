"""When a block of sound was in the air.

Thread: the sound callback of one stream.  It must never trust a time stamp that cannot be: some
PortAudio hosts report 0, some another clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import isfinite

MAX_STREAM_LATENCY_S = 2.0
"""Bluetooth reaches about 0.4 s; a longer distance between time stamps is nonsense."""

MAX_CALLBACK_LAG_S = 0.5
"""PortAudio reads its clock just before it calls us.  A clock that differs by less is the one
it reads; the difference is how long the call waited (for the interpreter lock, for a core)."""

SLEW = 0.05
"""Share of the difference that is taken over with each block: stamps jitter by some
milliseconds, the echo canceller wants an even time line, and 200 ppm of drift need far less."""

JUMP_S = 0.04
"""A larger difference is a real one: the stream stood still, or frames were lost."""


class Timeline:
    """Even loop times for the blocks of one stream."""

    def __init__(
        self, rate_hz: int, latency_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate_hz = rate_hz
        self._latency_s = latency_s if _plausible(latency_s) else 0.0
        self._clock = clock
        self._next = 0.0
        self._blocks = 0

    def anew(self) -> Timeline:
        """One for the same stream, started again."""
        return Timeline(self.rate_hz, self._latency_s, self._clock)

    def captured(self, frames: int, times: Mapping[str, float], *, lost: bool = False) -> float:
        """Loop time at which the block's first sample was at the microphone."""
        now = self._clock()
        current = times.get("current_time", 0.0)
        stamp = times.get("input_buffer_adc_time", 0.0)
        age_s = current - stamp if stamp > 0 else -1.0
        if not _plausible(age_s):
            age_s = self._latency_s
        # A block cannot be delivered before its last sample was there.
        age_s = max(age_s, frames / self.rate_hz)
        return self._even(now - _lag_s(current) - age_s, frames, lost)

    def rendered(self, frames: int, times: Mapping[str, float], *, lost: bool = False) -> float:
        """Loop time at which the block's first sample becomes audible."""
        now = self._clock()
        current = times.get("current_time", 0.0)
        stamp = times.get("output_buffer_dac_time", 0.0)
        ahead_s = stamp - current if stamp > 0 else -1.0
        if not _plausible(ahead_s):
            return self._even(now + self._latency_s, frames, lost)
        # A block cannot be audible before it was made.
        ahead_s = max(0.0, ahead_s - _lag_s(current))
        return self._even(now + ahead_s, frames, lost)

    def _even(self, measured: float, frames: int, lost: bool) -> float:
        if lost or abs(measured - self._next) > JUMP_S:
            self._blocks = 0
        self._blocks += 1
        # The mean of what was measured so far, then a slow average: settled in a few blocks.
        at = self._next + max(SLEW, 1 / self._blocks) * (measured - self._next)
        self._next = at + frames / self.rate_hz
        return at


def _plausible(distance_s: float) -> bool:
    return isfinite(distance_s) and 0.0 <= distance_s <= MAX_STREAM_LATENCY_S


def _lag_s(current_time: float) -> float:
    """How long ago PortAudio read its clock, whichever of the usual clocks that is."""
    for clock in (time.time, time.monotonic):
        lag_s = clock() - current_time
        if 0.0 <= lag_s < MAX_CALLBACK_LAG_S:
            return lag_s
    return 0.0
