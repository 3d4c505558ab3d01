"""Alignment: which part of what we played belongs to which block of the microphone.

Call `begin` with each opened device, `start` when our speaker begins to sound, then `next` for
each 10 ms block, and `skip` for those that nobody needs.

Thread: the front end's, which is its one owner; the reference track it reads is written by the
loudspeaker's callback.  It must never follow the jitter of time stamps: the canceller has learned
where the echo comes, and a sample's step costs it some of that.

The reference is converted to 16 kHz once, sample for sample, and read from there at a position
with a fraction.  The position runs at the pace it is told, and steps where stamps have jumped,
where they have gone far off, or when the echo is found elsewhere.  It does not wander with them.
"""

from __future__ import annotations

from math import floor

import numpy as np

from edge_agent.audio.cancel.canceller import BLOCK, PARTITIONS, RATE_HZ, Float32Array
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.resample import Resampler

LEAD_S = 0.010
"""The reference is read this much ahead of its echo, so that a few milliseconds less do no harm.
A card that plays blocks of 10 ms has been given its sound at least this early."""

KEPT = 20_000
"""Samples of the reference kept behind: more than any delay that is searched, and the longest
stretch of sound that is compared for it."""

STEP_START = 0.001 * RATE_HZ
"""Before our first sound is known, an offset between stamps and position of more than 1 ms is taken
over as we begin to sound; once the canceller holds the echo, one of more than `REALIGN`: it would
lose as much."""

REALIGN = 0.005 * RATE_HZ
"""From one block to the next stamps that are good do not change by so much, and others hardly ever:
sound was lost.  The position steps, and that is counted."""

LOST = 0.02 * RATE_HZ
"""Slowly, the stamps of a sound server wander by up to 8 ms (recorded of PulseAudio); further off
is a loss that was overlooked."""

FRACTIONS = 256
"""Grain of the position: at 4 kHz an error 50 dB down."""

HALF = 8
"""Samples on each side that make one between two: flat to 6.5 kHz."""

KAISER_BETA = 6.0

FULL_SCALE = 32768.0


def _between() -> Float32Array:
    """Rows of filters, one for each fraction of a sample from 0 to a little more than 1."""
    fractions = np.arange(FRACTIONS * 9 // 8) / FRACTIONS
    distance = np.arange(1 - HALF, HALF + 2)[None, :] - fractions[:, None]
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (distance / (HALF + 1)) ** 2, 0, 1)))
    taps = np.sinc(distance) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)


BETWEEN = _between()
TAPS = BETWEEN.shape[1]
RAMP: Float32Array = (np.arange(BLOCK) / BLOCK).astype(np.float32)


