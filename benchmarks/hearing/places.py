"""Rooms, loudspeakers and what moves in them, from seeds.

`Place(rng)` is one room with one device in it; `path` is how our voice reaches the microphone,
`voice_path` how a person does.  Everything is at 16 kHz.

Thread: the caller's.  It must never keep state between two calls: the same generator, the same
room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_agent.simulation.sound.acoustics import convolve, resample

RATE_HZ = 16_000
SOUND_M_PER_S = 343.0
EARLY_S = 0.05
"""Reflections are computed one by one so far; after that a room is noise that dies away."""

TAIL_BANDS_HZ = (0, 500, 1000, 2000, 4000, 8000)
TAIL_SHARES = (1.15, 1.05, 1.0, 0.9, 0.6)
"""Reverberation time per band against the middle: curtains and air take the high notes."""

Floats: TypeAlias = Any
Sound: TypeAlias = Any
"""Arrays of floats: what numpy's arithmetic makes of their kind is more than a checker follows."""


def fft_filter(sound: Floats | Sound, gain_of: Floats, size: int) -> Floats:
    """A clip through a magnitude given on the bins of `size`, without delay."""
    out: Floats = np.fft.irfft(np.fft.rfft(sound, size) * gain_of, size)[: len(sound)]
    return out


def band(sound: Floats, low_hz: float, high_hz: float, slope: float = 4.0) -> Floats:
    """Between two frequencies, with soft edges."""
    size = 1 << (len(sound) + 1024 - 1).bit_length()
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / RATE_HZ), 1e-3)
    gain = 1 / np.sqrt(1 + (low_hz / hertz) ** (2 * slope))
    gain = gain / np.sqrt(1 + (hertz / high_hz) ** (2 * slope))
    return fft_filter(sound, gain, size)


