"""What the canceller's signals look like while somebody speaks, or nobody: 160 numbers per frame.

Call `SpeechFeatures.of` with each 10 ms frame while our speaker sounds; `speech_net` judges them.

Thread: the caller's; training gives it many sessions at once, as leading axes of the arrays.
It must never look ahead, and never be changed without training the net anew: the weights hold for
these numbers alone (`VERSION` is stored with them).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

VERSION = 1

RATE_HZ = 16_000
FRAME_SAMPLES = 160
BINS = FRAME_SAMPLES + 1
BANDS = 20
LOWEST_HZ = 100.0
HIGHEST_HZ = 7600.0
COUNT = 8 * BANDS

SMOOTHING = 0.85
"""Of the cross spectra: 60 ms, or a coherence would always be one."""

TAIL_DECAY = 0.88
"""Of the expected echo power per frame: 60 dB in 1.1 s, the longest room."""

FIRST_LEAK_DB = -5.0
HIGHEST_LEAK_DB = 3.0
LEAK_STEP_DB = 0.3
LEAK_QUANTILE = 0.85
"""The leak of a band follows what the residual stays under in 85 % of the frames."""

NOISE_FACTOR = 2.0
NOISE_RISE = 1.002
NOISE_FALL = 0.9
"""Per frame: the floor rises 0.9 dB a second and falls within 100 ms."""

FLOOR = 1.5e-7
"""Power of one bin of a block whose samples are 1 LSB of 16 bits each."""

ECHO_FLOOR = 2e-5
"""Below this expected echo in a band (about 12 LSB) there is nothing to learn a leak from."""

Floats: TypeAlias = Any


def _mel_bands() -> Floats:
    """Triangles of equal width in mel, as `(bins, bands)`; each sums to one."""

    def mel(hertz: float) -> float:
        return float(2595 * np.log10(1 + hertz / 700))

    edges = 700 * (10 ** (np.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), BANDS + 2) / 2595) - 1)
    hertz = np.arange(BINS) * RATE_HZ / (2 * FRAME_SAMPLES)
    rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    bands = np.clip(np.minimum(rising, falling), 0, None)
    # The lowest bands are narrower than a bin: then the nearest bin is the band.
    for number in np.flatnonzero(bands.sum(axis=0) < 0.5):
        bands[int(np.argmin(np.abs(hertz - edges[number + 1]))), number] = 1.0
    return np.asarray(bands / bands.sum(axis=0), np.float32)


def _decibels(power: Floats) -> Floats:
    return np.asarray(np.log10(power) * np.float32(10), np.float32)


class SpeechFeatures:
    """Make the numbers of one frame from the canceller's signals.

    `many`: how many sessions run side by side, as a leading axis; empty for one.  The room's leak
    and noise are kept over `restart`, which begins another playback.
    """

    def __init__(self, many: tuple[int, ...] = ()) -> None:
        self._many = many
        self._bands = _mel_bands()
        half = np.arange(2 * FRAME_SAMPLES) / (2 * FRAME_SAMPLES)
        self._window = np.sin(np.pi * half).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        """Another device: nothing is known of the room."""
        self._leak_db = np.full((*self._many, BANDS), FIRST_LEAK_DB, np.float32)
        self._noise: Floats | None = None
        self.restart()

    def restart(self) -> None:
        """Another playback: what sounded before it is over."""
        many = self._many
        self._frames = np.zeros((*many, 4, 2 * FRAME_SAMPLES), np.float32)
        self._tail = np.zeros((*many, BANDS), np.float32)
        self._power = np.full((*many, 3, BINS), FLOOR, np.float32)
        self._cross: Any = np.zeros((*many, 2, BINS), np.complex64)

    def of(self, microphone: Any, reference: Any, echo: Any, residual: Any, unsure: Any) -> Floats:
        """The features of one frame, full scale 1.0.

        Four signals of 160 samples (what the microphone heard, the aligned reference, the echo
        as estimated, what is left), and per bin the power of the echo that may be left.
        """
        frames = self._frames
        frames[..., :FRAME_SAMPLES] = frames[..., FRAME_SAMPLES:]
        new = frames[..., FRAME_SAMPLES:]
        new[..., 0, :], new[..., 1, :], new[..., 2, :] = microphone, echo, residual
        new[..., 3, :] = reference
        spectra: Any = np.fft.rfft(frames * self._window, axis=-1)
        power = spectra.real**2 + spectra.imag**2
        bands = power @ self._bands
        heard, expected, left = bands[..., 0, :], bands[..., 1, :], bands[..., 2, :]

        self._power *= SMOOTHING
        self._power += (1 - SMOOTHING) * power[..., :3, :]
        self._cross *= SMOOTHING
        # What the residual, and the microphone, have in common with the echo.
        self._cross += (1 - SMOOTHING) * spectra[..., 0:3:2, :] * spectra[..., 1:2, :].conj()
        smooth = self._power + np.float32(FLOOR)
        cross = self._cross.real**2 + self._cross.imag**2
        coherence = (cross / (smooth[..., 0:3:2, :] * smooth[..., 1:2, :])) @ self._bands

        np.maximum(expected, np.float32(TAIL_DECAY) * self._tail, out=self._tail)
        if self._noise is None:
            self._noise = left.copy()
        falling = np.maximum(left, np.float32(NOISE_FALL) * self._noise)
        self._noise = np.minimum(np.float32(NOISE_RISE) * self._noise + np.float32(1e-12), falling)
        allowed = np.float32(10) ** (self._leak_db / np.float32(10)) * self._tail
        allowed += np.float32(NOISE_FACTOR) * self._noise

        floor = np.float32(FLOOR)
        left_db = _decibels(left + floor)
        tail_db = _decibels(self._tail + floor)
        wish = np.where(left_db - tail_db > self._leak_db, LEAK_QUANTILE, LEAK_QUANTILE - 1)
        step = np.where(self._tail > ECHO_FLOOR, LEAK_STEP_DB * wish, 0.0)
        self._leak_db = np.minimum(self._leak_db + step.astype(np.float32), HIGHEST_LEAK_DB)

        misalignment = np.asarray(unsure, np.float32) @ self._bands
        return np.concatenate(
            (
                left_db,
                _decibels(heard + floor) - left_db,
                _decibels(expected + floor) - left_db,
                left_db - _decibels(allowed + floor),
                _decibels(bands[..., 3, :] + floor),
                _decibels(misalignment + floor) - left_db,
                coherence[..., 1, :],
                coherence[..., 0, :],
            ),
            axis=-1,
        )
