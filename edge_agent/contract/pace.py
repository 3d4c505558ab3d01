"""Pace: how long to rest so that no more than so much a second is taken from somebody else.

Add what was taken with `rest_s`, and wait as long as it says before the next.  A burst of one
second's worth is taken at once; one who sends without end gets exactly the rate.

Thread: whoever holds it; pure, the time comes in.  It never makes anybody wait for what is within
the rate.
"""

from __future__ import annotations


class Pace:
    """At most `per_s` in a second, on average."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._began = float("-inf")
        self._taken = 0.0
        self.is_exceeded = False
        """It was, at least once."""

    def rest_s(self, taken: float, now: float) -> float:
        """`taken` more at `now`: seconds until more may be."""
        if now - self._began >= 1.0:
            self._began, self._taken = now, 0.0
        self._taken += taken
        if self._taken <= self._per_s:
            return 0.0
        self.is_exceeded = True
        return max(0.0, self._began + self._taken / self._per_s - now)
