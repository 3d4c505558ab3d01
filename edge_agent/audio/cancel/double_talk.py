"""Double-talk detector: does somebody speak while our own voice sounds?

Thread: the front end's.  It must never decide about an interruption: it labels single frames,
`dialogue.barge_in` wants several of the last ones.

The linear canceller leaves a residual of our own voice, which also is speech; a voice detector
alone cannot tell it from a person, and AEC3 with a voice detector interrupts itself several times
a minute in a reverberant room.  So the residual is compared, band by band, with what is to be
expected of it: the echo estimate with a reverberation tail, times a leak per band that is learned
while we speak, plus the filter's own uncertainty and the room's noise.  A person has energy in
bands where our voice has little, which shows up long before the whole level rises.
"""

from __future__ import annotations

import numpy as np

from edge_agent.audio.resample import AnyFloatArray, FloatArray

FRAME_MS = 10
LOWEST_HZ = 200
HIGHEST_HZ = 3800
BANDS = 16
"""Speech has most of its energy here, and loudspeakers of this size still play it."""

BIN_HZ = 50
"""Windows of two frames."""

TAIL_DECAY = 0.77
"""Of the expected echo power per frame: 60 dB in 0.5 s, the longest reverberation expected."""

FIRST_LEAK_DB = -5.0
HIGHEST_LEAK_DB = 3.0
"""An unlearned canceller leaves nearly everything; more than the echo itself is a person."""

LEAK_STEP_DB = 0.3
LEAK_QUANTILE = 0.85
"""The leak follows the quantile that the residual stays under in 85 % of the frames."""

NOISE_FACTOR = 4.0
NOISE_RISE = 1.002
NOISE_FALL = 0.9
"""Per frame: the floor rises 0.9 dB a second and falls within 100 ms; times four, because single
frames of steady noise scatter by 6 dB."""

POWER_FLOOR = 6.0
"""Power of a band per sample (int16 scale): about 1 LSB of dither."""

ECHO_POWER = 600.0
"""Below this expected echo in a band (about 12 LSB) there is nothing to learn a leak from."""

LOWEST_EXCESS_DB = -5.0
HIGHEST_EXCESS_DB = 15.0
"""Bounds per band before averaging: one band alone never decides."""


class DoubleTalkDetector:
    """Measure by how much the residual exceeds the expected one.

    Call `excess_db(residual, echo, uncertain_power)` for each 10 ms frame (int16 scale) of the
    canceller's output, echo estimate and own uncertainty (see `canceller.Cancelled`); the
    last keeps a cold start from looking like a person.
    In simulated rooms, 2.5 dB were never exceeded for 80 ms by our own voice alone in 30 minutes,
    and by a person as loud as the echo within 120 ms (median).
    """

    def __init__(self, rate_hz: int = 16_000) -> None:
        self._block = rate_hz * FRAME_MS // 1000
        edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1) / BIN_HZ
        self._edges = np.unique(np.round(edges).astype(int))
        self._window: FloatArray = np.sqrt(np.hanning(2 * self._block + 1)[:-1])
        self.reset()

    def reset(self) -> None:
        """Forget what was learned about the room."""
        bands = self._edges.size - 1
        self._leak_db: FloatArray = np.full(bands, FIRST_LEAK_DB)
        self._noise: FloatArray | None = None
        self.restart()

    def restart(self) -> None:
        """Begin another playback; the leak and the noise floor stay."""
        self._expected: FloatArray = np.zeros(self._edges.size - 1)
        self._last_residual: AnyFloatArray = np.zeros(self._block)
        self._last_echo: AnyFloatArray = np.zeros(self._block)

    def _band_power(self, frames: tuple[AnyFloatArray, AnyFloatArray]) -> FloatArray:
        spectrum = np.fft.rfft(self._window * np.concatenate(frames))
        return self._bands(spectrum.real**2 + spectrum.imag**2)

    def _bands(self, power: AnyFloatArray) -> FloatArray:
        # The window's energy is one block long, as is the canceller's: one scale for both.
        inside = power[: self._edges[-1]] / self._block
        return np.asarray(np.add.reduceat(inside, self._edges[:-1]))

    def excess_db(
        self, residual: AnyFloatArray, echo: AnyFloatArray, uncertain_power: AnyFloatArray
    ) -> float:
        """Mean excess over the bands in dB, -5 … 15; around -3 for our own voice alone."""
        heard = self._band_power((self._last_residual, residual))
        played = self._band_power((self._last_echo, echo))
        self._last_residual, self._last_echo = residual, echo
        self._expected = np.maximum(played, TAIL_DECAY * self._expected)
        if self._noise is None:
            self._noise = heard.copy()
        else:
            falling = np.maximum(heard, NOISE_FALL * self._noise)
            self._noise = np.minimum(NOISE_RISE * self._noise, falling)
        leaked = 10 ** (self._leak_db / 10) * self._expected + self._bands(uncertain_power)
        heard_db = 10 * np.log10(heard + POWER_FLOOR)
        excess = heard_db - 10 * np.log10(leaked + NOISE_FACTOR * self._noise + POWER_FLOOR)

        ratio_db = heard_db - 10 * np.log10(self._expected + POWER_FLOOR)
        step = np.where(ratio_db > self._leak_db, LEAK_QUANTILE, LEAK_QUANTILE - 1) * LEAK_STEP_DB
        self._leak_db += np.where(self._expected > ECHO_POWER, step, 0.0)
        np.minimum(self._leak_db, HIGHEST_LEAK_DB, out=self._leak_db)
        return float(np.clip(excess, LOWEST_EXCESS_DB, HIGHEST_EXCESS_DB).mean())
