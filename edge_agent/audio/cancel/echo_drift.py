"""How fast the learned echo moves: the drift between two cards' clocks.

Read the reference at `pace`; give `take` the canceller's learned room after each block in which the
echo is known, and say `lost` when the reference has stepped.  `begin` where even time stamps say.

Thread: the front end's, which is its one owner.  It must never follow time stamps: those of a sound
server wander by milliseconds in some seconds, which is more than any clock drifts.

Where the reference is read too slowly, its echo comes some samples earlier with each second, and
the adaptive filter follows.  How far its learned room has moved between two looks is the slope of
the phase between them.
"""

from __future__ import annotations

from math import pi

import numpy as np

from edge_agent.audio.cancel.canceller import BLOCK, Complex64Array

LOOK_BLOCKS = 15
BACK = 2
"""Looks between the two that are compared: 0.3 s."""

ROWS = 4
"""Partitions that count, 40 ms: the early echo; what comes later is learned more slowly."""
BINS = slice(1, 100)
"""Up to 5 kHz.  Higher up a loudspeaker has little, and the filter learns noise."""

FIRST_GAIN = 0.6
GAIN_FALL = 0.8
LEAST_GAIN = 0.15
"""Of what was seen to move, the share that is taken over at each look: less with each time that
it has moved the other way, down to the least.  With three times as much it may overshoot for good;
with this, 200 ppm are found in 4 to 8 s of our voice, to 3 ppm (8 sessions of the tuning part)."""

KNOWN_LOOKS = 60
"""9 s of our voice: from here on what was heard is better than any stamps."""

MOST_SAMPLES = 2.4
"""Between the two looks: 500 ppm.  More is a path that has changed."""
ALIKE = 0.5
"""The learned room must be so far what it was (1: the same)."""
MOST_PACE = 400e-6
"""Two bad crystals."""

_NUMBERS = np.arange(BINS.start, BINS.stop, dtype=np.float32)
_SQUARES = _NUMBERS * _NUMBERS
_SAMPLES = -2 * BLOCK / (2 * pi)
"""Of delay, by a phase that rises by one from bin to bin."""
_BETWEEN = BACK * LOOK_BLOCKS * BLOCK


class EchoDrift:
    """See the module's text."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another device."""
        self.pace = 0.0
        """How much faster than the microphone the reference is to be read, as a share."""
        self.begun = False
        """It has been told where to begin."""
        self._gain, self._last, self._looks = FIRST_GAIN, 0.0, 0
        self.lost()

    def begin(self, pace: float) -> None:
        """Where to begin, as two clocks with even stamps say; where it has been heard by now how
        fast the echo moves, that holds."""
        self.begun = True
        if self._looks < KNOWN_LOOKS:
            self.pace, self._gain = pace, LEAST_GAIN
            self.lost()

    def lost(self) -> None:
        """The reference has stepped, or the sound has slipped: the room is elsewhere now."""
        self._rooms: list[Complex64Array] = []
        self._blocks = 0

    def take(self, weights: Complex64Array) -> None:
        """The learned room: a spectrum of 161 bins for each block of delay, the first one first."""
        self._blocks += 1
        if self._blocks % LOOK_BLOCKS:
            return
        self._rooms.append(weights[:ROWS, BINS].copy())
        if len(self._rooms) <= BACK:
            return
        moved = _moved(self._rooms.pop(0), self._rooms[-1])
        if moved is None:
            return
        self._looks += 1
        if moved * self._last < 0:
            self._gain = max(LEAST_GAIN, GAIN_FALL * self._gain)
        self._last = moved
        pace = self.pace - self._gain * moved / _BETWEEN
        self.pace = min(max(pace, -MOST_PACE), MOST_PACE)


def _moved(before: Complex64Array, now: Complex64Array) -> float | None:
    """By how many samples the echo comes later now; None where that cannot be said."""
    shared = np.einsum("pb,pb->b", now, before.conj())
    strength = np.abs(shared)
    whole = float(np.sqrt(np.vdot(before, before).real * np.vdot(now, now).real))
    if float(strength.sum()) <= ALIKE * whole:
        return None
    rising = float((strength * _NUMBERS) @ np.angle(shared)) / float(strength @ _SQUARES)
    moved = _SAMPLES * rising
    return moved if abs(moved) < MOST_SAMPLES else None
