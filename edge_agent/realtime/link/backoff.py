"""Backoff: how long to wait before dialling again (purpose).

Owner thread: the event loop's, but pure: time is an argument, chance comes in.  Must never be
reset by a mere connect, only by a *healthy* session: a server that accepts and then closes
would otherwise be dialled for ever without a pause (PROTOCOL section 9).
"""

from __future__ import annotations

import random

from edge_agent.contract.errors import LinkBusy, LinkError, LinkRefused

FIRST_RETRY_S = 0.1
"""Most we wait after a session that worked: most cuts are over at once, and somebody may be in
the middle of a sentence; the jitter is for the thousand speakers that lost the same server."""

NETWORK_CAP_S = 1.0
"""Longest pause while nothing answers at all, in the first minute: the link must be back about
a second after the router is, and an unanswered dial burdens nobody."""

PATIENCE_S = 60.0
"""After so long the network cap grows with the length of the outage: one part in sixty."""

BUSY_BASE_S = 1.0
"""The same when the server said that it is overloaded."""

FLOOR_S = 0.05
"""Shortest pause after a failure, so that chance never makes a busy loop."""

REFUSED_CAP_S = 600.0
"""Longest pause when only a person can fix it: long enough not to hammer, short enough that
the household does not have to restart the speaker after fixing it."""

RETRY_AFTER_CAP_S = 600.0
"""A provider that asks for more is asked again anyway."""

NO_ANSWER_CODES = frozenset(
    {"link.lost", "link.dns", "link.unreachable", "link.timeout", "link.clock"}
)
"""Faults at which no server did any work for us."""

_DOUBLINGS = 16
"""Enough for any cap above; keeps 2**n small after days of failures."""


class Backoff:
    """Full jitter with memory of the outage.

    `base_s`: first pause when a server did answer but no healthy session came of it; doubles.
    `cap_s`: longest pause while waiting can help by itself.  `refused_s`: first pause when only
    a person can fix it; doubles.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        base_s: float = 0.25,
        cap_s: float = 30.0,
        refused_s: float = 60.0,
    ) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self._refused_s = refused_s
        self._failures = 0
        self._refusals = 0
        self._down_since: float | None = None

    def healthy(self) -> None:
        """The session that just ended had worked."""
        self._failures = 0
        self._refusals = 0
        self._down_since = None

    def forgive(self) -> None:
        """Somebody changed something (key, settings, network): start over."""
        self.healthy()

    def next_delay_s(self, fault: LinkError, now: float) -> float:
        """Seconds to wait after `fault` at loop time `now`."""
        is_first = self._down_since is None
        if self._down_since is None:
            self._down_since = now
        if isinstance(fault, LinkRefused):
            ceiling = self._refused_s * 2.0 ** min(self._refusals, _DOUBLINGS)
            self._refusals += 1
            # Little jitter: a person may be waiting for it, and refusals do not come in swarms.
            return min(max(REFUSED_CAP_S, self._refused_s), ceiling) * self._rng.uniform(0.9, 1.0)
        self._refusals = 0
        if isinstance(fault, LinkBusy):
            jittered = self._jitter(BUSY_BASE_S * 2.0 ** self._step())
            if fault.retry_after_s is None:
                return jittered
            asked_s = min(max(fault.retry_after_s, 0.0), RETRY_AFTER_CAP_S)
            return asked_s + self._rng.uniform(FLOOR_S, BUSY_BASE_S)
        if is_first:
            self._failures = 1
            return self._rng.uniform(0.0, FIRST_RETRY_S)
        if fault.code in NO_ANSWER_CODES:
            outage_s = now - self._down_since
            return self._jitter(NETWORK_CAP_S * max(1.0, outage_s / PATIENCE_S))
        return self._jitter(self._base_s * 2.0 ** self._step())

    def _step(self) -> int:
        step = min(self._failures, _DOUBLINGS)
        self._failures += 1
        return step

    def _jitter(self, ceiling_s: float) -> float:
        return self._rng.uniform(FLOOR_S, max(FLOOR_S, min(self._cap_s, ceiling_s)))
