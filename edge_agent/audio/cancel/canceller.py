"""Canceller: takes our own voice out of the microphone and keeps the words.

Call `process` with each 10 ms block while our speaker is audible; the learned room is kept in
between.  All sound is float32 at 16 kHz with a full scale of 1.0.

Thread: the front end's, which is its one owner.  It must never suppress: it only subtracts what an
adaptive linear model of the room predicts, so words spoken over our voice stay whole (a canceller
with a post-filter, as WebRTC's AEC3, eats them).

A partitioned-block frequency-domain Kalman filter (Enzner & Vary 2006; Kuech et al. 2014): the
room's impulse response in partitions of one block, each bin of each partition with its own
uncertainty, which sets its step size.  Overlap-save with blocks of one frame: no added delay.
Double talk needs no detector: the error's own power spectrum slows the adaptation.

All spectra are of two blocks and divided by their 320 samples: numpy transforms in single precision
only if it is told to do so (`norm="forward"`).
"""

from __future__ import annotations

from math import log10
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Complex64Array = NDArray[np.complex64]

RATE_HZ = 16_000
BLOCK = 160
"""Samples of a frame: 10 ms."""

BINS = BLOCK + 1
"""Of the spectrum of two blocks, 50 Hz apart."""

PARTITIONS = 24
"""240 ms: the early echo and the loud part of a living room's reverberation."""

TRANSITION = 0.999
"""How much of the room stays as it is from one 10 ms block to the next."""

FIRST_UNCERTAINTY = 0.5
UNCERTAINTY_DECAY = 0.75
"""Start: early partitions are the likely ones (a room decays); lets it converge in 2 s, not 4."""

NEVER_SURE = 0.03
"""Share of the first uncertainty by which a room may change that has shown no echo: a microphone
that gave zeros for a while, or bursts, is no lasting proof that there is no echo."""

FIRST_GAIN = FIRST_UNCERTAINTY / (1 - UNCERTAINTY_DECAY)
"""What those two take for granted: an echo at most 3 dB louder than what was played.  A sensitive
microphone beside a soft loudspeaker has 20 dB, and what the filter does not know it could be is
taken for a person; so the first sounds are weighed."""

WEIGHED_BLOCKS = 100
WEIGHED_FROM = 3e-5
"""One second of our voice above -45 dBFS: by then it has learned."""

HIGHEST_GAIN = 1000.0
"""30 dB; more is a person who speaks as we begin, or a fault."""

ONE = np.float32(1)
TWICE = np.complex64(1 + 1j)
MIRRORED = np.complex64(1 - 1j)
"""A number times these stands twice in a row of real and imaginary parts, the second time negative
or not: one call of numpy, where two would go through the row in steps of two."""

ERROR_SMOOTHING = 0.9
"""Of the error's power spectrum: 100 ms, about a syllable."""
NEW_ERROR = np.complex64((1 - ERROR_SMOOTHING) * MIRRORED)

CONSTRAINED_EVERY = 8
"""Blocks from one gradient constraint, and ageing, of the filter to the next.  A quarter of it in
each block did no better (16.31 dB of ERLE in place of 16.25, the mean of 24 sessions of the tuning
part) and cost a fifth more: a call of numpy costs more than a transform."""

AGED = TRANSITION**CONSTRAINED_EVERY

DOUBT = 0.3
"""Share of what is known that may be wrong after a slip: more would take a person for echo."""

POWER_FLOOR: Float32Array = np.array([1e-14, -1e-14] * BINS, np.float32)
"""Against division by zero; far below one bit of a 10 ms block."""
ENERGY_FLOOR = 1e-9

ERLE_SMOOTHING = 0.99
AUDIBLE_POWER = 1e-7
"""Of the powers for the ERLE figure: one second of sound above -70 dBFS."""

DIRECT_SOUND = 16
FIRST_SOUND = 0.25
"""The first millisecond of the learned response with a quarter of the largest one's energy: direct
sound.  A single sample says little, as what a voice teaches is smeared over several."""

