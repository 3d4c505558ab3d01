"""Late pongs: how late a busy service answers pings, in bursts.

Call `after_s` per ping.  Thread: the event loop that serves; pure, chance comes from a seed.  It
never delays anything but pongs: behind a front, the answers of a busy service still come.
"""

from __future__ import annotations

import random

CALM_S = (5.0, 60.0)
"""Length of a spell in which pongs come soon …"""
BUSY_S = (5.0, 40.0)
"""… and of one in which they do not."""
PROMPT_S = (0.2, 0.5)
LATE_S = (0.2, 9.0)
"""How late the pong is in either."""


class LatePongs:
    """One server's spells; every connection of it is in the same one."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = random.Random(seed)
        self._is_busy = False
        self._until = 0.0

    def after_s(self, now: float) -> float:
        """How long the pong takes to a ping that comes at `now`, a time that never goes back."""
        while now >= self._until:
            self._is_busy = not self._is_busy
            begin = max(self._until, now - BUSY_S[1] - CALM_S[1])  # a long pause is skipped
            self._until = begin + self._rng.uniform(*(BUSY_S if self._is_busy else CALM_S))
        return self._rng.uniform(*(LATE_S if self._is_busy else PROMPT_S))
