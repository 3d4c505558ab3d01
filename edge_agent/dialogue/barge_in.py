"""Barge-in: when speech over our own voice is an interruption.

`hear` each frame while an answer sounds.

Thread: event loop; pure.  It never cuts anything itself: `Moves.fall_silent` does.
"""

from __future__ import annotations

from collections import deque

from edge_agent.contract.events import HeardFrame

GAP_S = 0.1
"""Frames come every 10 ms while we are audible: what was heard before a gap is no evidence."""


class BargeIn:
    """k of the last n frames labelled speech, while our speaker is audible.

    A decision cannot come sooner than the number of frames it wants.  What a frame's label is
    worth, `audio.cancel.double_talk` tells.
    """

    def __init__(self, window_frames: int, speech_frames: int, min_after_start_ms: int) -> None:
        self._recent: deque[bool] = deque(maxlen=window_frames)
        self._needed = speech_frames
        self._min_after_start_s = min_after_start_ms / 1000
        self._deaf_until = float("-inf")
        self.onset_at = float("-inf")
        """When the first frame was captured of the speech that goes on: since then no whole window
        was without any."""
        self._heard_at = float("-inf")

    def playback_started(self, at: float) -> None:
        """An answer became audible: forget the evidence, wait for the canceller."""
        self._recent.clear()
        self._deaf_until = at + self._min_after_start_s

    def hear(self, frame: HeardFrame) -> bool:
        """Take one frame; True when somebody is talking over us."""
        if frame.at < self._deaf_until:
            return False
        if frame.at - self._heard_at > GAP_S:  # nothing of ours sounded meanwhile
            self._recent.clear()
        self._heard_at = frame.at
        if frame.speech and not any(self._recent):
            self.onset_at = frame.at
        self._recent.append(frame.speech)
        return sum(self._recent) >= self._needed

    def reset(self) -> None:
        """Forget the evidence."""
        self._recent.clear()
