"""The gate: which heard frames may leave the house.

Thread: event loop.  It must never read a clock or send anything itself.

SHUT keeps the last moments in memory and lets nothing out.  ARMED waits for somebody to speak.
OPEN passes frames on.  Our own voice never leaves: a frame heard over playback passes only
where speech is near it, otherwise silence of the same length takes its place, so that the
server's voice detector keeps its sense of time.  A soft chime is no voice: see `spare`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from edge_agent.contract.events import HeardFrame
from edge_agent.contract.pcm import FRAME_MS, SILENT_FRAME

ONSET_WINDOW_FRAMES = 8
ONSET_SPEECH_FRAMES = 5
"""5 of 8 frames: a click makes webrtcvad fire for 2-3 frames, a syllable lasts longer."""
OVER_PLAYBACK_SPEECH_FRAMES = 7
"""Over our own voice the evidence must be stronger."""
SERVER_LAG_S = 1.5
"""The server tells of speech so much later at most: the lag of its detector and of a slow line."""
NEAR_SPEECH_FRAMES = 15
"""Frames after detected speech that pass over playback: a stop, a breath."""
LATE_FRAMES = 35
"""Frames before it that pass as well: who speaks softly over us is believed so long after their
first sound, and it belongs to their words.  More would send more of our own voice with them."""


class GateState(Enum):
    """What happens to a frame."""

    SHUT = "shut"
    ARMED = "armed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class PreRoll:
    """What was heard just before the gate opened: all of it, and what was not yet sent."""

    words: bytes
    unsent: bytes
    speech_frames: int


class Gate:
    """Keeps a bounded pre-roll and answers, frame by frame, what may be sent."""

    def __init__(self, keep_ms: int) -> None:
        self._kept: deque[HeardFrame] = deque(maxlen=max(1, keep_ms // FRAME_MS))
        self._keep_s = keep_ms / 1000
        self._floor_at = float("-inf")
        self._send_from = float("-inf")
        self._sent_until = float("-inf")
        self._spared_until = float("-inf")
        self._since_speech_frames = NEAR_SPEECH_FRAMES
        self.state = GateState.SHUT

    def hear(self, frame: HeardFrame) -> bytes:
        """Take one frame; return what of it may be sent now (empty: nothing)."""
        # By time, not by number: after a gap (a device that was away) what went before is history.
        while self._kept and self._kept[0].at < frame.at - self._keep_s:
            self._kept.popleft()
        self._kept.append(frame)
        self._since_speech_frames = 0 if frame.speech else self._since_speech_frames + 1
        if self.state is not GateState.OPEN:
            return b""
        self._sent_until = frame.at
        if frame.at < self._spared_until:
            return frame.pcm24k
        if frame.over_playback and self._since_speech_frames > NEAR_SPEECH_FRAMES:
            return SILENT_FRAME
        return frame.pcm24k

    def onset(self) -> bool:
        """Has somebody begun to speak, by the last frames?"""
        return self._is_speech(list(self._kept)[-ONSET_WINDOW_FRAMES:], self._floor_at)

    def heard_somebody(self, now: float) -> bool:
        """Has our own detector heard a syllable of what the server may just have told of?"""
        return self._is_speech(self._kept, now - SERVER_LAG_S)

    def speech_frames_since(self, at: float) -> int:
        """Frames labelled speech, captured at `at` or later, among those kept."""
        return sum(frame.speech for frame in self._kept if frame.at >= at)

    def shut(self) -> None:
        """Let nothing out; go on keeping the pre-roll."""
        self.state = GateState.SHUT
        self._spared_until = float("-inf")

    def arm(self, floor_at: float, send_from: float | None = None) -> None:
        """Wait for speech; nothing captured before `floor_at` counts as evidence of it.

        Nothing captured before `send_from` (None: the same moment) will be sent.
        """
        self.state = GateState.ARMED
        self._spared_until = float("-inf")
        self._floor_at = floor_at
        self._send_from = floor_at if send_from is None else send_from

    def open(self, pre_roll_ms: int) -> PreRoll:
        """Open, and return the pre-roll that goes first."""
        self.state = GateState.OPEN
        count = max(1, pre_roll_ms // FRAME_MS)
        frames = [frame for frame in list(self._kept)[-count:] if frame.at >= self._send_from]
        cleaned = self._cleaned(frames)
        unsent = [
            pcm24k
            for frame, pcm24k in zip(frames, cleaned, strict=True)
            if frame.at > self._sent_until
        ]
        self._floor_at = self._send_from = float("-inf")
        if frames:
            self._sent_until = max(self._sent_until, frames[-1].at)
        return PreRoll(
            words=b"".join(cleaned),
            unsent=b"".join(unsent),
            speech_frames=sum(frame.speech for frame in frames),
        )

    def spare(self, until: float) -> None:
        """A soft sound of ours falls into somebody's words: until then none of them is silenced,
        even if no detector can tell them from it."""
        self._spared_until = until

    def forget(self) -> None:
        """Shut, and drop the pre-roll: mute means that nothing was heard."""
        self.shut()
        self._kept.clear()
        self._floor_at = self._send_from = float("-inf")

    @staticmethod
    def _is_speech(frames: Iterable[HeardFrame], since: float) -> bool:
        recent = [frame for frame in frames if frame.at >= since]
        over = any(frame.over_playback for frame in recent)
        needed = OVER_PLAYBACK_SPEECH_FRAMES if over else ONSET_SPEECH_FRAMES
        return sum(frame.speech for frame in recent) >= needed

    @staticmethod
    def _cleaned(frames: list[HeardFrame]) -> list[bytes]:
        out = []
        for index, frame in enumerate(frames):
            around = frames[max(0, index - NEAR_SPEECH_FRAMES) : index + LATE_FRAMES + 1]
            own_voice = frame.over_playback and not any(near.speech for near in around)
            out.append(SILENT_FRAME if own_voice else frame.pcm24k)
        return out
