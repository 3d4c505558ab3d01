"""The physics of the virtual room: echo path, reverberation, noise, levels.

Thread: whoever calls; the classes here belong to one room.  It must never know time, a device or
asyncio.  Sound is a float32 numpy array with full scale 1.0, unless named `pcm`. Needs numpy.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]

FULL_SCALE = 32768.0
"""PCM16 value of full scale; levels in dBFS are RMS against it (a full sine is -3 dBFS)."""

SILENCE_DBFS = -100.0
"""What digital silence is called, as in `contract.events.HeardFrame.level_dbfs`."""

NOISE_LOOP_S = 20.0
"""Length of the noise that is made once and repeated without a seam."""

DECAY_DB = 50.0
"""Where a reverberation tail is cut off: below that it is under any room's own noise."""

ACTIVE_FRAME_MS = 20
"""Window of the active level: short enough to leave out the pauses between words."""


def from_pcm(pcm: bytes | NDArray[np.int16]) -> Sound:
    """PCM16 (bytes or int16 array) as float32, full scale 1.0."""
    samples = np.frombuffer(pcm, "<i2") if isinstance(pcm, bytes) else pcm
    return np.asarray(samples, np.float32) / np.float32(FULL_SCALE)


def to_pcm(sound: Sound) -> NDArray[np.int16]:
    """Float32 as int16, clipped like a converter does."""
    pcm: NDArray[np.int16] = np.clip(np.rint(sound * FULL_SCALE), -32768, 32767).astype("<i2")
    return pcm


def level_dbfs(sound: Sound) -> float:
    """RMS level; `SILENCE_DBFS` for silence or an empty array."""
    if not len(sound):
        return SILENCE_DBFS
    power = float(np.mean(np.square(sound, dtype=np.float64)))
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


def active_level_dbfs(sound: Sound, rate_hz: int) -> float:
    """Level of the loud half of the 20 ms windows: what a voice has while it speaks."""
    size = rate_hz * ACTIVE_FRAME_MS // 1000
    whole = len(sound) // size * size
    if not whole:
        return level_dbfs(sound)
    power = np.mean(np.square(sound[:whole].reshape(-1, size), dtype=np.float64), axis=1)
    loud = power[power >= np.median(power)]
    mean = float(np.mean(loud))
    return max(SILENCE_DBFS, 10 * math.log10(mean)) if mean > 0 else SILENCE_DBFS


def gain(db: float) -> np.float32:
    """Decibels as a factor."""
    return np.float32(10 ** (db / 20))


def _quick_length(least: int) -> int:
    """The next length without large prime factors: a prime one takes ten times as long."""
    length = least
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


