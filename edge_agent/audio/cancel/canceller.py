"""Linear echo canceller: takes our own voice out of the microphone and keeps the words.

Thread: the front end's.  It must never suppress: it only subtracts what an adaptive linear model of
the room predicts, so words spoken over our voice stay whole (AEC3 eats them).

A partitioned-block frequency-domain Kalman filter (Enzner & Vary 2006; Kuech et al. 2014): the
room's impulse response in partitions of one block, each bin of each partition with its own
uncertainty, which sets its step size.  Overlap-save with blocks of one frame: no added delay.
Double talk needs no detector: the error's own power spectrum slows the adaptation.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge_agent.audio.resample import FloatArray

TAIL_MS = 240
"""Bulk delay plus the loud part of a living room's reverberation."""

FRAME_MS = 10

TRANSITION = 0.999
"""How much of the room stays as it is from one 10 ms block to the next."""

FIRST_UNCERTAINTY = 0.5
UNCERTAINTY_DECAY = 0.75
"""Start: early partitions are the likely ones (a room decays); lets it converge in 2 s, not 4."""

FIRST_GAIN = FIRST_UNCERTAINTY / (1 - UNCERTAINTY_DECAY)
"""What those two take for granted: an echo at most 3 dB louder than what was played.  A sensitive
microphone beside a soft loudspeaker has 20 dB, and what the filter does not know it could be is
taken for a person; so the first sounds are weighed."""

WEIGHED_FRAMES = 100
WEIGHED_FROM = 3e-5
"""One second of our voice above -45 dBFS: by then it has learned."""

HIGHEST_GAIN = 1000.0
"""30 dB; more is a person who speaks as we begin, or a fault."""

ERROR_SMOOTHING = 0.9
"""Of the error's power spectrum: 100 ms, about a syllable."""

CONSTRAINED_PART = 4
"""A quarter of the partitions gets the gradient constraint each block: same result, less work."""

FULL_SCALE = 32768.0
POWER_FLOOR = 1e-9
"""Against division by zero; far below one bit of a 10 ms block."""

ALIGN_ERLE_DB = 6.0
"""The learned room is believed about its delay once it cancels that much."""

ALIGN_BLOCKS = 2
"""Empty partitions worth removing: the early ones learn fastest, and the tail reaches further."""

MAX_DELAY_BLOCKS = 40
"""400 ms: more than any sound card hides behind its time stamps."""

ERLE_SMOOTHING = 0.99
AUDIBLE_POWER = 1e-7
"""Of the powers for the ERLE figure: one second of sound above -70 dBFS."""


