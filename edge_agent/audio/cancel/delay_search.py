"""Delay search: how long after our sound does its echo reach the microphone?

Call `look` some times a second with the last sound of both, as long as the echo is not found.

Thread: the front end's, which is its one owner.  It must never name a delay that was seen only
once: a person who speaks correlates with anything for a moment.

Time stamps are guesses in Bluetooth and in sound servers, and wrong in both directions, so the
delay is searched from 100 ms before to 500 ms after the place where it is expected.  The phases of
both spectra are compared (GCC-PHAT), summed over some looks: what belongs together adds up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_agent.audio.cancel.canceller import BLOCK, RATE_HZ, Float32Array

HEARD = 26 * BLOCK
"""Samples of the microphone in a look: 260 ms, some syllables."""

EARLIEST = 1600
LATEST = 8000
"""Samples: 100 ms and 500 ms, more than Bluetooth has."""

PLAYED = HEARD + EARLIEST + LATEST
"""Samples of the reference in a look.  They end `EARLIEST` after the microphone's."""

SIZE = 8192
"""Of the transform at half the rate, in which all this has room."""

LOWEST_BIN = 200 * SIZE // (RATE_HZ // 2)
HIGHEST_BIN = 3600 * SIZE // (RATE_HZ // 2)
"""Speech that small loudspeakers play."""

FADING = 0.94
"""Of the sum per look: 2.5 s at seven looks a second."""

CLEAR = 6.5
"""The best delay stands out by so many standard deviations of all; without an echo it is 6.4 at
most, with one between 6 (in noise twice as loud) and 9."""

ALIKE = RATE_HZ // 500
AGREED = 2
"""Looks that agree with the one before within 2 ms: the first and the third have nothing in common
but the delay."""

DIRECT = 0.7
DIRECT_REACH = RATE_HZ // 200
"""What comes up to 10 ms before the strongest echo and is nearly as strong is the direct sound."""

SILENT_POWER = 1e-6
"""Of the reference in a look: below -60 dBFS there is nothing to be compared."""


class DelaySearch:
    """See the module's text."""

    def __init__(self) -> None:
        self._window: Float32Array = np.hanning(HEARD // 2).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        """Another device, or the reference is read from another place: begin anew."""
        self._sum: NDArray[np.complex64] = np.zeros(HIGHEST_BIN, np.complex64)
        self._last: int | None = None
        self._agreed = 0

    def look(self, heard: Float32Array, played: Float32Array) -> int | None:
        """Samples by which the echo comes later than expected (negative: earlier), or None.

        `heard`: the last `HEARD` samples of the microphone; `played`: `PLAYED` samples of the
        reference, as aligned by now, up to `EARLIEST` samples after them.
        """
        if float(played @ played) < SILENT_POWER * PLAYED:
            return None
        ours = np.fft.rfft(_halved(played), SIZE)[:HIGHEST_BIN]
        theirs = np.fft.rfft(self._window * _halved(heard), SIZE)[:HIGHEST_BIN]
        power = ours.real**2 + ours.imag**2
        cross = ours * np.conj(theirs)
        cross /= np.abs(cross) + np.float32(1e-12)
        cross *= power / (power + power.mean())
        cross[:LOWEST_BIN] = 0.0
        self._sum = (FADING * self._sum + cross).astype(np.complex64, copy=False)
        alike = np.abs(np.fft.irfft(self._sum, SIZE)[: (PLAYED - HEARD) // 2 + 1][::-1])
        best = int(np.argmax(alike))
        found: int | None = None
        if alike[best] > CLEAR * np.sqrt(np.mean(alike**2)):
            begin = max(0, best - DIRECT_REACH)
            first = begin + int(np.argmax(alike[begin : best + 1] >= DIRECT * alike[best]))
            found = 2 * first - EARLIEST
        last, self._last = self._last, found
        if found is None or last is None or abs(found - last) > ALIKE:
            self._agreed = 0
            return None
        self._agreed += 1
        return found if self._agreed >= AGREED else None


def _halved(sound: Float32Array) -> Float32Array:
    """At half the rate; what folds back above 5 kHz is not compared."""
    return sound[:-1:2] + sound[1::2]
