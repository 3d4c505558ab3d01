"""What the canceller's signals look like while somebody speaks, or nobody: 161 numbers per 20 ms.

Call `SpeechFeatures.of` with two blocks of 10 ms at a time while our speaker sounds; `speech_net`
judges them.  Numbers of each block would cost twice as much, and nobody takes less time than that
to say anything: cards give 20 ms at once anyway.

Thread: the front end's, which is its one owner.  It must never look ahead, and never be changed
without training the net anew: the weights hold for these numbers alone (`VERSION` is stored with
them).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from edge_agent.audio.cancel.canceller import BINS, BLOCK, RATE_HZ, Cancelled, squared
from edge_agent.audio.cancel.voicing import Voicing

VERSION = 5

BANDS = 20
LOWEST_HZ = 100.0
HIGHEST_HZ = 7600.0
KINDS = 8
"""Numbers of each band."""
COUNT = KINDS * BANDS + 1
VOICING = COUNT - 1
"""Where the features say how periodic the residual is."""
EXCESS = slice(3 * BANDS, 4 * BANDS)
"""Where the features say by how many dB the residual stands above what is to be expected of it."""

TOGETHER = 2
"""Blocks of which features are made: 20 ms."""

SMOOTHING = 0.72
"""Of the cross spectra per 20 ms: 60 ms, or a coherence would always be one."""

TAIL_DECAY = 0.774
"""Of the expected echo power per 20 ms: 60 dB in 1.1 s, the longest room."""

FIRST_LEAK_DB = -5.0
HIGHEST_LEAK_DB = 3.0
LEAK_STEP_DB = 0.6
LEAK_QUANTILE = 0.85
"""The leak of a band follows what the residual stays under in 85 % of the time."""

NOISE_FACTOR = 2.0
NOISE_RISE = 1.004
NOISE_FALL = 0.81
"""Per 20 ms: the floor rises 0.9 dB a second and falls within 100 ms."""

SURELY_NOT = 0.5
"""Of the echo and noise to be expected, what is taken out before the residual's period is looked
for.  All of it would leave nothing of a soft voice; on the tuning part a half tells a person at
-20 dB best from what is none (0.68 of pairs right; with nothing or all taken out 0.64 and 0.65)."""
LEAST_GAIN = 0.02

FLOOR = 1.46e-12
"""Power of one bin of a block whose samples are 1 LSB of 16 bits each."""

ECHO_FLOOR = 1.95e-10
"""Below this expected echo in a band (about 12 LSB) there is nothing to learn a leak from."""

Floats: TypeAlias = Any

# In single precision, or numpy computes 20 numbers in double precision and converts them back.
_FLOOR = np.float32(FLOOR)
_SUM_FLOOR = np.float32(FLOOR / (1 - SMOOTHING))
_ECHO_FLOOR = np.float32(ECHO_FLOOR)
_TAIL_DECAY = np.float32(TAIL_DECAY)
_NOISE_FACTOR = np.float32(NOISE_FACTOR)
_NOISE_RISE = np.float32(NOISE_RISE)
_NOISE_FALL = np.float32(NOISE_FALL)
_NOISE_LEAST_RISE = np.float32(1e-17)  # from digital silence
_HIGHEST_LEAK_DB = np.float32(HIGHEST_LEAK_DB)
# As rows: `where` converts a single number anew each time.
_LEAK_UP = np.full(BANDS, LEAK_STEP_DB * LEAK_QUANTILE, np.float32)
_LEAK_DOWN = np.full(BANDS, LEAK_STEP_DB * (LEAK_QUANTILE - 1), np.float32)
_SURELY_NOT = np.float32(SURELY_NOT)
_LEAST_GAIN = np.float32(LEAST_GAIN)
_SMOOTHING = np.float32(SMOOTHING)
_TEN = np.float32(10)
_HALF = np.float32(0.5)


def _mel_edges() -> Floats:
    """Where the bands meet, in Hz: the edges of band n are numbers n and n + 2, its centre is
    number n + 1."""

    def mel(hertz: float) -> float:
        return float(2595 * np.log10(1 + hertz / 700))

    return 700 * (10 ** (np.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), BANDS + 2) / 2595) - 1)


def _mel_bands(edges: Floats) -> Floats:
    """Triangles of equal width in mel, as `(bins, bands)`; each sums to one."""
    hertz = np.arange(BINS) * RATE_HZ / (2 * BLOCK)
    rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    bands = np.clip(np.minimum(rising, falling), 0, None)
    # The lowest bands are narrower than a bin: then the nearest bin is the band.
    for number in np.flatnonzero(bands.sum(axis=0) < 0.5):
        bands[int(np.argmin(np.abs(hertz - edges[number + 1]))), number] = 1.0
    return np.asarray(bands / bands.sum(axis=0), np.float32)


# Rows of the levels, each of a band's power; those from PLAYED to ECHO are the spectra's, in order:
_UNSURE, _PLAYED, _HEARD, _LEFT, _ECHO, _TAIL, _NOISE, _ALLOWED = range(8)
_POWERS = 5
"""The levels up to here are those of these blocks alone."""


class SpeechFeatures:
    """Make the numbers of each 20 ms from the canceller's signals.

    `reset` with each device, `restart` with each playback: the room's leak and noise are kept.
    """

    def __init__(self) -> None:
        edges = _mel_edges()
        self._bands = _mel_bands(edges)
        self._voicing = Voicing(edges[1:-1], TOGETHER)
        self._levels = np.zeros((8, BANDS), np.float32)
        # Of each bin: the coherences of microphone and residual with the echo, five powers, and the
        # cross spectra that the coherences are made of, two numbers each.
        rows = np.zeros((2 + _POWERS + 4, BINS), np.float32)
        self._common, self._powers = rows[:2], rows[2 : 2 + _POWERS]
        self._cross: Any = rows[-4:].reshape(-1).view(np.complex64).reshape(2, BINS)
        self._summed = rows[2:]
        self._wide = rows[:-4]
        """What becomes numbers of bands."""
        self._followed = rows[2 + _HEARD :]
        """What is followed over time: powers of microphone, residual and echo; cross spectra."""
        self.reset()

    def reset(self) -> None:
        """Another device: nothing is known of the room."""
        self._leak_db = np.full(BANDS, FIRST_LEAK_DB, np.float32)
        self._has_noise = False
        self.restart()

    def restart(self) -> None:
        """Another playback: what sounded before it is over."""
        self._levels[_TAIL] = 0.0
        self._voicing.restart()
        # Sums that fade, not means: a coherence is the same, and one product less each.
        self._sums = np.zeros((7, BINS), np.float32)
        self._sums[:3] = _SUM_FLOOR

    def of(self, blocks: list[Cancelled]) -> Floats:
        """The features of two blocks that follow one another, or of one, as `(161,)` of float32."""
        self._take(blocks)
        wide = self._wide @ self._bands
        self._follow(wide[2:])
        features: Floats = np.empty(COUNT, np.float32)
        found = features[:VOICING].reshape(KINDS, BANDS)
        found[6:] = wide[1::-1]
        decibels = self._levels + _FLOOR
        np.log10(decibels, out=decibels)
        decibels *= _TEN
        left_db = decibels[_LEFT]
        # Nothing here knows how far a microphone is turned up.
        np.subtract(left_db, decibels[_NOISE], out=found[0])
        np.subtract(decibels[_HEARD : _ECHO + 1 : 2], left_db, out=found[1:3])
        np.subtract(left_db, decibels[_ALLOWED], out=found[3])
        found[4] = decibels[_PLAYED]
        np.subtract(decibels[_UNSURE], left_db, out=found[5])
        levels = self._levels
        gains = np.float32(1) - _SURELY_NOT * levels[_ALLOWED] / (levels[_LEFT] + _FLOOR)
        np.maximum(gains, _LEAST_GAIN, out=gains)
        features[VOICING] = self._voicing.hear([block.residual for block in blocks], gains)
        self._learn_leak(left_db - decibels[_TAIL])
        return features

    def _take(self, blocks: list[Cancelled]) -> None:
        """Powers and cross spectra of the blocks, their means; and the coherences."""
        first, last = blocks[0], blocks[-1]  # a block alone is taken twice
        powers = self._powers
        np.add(first.uncertainty, last.uncertainty, out=powers[_UNSURE])
        spectra: Any = np.concatenate((first.spectra, last.spectra)).reshape(2, 4, BINS)
        mirrored = spectra.conj()
        both = (spectra * mirrored).real
        np.add(both[0], both[1], out=powers[_PLAYED:])
        cross = spectra[:, 1:3] * mirrored[:, 3:]
        np.add(cross[0], cross[1], out=self._cross)
        self._summed *= _HALF
        # What microphone and residual have in common with the echo, 0 to 1.
        sums = self._sums
        sums *= _SMOOTHING
        sums += self._followed
        smooth = sums[:3] + _SUM_FLOOR
        shared = squared(sums[3:].reshape(-1).view(np.complex64).reshape(2, BINS))
        np.divide(shared, smooth[:2] * smooth[2], out=self._common)

    def _follow(self, bands: Floats) -> None:
        """Bring the levels up to date: tail and noise remember, the rest is of these blocks."""
        levels = self._levels
        levels[:_POWERS] = bands
        left, tail, noise = levels[_LEFT], levels[_TAIL], levels[_NOISE]
        tail *= _TAIL_DECAY
        np.maximum(levels[_ECHO], tail, out=tail)
        if not self._has_noise:
            self._has_noise = True
            noise[:] = left
        falling = np.maximum(left, _NOISE_FALL * noise)
        noise *= _NOISE_RISE
        noise += _NOISE_LEAST_RISE
        np.minimum(noise, falling, out=noise)
        allowed = np.power(_TEN, self._leak_db / _TEN, out=levels[_ALLOWED])
        allowed *= tail
        allowed += _NOISE_FACTOR * noise

    def _learn_leak(self, ratio_db: Floats) -> None:
        leak_db = self._leak_db
        step = np.where(ratio_db > leak_db, _LEAK_UP, _LEAK_DOWN)
        np.add(leak_db, step, out=leak_db, where=self._levels[_TAIL] > _ECHO_FLOOR)
        np.minimum(leak_db, _HIGHEST_LEAK_DB, out=leak_db)
