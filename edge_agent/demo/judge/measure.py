"""Measurements on recorded sound: is a clip in it, where, and is it whole.

It must never know the daemon: what is judged here is sound that the room or the server recorded, so
that a lie of the daemon cannot pass.

Times are seconds from the start of the recording that is searched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_agent.simulation.sound import acoustics

Sound = NDArray[np.float32]

COMPARE_RATE_HZ = 16_000
"""Holds all that the household's clips hold, at a third of the room's samples."""

WINDOW_S = 0.060
"""A short syllable: the grain in which a clip is looked for in a recording."""

ACTIVE_BELOW_PEAK_DB = 30.0
"""Windows more than this under the clip's loudest are its pauses."""

PRESENT_CORRELATION = 0.3
"""Correlation from which a window counts as there.  60 ms of unrelated speech reach 0.1 by
chance, a voice with the room's reverberation and an echo canceller over it stays above 0.5."""

FOUND_CORRELATION = 0.4
"""Normalised correlation from which a whole clip counts as found in a recording: half of it
at full likeness reaches 0.5, other speech of the same voice 0.15."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much of a clip a recording holds.

    `at_s` is where the clip's first sample lies (or would lie); `missing_head_ms` and
    `missing_tail_ms` count from the clip's first and last active window; `coverage` is the share
    of its active windows that are there; `correlation` compares the whole of it.
    """

    at_s: float
    correlation: float
    coverage: float
    missing_head_ms: float
    missing_tail_ms: float

    @property
    def is_whole(self) -> bool:
        """First and last syllable, and nine tenths of what lies between."""
        return self.begins_whole and self.missing_tail_ms <= WINDOW_S * 1000 and self.coverage > 0.9

    @property
    def begins_whole(self) -> bool:
        """The first syllable is there (one window of grace: a fricative may drown in noise)."""
        return self.correlation > 0 and self.missing_head_ms <= WINDOW_S * 1000

    def moved(self, by_s: float) -> Likeness:
        """The same, with its place counted from another origin."""
        return replace(self, at_s=self.at_s + by_s)


NOTHING = Likeness(0.0, 0.0, 0.0, float("inf"), float("inf"))


def sound(pcm: bytes | NDArray[np.int16], rate_hz: int) -> Sound:
    """PCM16 as float32 at the rate that everything here compares at."""
    samples = acoustics.from_pcm(pcm)
    return acoustics.resample(samples, rate_hz, COMPARE_RATE_HZ).astype(np.float32)


def _correlate(clip: Sound, recording: Sound) -> NDArray[np.float64]:
    """Normalised correlation for every place from `-len(clip)` on; index 0 is that place."""
    size = 1 << (len(clip) + len(recording)).bit_length()
    spectrum = np.fft.rfft(recording, size) * np.conj(np.fft.rfft(clip, size))
    raw = np.fft.irfft(spectrum, size)
    raw = np.concatenate([raw[size - len(clip) :], raw[: len(recording)]])
    power = np.concatenate([[0.0], np.cumsum(np.square(recording, dtype=np.float64))])
    places = np.arange(-len(clip), len(recording))
    low, high = np.clip(places, 0, len(recording)), np.clip(places + len(clip), 0, len(recording))
    # Half the clip's own energy as a floor, or a place with next to no sound would win.
    own = float(np.sum(np.square(clip, dtype=np.float64)))
    loudest = float(np.max(power[high] - power[low], initial=0.0))
    energy = np.maximum(power[high] - power[low], 1e-3 * loudest + 1e-12)
    result: NDArray[np.float64] = raw / np.sqrt(energy * max(own, 1e-12))
    return result


def likeness(clip: Sound, recording: Sound) -> Likeness:
    """Find `clip` in `recording` and say how much of it is there (see `Likeness`)."""
    if not len(clip) or not np.any(recording):
        return NOTHING
    scores = _correlate(clip, recording)
    best = int(np.argmax(scores))
    place = best - len(clip)
    width = round(WINDOW_S * COMPARE_RATE_HZ)
    windows = [slice(n, n + width) for n in range(0, len(clip) - width + 1, width)]
    levels = np.array([acoustics.level_dbfs(clip[w]) for w in windows])
    if not len(levels):
        return NOTHING
    active = levels > levels.max() - ACTIVE_BELOW_PEAK_DB
    there = np.array([_is_there(clip, recording, w, place) for w in windows])
    first = int(np.argmax(active))
    last = len(active) - 1 - int(np.argmax(active[::-1]))
    present = np.flatnonzero(active & there)
    if not len(present):
        return NOTHING
    return Likeness(
        at_s=place / COMPARE_RATE_HZ,
        correlation=float(scores[best]),
        coverage=len(present) / int(active.sum()),
        missing_head_ms=float((present[0] - first) * WINDOW_S * 1000),
        missing_tail_ms=float((last - present[-1]) * WINDOW_S * 1000),
    )


def _is_there(clip: Sound, recording: Sound, window: slice, place: int) -> bool:
    begin = window.start + place
    if begin < 0 or begin + (window.stop - window.start) > len(recording):
        return False
    one, other = clip[window], recording[begin : begin + window.stop - window.start]
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return scale > 0 and float(np.dot(one, other)) / scale >= PRESENT_CORRELATION


def occurrences(clip: Sound, recording: Sound, *, least: float = FOUND_CORRELATION) -> list[float]:
    """Places (s) at which `clip` is in `recording`, at least half a clip apart."""
    if not len(clip) or not np.any(recording):
        return []
    scores = _correlate(clip, recording)
    apart = len(clip) // 2
    found: list[int] = []
    while scores[place := int(np.argmax(scores))] >= least:
        found.append(place)
        scores[max(0, place - apart) : place + apart + 1] = -np.inf
    return sorted((place - len(clip)) / COMPARE_RATE_HZ for place in found)


def last_sound_s(samples: NDArray[np.int16], rate_hz: int) -> float:
    """Seconds up to and including the last sample that is not digital silence; 0.0: none."""
    loud = np.flatnonzero(samples)
    return (int(loud[-1]) + 1) / rate_hz if len(loud) else 0.0


def median(values: list[float]) -> float:
    """Median; NaN for an empty list."""
    return float(np.median(values)) if values else float("nan")
