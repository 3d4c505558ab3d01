"""Sound health: what the counters of the sound device mean for the admin.

Thread: the event loop.  It must never read a clock, touch sound, or repeat itself: every kind of
line has its own pause, and what has been told of the echo holds until a device is opened anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

CLIPPED_SAMPLES = 20
"""So many samples at the limit within one look: fewer are a click of a cable or a door."""
CLIPPED_LOOKS = 3
CLIPPED_WINDOW_S = 60.0
"""Clipping in that many looks (one a second) within the window is no accident but a gain."""
CLIPS_FOR_S = 600.0
"""A gain is not turned down by itself while nobody speaks."""
ADVICE_PAUSE_S = 6 * 3600.0
"""Nobody turns a knob because a line comes more often than that."""
HOLES_PAUSE_S = 60.0
"""A machine that is too slow loses sound all the time: one line a minute says how often."""
ECHO_PATIENCE_FRAMES = 1000
"""10 s of our own voice: the canceller needs two or three of them in an ordinary room."""

Notes = list[tuple[str, dict[str, object]]]
"""Journal lines: code and fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundCounters:
    """Totals since the start, and how things stand."""

    opened: int = 0
    """How often a device was opened: a new one is a new room."""
    clipped: int = 0
    """Microphone samples at the limit of 16 bits."""
    overflows: int = 0
    """Times the sound system lost sound of the microphone."""
    underflows: int = 0
    """Times the sound system had nothing for the loudspeaker."""
    playback_frames: int = 0
    """Frames of 10 ms with our own voice in the room."""
    echo: str = "searching"
    """found · none · searching · off"""
    erle_db: float = 0.0
    """How much quieter the canceller made our voice at the end of the last playback."""


class SoundJudge:
    """Call `look` about once a second."""

    def __init__(self) -> None:
        self.loud_looks = 0
        """Looks in which the microphone clipped, since the start."""
        self.underflows = 0
        """Times the sound system had nothing to play while we spoke, since the start.  Between two
        answers nobody hears it: an idle speaker would only worry people."""
        self._before = SoundCounters()
        self._loud_at: deque[float] = deque(maxlen=CLIPPED_LOOKS)
        self._clips_until = self._now = float("-inf")
        self._told_at: dict[str, float] = {}
        self._told: dict[str, int] = {}
        self._opened = 0
        self._frames_before = 0
        """Of our own voice, when the present device was opened."""
        self._echo_told = ""

    def look(self, counters: SoundCounters, at: float) -> Notes:
        """What the journal should be told now."""
        self._now = at
        notes = self._clipping(counters, at)
        notes += self._holes("audio.mic_lost", counters.overflows, at)
        if counters.playback_frames != self._before.playback_frames:
            self.underflows += max(0, counters.underflows - self._before.underflows)
        notes += self._holes("audio.underflow", self.underflows, at)
        notes += self._echo(counters)
        self._before = counters
        return notes

    @property
    def signs(self) -> tuple[str, ...]:
        """What is wrong now, by the code of its line."""
        return ("audio.clipped",) if self._now < self._clips_until else ()

    def _clipping(self, counters: SoundCounters, at: float) -> Notes:
        if counters.clipped - self._before.clipped < CLIPPED_SAMPLES:
            return []
        self.loud_looks += 1
        self._loud_at.append(at)
        often = len(self._loud_at) == CLIPPED_LOOKS and at - self._loud_at[0] <= CLIPPED_WINDOW_S
        if often:
            self._clips_until = at + CLIPS_FOR_S
        if not often or self._is_soon("audio.clipped", at, ADVICE_PAUSE_S):
            return []
        return [("audio.clipped", {"count": self.loud_looks})]

    def _holes(self, code: str, total: int, at: float) -> Notes:
        more = total - self._told.get(code, 0)
        if more <= 0 or self._is_soon(code, at, HOLES_PAUSE_S):
            return []
        self._told[code] = total
        return [(code, {"count": more})]

    def _is_soon(self, code: str, at: float, pause_s: float) -> bool:
        """Whether this was told not long ago; else it counts as told now."""
        soon = code in self._told_at and at - self._told_at[code] < pause_s
        if not soon:
            self._told_at[code] = at
        return soon

    def _echo(self, counters: SoundCounters) -> Notes:
        if counters.opened != self._opened:
            self._opened, self._echo_told = counters.opened, ""
            self._frames_before = counters.playback_frames
        spoken = counters.playback_frames - self._frames_before
        speaks = counters.playback_frames != self._before.playback_frames
        late = counters.echo == "searching" and spoken >= ECHO_PATIENCE_FRAMES
        # The figure is that of a whole playback, so it is told after one.
        known = counters.echo in ("found", "none") and spoken > 0 and not speaks
        state = counters.echo if known else "late" if late else ""
        if not state or state == self._echo_told:
            return []
        self._echo_told = state
        if state == "found":
            return [("echo.found", {"erle_db": round(counters.erle_db)})]
        if state == "none":
            return [("echo.none", {})]
        return [("echo.not_found", {"seconds": spoken // 100})]
