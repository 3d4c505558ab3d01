"""Volume without clicks, the alarm loop, and short sounds over the rest.

Thread: `playout` and `renderer` call everything here under their lock.  It must never queue speech,
read a clock or know a device.
"""

from __future__ import annotations

from math import inf

import numpy as np
from numpy.typing import NDArray

from edge_agent.audio.resample import Int16Array

VOLUME_EXPONENT = 2
"""Loudness follows roughly the square root of the amplitude: 50 % is -12 dB, which most people
call half as loud; 10 % is -40 dB."""

VOLUME_RAMP_MS = 50.0
"""Full scale in 50 ms: a step is heard as a click, a slower ramp as lag of the knob."""

ALARM_FLOOR_GAIN = 0.25
"""An alarm at night volume must still wake somebody: never below a volume of 50 %, unless the
owner's limit is lower."""

MAX_EARCONS = 4
"""More short sounds at once are noise, and nothing here may grow without bound."""

Int32Array = NDArray[np.int32]


def volume_gain(percent: float) -> float:
    """Amplitude factor of a volume in percent, clamped to 0 … 100."""
    return float((min(100.0, max(0.0, percent)) / 100.0) ** VOLUME_EXPONENT)


class RampedGain:
    """A factor that moves to its target in small steps, sample by sample."""

    def __init__(self, gain: float, full_scale_ms: float, most: float = inf) -> None:
        self.gain = min(gain, most)
        self.target = gain
        self.least = 0.0
        """What sounds now must not be softer than this."""
        self.most = most
        """Nothing may be louder than this, whoever asks for it."""
        self._full_scale_ms = full_scale_ms

    def settle(self) -> None:
        """Nothing sounds: the target may be reached at once."""
        self.gain = self._goal

    @property
    def _goal(self) -> float:
        return min(max(self.target, self.least), self.most)

    def factors(self, frames: int, rate_hz: int) -> NDArray[np.float64]:
        """The factor of each of the next `frames` samples; moves on by as many."""
        step = 1000.0 / (self._full_scale_ms * rate_hz)
        moves = np.arange(1, frames + 1) * step
        curve: NDArray[np.float64]
        goal = self._goal
        if goal >= self.gain:
            curve = np.minimum(self.gain + moves, goal)
        else:
            curve = np.maximum(self.gain - moves, goal)
        if frames:
            self.gain = float(curve[-1])
        return curve

    def apply(self, samples: Int32Array, rate_hz: int) -> Int32Array:
        """Scale samples; at a steady factor of one they come back bit for bit."""
        if self.gain == self._goal:
            if self.gain == 1.0:
                return samples
            scaled = samples * self.gain
        else:
            scaled = samples * self.factors(len(samples), rate_hz)
        return np.asarray(np.rint(scaled), dtype=np.int32)


class Alarm:
    """A sound that loops until it is stopped, and pauses while somebody speaks."""

    def __init__(self, fade_ms: float) -> None:
        self._fade = RampedGain(0.0, fade_ms)
        self._sound: Int16Array | None = None
        self._next: Int16Array | None = None
        self._position = 0
        self._stopping = False

    @property
    def active(self) -> bool:
        """It rings, is paused, or is about to ring; not after a stop."""
        return self._next is not None or (self._sound is not None and not self._stopping)

    def start(self, sound: Int16Array | None) -> None:
        """Ring with this sound from its beginning (None: stop), fading what rings now."""
        self._next = sound if sound is not None and len(sound) else None
        self._stopping = True
        if self._sound is None:
            self._swap()

    def render(self, frames: int, rate_hz: int, *, pause: bool) -> NDArray[np.float64] | None:
        """The next samples, or None while it is silent (its position then stands still)."""
        if self._sound is None:
            return None
        self._fade.target = 0.0 if pause or self._stopping else 1.0
        if self._fade.gain == 0.0 and self._fade.target == 0.0:
            if self._stopping:
                self._swap()
            return None
        index = (self._position + np.arange(frames)) % len(self._sound)
        self._position = (self._position + frames) % len(self._sound)
        return self._sound[index] * self._fade.factors(frames, rate_hz)

    def _swap(self) -> None:
        self._sound, self._next = self._next, None
        self._position = 0
        self._stopping = False
        self._fade.gain = 0.0


class Earcons:
    """Short sounds that are mixed over whatever plays."""

    def __init__(self) -> None:
        self._sounds: list[Int16Array] = []

    def add(self, sound: Int16Array) -> int:
        """Start a sound with the next block; returns how many samples had to be dropped."""
        if len(self._sounds) >= MAX_EARCONS:
            return len(sound)
        if len(sound):
            self._sounds.append(sound)
        return 0

    def render(self, frames: int) -> Int32Array | None:
        """The sum of what sounds now, or None."""
        if not self._sounds:
            return None
        mixed = np.zeros(frames, dtype=np.int32)
        for sound in self._sounds:
            part = sound[:frames]
            mixed[: len(part)] += part
        self._sounds = [sound[frames:] for sound in self._sounds if len(sound) > frames]
        return mixed

    def clear(self) -> None:
        """Forget all."""
        self._sounds = []
