"""The people in the virtual room: clips of speech on its time line.

Thread: the room's loop.  It must never know a clock: positions are sample indices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_agent.simulation.sound import acoustics
from edge_agent.simulation.sound.room_record import AUDIBLE_DBFS

VOICE_RT60_S = 0.2
"""A person speaks from inside the room: a shorter tail, as the voice is aimed at us."""

VOICE_DIRECT_TO_REVERB_DB = 8.0
"""A person at about a metre."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Somebody spoke.  Loop times at the microphone.

    `start_at`/`end_at` bound the clip, `onset_at`/`offset_at` its first and last audible sample.
    """

    start_at: float
    end_at: float
    onset_at: float
    offset_at: float


@dataclass(slots=True)
class _Source:
    begin: int
    sound: acoustics.Sound


class People:
    """Everybody who speaks, mixed block by block."""

    def __init__(self, rate_hz: int, seed: int) -> None:
        self._rate_hz = rate_hz
        self._seed = seed
        self._count = 0
        self._sources: list[_Source] = []

    def add(self, begin: int, clip: acoustics.Sound, *, dry: bool) -> tuple[int, int]:
        """Place a clip; returns the indices in it of the first and after the last audible sample.

        Every person gets a reverberation of their own, unless `dry`.
        """
        sound = clip
        if not dry and len(clip):
            self._count += 1
            response = acoustics.impulse_response(
                self._rate_hz,
                delay_s=0.0,
                rt60_s=VOICE_RT60_S,
                direct_to_reverb_db=VOICE_DIRECT_TO_REVERB_DB,
                seed=self._seed + self._count,
            )
            sound = acoustics.convolve(clip, response)
        self._sources.append(_Source(begin, sound))
        loud = np.flatnonzero(np.abs(clip) >= 10 ** (AUDIBLE_DBFS / 20))
        return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, 0)

    def hush(self) -> None:
        """Everybody stops at once, also those who were to speak later."""
        self._sources.clear()

    def mix(self, begin: int, frames: int) -> acoustics.Sound | None:
        """The sum of all voices in a block, None when nobody speaks.  Ask in rising order."""
        end = begin + frames
        total: acoustics.Sound | None = None
        for source in self._sources:
            first, last = begin - source.begin, end - source.begin
            if last <= 0 or first >= len(source.sound):
                continue
            if total is None:
                total = np.zeros(frames, np.float32)
            piece = source.sound[max(first, 0) : last]
            total[max(-first, 0) : max(-first, 0) + len(piece)] += piece
        if total is not None:
            self._sources = [s for s in self._sources if s.begin + len(s.sound) > end]
        return total
