"""Pongs: how late a provider answers a ping, and how long one is waited for because of that.

Call `came` for every pong; `limit_s` and `doubt_s` are what `liveness` waits.  `PongBook` has one
`Pongs` per provider and hands what was learnt to whoever keeps it over a restart.

Thread: the event loop; pure.  It never reads a clock and never says that a session is dead.

A front (a CDN, a proxy) acknowledges our bytes at once, while the pong comes from the server
behind it, which may be busy.  So a ping that was acknowledged and not answered does not say
whether the session is dead; how late the same provider's pongs came before says how likely it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

MARGIN = 1.5
"""So many times the learnt p99 is waited for a pong."""

LIMIT_MAX_S = 15.0
"""Longest wait, whatever was learnt: as long as the dialogue waits for an answer."""

TAUGHT_LEAST_S = 10.0
"""Shortest wait once a healthy session has been cut: one pong of a busy spell says little about
how late the next one comes."""

LATE_S = 1.0
"""Only pongs later than this count for the p99 that is waited for.  The prompt ones of a quiet
night must not hide those of a busy evening."""

BUCKET_RATIO = 1.1
FIRST_BUCKET_S = 0.01
BUCKETS = 80
"""10 ms … 20 s in steps of a tenth: an estimate is at most a tenth too long."""

REMEMBERED = 200_000
"""Pongs after which all counts are halved: more than a week of one every 5 s.  What happened once
is forgotten then."""


class Pongs:
    """How late one provider's pongs come."""

    def __init__(
        self,
        counts: Sequence[int] = (),
        healthy_cuts: int = 0,
        learnt: Callable[[], None] = lambda: None,
    ) -> None:
        self._learnt = learnt
        padded = [*counts, *([0] * BUCKETS)][:BUCKETS]
        self.counts = padded
        """Pongs per bucket."""
        self.healthy_cuts = healthy_cuts
        """Sessions that were given up and whose peer answered later."""
        self._count = sum(padded)

    def came(self, after_s: float) -> None:
        """A pong came so long after the peer had our ping."""
        late_s = self.late_s if after_s > LATE_S else 0.0
        steps = math.log(max(after_s, FIRST_BUCKET_S) / FIRST_BUCKET_S) / math.log(BUCKET_RATIO)
        self.counts[min(math.ceil(steps), BUCKETS - 1)] += 1
        self._count += 1
        if self._count >= REMEMBERED:
            self.counts = [count // 2 for count in self.counts]
            self.healthy_cuts //= 2
            self._count = sum(self.counts)
        if after_s > LATE_S and self.late_s != late_s:
            self._learnt()

    def cut_while_healthy(self, after_s: float) -> None:
        """The peer of a session that was given up has answered after all."""
        self.healthy_cuts += 1
        self.came(after_s)
        self._learnt()

    @property
    def count(self) -> int:
        """How many pongs this is known from."""
        return self._count

    def quantile_s(self, share: float, *, above_s: float = 0.0) -> float:
        """Within what time this share of the pongs later than `above_s` came; 0: there are none."""
        edges = [FIRST_BUCKET_S * BUCKET_RATIO**n for n in range(BUCKETS)]
        counted = [(edge, n) for edge, n in zip(edges, self.counts, strict=True) if edge > above_s]
        left = share * sum(n for _, n in counted)
        for edge, n in counted:
            left -= n
            if n and left <= 0:
                return edge
        return 0.0

    @property
    def late_s(self) -> float:
        """The p99 of those pongs that were late at all; 0: none was."""
        return self.quantile_s(0.99, above_s=LATE_S)

    def limit_s(self, untaught_s: float) -> float:
        """How long to wait for a pong; `untaught_s` while nothing speaks for more."""
        least_s = max(untaught_s, TAUGHT_LEAST_S) if self.healthy_cuts else untaught_s
        return max(least_s, min(MARGIN * self.late_s, LIMIT_MAX_S))

    def doubt_s(self, untaught_s: float) -> float:
        """After how long without a pong a second session is worth its dial."""
        return max(untaught_s, self.late_s)


Kept = Mapping[str, tuple[Sequence[int], int]]
"""Provider → pongs per bucket, and healthy cuts."""


class PongBook:
    """The pongs of all providers.  `keep` is given all of it when there is something new."""

    def __init__(
        self, kept: Kept | None = None, keep: Callable[[Kept], object] | None = None
    ) -> None:
        self._keep = keep
        self._kept = {name: (tuple(counts), cuts) for name, (counts, cuts) in (kept or {}).items()}
        self._pongs = {name: Pongs(*known, self.keep) for name, known in (kept or {}).items()}

    def of(self, provider: str) -> Pongs:
        """Those of one provider."""
        return self._pongs.setdefault(provider, Pongs(learnt=self.keep))

    def keep(self) -> None:
        """Write down what was learnt, if there is anything new."""
        known = {
            name: (tuple(pongs.counts), pongs.healthy_cuts)
            for name, pongs in self._pongs.items()
            if pongs.count
        }
        if self._keep is not None and known != self._kept:
            self._kept = known
            self._keep(known)
