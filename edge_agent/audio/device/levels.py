"""Levels: what the samples of a microphone look like, before anything is made of them.

Thread: the front end's writes, in `take`; anybody may read.  It must never judge: `signs` does.
"""

from __future__ import annotations

import math

from edge_agent.audio.resample import Int16Array

GATE_S = 1.5
"""A shorter run of one value is no noise gate's: what the front end puts in for lost sound lasts
1 s at most."""
NOTHING_DBFS = -100.0


class Levels:
    """Of one microphone; `restart` with each opening."""

    def __init__(self) -> None:
        self.restart(1)

    def restart(self, rate_hz: int) -> None:
        """Another microphone, or the same one anew."""
        self._rate_hz = rate_hz
        self._flat = 0
        self.value: int | None = None
        """The last sample."""
        self.moves = 0
        """Pieces that were sound: not one value alone."""
        self.gaps = 0
        """Runs of one value that ended: a device with a noise gate has many."""
        self._peak = 0

    @property
    def flat_s(self) -> float:
        """So long every sample has had the same value."""
        return self._flat / self._rate_hz

    def take(self, samples: Int16Array) -> None:
        """The next ones."""
        low, high = int(samples.min()), int(samples.max())
        is_flat = low == high
        if not is_flat or low != self.value:
            self.gaps += self._flat > GATE_S * self._rate_hz
            self._flat = 0
        if is_flat:
            self._flat += samples.size
        self.moves += not is_flat
        self.value = int(samples[-1])
        self._peak = max(self._peak, high, -low)

    def peak_dbfs(self) -> float:
        """The loudest sample since this was asked before."""
        peak, self._peak = self._peak, 0
        return 20 * math.log10(peak / 32768) if peak else NOTHING_DBFS
