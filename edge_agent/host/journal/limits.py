"""Limits: how many lines a minute the journal takes, and from whom.

Ask `takes` before a line is written and write what `owed` returns after it.  What others cause
has one bound, debug lines have their own, and our own lines only ever wait for their like.

Thread: whoever holds the journal's lock; pure, the time comes in.  It never lets what a peer does
displace a line about us: our state, mute, consent, a fault.
"""

from __future__ import annotations

import re

from edge_agent.contract.quota import Quota
from edge_agent.host.journal.messages import DEBUG

OTHERS_PER_MIN = 60
"""Lines by the other side's doing; a lively talk has some thirty.  One of them tells how many were
left out."""
DEBUG_PER_MIN = 600
"""Whoever asks for debug lines wants to see a minute of talk whole."""
REPEATS_PER_MIN = 10
"""Of a line of ours that differs in numbers only."""
KINDS_MAX = 256
"""Kinds of our own lines that are told apart; there are some fifty."""

OUR_ROOMS = frozenset(
    {"agent", "alarm", "budget", "consent", "device", "dialogue", "echo", "facts", "guest"}
    | {"journal", "keepsakes", "messages", "mic", "panel", "pongs", "settings", "shutdown"}
    | {"state", "timers", "voice", "watchdog"}
)
"""First words of the codes of lines about ourselves and what the household does."""
OURS = frozenset(
    {"link.down", "link.ready", "link.refused"}  # the link's own pauses bound them
    | {"link.internal_error", "link.local_error"}
    | {"talk.asleep", "talk.false_wake", "talk.turn_sent", "talk.woken", "talk.words"}
    | {"usage.repaired", "usage.unwritable"}
)

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def is_ours(code: str) -> bool:
    """Whether a line is about ourselves or the household, and not about what others do."""
    return code in OURS or code.partition(".")[0] in OUR_ROOMS


class Limits:
    """The bounds of one journal."""

    def __init__(self) -> None:
        self._others = Quota(OTHERS_PER_MIN - 1)
        self._debug = Quota(DEBUG_PER_MIN)
        self._tellings = Quota(1)
        self._repeats: dict[str, Quota] = {}
        self._left_out = self._repeated = 0

    def takes(self, level: int, code: str, text: str, now: float) -> bool:
        """Whether this line may be written at `now`."""
        if level >= DEBUG:
            return self._debug.takes(now)
        if is_ours(code):
            return self._takes_ours(f"{code} {_NUMBER.sub('#', text)}", now)
        if not self._others.takes(now):
            return False
        if self._others.untold and self._tellings.takes(now):
            self._left_out = self._others.left_out()
        return True

    def owed(self) -> tuple[int, int]:
        """What is to be told after the line just taken: lines of others that were left out, and
        repetitions of this one."""
        owed = self._left_out, self._repeated
        self._left_out = self._repeated = 0
        return owed

    def _takes_ours(self, kind: str, now: float) -> bool:
        quota = self._repeats.pop(kind, None) or Quota(REPEATS_PER_MIN)
        self._repeats[kind] = quota  # the latest last
        if len(self._repeats) > KINDS_MAX:
            del self._repeats[next(iter(self._repeats))]
        if not quota.takes(now):
            return False
        if quota.untold:
            self._repeated = quota.left_out()
        return True