class LinearEcho:
    """Cancel the echo of `reference` in the microphone, frame by frame.

    Frames are 10 ms at `rate_hz` on the int16 scale.  Call `process` only while our speaker is
    audible; the learned room is kept in between.  `erle_db` says how much quieter the echo got.
    """

    def __init__(self, rate_hz: int = 24_000, *, tail_ms: int = TAIL_MS) -> None:
        self.rate_hz = rate_hz
        self._block = rate_hz * FRAME_MS // 1000
        self._partitions = tail_ms // FRAME_MS
        self.reset()

    def reset(self) -> None:
        """Forget the room, as after a change of sound device."""
        shape = (self._partitions, self._block + 1)
        self._weights: NDArray[np.complex128] = np.zeros(shape, dtype=np.complex128)
        decay = FIRST_UNCERTAINTY * UNCERTAINTY_DECAY ** np.arange(self._partitions)
        self._uncertainty: FloatArray = np.repeat(decay[:, None], self._block + 1, axis=1)
        self._error_power: FloatArray = np.zeros(self._block + 1)
        self._turn = 0
        self._unweighed = WEIGHED_FRAMES
        self._heard = self._played = 0.0
        self._gain = FIRST_GAIN
        self.delay_blocks = 0
        self._microphone_power = self._residual_power = 0.0
        self.restart()

    def restart(self) -> None:
        """Begin another playback: what sounded before it is over, the learned room stays.

        Between two playbacks the reference is also delayed to shortly before its echo, as far
        as the learned room shows where that is; the room is shifted along and not learned anew.
        """
        if self.erle_db > ALIGN_ERLE_DB:
            self._align()
        self._waiting = deque(
            (np.zeros(self._block) for _ in range(self.delay_blocks)), maxlen=MAX_DELAY_BLOCKS + 1
        )
        self._spectra: NDArray[np.complex128] = np.zeros_like(self._weights)
        self._last_reference: FloatArray = np.zeros(self._block)
        self._microphone_power = self._residual_power = 0.0
        self.echo: FloatArray = np.zeros(self._block)
        self.uncertain_power: FloatArray = np.zeros(self._block + 1)

    def _align(self) -> None:
        energy = np.sum(self._weights.real**2 + self._weights.imag**2, axis=1)
        first_loud = int(np.argmax(energy > 0.1 * energy.max()))
        shift = min(first_loud - 1, MAX_DELAY_BLOCKS - self.delay_blocks)
        shift = max(shift, -self.delay_blocks)
        if 0 <= shift < ALIGN_BLOCKS:
            return
        self.delay_blocks += shift
        self._weights = np.roll(self._weights, -shift, axis=0)
        self._uncertainty = np.roll(self._uncertainty, -shift, axis=0)
        fresh = slice(-shift, None) if shift > 0 else slice(None, -shift)
        self._weights[fresh] = 0.0
        if shift > 0:
            self._uncertainty[fresh] = self._uncertainty[-shift - 1]
        else:
            self._uncertainty[fresh] = FIRST_UNCERTAINTY

    def _weigh(self, near: FloatArray, far: FloatArray) -> None:
        """Expect as loud an echo as the first sounds show."""
        played = float(far @ far)
        if played < WEIGHED_FROM * self._block:
            return
        self._unweighed -= 1
        self._played += played
        self._heard += float(near @ near)
        gain = min(self._heard / self._played, HIGHEST_GAIN)
        if gain > self._gain:
            self._uncertainty *= gain / self._gain
            self._gain = gain

    @property
    def erle_db(self) -> float:
        """Echo return loss enhancement over the last second of sound; 0 before there was any."""
        if min(self._microphone_power, self._residual_power) <= POWER_FLOOR:
            return 0.0
        return float(10 * np.log10(self._microphone_power / self._residual_power))

    def process(self, microphone: FloatArray, reference: FloatArray) -> FloatArray:
        """Return the microphone frame without our own voice.

        Afterwards `echo` holds what was removed, and `uncertain_power` how much echo the filter
        itself thinks may be left: the power of one block in bins of 50 Hz.
        """
        block = self._block
        self._waiting.append(reference / FULL_SCALE)
        far = self._waiting.popleft()
        near = microphone / FULL_SCALE
        if self._unweighed:
            self._weigh(near, far)
        spectra = self._spectra
        spectra[1:] = spectra[:-1]
        spectra[0] = np.fft.rfft(np.concatenate((self._last_reference, far)))
        self._last_reference = far
        weights = self._weights
        echo = np.fft.irfft(np.einsum("pk,pk->k", weights, spectra))[block:]
        error = near - echo
        error_spectrum = np.fft.rfft(np.concatenate((np.zeros(block), error)))
        self._error_power *= ERROR_SMOOTHING
        self._error_power += (1 - ERROR_SMOOTHING) * np.abs(error_spectrum) ** 2

        power = spectra.real**2 + spectra.imag**2
        explained = self._uncertainty * power
        uncertain = explained.sum(axis=0)
        total = uncertain + self._error_power + POWER_FLOOR
        gain = self._uncertainty / total
        weights += gain * spectra.conj() * error_spectrum
        weights *= TRANSITION
        part = slice(self._turn, None, CONSTRAINED_PART)
        self._turn = (self._turn + 1) % CONSTRAINED_PART
        impulse = np.fft.irfft(weights[part], axis=1)
        impulse[:, block:] = 0.0
        weights[part] = np.fft.rfft(impulse, axis=1)
        self._uncertainty *= TRANSITION**2 * (1 - gain * power)
        self._uncertainty += (1 - TRANSITION**2) * (weights.real**2 + weights.imag**2)

        if float(far @ far) > AUDIBLE_POWER * block:
            self._microphone_power *= ERLE_SMOOTHING
            self._microphone_power += (1 - ERLE_SMOOTHING) * float(near @ near)
            self._residual_power *= ERLE_SMOOTHING
            self._residual_power += (1 - ERLE_SMOOTHING) * float(error @ error)
        self.echo = echo * FULL_SCALE
        self.uncertain_power = uncertain * FULL_SCALE**2
        return error * FULL_SCALE
