"""Channels: one sound out of a microphone's several, without those that are dead.

Thread: the microphone's callback.  It must never leave out a channel that is only quiet: dead is
one that has not moved by a single step while another one did.  A stereo card with one capsule, or
an array with channels that nothing is wired to, would be half as loud, or silent, in the mean.
"""

from __future__ import annotations

import numpy as np

LOOK_EVERY_BLOCKS = 10
"""Ten looks a second at blocks of 10 ms: a look costs as much as the mean itself."""
DEAD_LOOKS = 50
"""In a row; 5 s.  A channel that a gate closes opens with the others."""


class Channels:
    """Of one opening.  `wanted`: the owner's choice of one channel (None: the mean)."""

    def __init__(self, count: int, wanted: int | None = None) -> None:
        self.count = count
        self._wanted = wanted if wanted is not None and wanted < count else None
        self._blocks = 0
        self._still = np.zeros(count, dtype=int)
        """Looks in a row at which a channel did not move and another one did."""
        self.dead: tuple[int, ...] = ()
        self._taken = list(range(count)) if self._wanted is None else [self._wanted]

    def mono(self, data: bytes) -> bytes:
        """PCM16 of one channel out of a block of all."""
        if self.count == 1:
            return data
        samples = np.frombuffer(data, dtype="<i2").reshape(-1, self.count)
        self._blocks += 1
        if self._blocks % LOOK_EVERY_BLOCKS == 0 and len(samples):
            self._look(samples)
        if len(self._taken) == 1:
            return bytes(samples[:, self._taken[0]].tobytes())
        taken = samples[:, self._taken] if self.dead else samples
        return bytes(np.rint(taken.mean(axis=1)).astype("<i2").tobytes())

    def _look(self, samples: np.ndarray) -> None:
        moves = np.ptp(samples, axis=0) > 0
        if not moves.any():
            return  # nothing is heard at all, which says nothing of one channel
        self._still = np.where(moves, 0, self._still + 1)
        dead = tuple(int(n) for n in np.flatnonzero(self._still >= DEAD_LOOKS))
        if dead != self.dead:
            self.dead = dead
            live = [n for n in range(self.count) if n not in dead]
            self._taken = live if self._wanted not in live else [self._wanted]
