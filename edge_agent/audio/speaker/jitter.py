"""How much sound must be waiting before an answer starts to play.

`playout` and `renderer` call it under their lock.  It must never read a clock: time comes in as
milliseconds of sound.
"""

from __future__ import annotations

MAX_PREBUFFER_MS = 250.0
"""A listener takes a longer pause before an answer for "it did not hear me"; a human turn gap
is about 200 ms."""

GROWTH_FACTOR = 1.5
"""After a hole the next one should not come from the same network: grow fast …"""

CALM_MS = 10_000.0
"""… and shrink slowly: one step for each 10 s of sound without a hole."""

SHRINK_STEP_MS = 20.0
"""Two blocks of 10 ms: a step back that costs one hole at most if it was too bold."""


class Prebuffer:
    """The adaptive prebuffer: `target_ms` grows with each hole and shrinks in calm times."""

    def __init__(self, base_ms: float, max_ms: float = MAX_PREBUFFER_MS) -> None:
        self._base_ms = base_ms
        self._max_ms = max(base_ms, max_ms)
        self._calm_ms = 0.0
        self.target_ms = base_ms

    def gap(self, silent_ms: float) -> None:
        """Learn of a hole that has been silent for `silent_ms` so far."""
        wanted_ms = max(self.target_ms * GROWTH_FACTOR, self._base_ms + silent_ms)
        self.target_ms = min(self._max_ms, wanted_ms)
        self._calm_ms = 0.0

    def played(self, sound_ms: float) -> None:
        """Learn of `sound_ms` milliseconds that played without a hole."""
        self._calm_ms += sound_ms
        if self._calm_ms >= CALM_MS:
            self._calm_ms -= CALM_MS
            self.target_ms = max(self._base_ms, self.target_ms - SHRINK_STEP_MS)