def minimum_phase(magnitude: Floats) -> Floats:
    """The shortest response with this magnitude (bins of a real transform)."""
    size = 2 * (len(magnitude) - 1)
    cepstrum = np.fft.irfft(np.log(np.maximum(magnitude, 1e-5)), size)
    fold = np.zeros(size)
    fold[0], fold[size // 2] = 1, 1
    fold[1 : size // 2] = 2
    return np.fft.irfft(np.exp(np.fft.rfft(cepstrum * fold)), size)


def loudspeaker(rng: np.random.Generator) -> Sound:
    """Response of a small loudspeaker, 16 ms: no bass, no air, and a few resonances."""
    hertz = np.fft.rfftfreq(512, 1 / RATE_HZ)
    hertz[0] = 1.0
    low, high = rng.uniform(80, 350), rng.uniform(4500, 9000)
    decibels = -10 * np.log10(1 + (low / hertz) ** rng.uniform(3, 6))
    decibels -= 10 * np.log10(1 + (hertz / high) ** rng.uniform(3, 8))
    for _ in range(int(rng.integers(2, 7))):
        centre, width = rng.uniform(200, 6000), rng.uniform(0.1, 0.6)
        decibels += rng.uniform(-7, 7) * np.exp(-((np.log2(hertz / centre) / width) ** 2))
    response = minimum_phase(10 ** (decibels / 20))[:256]
    return (response * np.hanning(512)[256:]).astype(np.float32)


@dataclass
class _Reflections:
    seconds: Floats
    gains: Floats


class Place:
    """One room with one device in it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rt60_s = float(rng.uniform(0.15, 0.8))
        self._size = np.array([rng.uniform(2.2, 7), rng.uniform(2.2, 6), rng.uniform(2.2, 3.2)])
        volume, area = float(np.prod(self._size)), 0.0
        for i, j in ((0, 1), (0, 2), (1, 2)):
            area += 2 * float(self._size[i] * self._size[j])
        absorbed = 1 - np.exp(-0.161 * volume / (area * self.rt60_s))
        self._reflect = float(np.sqrt(np.clip(1 - absorbed, 0.02, 0.97)))
        self._microphone = self._size * np.array(
            [rng.uniform(0.08, 0.5), rng.uniform(0.05, 0.5), rng.uniform(0.25, 0.5)]
        )
        apart = rng.standard_normal(3)
        self._speaker = self._microphone + apart / np.linalg.norm(apart) * rng.uniform(0.04, 0.4)
        self._speaker = np.clip(self._speaker, 0.05, self._size - 0.05)
        self.loudspeaker = loudspeaker(rng)
        self._body = float(rng.uniform(0.0, 0.5))
        """Sound that goes through the box, beside what the air carries."""

    def _reflections(self, source: Floats, rng: np.random.Generator) -> _Reflections:
        reach = EARLY_S * SOUND_M_PER_S
        orders = [np.arange(-n, n + 1) for n in np.ceil(reach / (2 * self._size)).astype(int)]
        grid = np.stack(np.meshgrid(*orders, indexing="ij"), -1).reshape(-1, 1, 3)
        signs = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(1, 8, 3)
        images = ((1 - 2 * signs) * source + 2 * grid * self._size).reshape(-1, 3)
        bounces = np.abs(2 * grid - signs).sum(axis=2).reshape(-1)
        distance = np.linalg.norm(images - self._microphone, axis=1)
        near = distance < reach
        gains = self._reflect ** bounces[near] / np.maximum(distance[near], 0.03)
        # Walls are not mirrors: each reflection loses a little more or less.
        gains = gains * rng.uniform(0.6, 1.1, len(gains)) ** np.minimum(bounces[near], 3)
        return _Reflections(distance[near] / SOUND_M_PER_S, gains)

    def _response(self, found: _Reflections, rng: np.random.Generator) -> Floats:
        size = round((EARLY_S + self.rt60_s) * RATE_HZ) + 64
        first = float(found.seconds.min())
        at = (found.seconds - first) * RATE_HZ + 8
        whole = at.astype(int)
        response = np.zeros(size + 64)
        part = at - whole
        np.add.at(response, whole, found.gains * (1 - part))
        np.add.at(response, whole + 1, found.gains * part)
        seconds = np.arange(size + 64) / RATE_HZ
        tail = np.zeros(size + 64)
        white = np.fft.rfft(rng.standard_normal(size + 64))
        hertz = np.fft.rfftfreq(size + 64, 1 / RATE_HZ)
        for low, high, share in zip(TAIL_BANDS_HZ, TAIL_BANDS_HZ[1:], TAIL_SHARES, strict=False):
            inside = (hertz >= low) & (hertz < high)
            piece = np.fft.irfft(white * inside, size + 64)
            tail += piece * 10 ** (-3 * seconds / (self.rt60_s * share))
        begin, end = round(0.02 * RATE_HZ), round(EARLY_S * RATE_HZ)
        early = float(np.sum(response[begin:end] ** 2)) + 1e-9
        tail *= np.sqrt(early / float(np.sum(tail[begin:end] ** 2)))
        ramp = np.clip((np.arange(size + 64) - begin) / (end - begin), 0, 1)
        response[end:] = 0.0
        response = response * np.sqrt(1 - 0.7 * ramp) + tail * ramp
        return response[8 : size + 8]

    def path(self, rng: np.random.Generator) -> Sound:
        """How our voice comes to the microphone, of energy 1, from its direct sound on."""
        response = self._response(self._reflections(self._speaker, rng), rng)
        peak = float(np.abs(response).max())
        body = np.zeros(len(response))
        size = round(0.006 * RATE_HZ)
        body[:size] = rng.standard_normal(size) * np.exp(-np.arange(size) / (0.0012 * RATE_HZ))
        response = response + self._body * peak * body
        response = convolve(response.astype(np.float32), self.loudspeaker).astype(np.float64)
        return (response / np.sqrt(np.sum(response**2))).astype(np.float32)

    def moved(self, path: Sound, rng: np.random.Generator, much: float) -> Sound:
        """The same after somebody walked or moved a chair: what came from the walls differs.

        `much` 0 … 1: of the energy after the first 3 ms.
        """
        other = self.path(rng)
        keep = round(0.003 * RATE_HZ)
        shape = np.ones(len(path), np.float32)
        shape[:keep] = 0.1
        low = min(len(path), len(other))
        mixed = path[:low] * np.sqrt(1 - much * shape[:low]) + other[:low] * np.sqrt(
            much * shape[:low]
        )
        return (mixed / np.sqrt(np.sum(mixed**2))).astype(np.float32)

    def voice_path(self, rng: np.random.Generator) -> Sound:
        """How a person somewhere in the room comes to the microphone, of energy 1."""
        away = rng.standard_normal(3) * np.array([1, 1, 0.2])
        away *= rng.uniform(0.4, 3.5) / np.linalg.norm(away)
        source = np.clip(self._microphone + away, 0.2, self._size - 0.2)
        response = self._response(self._reflections(source, rng), rng)
        colour = rng.uniform(3000, 9000)
        response = band(response, rng.uniform(60, 200), colour, 1.0)
        return (response / np.sqrt(np.sum(response**2))).astype(np.float32)


# ----------------------------------------------------------------------- what goes wrong with it


def strained(sound: Sound, rng: np.random.Generator, drive: float) -> Sound:
    """A loudspeaker near its limits: bends at `drive` times the loudest sample, not evenly."""
    peak = float(np.quantile(np.abs(sound[::7]), 0.9999)) + 1e-6
    bent = sound * np.float32(drive / peak)
    skew = np.float32(rng.uniform(0, 0.15))
    bent = np.tanh(bent + skew) - np.tanh(skew)
    return (bent * np.float32(peak / drive)).astype(np.float32)


def rattling(sound: Sound, rng: np.random.Generator, level_db: float) -> Sound:
    """The sound with what a loose part adds to it: a buzz in its loud low notes."""
    low = band(sound.astype(np.float64), 60, rng.uniform(250, 600), 2.0)
    rms = float(np.sqrt(np.mean(low**2))) + 1e-9
    over = np.maximum(np.abs(low) - rng.uniform(1.0, 2.0) * rms, 0)
    if rng.random() < 0.5:
        buzz = over * rng.standard_normal(len(low)) * (low > 0)
    else:
        buzz = np.sign(low) * np.minimum(over, rms) * (1 + 0.5 * rng.standard_normal(len(low)))
        buzz += (band(low, 20, 300, 1.0) / rms) ** 3 * rms * 0.3
    buzz = band(buzz, rng.uniform(300, 900), rng.uniform(2500, 6000), 1.5)
    own = float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
    buzz *= own * 10 ** (level_db / 20) / (float(np.sqrt(np.mean(buzz**2))) + 1e-9)
    return (sound + buzz).astype(np.float32)


TAPS = 10
FRACTIONS = 512


def _between() -> NDArray[np.float32]:
    """Filters for the value between two samples, as `(taps, fractions)`."""
    distance = np.arange(1 - TAPS // 2, TAPS // 2 + 1)[:, None] - np.arange(FRACTIONS) / FRACTIONS
    taps = np.sinc(distance) * np.cos(np.pi * distance / (TAPS + 2)) ** 2
    return np.asarray(taps / taps.sum(axis=0), np.float32)


BETWEEN = _between()


def faster(sound: Sound, ppm: float) -> Sound:
    """As taken by a converter whose clock runs that much faster: more samples for the same."""
    at = np.arange(int(len(sound) * (1 + ppm * 1e-6))) / (1 + ppm * 1e-6)
    whole = at.astype(np.int64)
    row = ((at - whole) * FRACTIONS).astype(np.int64)
    padded = np.pad(sound.astype(np.float32), TAPS)
    out = np.zeros(len(at), np.float32)
    for tap in range(TAPS):
        out += padded[whole + (tap + 1 - TAPS // 2 + TAPS)] * BETWEEN[tap][row]
    return out


def altered(voice: Sound, change: float) -> Sound:
    """A voice higher and quicker by a share, or lower and slower: another person."""
    return resample(voice, RATE_HZ, round(RATE_HZ * (1 - change) / 100) * 100)
