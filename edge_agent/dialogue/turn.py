"""The household's turn: the words of one utterance, kept until they are answered.

Thread: event loop; pure.  It never grows without bound: past `keep_max_s` the oldest sound goes,
and that is counted.
"""

from __future__ import annotations

from edge_agent.contract.pcm import WIRE_BYTES_PER_MS, bytes_to_ms

CALL_LAG_S = 0.1
"""The wake model fires about here after the word's end; its tail is not "going on talking"."""
MIN_TURN_SPEECH_FRAMES = 10
"""Less speech than this is not a turn when our own detector has to decide."""


class UserTurn:
    """One utterance, from the opening of the gate to the first audible word of its answer."""

    def __init__(self, opened_at: float, keep_max_s: float) -> None:
        self._keep_bytes = int(keep_max_s * 1000) * WIRE_BYTES_PER_MS
        self._pcm = bytearray()
        self.opened_at = opened_at
        self.ended_at: float | None = None
        self.last_speech_at = opened_at
        self.speech_frames = 0
        self.called_at = float("-inf")
        """Somebody called in the middle of it: its words are still to come."""
        self.chimed_until = float("-inf")
        """A chime of ours falls into it: what is speech in that, no detector can tell."""
        self.server_heard = False
        """The server's detector reported speech in it."""
        self.ended_by_us = False
        self.dropped_ms = 0.0
        self.replays = 0

    @property
    def ended(self) -> bool:
        """Has the household finished saying it?"""
        return self.ended_at is not None

    @property
    def ends_with_call(self) -> bool:
        """Somebody has called in it and said nothing since."""
        return self.last_speech_at <= self.called_at + CALL_LAG_S

    @property
    def is_spoken(self) -> bool:
        """Has our own detector heard enough speech for a turn?"""
        return self.speech_frames >= MIN_TURN_SPEECH_FRAMES

    @property
    def pcm24k(self) -> bytes:
        """All that was kept of it."""
        return bytes(self._pcm)

    @property
    def ms(self) -> float:
        """Its length."""
        return bytes_to_ms(len(self._pcm))

    def add(self, pcm24k: bytes, at: float, *, speech_frames: int) -> None:
        """Take what was just streamed, or would have been; `speech_frames` of it are speech."""
        self._pcm += pcm24k
        if speech_frames:
            self.last_speech_at = at
            self.speech_frames += speech_frames
        excess = len(self._pcm) - self._keep_bytes
        if excess > 0:
            del self._pcm[:excess]
            self.dropped_ms += bytes_to_ms(excess)

    def end(self, at: float, *, by_us: bool) -> None:
        """The turn is complete; `by_us`: our own detector, a limit or the button said so."""
        self.ended_at = at
        self.ended_by_us = by_us