class Alignment:
    """See the module's text.  All positions are samples of 16 kHz."""

    def __init__(self, track: ReferenceTrack) -> None:
        self._track = track
        self.realignments = 0
        """Steps of more than 5 ms in the middle of sound, since the start of the process."""
        self.late_samples = 0
        """Samples that were asked for before they were rendered, and read as silence."""
        self.begin()

    def begin(self, delay_s: float = 0.0) -> None:
        """A device was opened, whose echo comes so much later than its stamps say."""
        self.delay_s = delay_s
        """What was assumed of it, and found since: the echo is expected `LEAD_S` after what `next`
        gives."""
        self.held = False
        """The canceller holds the echo, and loses some of it with each step."""
        self._position: float | None = None
        self._wanted = 0.0
        self._may_step = True
        self._converter: Resampler | None = None
        self._sound: Float32Array = np.zeros(0, np.float32)
        self._base = self._end = 0

    # --- the position -----------------------------------------------------------------------

    def start(self) -> None:
        """Our speaker begins to sound: now a step costs least."""
        self._may_step = True
        self._converter = None

    def skip(self, blocks: int, pace: float) -> None:
        """Pass over blocks that nobody needs, our speaker being silent."""
        if self._position is not None:
            self._position += blocks * BLOCK * (1 + pace)

    def shift(self, blocks: int) -> None:
        """Read so many blocks later than before (negative: earlier ones)."""
        self.delay_s += blocks * BLOCK / RATE_HZ
        self._wanted -= blocks * BLOCK
        if self._position is not None:
            self._position -= blocks * BLOCK

    def _follow(self, at: float, pace: float) -> float | None:
        """Where the block begins."""
        index = self._track.index_of(at)
        if index is None:
            return None
        before = self._wanted
        self._wanted = index / self._track.rate_hz * RATE_HZ + (LEAD_S - self.delay_s) * RATE_HZ
        may_step, self._may_step = self._may_step, False
        begin = self._wanted if self._position is None else self._position
        off = self._wanted - begin
        jump = self._wanted - before - BLOCK
        jumped = abs(jump) > REALIGN
        if may_step:
            if abs(off) > (REALIGN if self.held else STEP_START):
                begin = self._wanted
        elif jumped or abs(off) > LOST:
            begin = begin + jump if jumped and abs(off - jump) <= LOST else self._wanted
            self.realignments += 1
        self._position = begin + BLOCK * (1 + pace)
        return begin

    # --- the sound --------------------------------------------------------------------------

    def next(self, at: float, pace: float = 0.0) -> Float32Array:
        """What we played for the microphone's block captured from `at` on, lead and delay included.

        `pace`: how much faster than the microphone it is to be read.
        """
        begin = self._follow(at, pace)
        if begin is None:
            return np.zeros(BLOCK, np.float32)
        whole = floor(begin)
        self._convert(whole)
        piece = self._piece(whole + 1 - HALF, BLOCK + TAPS - 1)
        self.late_samples += max(0, min(BLOCK, whole + BLOCK - self._end))
        first = (begin - whole) * FRACTIONS
        last = first + BLOCK * pace * FRACTIONS
        row = round(first)
        sound = np.correlate(piece, BETWEEN[row], "valid")
        # Within a block the fraction moves by some hundredths: the filter is blended.
        moved = round(last) - row
        if moved and 0 <= row + moved < len(BETWEEN):
            change = BETWEEN[row + moved] - BETWEEN[row]
            sound += RAMP * np.correlate(piece, change, "valid")
        return sound

    def recent(self, samples: int, ahead: int = 0) -> Float32Array:
        """The last so many samples that `next` has given, without the fraction, or from ahead."""
        if self._position is None:
            return np.zeros(samples, np.float32)
        end = floor(self._position + 0.5) + ahead
        return self._piece(end - samples, samples)

    def _convert(self, begin: int) -> None:
        """Bring the converted sound up to what has been rendered."""
        track = self._track
        if self._converter is None:
            self._converter = Resampler(track.rate_hz, RATE_HZ, single=True)
            up, down = self._converter.up, self._converter.down
            # The filter's own delay is that of the microphone's: they cancel out.
            self._base = self._end = (begin - (PARTITIONS + 2) * BLOCK) // up * up
            self._next = self._base // up * down
            self._sound = np.zeros(2 * KEPT, np.float32)
        count = track.written - self._next
        if count <= 0:
            return
        fresh = self._converter.process_array(track.read(self._next, count))
        self._next += count
        self._end += fresh.size
        filled = self._end - self._base - fresh.size
        if filled + fresh.size > self._sound.size:
            fresh = fresh[-KEPT:]
            kept = min(filled, KEPT) if self._end - self._base <= filled + KEPT else 0
            self._sound[:kept] = self._sound[filled - kept : filled].copy()
            self._base, filled = self._end - fresh.size - kept, kept
        self._sound[filled : filled + fresh.size] = fresh * (1 / FULL_SCALE)

    def _piece(self, first: int, count: int) -> Float32Array:
        begin, end = first - self._base, first - self._base + count
        if begin >= 0 and end <= self._end - self._base:
            return self._sound[begin:end]
        out = np.zeros(count, np.float32)
        low, high = max(begin, 0), min(end, self._end - self._base)
        if low < high:
            out[low - begin : high - begin] = self._sound[low:high]
        return out
