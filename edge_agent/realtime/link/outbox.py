"""Outbox: what waits for the network, in order and within bounds.

Thread: the event loop's, but pure.  It must never drop a control message, and never drop audio
without counting it.

Over the limit the oldest *silence* gives way first: a pause in a sentence that is half a minute
late is worth nothing, a word in it may be.  Only then the oldest words go.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

AUDIO_LIMIT_MS = 30_000
"""About 2 MB of frames.  A network that is half a minute behind is not catching up with a
talk; the hard cap on an utterance is of the same order."""

SILENCE_BLOCK_MS = 100.0
"""Longer pieces (a pre-roll, a replayed turn) hold words: they are never taken for silence."""

FLOOR_LEVEL = 30.0
"""Mean magnitude below which 16-bit sound is silence in any room (about -60 dBFS)."""

FLOOR_FACTOR = 2.0
"""So far (6 dB) above the room's own floor is still silence."""

FLOOR_RISE = 1.002
"""Growth of the floor per block: it doubles in 3.5 s of 10 ms blocks, so a fan that starts is
the floor again soon, and a word is not."""

_STRIDE = 4
"""Every fourth sample tells the level as well as all do, at 6 kHz."""


def mean_level(pcm: bytes) -> float:
    """Mean magnitude of PCM16 (whole samples), 0 … 32768; 0 for nothing."""
    samples = array("h", pcm)[::_STRIDE]
    return sum(map(abs, samples)) / len(samples) if samples else 0.0


class SilenceJudge:
    """Tells silence from words by level, against the floor of the room it has heard so far."""

    def __init__(self) -> None:
        self._floor = FLOOR_LEVEL

    def is_silence(self, pcm: bytes, ms: float) -> bool:
        """Whether this piece of `ms` milliseconds holds nothing worth keeping."""
        if ms > SILENCE_BLOCK_MS:
            return False
        level = mean_level(pcm)
        self._floor = max(FLOOR_LEVEL, min(level, self._floor * FLOOR_RISE))
        return level <= self._floor * FLOOR_FACTOR


@dataclass(slots=True)
class _Entry:
    text: str | None  # None: dropped
    audio_ms: float
    is_silence: bool


@dataclass(frozen=True, slots=True)
class Episode:
    """What one stretch of being too slow has cost."""

    dropped_ms: float
    silence_ms: float
    """The part of it that was silence."""


class Outbox:
    """A queue of encoded messages; `put` makes room as the module says.

    An *episode* begins with the first loss and ends when half of the limit is free again.
    """

    def __init__(self, audio_limit_ms: float = AUDIO_LIMIT_MS) -> None:
        self._limit_ms = audio_limit_ms
        self._queue: deque[_Entry] = deque()
        self._silences: deque[_Entry] = deque()
        self._words: deque[_Entry] = deque()
        self._length = 0
        self._episode_ms = 0.0
        self._episode_silence_ms = 0.0
        self.audio_ms = 0.0
        """Audio that waits."""
        self.dropped_ms = 0.0
        """Audio given up so far."""

    def __len__(self) -> int:
        return self._length

    @property
    def control(self) -> int:
        """Messages without sound that wait."""
        return self._length - len(self._silences) - len(self._words)

    def put(self, text: str, audio_ms: float = 0.0, *, is_silence: bool = False) -> None:
        """Queue a message (`audio_ms` > 0: audio of that length)."""
        entry = _Entry(text, audio_ms, is_silence)
        self._queue.append(entry)
        self._length += 1
        if audio_ms <= 0:
            return
        (self._silences if is_silence else self._words).append(entry)
        self.audio_ms += audio_ms
        while self.audio_ms > self._limit_ms:
            self._drop(self._silences if self._silences else self._words)

    def pop(self) -> str:
        """The next message to send.  Raises `IndexError` when empty."""
        while True:
            entry = self._queue.popleft()
            if entry.text is None:
                continue
            if entry.audio_ms > 0:
                # Both kinds are in the order of the queue, so it is the first of its kind.
                (self._silences if entry.is_silence else self._words).popleft()
            self._forget(entry)
            return entry.text

    def take_episode(self, *, at_end: bool = False) -> Episode | None:
        """The episode that has just ended, once; `at_end`: nothing more will be sent."""
        if not self._episode_ms or (self.audio_ms > self._limit_ms / 2 and not at_end):
            return None
        episode = Episode(self._episode_ms, self._episode_silence_ms)
        self._episode_ms = self._episode_silence_ms = 0.0
        return episode

    def purge_audio(self) -> float:
        """Drop all audio that waits; returns how many milliseconds.  No part of an episode: it
        was not the network that was too slow."""
        purged_ms = 0.0
        for kind in (self._silences, self._words):
            while kind:
                purged_ms += self._give_up(kind).audio_ms
        return purged_ms

    def _drop(self, kind: deque[_Entry]) -> None:
        entry = self._give_up(kind)
        self._episode_ms += entry.audio_ms
        self._episode_silence_ms += entry.audio_ms if entry.is_silence else 0.0

    def _give_up(self, kind: deque[_Entry]) -> _Entry:
        entry = kind.popleft()
        entry.text = None  # its place in the queue is skipped later
        self._forget(entry)
        self.dropped_ms += entry.audio_ms
        while self._queue and self._queue[0].text is None:
            self._queue.popleft()
        return entry

    def _forget(self, entry: _Entry) -> None:
        self._length -= 1
        left_ms = self.audio_ms - entry.audio_ms
        self.audio_ms = left_ms if self._silences or self._words else 0.0
