"""Barge-in: when speech over our own voice, or in a pause of it, is an interruption.

`hear` each frame while an answer sounds.

Thread: event loop; pure.  It never cuts anything itself: `Moves.fall_silent` does.
"""

from __future__ import annotations

from collections import deque

from edge_agent.contract.events import HeardFrame

GAP_S = 0.1
"""Frames come every 10 ms while we are audible: what was heard before a gap is no evidence."""

PAUSE_FRAMES = 60
"""So many frames of speech one after the other interrupt a pause of ours.  There the ordinary voice
detector judges, to which the last of our own voice in the room, a knock or a noise is speech for a
while.  In 16 hours of simulated harsh rooms of the training part, each of which it had heard for
five seconds before, 5 frames cut 3,118 answers, 20 cut 540, 30 cut 49, 50 ten, these six.  Mostly
our voice goes on sooner, and who still speaks then is heard over it."""


class BargeIn:
    """k of the last n frames labelled speech, while our speaker is audible; `PAUSE_FRAMES` while an
    answer pauses.

    A decision cannot come sooner than the number of frames it wants.  What a label over our voice
    is worth, `audio.cancel.double_talk` tells.
    """

    def __init__(self, window_frames: int, speech_frames: int, min_after_start_ms: int) -> None:
        self._recent: deque[bool] = deque(maxlen=window_frames)
        self._in_pause = 0
        """Frames of speech one after the other, up to now, in a pause of ours."""
        self._needed = speech_frames
        self._min_after_start_s = min_after_start_ms / 1000
        self._deaf_until = float("-inf")
        self.onset_at = float("-inf")
        """When the first frame was captured of the speech that goes on: since then no whole window
        was without any."""
        self._heard_at = float("-inf")

    def playback_started(self, at: float) -> None:
        """An answer became audible: forget the evidence, wait for the canceller."""
        self.reset()
        self._deaf_until = at + self._min_after_start_s

    def hear(self, frame: HeardFrame) -> bool:
        """Take one frame; True when somebody is talking over us."""
        if frame.at < self._deaf_until:
            return False
        if frame.at - self._heard_at > GAP_S:  # nothing of ours sounded meanwhile
            self.reset()
        self._heard_at = frame.at
        if frame.speech and not self._in_pause and not any(self._recent):
            self.onset_at = frame.at
        if not frame.over_playback:
            self._recent.clear()
            self._in_pause = self._in_pause + 1 if frame.speech else 0
            return self._in_pause >= PAUSE_FRAMES
        self._in_pause = 0
        self._recent.append(frame.speech)
        return sum(self._recent) >= self._needed

    def reset(self) -> None:
        """Forget the evidence."""
        self._recent.clear()
        self._in_pause = 0
