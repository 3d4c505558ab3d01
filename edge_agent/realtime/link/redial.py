"""Redial: how long to wait before dialling again, by what went wrong.

Call `next_delay_s` after each fault and `healthy` after a session that worked.  Owner thread: the
event loop's, but pure: time is an argument, chance comes in.  Must never be reset by a mere
connect: a server that accepts and then closes would be dialled for ever without a pause (PROTOCOL
section 9).
"""

from __future__ import annotations

import random

from edge_agent.contract import net_faults as nf
from edge_agent.contract.backoff import Backoff
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
"""First pause when the server said that it is overloaded; doubles."""

FLOOR_S = 0.05
"""Shortest pause after a failure, so that chance never makes a busy loop."""

REFUSED_CAP_S = 600.0
"""Longest pause when only a person can fix it: long enough not to hammer, short enough that
the household does not have to restart the speaker after fixing it."""

RETRY_AFTER_CAP_S = 600.0
"""A provider that asks for more is asked again anyway."""

NO_ANSWER_CODES = frozenset(
    fault.code for fault in (nf.CUT, nf.NO_NAME, nf.UNREACHABLE, nf.TIMEOUT, nf.CLOCK)
)
"""Faults at which no server did any work for us."""


class RedialPauses:
    """One pause after each fault, by what the fault says; it remembers the outage.

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
        self._answered = Backoff(base_s, cap_s, uniform=rng.uniform, floor_s=FLOOR_S)
        self._busy = Backoff(BUSY_BASE_S, cap_s, uniform=rng.uniform, floor_s=FLOOR_S)
        # Little jitter: a person may be waiting for it, and refusals do not come in swarms.
        self._refused = Backoff(
            refused_s, max(REFUSED_CAP_S, refused_s), uniform=rng.uniform, least=0.9
        )
        self._down_since: float | None = None

    def healthy(self) -> None:
        """The session that just ended had worked."""
        for pauses in (self._answered, self._busy, self._refused):
            pauses.reset()
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
            return self._refused.next_s()
        self._refused.reset()
        if isinstance(fault, LinkBusy):
            pause_s = self._busy.next_s()
            if fault.retry_after_s is None:
                return pause_s
            asked_s = min(max(fault.retry_after_s, 0.0), RETRY_AFTER_CAP_S)
            return asked_s + self._rng.uniform(FLOOR_S, BUSY_BASE_S)
        if is_first:
            return self._rng.uniform(0.0, FIRST_RETRY_S)
        if fault.code in NO_ANSWER_CODES:
            outage_s = now - self._down_since
            return self._answered.below(NETWORK_CAP_S * max(1.0, outage_s / PATIENCE_S))
        return self._answered.next_s()
