"""Patience: a service that is busy is asked again after a pause.

Call `patiently`.  Thread: main, which waits.  It must never ask again where the answer would be the
same, or wait for longer than somebody sits in front of a screen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from edge_agent.cli.outcome import say_pause

if TYPE_CHECKING:
    from edge_agent.contract.errors import LinkError

TRIES_MAX = 4
"""A service that is busy for longer is not worth waiting in front of a screen."""
FIRST_PAUSE_S = 1.0
"""It doubles; where the service says how long, that counts."""
PAUSE_MAX_S = 90.0
"""Longer than a rate limit of "per minute" lasts."""

T = TypeVar("T")


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def patiently(
    call: Callable[[], T],
    *,
    even_if_lost: bool,
    wait: Callable[[float], None] | None = None,
) -> T:
    """What `call` returns, at the latest try.  Raises what the last one raised.

    `even_if_lost`: also after a connection that broke, where doing it twice costs little.
    """
    from edge_agent.contract.backoff import Backoff
    from edge_agent.contract.errors import LinkError

    pauses = Backoff(FIRST_PAUSE_S, PAUSE_MAX_S)
    for _ in range(1, TRIES_MAX):
        try:
            return call()
        except LinkError as problem:
            pause_s = _pause_s(problem, pauses.next_s(), even_if_lost=even_if_lost)
            if pause_s is None:
                raise
            say_pause(problem, pause_s)
            (wait or _wait)(pause_s)
    return call()


def _pause_s(problem: LinkError, pause_s: float, *, even_if_lost: bool) -> float | None:
    """`pause_s`, or what the service asks for; None: it will not be better then."""
    from edge_agent.contract.errors import LinkBusy, LinkLost

    if isinstance(problem, LinkBusy):
        pause_s = max(pause_s, problem.retry_after_s or 0.0)
        return pause_s if pause_s <= PAUSE_MAX_S else None
    lasting = ("link.captive_portal", "link.garbage")
    passes = isinstance(problem, LinkLost) and problem.code not in lasting
    return pause_s if passes and even_if_lost else None
