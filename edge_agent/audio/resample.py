"""Sample-rate conversion for live sound, and levels.

Thread: whoever built the object; one `Resampler` serves one stream in one thread.  It must never
allocate without bound, drift by a sample, or know a device.

A streaming polyphase filter: output sample k lies at input position k·M/L (L up, M down, in
lowest terms), so `n` input samples have given exactly `ceil(n·L/M)` output samples, however
they were cut into chunks.  10 ms in are 10 ms out for every pair of rates offered here.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATES_HZ = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
"""What sound cards, the wire (24 k), and the detectors (16 k) use."""

TAPS_PER_PHASE = 32
"""At the lower of both rates.  24 taps let aliases through at -16 dB from 48 to 16 kHz; 32 keep
the delay at 16 samples of the lower rate: 1 ms at 16 kHz."""

CUTOFF_OF_LOWER_RATE = 0.455
"""Middle of the transition band: speech to 6.5 kHz is flat at 16 kHz, and what folds back
folds only onto the topmost 300 Hz."""

KAISER_BETA = 5.65
"""About 60 dB of stop band, below the noise of any microphone in a room."""

FEW_PHASES = 3
"""Up to that many a row of outputs is one matrix product; with more, rows are gathered."""

OUTPUTS_PER_ROW = 16
"""Neighbouring outputs share most of their inputs: one row of a matrix product makes so many, and
a tenth is copied of what a window for each output would take."""

PIECE_SAMPLES = 2400
"""A long sound is converted in pieces of 100 ms of the wire's rate: all windows of five seconds at
once are 30 MB, and from the cache it is three to five times as quick.  The result is the same."""

MANY_PHASES_PIECE = 480
"""The same where rows are gathered: each output then has a window of its own."""

SILENCE_DBFS = -100.0
"""What digital silence is called: 16 bits have no quieter sound than -96 dBFS."""

FloatArray = NDArray[np.float64]
Int16Array = NDArray[np.int16]
AnyFloatArray = NDArray[np.floating[Any]]


@lru_cache(maxsize=32)
def _phases(up: int, down: int) -> FloatArray:
    """Return the filter as `(up, taps)`, time-reversed, each phase with a gain of one at DC."""
    taps = -(-TAPS_PER_PHASE * max(up, down) // up)
    length = taps * up
    cutoff = CUTOFF_OF_LOWER_RATE / max(up, down)  # cycles per sample at the common rate
    moment = np.arange(length) - (length - 1) / 2
    prototype = np.sinc(2 * cutoff * moment) * np.kaiser(length, KAISER_BETA)
    phases = prototype.reshape(taps, up).T[:, ::-1]
    return np.ascontiguousarray(phases / phases.sum(axis=1, keepdims=True))


@lru_cache(maxsize=64)
def _band(up: int, down: int, first: int, *, single: bool) -> AnyFloatArray:
    """Return the matrix from a row of inputs to a row of outputs, the first of them at `first`."""
    phases = _phases(up, down)
    taps = phases.shape[1]
    outputs = max(1, OUTPUTS_PER_ROW // up) * up
    matrix = np.zeros(((first + (outputs - 1) * down) // up + taps, outputs))
    for number in range(outputs):
        position = first + number * down
        matrix[position // up : position // up + taps, number] = phases[position % up]
    return matrix.astype(np.float32) if single else matrix


def to_int16(samples: AnyFloatArray) -> Int16Array:
    """Round to 16 bits, clipping what does not fit."""
    rounded = np.rint(samples)
    np.minimum(rounded, 32767, out=rounded)  # half of what numpy's `clip` costs
    np.maximum(rounded, -32768, out=rounded)
    return rounded.astype(np.int16)


def pcm_to_array(pcm: bytes) -> Int16Array:
    """View little-endian PCM16 bytes as samples (no copy where the machine allows)."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.int16, copy=False)


def array_to_pcm(samples: Int16Array) -> bytes:
    """Little-endian PCM16 bytes of the samples."""
    return samples.astype("<i2", copy=False).tobytes()


def level_dbfs(samples: Int16Array | AnyFloatArray) -> float:
    """RMS level of samples on the int16 scale; a full-scale square wave is 0 dBFS."""
    if not samples.size:
        return SILENCE_DBFS
    wide = samples.astype(np.float64, copy=False)
    power = float(np.dot(wide, wide)) / samples.size
    if power <= 0.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, float(10.0 * np.log10(power / 32768.0**2)))