def resample(sound: Sound, from_hz: int, to_hz: int) -> Sound:
    """A whole clip at another rate, band-limited (through the spectrum; not for streams)."""
    if from_hz == to_hz or not len(sound):
        return sound
    # Padding keeps the end of the clip from ringing into its start.
    pad = from_hz // 100
    padded = np.concatenate([np.zeros(pad, np.float32), sound, np.zeros(pad, np.float32)])
    # Lengths whose ratio is exact, so that the pitch is exact too, and quickly transformed.
    step = from_hz // math.gcd(from_hz, to_hz)
    size = _quick_length(-(-len(padded) // step)) * step
    out_size = size * to_hz // from_hz
    spectrum = np.fft.rfft(padded, size)
    result = np.fft.irfft(spectrum[: out_size // 2 + 1], out_size) * (to_hz / from_hz)
    skip = round(pad * to_hz / from_hz)
    return result[skip : skip + round(len(sound) * to_hz / from_hz)].astype(np.float32)


def impulse_response(
    rate_hz: int, *, delay_s: float, rt60_s: float, direct_to_reverb_db: float, seed: int
) -> Sound:
    """A room's answer to a click, of energy 1: direct sound, then decaying noise.

    `rt60_s` is the time in which the tail falls by 60 dB (0: no tail, a pure delay).
    """
    delay = round(delay_s * rate_hz)
    tail_size = round(rt60_s * DECAY_DB / 60 * rate_hz)
    response = np.zeros(delay + 1 + tail_size, np.float64)
    response[delay] = 1.0
    if tail_size:
        rng = np.random.default_rng(seed)
        seconds = np.arange(1, tail_size + 1) / rate_hz
        tail = rng.standard_normal(tail_size) * 10 ** (-3 * seconds / rt60_s)
        tail *= 10 ** (-direct_to_reverb_db / 20) / math.sqrt(float(np.sum(tail**2)))
        response[delay + 1 :] = tail
    return (response / math.sqrt(float(np.sum(response**2)))).astype(np.float32)


def convolve(sound: Sound, response: Sound) -> Sound:
    """A whole clip through a response; the tail is included."""
    size = len(sound) + len(response) - 1
    fast = 1 << (size - 1).bit_length()
    product = np.fft.rfft(sound, fast) * np.fft.rfft(response, fast)
    return np.fft.irfft(product, fast)[:size].astype(np.float32)


def soft_clip(sound: Sound, drive: float) -> Sound:
    """A small loudspeaker at its limits: `tanh`, of slope 1 for quiet sound; 0 is linear."""
    if drive <= 0:
        return sound
    clipped: Sound = np.tanh(sound * np.float32(drive)) / np.float32(drive)
    return clipped


@lru_cache(maxsize=4)  # 4 MB each; making one takes as long as minutes of a quiet room
def pink_noise(rate_hz: int, seed: int, seconds: float = NOISE_LOOP_S) -> Sound:
    """Noise with 3 dB less per octave, level 0 dBFS RMS, made to be repeated seamlessly.

    The array is shared and read-only.
    """
    size = round(rate_hz * seconds)
    rng = np.random.default_rng(seed)
    spectrum = rng.standard_normal(size // 2 + 1) + 1j * rng.standard_normal(size // 2 + 1)
    hertz = np.fft.rfftfreq(size, 1 / rate_hz)
    # Below 50 Hz no small microphone hears anything.
    spectrum *= np.where(hertz >= 50, 1 / np.sqrt(np.maximum(hertz, 50)), 0)
    noise = np.fft.irfft(spectrum, size)
    level_one: Sound = (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    level_one.flags.writeable = False
    return level_one


class EchoPath:
    """Streaming convolution with a response: partitioned, block by block, no added delay.

    `process(block)` takes and returns exactly `block_frames` samples.  Blocks of silence cost
    nothing once the tail has died away.
    """

    def __init__(self, response: Sound, block_frames: int) -> None:
        self._block = block_frames
        parts = -(-len(response) // block_frames)
        padded = np.zeros(parts * block_frames, np.float32)
        padded[: len(response)] = response
        spectra = np.fft.rfft(padded.reshape(parts, block_frames), 2 * block_frames, axis=1)
        # Oldest block first, as the history below is kept.
        self._filter = np.ascontiguousarray(spectra[::-1]).astype(np.complex64)
        # Twice as long as needed: the newest `parts` rows are then always one slice.
        self._history = np.zeros((2 * parts, block_frames + 1), np.complex64)
        self._parts = parts
        self._row = parts
        self._window = np.zeros(2 * block_frames, np.float32)
        self._quiet_blocks = parts + 1

    def process(self, block: Sound | None) -> Sound | None:
        """The echo of this block and of those before; None stands for silence."""
        if block is None:
            self._quiet_blocks += 1
            # One block more than the response is long: blocks overlap by one.
            if self._quiet_blocks > self._parts + 1:
                return None
        else:
            if self._quiet_blocks > self._parts + 1:
                self._history[:] = 0
                self._window[:] = 0
            self._quiet_blocks = 0
        size = self._block
        self._window[:size] = self._window[size:]
        self._window[size:] = 0 if block is None else block
        if self._row == 2 * self._parts:
            self._history[: self._parts] = self._history[self._parts :]
            self._row = self._parts
        self._history[self._row] = np.fft.rfft(self._window)
        self._row += 1
        newest = self._history[self._row - self._parts : self._row]
        spectrum = np.einsum("pf,pf->f", newest, self._filter)
        return np.fft.irfft(spectrum, 2 * size)[size:].astype(np.float32)