HISTORY_ROWS = 8 * PARTITIONS
"""Spectra are kept in a row that is written backwards; once in so many blocks it is moved."""

STRENGTH_FLOOR_DB = -100.0
"""Of the echo, where nothing has been learned."""


class Cancelled(NamedTuple):
    """One block of 10 ms: time signals of 160 samples, float32, full scale 1.0."""

    microphone: Float32Array
    reference: Float32Array
    """What we played, as it was aligned: its echo comes some milliseconds after it."""
    echo: Float32Array
    """What the canceller took for our own voice and removed."""
    residual: Float32Array
    """`microphone` minus `echo`."""
    uncertainty: Float32Array
    """161 bins of 50 Hz: how much echo the filter itself thinks may be left, as a power of the
    spectrum of silence and one block.  The sum over all partitions of uncertainty times
    |reference|²."""
    spectra: Complex64Array
    """(4, 161): of reference, microphone, residual and echo, in this order, the last two blocks
    each under half a period of a sine.  The detector of double talk wants them, and here they cost
    a third: a call of numpy's transform costs more than its rows."""


WINDOW: Float32Array = np.sin(np.pi * np.arange(2 * BLOCK) / (2 * BLOCK)).astype(np.float32)


def _to_sound() -> Float32Array:
    """From a spectrum to the later half of its sound, as (160, 322): for a single block a product
    costs less than a call of numpy's transform."""
    turns = np.outer(np.arange(BLOCK, 2 * BLOCK), np.arange(BINS)) % (2 * BLOCK)
    waves = np.exp(-1j * np.pi / BLOCK * turns)
    waves[:, 1:-1] *= 2  # each bin but the outer two stands for a negative one, too
    return np.ascontiguousarray(waves.astype(np.complex64).view(np.float32))


TO_SOUND = _to_sound()


