"""Outbox: what waits for the network, in order and within bounds (purpose).

Owner thread: the event loop's, but pure.  Must never drop a control message, and never drop
audio without counting it.
"""

from __future__ import annotations

from collections import deque

AUDIO_LIMIT_MS = 30_000
"""About 2 MB of frames.  A network that is half a minute behind is not catching up with a
talk; the hard cap on an utterance is of the same order."""


class Outbox:
    """A queue of encoded messages; the oldest audio gives way when it is over its limit."""

    def __init__(self, audio_limit_ms: float = AUDIO_LIMIT_MS) -> None:
        self._limit_ms = audio_limit_ms
        self._queue: deque[tuple[str, float]] = deque()
        self.audio_ms = 0.0
        """Audio that waits."""
        self.dropped_ms = 0.0
        """Audio given up so far."""

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, text: str, audio_ms: float = 0.0) -> float:
        """Queue a message (`audio_ms` > 0: audio of that length).

        Returns the milliseconds of older audio that had to go for it.
        """
        self._queue.append((text, audio_ms))
        self.audio_ms += audio_ms
        dropped_ms = 0.0
        while self.audio_ms > self._limit_ms:
            dropped_ms += self._drop_oldest_audio()
        self.dropped_ms += dropped_ms
        return dropped_ms

    def pop(self) -> str:
        """The next message to send.  Raises `IndexError` when empty."""
        text, audio_ms = self._queue.popleft()
        self.audio_ms = max(0.0, self.audio_ms - audio_ms) if self._queue else 0.0
        return text

    def _drop_oldest_audio(self) -> float:
        for index, (_text, audio_ms) in enumerate(self._queue):
            if audio_ms > 0:
                del self._queue[index]
                self.audio_ms = max(0.0, self.audio_ms - audio_ms)
                return audio_ms
        self.audio_ms = 0.0
        return 0.0
