"""Voicing: how periodic a sound is, as a voice is and a knock is not.

`hear` one or two blocks of 10 ms at a time; it returns the log-odds of the highest peak of the
autocorrelation among the pitches of people: about 2 for a vowel, about -0.5 for a knock, a
consonant or noise.

Thread: the front end's, which is its one owner.  It must never look further back than 40 ms: a word
is short, and what came before it is not its sound.

Everything happens at 4 kHz: the first harmonics of a voice lie below 2 kHz.  Method: the
autocorrelation is divided by that of its window (P. Boersma, "Accurate short-term analysis of the
fundamental frequency", 1993).
"""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from edge_agent.audio.cancel.canceller import BLOCK, RATE_HZ, Float32Array

STEP = 4
"""Samples of which one is kept: 16 kHz become 4 kHz."""
TAPS = 16
"""Of the low-pass before it, a Hann window: -31 dB and less from 1.9 kHz on, where what is above
2 kHz would fold onto a voice's harmonics."""
WINDOW = 160
"""40 ms: three periods of the deepest voice."""
SPECTRUM = 256
"""64 ms: 24 more than the window, and no lag looked at is longer than 13 ms, so that its end never
meets its beginning."""
LOWEST_HZ, HIGHEST_HZ = 70.0, 1900.0
"""What of the spectrum is looked at."""
LAG_HZ = 8000
"""Lags in steps of 1/8 ms, or a child's pitch would fall between two of them."""
LAGS = range(20, 101)
"""Pitches of men, women and children who speak: 400 to 80 Hz."""
LEAST, MOST = 0.03, 0.98
"""Bounds of the peak's share of the power, -3.5 to 3.9 as log-odds: silence has none, and a pure
tone is no surer a voice than a vowel."""

_NEW = BLOCK // STEP
_HERTZ = np.arange(SPECTRUM // 2 + 1) * (RATE_HZ / STEP / SPECTRUM)
_BAND = slice(*np.searchsorted(_HERTZ, (LOWEST_HZ, HIGHEST_HZ)))


class Voicing:
    """`centres_hz`: of the bands whose gains `hear` takes; `most`: blocks, at a time."""

    def __init__(self, centres_hz: Any, most: int) -> None:
        taps = np.hanning(TAPS + 2)[1:-1]
        self._taps = (taps / taps.sum()).astype(np.float32)
        self._sound: Float32Array = np.zeros(TAPS - STEP + most * BLOCK, np.float32)
        self._cuts = np.lib.stride_tricks.sliding_window_view(self._sound, TAPS)[::STEP]
        self._slow: Float32Array = np.zeros(WINDOW, np.float32)
        # From sound to spectrum, and from power to autocorrelation, each as one product: quicker
        # than a transform, as few frequencies and lags count.
        window = np.hanning(WINDOW)
        angles = 2 * np.pi / SPECTRUM * np.outer(np.arange(WINDOW), np.arange(_HERTZ.size)[_BAND])
        parts = np.hstack((np.cos(angles), np.sin(angles)))
        self._parts = np.ascontiguousarray(window[:, None] * parts, np.float32)
        turns = np.outer(_HERTZ, np.array([0, *LAGS]) / LAG_HZ)
        waves = np.cos(2 * np.pi * turns)
        own = np.abs(np.fft.rfft(window, SPECTRUM)) ** 2
        own[1:-1] *= 2  # the frequencies below zero
        whole = own @ waves
        self._waves = np.ascontiguousarray((waves / (whole / whole[0]))[_BAND], np.float32)
        numbers = np.arange(len(centres_hz))
        places = np.interp(_HERTZ[_BAND], centres_hz, numbers)
        between = np.maximum(1 - np.abs(places - numbers[:, None]), 0)
        self._gains = np.ascontiguousarray(between, np.float32)

    def restart(self) -> None:
        """Forget what was heard."""
        self._sound[:] = 0.0
        self._slow[:] = 0.0

    def hear(self, blocks: list[Float32Array], gains: Float32Array) -> float:
        """Take blocks of 160 samples at 16 kHz, and what share of the power in each band is to
        count; how periodic it is when the last of them is over."""
        sound, slow, new = self._sound, self._slow, _NEW * len(blocks)
        end = TAPS - STEP
        for block in blocks:
            sound[end : end + BLOCK] = block
            end += BLOCK
        slow[:-new] = slow[new:]
        slow[-new:] = self._cuts[:new] @ self._taps
        sound[: TAPS - STEP] = sound[end - (TAPS - STEP) : end]
        parts = slow @ self._parts
        parts *= parts
        half = parts.size // 2
        power = parts[:half] + parts[half:]
        power *= gains @ self._gains
        found = power @ self._waves
        whole = float(found[0])
        if not whole > 0.0:
            return log(LEAST / (1 - LEAST))
        share = min(max(float(found[1:].max()) / whole, LEAST), MOST)
        return log(share / (1 - share))
