"""PongTolerance: a line that was called dead and was not gets more time.

Thread: the event loop's, but pure: it is told the time.  It must never make the first black hole
cost more time than it always does.

Where every fifth packet is lost, TCP is silent for seconds and lives.  Giving such a session up
makes it worse: the next one has the whole turn to send again, at the pace of a new connection.
It betrays itself by the successor, which stands at once; behind a dead line none does.  A peer
that took our ping and kept silent is dead for certain: that is none of this.
"""

from __future__ import annotations

import math

PROMPT_S = 1.5
"""From a death to a session that stands: so soon, and the line had hardly been dead.  Dial,
greeting and configuration are four round trips, on a line that loses packets."""

MAX_FACTOR = 2.0
"""A black hole soon after a false alarm is then noticed within 5 s of a turn.  With 4 no more
questions were answered on a line that loses 20 % (22 against 25 of 48)."""

FORGET_S = 120.0
"""Some talks later the line may be another; a false alarm more is the price."""


class PongTolerance:
    """By how much to multiply the time allowed for a pong in a turn."""

    def __init__(self) -> None:
        self._factor = 1.0
        self._died_at = self._until = -math.inf

    def died(self, at: float) -> None:
        """A session was given up for dead, whose last ping nobody had taken."""
        self._died_at = at

    def stands(self, at: float) -> None:
        """A session is READY."""
        if at - self._died_at <= PROMPT_S:
            self._factor = min(2.0 * self.factor(at), MAX_FACTOR)
            self._until = at + FORGET_S
        self._died_at = -math.inf

    def factor(self, at: float) -> float:
        """1 … `MAX_FACTOR`."""
        return self._factor if at < self._until else 1.0