class Resampler:
    """Convert a stream of chunks of any length from `from_hz` to `to_hz`.

    Raises `ValueError` for a rate outside `RATES_HZ`.  Call `process` (PCM bytes) or
    `process_array` (samples, unrounded result) for each chunk in order; `reset` forgets.
    `single`: it computes in single precision, at half the cost; 140 dB below the sound that is
    noise, and how a stream is cut into chunks may then show in the last of sixteen bits.
    """

    def __init__(self, from_hz: int, to_hz: int, *, single: bool = False) -> None:
        for rate_hz in (from_hz, to_hz):
            if rate_hz not in RATES_HZ:
                raise ValueError(f"rate {rate_hz} Hz is not one of {RATES_HZ}")
        common = gcd(from_hz, to_hz)
        self.from_hz = from_hz
        self.to_hz = to_hz
        self.up = to_hz // common
        """So many samples come out …"""
        self.down = from_hz // common
        """… for so many that went in, in lowest terms."""
        self._identity = from_hz == to_hz
        self._kind: type[np.floating[Any]] = np.float32 if single else np.float64
        self._single = single
        self._phases = _phases(self.up, self.down)
        self._taps = self._phases.shape[1]
        self._planned = (-1, -1)
        self._rows: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._row_phases: AnyFloatArray = np.empty((0, self._taps))
        self.reset()

    @property
    def delay_ms(self) -> float:
        """How much later a sound leaves than it came in."""
        return 0.0 if self._identity else (self._taps - 1 / self.up) / 2 / self.from_hz * 1000

    def reset(self) -> None:
        """Forget the past: the next chunk follows on silence."""
        self._history: AnyFloatArray = np.zeros(self._taps - 1, self._kind)
        # Position of the next output sample, counted from the next chunk's first sample in
        # units of 1/up input samples.  Kept relative so that it stays small for ever.
        self._position = 0

    def process(self, pcm: bytes) -> bytes:
        """Convert PCM16; a chunk may give fewer or more samples, the sum is exact."""
        if self._identity:
            return pcm
        return array_to_pcm(to_int16(self.process_array(pcm_to_array(pcm))))

    def process_array(self, samples: Int16Array | AnyFloatArray) -> AnyFloatArray:
        """Convert samples of any scale; the result is not rounded and not clipped."""
        chunk: AnyFloatArray = samples.astype(self._kind)
        if self._identity or not chunk.size:
            return chunk
        piece = PIECE_SAMPLES if self.up <= FEW_PHASES else MANY_PHASES_PIECE
        if chunk.size <= piece:
            return self._convert(chunk)
        starts = range(0, chunk.size, piece)
        return np.concatenate([self._convert(chunk[at : at + piece]) for at in starts])

    def _convert(self, chunk: AnyFloatArray) -> AnyFloatArray:
        end = chunk.size * self.up
        count = max(0, -(-(end - self._position) // self.down))
        first = self._position
        self._position = first + count * self.down - end
        if self.up <= FEW_PHASES:
            return self._by_rows(chunk, first, count)
        joined = np.concatenate((self._history, chunk))
        self._history = joined[len(joined) - self._taps + 1 :]
        if not count:
            return np.empty(0, self._kind)
        gathered, phases = self._plan(first, count)
        windows = _windows(joined, 0, joined.size - self._taps + 1, 1, self._taps)[gathered]
        return np.asarray(np.einsum("kt,kt->k", windows, phases))

    def _by_rows(self, chunk: AnyFloatArray, first: int, count: int) -> AnyFloatArray:
        start, first = divmod(first, self.up)
        matrix = _band(self.up, self.down, first, single=self._single)
        width, outputs = matrix.shape
        rows = -(-count // outputs)
        step = outputs * self.down // self.up
        heard = self._taps - 1 + chunk.size
        # The last row may reach beyond what has come; what it makes of that is cut off again.
        padding = max(0, start + (rows - 1) * step + width - heard)
        joined = np.concatenate((self._history, chunk, np.zeros(padding, self._kind)))
        self._history = joined[heard - self._taps + 1 : heard]
        if not count:
            return np.empty(0, self._kind)
        windows = _windows(joined, start, rows, step, width)
        rowwise: AnyFloatArray = np.ascontiguousarray(windows) @ matrix
        return rowwise.reshape(-1)[:count]

    def _plan(self, first: int, count: int) -> tuple[NDArray[np.intp], AnyFloatArray]:
        """Rows and phases of a chunk; live sound comes in equal chunks, so keep the last."""
        key = (first, count)
        if self._planned != key:
            steps = first + np.arange(count) * self.down
            self._rows = steps // self.up
            self._row_phases = self._phases[steps % self.up].astype(self._kind)
            self._planned = key
        return self._rows, self._row_phases


def _windows(joined: AnyFloatArray, start: int, rows: int, step: int, width: int) -> AnyFloatArray:
    """View `rows` windows of `width` samples without the cost of numpy's checked helper."""
    return np.ndarray(
        (rows, width),
        joined.dtype,
        buffer=joined,
        offset=start * joined.itemsize,
        strides=(step * joined.itemsize, joined.itemsize),
    )
