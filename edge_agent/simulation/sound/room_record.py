"""What was heard in the virtual room, kept with exact times.

Thread: the room's loop.  It must never grow without bound: a track holds its last seconds.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.simulation.sound.acoustics import (
    SILENCE_DBFS,
    Sound,
    from_pcm,
    level_dbfs,
    to_pcm,
)

Samples = NDArray[np.int16]

TRIM_SHARE = 0.25
"""How far a track may run over its limit before its head is cut: cutting copies everything,
so it must be rare."""

AUDIBLE_DBFS = -60.0
"""Peak level from which the loudspeaker counts as audible: about 30 dB under a quiet voice,
and far above the rounding of a fade."""


class Track:
    """One channel of sound on the room's time line.

    `origin_s` is the loop time of the first sample ever added.  Times outside what is kept read
    as silence.
    """

    def __init__(self, rate_hz: int, origin_s: float, limit_s: float) -> None:
        self.rate_hz = rate_hz
        self.origin_s = origin_s
        self._limit = max(1, round(limit_s * rate_hz))
        self._bytes = bytearray()
        self._dropped = 0

    def append(self, pcm: bytes) -> None:
        """Add the next samples; forgets the oldest when the limit is well passed."""
        self._bytes += pcm
        if len(self._bytes) > 2 * self._limit * (1 + TRIM_SHARE):
            cut = len(self._bytes) // 2 - self._limit
            del self._bytes[: 2 * cut]
            self._dropped += cut

    @property
    def start_s(self) -> float:
        """Loop time of the oldest sample that is still kept."""
        return self.origin_s + self._dropped / self.rate_hz

    @property
    def end_s(self) -> float:
        """Loop time up to which sound is known."""
        return self.start_s + len(self) / self.rate_hz

    def __len__(self) -> int:
        return len(self._bytes) // 2

    def samples(self, t0_s: float | None = None, t1_s: float | None = None) -> Samples:
        """A copy of the samples from `t0_s` to `t1_s` (default: all that is kept)."""
        first, last = self._index(t0_s, 0), self._index(t1_s, len(self))
        return np.frombuffer(bytes(self._bytes[2 * first : 2 * last]), "<i2")

    def _index(self, at_s: float | None, default: int) -> int:
        if at_s is None:
            return default
        return min(max(round((at_s - self.start_s) * self.rate_hz), 0), len(self))

    def level_dbfs(self, t0_s: float, t1_s: float) -> float:
        """RMS level between two loop times."""
        return level_dbfs(from_pcm(self.samples(t0_s, t1_s)))

    def audible(
        self,
        t0_s: float | None = None,
        t1_s: float | None = None,
        threshold_dbfs: float = AUDIBLE_DBFS,
    ) -> tuple[float, float] | None:
        """Loop times of the first and (just after) the last audible sample, or None."""
        first = self._index(t0_s, 0)
        loud = self._loud(self.samples(t0_s, t1_s), threshold_dbfs)
        if not len(loud):
            return None
        begin_s, end_s = first + loud[0], first + loud[-1] + 1
        return self.start_s + begin_s / self.rate_hz, self.start_s + end_s / self.rate_hz

    def silent_from(
        self, at_s: float, *, hold_s: float = 0.1, threshold_dbfs: float = AUDIBLE_DBFS
    ) -> float | None:
        """First loop time ≥ `at_s` from which it stays silent for `hold_s`.

        None if that did not happen, or if the recording ends before `hold_s` has passed.
        Choose `hold_s` longer than the pauses of the voice when looking for its real end.
        """
        first = self._index(at_s, 0)
        loud = self._loud(self.samples(at_s), threshold_dbfs)
        need = round(hold_s * self.rate_hz)
        # Sentinels: the moment asked for, and the end of what is known.
        edges = np.concatenate([[-1], loud, [len(self) - first]])
        wide = np.flatnonzero(np.diff(edges) - 1 >= need)
        if not len(wide):
            return None
        begin = first + int(edges[wide[0]]) + 1
        return max(at_s, self.start_s + begin / self.rate_hz)

    @staticmethod
    def _loud(samples: Samples, threshold_dbfs: float) -> NDArray[np.intp]:
        if threshold_dbfs <= SILENCE_DBFS:
            return np.flatnonzero(samples)
        threshold = 32768 * 10 ** (threshold_dbfs / 20)
        return np.flatnonzero(np.abs(samples.astype(np.int32)) >= threshold)

    def write_wav(self, path: Path | str) -> None:
        """Write what is kept as a mono 16-bit WAV file."""
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate_hz)
            file.writeframes(bytes(self._bytes))


class Tape:
    """What the loudspeaker emitted, what the microphone heard, and what a person there heard."""

    def __init__(self, rate_hz: int, origin_s: float, limit_s: float) -> None:
        self._runs = limit_s > 0
        self.spoken, self.heard, self.mix = (Track(rate_hz, origin_s, limit_s) for _ in range(3))

    def append(self, spoken: bytes, heard: bytes, people: Sound | None, ours: Sound | None) -> None:
        """One block of each; `people` and `ours` are what the mix is made of."""
        if not self._runs:
            return
        self.spoken.append(spoken)
        self.heard.append(heard)
        if people is None:
            self.mix.append(spoken)
        else:
            both = people if ours is None else people + ours
            self.mix.append(to_pcm(both).tobytes())
