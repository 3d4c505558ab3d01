"""Backoff: how long to wait before something is tried again.

Make one `Backoff` per thing that is tried, wait `next_s` after each failure, and call `reset` when
it has really worked.  Thread: whoever owns the thing; pure, chance comes in.  It must never be
reset by a mere connect: a peer that accepts and then closes would be tried without a pause.
"""

from __future__ import annotations

from collections.abc import Callable

DOUBLINGS_MAX = 32
"""Enough for any pause from a tenth of a second on; keeps 2**n small after years of failures."""

Uniform = Callable[[float, float], float]
"""A number between two, by chance: `random.Random.uniform`."""


def no_chance(_low: float, high: float) -> float:
    """Always the longest: where there is nobody whose tries could fall together with ours."""
    return high


class Backoff:
    """A ceiling that doubles from `first_s` to `max_s`, and pauses below it.

    A pause is at least `least` (a part, 0 to 1) of its ceiling, and `floor_s`.  What lies between
    is up to `uniform`, so that many who lost the same server do not come back together.
    """

    def __init__(
        self,
        first_s: float,
        max_s: float,
        *,
        uniform: Uniform = no_chance,
        least: float = 0.0,
        floor_s: float = 0.0,
    ) -> None:
        self.failures = 0
        """How many pauses there were since the last `reset`."""
        self._first_s = first_s
        self._max_s = max_s
        self._uniform = uniform
        self._least = least
        self._floor_s = floor_s

    def reset(self) -> None:
        """It works again: the next pause is a short one."""
        self.failures = 0

    def next_s(self) -> float:
        """The pause after one more failure, in seconds."""
        doublings = min(self.failures, DOUBLINGS_MAX)
        self.failures += 1
        return self.below(self._first_s * 2.0**doublings)

    def below(self, ceiling_s: float) -> float:
        """A pause under a ceiling that the caller knows better; `max_s` holds as well."""
        ceiling_s = max(self._floor_s, min(self._max_s, ceiling_s))
        return self._uniform(max(self._floor_s, ceiling_s * self._least), ceiling_s)
