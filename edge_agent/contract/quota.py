"""Quota: so many in so much time, and what comes beyond is counted.

Call `takes` for each, and `left_out` with the next one that is taken.  Thread: whoever holds it;
pure, the time comes in.  It never lets more through than its limit in any stretch of `per_s`.
"""

from __future__ import annotations

from collections import deque

MINUTE_S = 60.0


class Quota:
    """At most `limit` in any `per_s` seconds."""

    def __init__(self, limit: int, per_s: float = MINUTE_S) -> None:
        self._taken: deque[float] = deque(maxlen=limit)
        self._limit = limit
        self._per_s = per_s
        self.untold = 0
        """How many were not let through and are not told of yet."""

    def takes(self, now: float) -> bool:
        """Whether one more may pass at `now`; one that may not is counted."""
        if len(self._taken) == self._limit and now - self._taken[0] < self._per_s:
            self.untold += 1
            return False
        self._taken.append(now)
        return True

    def left_out(self) -> int:
        """How many were not let through since the last call."""
        count, self.untold = self.untold, 0
        return count
