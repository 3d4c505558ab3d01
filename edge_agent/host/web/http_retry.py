"""HTTP retry: a busy service is asked again after a pause, within bounds.

Give an `HttpApi` a `Patience`, and its `post` tries again after a 429 or a 5xx.  It honours the
service's `Retry-After`; where that is longer than the patience that is left, it gives up at once.

Thread: the caller's, which waits (a worker's or the command line's, never the event loop).  It must
never repeat a request whose fate is not known: after a broken connection or a timeout the service
may have done the work and charged for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from edge_agent.contract.backoff import Backoff
from edge_agent.contract.errors import LinkBusy

T = TypeVar("T")

FIRST_PAUSE_S = 0.5
"""It doubles: 0.5, 1, 2 s.  Half of each is up to chance, so that the speakers of a house that were
refused together do not come back together."""
TRIES_MAX = 4
"""A service that refuses as often as that will refuse the fifth time, too."""
PAUSE_MAX_S = 60.0
"""Limits "per minute" are over by then."""

_uniform = Random().uniform


def pause(seconds: float) -> None:
    """Wait on this thread."""
    threading.Event().wait(seconds)


def _say_nothing(_problem: LinkBusy, _pause_s: float) -> None:
    """Where nobody watches."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a busy service is waited for.

    `total_s`: all pauses together; 0: it is asked once.  `told`: the refusal and the pause that
    follows it, for somebody who watches.
    """

    total_s: float = 0.0
    told: Callable[[LinkBusy, float], None] = _say_nothing
    wait: Callable[[float], None] | None = None
    uniform: Callable[[float, float], float] = _uniform

    def run(self, once: Callable[[], T], left_s: Callable[[], float]) -> T:
        """What `once` returns, at the first try that is not refused for being too busy.

        `left_s`: what is left of the whole call's time; no pause is longer.  Raises what the last
        try raised.
        """
        pauses = Backoff(FIRST_PAUSE_S, PAUSE_MAX_S, uniform=self.uniform, least=0.5)
        patience_s = self.total_s
        for _ in range(1, TRIES_MAX):
            try:
                return once()
            except LinkBusy as problem:
                pause_s = max(pauses.next_s(), problem.retry_after_s or 0.0)
                if pause_s > min(patience_s, left_s()):
                    raise
                self.told(problem, pause_s)
            patience_s -= pause_s
            (self.wait or pause)(pause_s)
        return once()


AT_ONCE = Patience()
"""No second try."""
TALK_PATIENCE = Patience(total_s=6.0)
"""While somebody waits in front of the speaker: three pauses of at most 0.5, 1 and 2 s, or a
`Retry-After` that leaves most of the 20 s (`supervisor.max_seconds`) for the answer itself."""
SCREEN_PATIENCE_S = 90.0
"""While somebody waits in front of a screen, and is told why: a limit "per minute" and a half."""
