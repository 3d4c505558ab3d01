"""Pace: does a stream give or take as many samples as its rate says?

Call `look` at each look with the device's own count.  Pure.  Crystals differ by 0.01 %, which the
canceller and the time lines follow.  More is no drift: a card that runs at 44.1 kHz and says 48
(8 % off), or a loudspeaker whose clock hardly moves while its blocks still come.
"""

from __future__ import annotations

WINDOW_S = 20.0
"""Blocks are counted whole: of 20 s one of 100 ms is half a percent."""
WRONG_BY = 0.02
WINDOWS = 3
"""In a row: a busy machine holds blocks back, and gives them all a moment later."""


class Pace:
    """Of one stream, since it was opened."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._since: tuple[float, int] | None = None
        self._wrong = 0
        self.wrong_percent = 0
        """What it runs at, of its rate, while that is wrong; 0 while all is well or not known."""

    def pause(self) -> None:
        """Frames are not expected, or some were lost and said to be: count anew."""
        self._since = None

    def look(self, frames: int, at: float) -> None:
        """`frames`: counted since any moment; `at`: now, in seconds of any even clock."""
        if self._since is None:
            self._since = (at, frames)
            return
        began, before = self._since
        if at - began < WINDOW_S:
            return
        self._since = (at, frames)
        share = (frames - before) / ((at - began) * self._rate_hz)
        self._wrong = self._wrong + 1 if abs(share - 1) > WRONG_BY else 0
        self.wrong_percent = max(1, round(100 * share)) if self._wrong >= WINDOWS else 0