class Canceller:
    """See the module's text."""

    def __init__(self) -> None:
        self.heard = self.taken = self.left = 0.0
        """Energy of the last block: of the microphone, of what is taken away, of what is left."""
        self.reset()

    def reset(self, strength_db: float | None = None) -> None:
        """Forget the room.  `strength_db`: how loud the echo is, if that is known."""
        shape = (PARTITIONS, BINS)
        self._weights: Complex64Array = np.zeros(shape, np.complex64)
        decay = FIRST_UNCERTAINTY * UNCERTAINTY_DECAY ** np.arange(PARTITIONS)
        self._prior: Float32Array = (NEVER_SURE * decay[:, None]).astype(np.float32)
        self._pairs: Float32Array = np.empty((PARTITIONS, 2 * BINS), np.float32)
        """Uncertainty, each twice: for the real part of its weight, and negative for the imaginary
        one, as what is learned is a conjugate."""
        self._pairs.view(np.complex64)[:] = MIRRORED * decay[:, None]
        self._error_power: Float32Array = np.zeros(2 * BINS, np.float32)
        """Mirrored as well."""
        self._blocks = 0
        self._unweighed = WEIGHED_BLOCKS
        self._heard = self._played = 0.0
        self._gain = FIRST_GAIN
        if strength_db is not None:
            self._expect(10 ** (strength_db / 10))
        self._product: Complex64Array = np.empty(shape, np.complex64)
        self._explained: Float32Array = np.empty((PARTITIONS, 2 * BINS), np.float32)
        self._ones: Float32Array = np.ones(PARTITIONS, np.float32)
        self.restart()

    def restart(self) -> None:
        """Begin another playback: what sounded before it is over, the learned room stays."""
        self._first = HISTORY_ROWS - PARTITIONS
        self._spectra: Complex64Array = np.zeros((HISTORY_ROWS, BINS), np.complex64)
        self._powers: Float32Array = np.zeros((HISTORY_ROWS, 2 * BINS), np.float32)
        self._far: Float32Array = np.zeros(2 * BLOCK, np.float32)
        # Reference, microphone and residual under the window; silence and the newest residual.
        self._back: Float32Array = np.zeros((4, 2 * BLOCK), np.float32)
        self._last: Float32Array = np.zeros((4, BLOCK), np.float32)
        self._microphone_power = self._residual_power = 0.0

    # --- what has been learned ------------------------------------------------------------

    @property
    def erle_db(self) -> float:
        """Echo return loss enhancement over the last second of sound; 0 before there was any."""
        if min(self._microphone_power, self._residual_power) <= ENERGY_FLOOR:
            return 0.0
        return 10 * log10(self._microphone_power / self._residual_power)

    @property
    def weights(self) -> Complex64Array:
        """The learned room: spectra of its partitions."""
        return self._weights

    @property
    def strength_db(self) -> float:
        """How loud the echo is against what was played, by the learned room."""
        weights = self._weights
        energy = float(np.sum(squared(weights))) / BINS
        return 10 * log10(energy) if energy > 0.0 else STRENGTH_FLOOR_DB

    @property
    def echo_starts(self) -> int:
        """Samples between what is played and the first of its echo, by the learned room."""
        response = np.fft.irfft(self._weights, axis=1)[:, :BLOCK].reshape(-1)
        energy = np.convolve(np.square(response), np.ones(DIRECT_SOUND), "same")
        first = max(0, int(np.argmax(energy >= FIRST_SOUND * energy.max())) - DIRECT_SOUND // 2)
        return first + int(np.argmax(np.abs(response[first : first + 2 * DIRECT_SOUND])))

    def move(self, blocks: int, recent: Float32Array) -> None:
        """From now on the reference comes `blocks` later (negative: earlier) than before.

        `recent` is the reference of the last `PARTITIONS + 1` blocks as it would have come.  The
        learned room is shifted along and not learned anew.
        """
        blocks = max(-PARTITIONS, min(PARTITIONS, blocks))
        self._weights = np.roll(self._weights, -blocks, axis=0)
        self._pairs = np.roll(self._pairs, -blocks, axis=0)
        if blocks > 0:
            self._weights[-blocks:] = 0.0
            self._pairs[-blocks:] = self._pairs[max(0, PARTITIONS - blocks - 1)]
        elif blocks < 0:
            self._weights[:-blocks] = 0.0
            unlearned = MIRRORED * (FIRST_UNCERTAINTY * self._gain / FIRST_GAIN)
            self._pairs[:-blocks].view(np.complex64)[:] = unlearned
        self._first = HISTORY_ROWS - PARTITIONS
        windows = np.lib.stride_tricks.sliding_window_view(recent, 2 * BLOCK)[::BLOCK][::-1]
        newest = self._spectra[self._first :]
        newest[:] = np.fft.rfft(windows, axis=1, norm="forward")
        self._powers[self._first :] = (TWICE * squared(newest)).view(np.float32)
        self._far[BLOCK:] = recent[-BLOCK:]

    def doubt(self) -> None:
        """The sound has slipped by an unknown little: learn quickly again what is known."""
        energy = np.maximum(self._pairs[:, ::2], DOUBT * squared(self._weights))
        self._pairs.view(np.complex64)[:] = MIRRORED * energy
        self._microphone_power = self._residual_power = 0.0

    # --- work -----------------------------------------------------------------------------

    def _weigh(self, near_energy: float, far_energy: float) -> None:
        """Expect as loud an echo as the first sounds show."""
        if far_energy < WEIGHED_FROM * BLOCK:
            return
        self._unweighed -= 1
        self._played += far_energy
        self._heard += near_energy
        self._expect(min(self._heard / self._played, HIGHEST_GAIN))

    def _expect(self, gain: float) -> None:
        if gain > self._gain:
            self._pairs *= np.float32(gain / self._gain)
            self._prior *= np.float32(gain / self._gain)
            self._gain = gain

    def process(self, microphone: Float32Array, reference: Float32Array) -> Cancelled:
        """Take the next 160 samples of both; `microphone` is kept in the result, not copied."""
        if self._unweighed:
            self._weigh(float(microphone @ microphone), float(reference @ reference))
        spectra, powers = self._take(reference)
        weights, pairs, product = self._weights, self._pairs, self._product
        np.multiply(weights, spectra, out=product)
        echo: Any = TO_SOUND @ (self._ones @ product.view(np.float32))
        back = self._back
        np.multiply(self._last[:3], WINDOW[:BLOCK], out=back[:3, :BLOCK])
        left = np.subtract(microphone, echo, out=back[3, BLOCK:])
        # A new array each time: its rows are what is given away.
        last = np.concatenate((reference, microphone, left, echo)).reshape(4, BLOCK)
        self._last = last
        np.multiply(last[:3], WINDOW[BLOCK:], out=back[:3, BLOCK:])
        # All transforms at once that are due: a call costs more than a transform.
        found: Any = np.empty((4, BINS), np.complex64)
        np.fft.rfft(back, axis=1, norm="forward", out=found)
        error = found[3]
        self._error_power *= ERROR_SMOOTHING
        self._error_power += (NEW_ERROR * (error * error.conj())).view(np.float32)

        # From here on everything is twice in a row, and mirrored.
        explained = np.multiply(pairs, powers, out=self._explained)
        uncertainty = self._ones @ explained
        share = uncertainty + self._error_power
        share += POWER_FLOOR
        np.reciprocal(share, out=share)
        # Weights: + uncertainty · conj(reference) · error / total, as the conjugate of its
        # conjugate: both mirrored rows turn the imaginary part around.
        wrong = (error.view(np.float32) * share).view(np.complex64)
        np.multiply(spectra, wrong, out=product)
        step = product.view(np.float32)
        step *= pairs
        learned = weights.view(np.float32)
        learned += step
        # Uncertainty: · (1 - uncertainty · |reference|² / total).
        explained *= share
        np.subtract(ONE, explained, out=explained)
        pairs *= explained
        self._blocks += 1
        if self._blocks % CONSTRAINED_EVERY == 0:
            self._age()

        far_energy, self.heard, self.left, self.taken = np.vecdot(last, last).tolist()
        if far_energy > AUDIBLE_POWER * BLOCK:
            self._microphone_power += (1 - ERLE_SMOOTHING) * (self.heard - self._microphone_power)
            self._residual_power += (1 - ERLE_SMOOTHING) * (self.left - self._residual_power)
        # The echo is what the microphone has more than the residual; it takes the error's place.
        np.subtract(found[1], found[2], out=error)
        return Cancelled(microphone, reference, echo, last[2], uncertainty[::2], found)

    def _take(self, reference: Float32Array) -> tuple[Complex64Array, Float32Array]:
        """Spectra of the last blocks and their powers (each twice), the newest first."""
        far = self._far
        far[:BLOCK] = far[BLOCK:]
        far[BLOCK:] = reference
        if self._first == 0:
            kept = PARTITIONS - 1
            self._spectra[-kept:] = self._spectra[:kept]
            self._powers[-kept:] = self._powers[:kept]
            self._first = HISTORY_ROWS - kept
        self._first -= 1
        newest = np.fft.rfft(far, norm="forward", out=self._spectra[self._first])
        np.multiply(TWICE * newest, newest.conj(), out=self._powers[self._first].view(np.complex64))
        rows = slice(self._first, self._first + PARTITIONS)
        return self._spectra[rows], self._powers[rows]

    def _age(self) -> None:
        """The room, now without what no room can have; and a little less sure of it."""
        weights, pairs = self._weights, self._pairs
        response = np.fft.irfft(weights, axis=1)
        response[:, BLOCK:] = 0.0
        response *= AGED * 2 * BLOCK  # numpy stays in single precision only if it divides by that
        weights[:] = np.fft.rfft(response, axis=1, norm="forward")
        energy = squared(weights)
        energy += self._prior
        energy *= 1 - AGED**2
        pairs *= AGED**2
        pairs += np.multiply(energy, MIRRORED, out=self._product).view(np.float32)


def squared(spectra: Complex64Array) -> Float32Array:
    """The squares of the magnitudes, at half the cost of `real**2 + imag**2`, which goes through
    them in steps of two."""
    return (spectra * spectra.conj()).real
