"""What a decision is worth: false cuts per hour, people detected, how fast.

`Tally.take` one session after the other, then ask `told`.

Thread: the caller's.  It must never count a rate without its evidence: each has its 95 % bounds.

A false cut is a decision that rises a second or more after the last one, with nobody there, later
than three seconds after our voice began (earlier ones are counted as cold).  A person is detected
by a first decision between their onset and 200 ms after their end, if there was none in the 150 ms
before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.hearing.scenes import FRAMES, OWN_FROM_S

COLD_S = 3.0
APART_FRAMES = 100
LATE_S = 0.2
BEFORE_S = 0.15
AFTER_SPEECH_FRAMES = 40


def poisson_bounds(count: int) -> tuple[float, float]:
    """Between which true mean numbers this count is no surprise (95 %)."""

    def chance(mean: float) -> float:
        return sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(upto))

    def solve(target: float) -> float:
        low, high = 1e-9, 10.0 + 3.0 * count
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if chance(middle) > target else (low, middle)
        return (low + high) / 2

    upto = count
    lowest = solve(0.975) if count else 0.0
    upto = count + 1
    return lowest, solve(0.025)


def share_bounds(hits: int, of: int) -> tuple[float, float]:
    """Wilson's bounds of a share (95 %)."""
    if not of:
        return 0.0, 1.0
    z, p = 1.96, hits / of
    centre, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return (centre - spread) / (1 + z * z / of), (centre + spread) / (1 + z * z / of)


@dataclass
class Tally:
    """Sums over the sessions of one kind, for one system."""

    sessions: int = 0
    own_s: float = 0.0
    """Seconds in which a false cut would have counted."""
    false_cuts: int = 0
    cold_s: float = 0.0
    cold_cuts: int = 0
    people: int = 0
    before: int = 0
    """People who came while it had just fired anyway."""
    delays_ms: list[float] = field(default_factory=list)

    def take(
        self,
        fires: NDArray[np.bool_],
        near: NDArray[np.bool_],
        blurred: NDArray[np.bool_],
        said: NDArray[np.float32],
    ) -> None:
        """One session: decisions and the truth, per frame; who said something, per row."""
        self.sessions += 1
        excused = near | blurred
        for end in np.flatnonzero(np.diff(near.astype(np.int8)) == -1):
            excused[end : end + AFTER_SPEECH_FRAMES] = True
        warm = round((OWN_FROM_S + COLD_S) * 100)
        self.own_s += float(np.count_nonzero(~excused[warm:])) / 100
        self.cold_s += COLD_S
        last = -APART_FRAMES
        for frame in np.flatnonzero(fires):
            if frame - last >= APART_FRAMES and not excused[frame]:
                if frame >= warm:
                    self.false_cuts += 1
                else:
                    self.cold_cuts += 1
            last = int(frame)
        for onset, end, *_ in said:
            first, final = round(float(onset) * 100), round(float(end + LATE_S) * 100)
            self.people += 1
            if fires[max(0, first - round(BEFORE_S * 100)) : first].any():
                self.before += 1
                continue
            found = np.flatnonzero(fires[first : min(FRAMES, final)])
            if len(found):
                # A frame is decided on when it is over.
                self.delays_ms.append(10.0 * (int(found[0]) + 1))

    @property
    def detected(self) -> int:
        """People who were heard."""
        return len(self.delays_ms)

    def quantile_ms(self, share: float) -> float:
        """Of onset → decision; NaN where nobody was heard."""
        return float(np.quantile(self.delays_ms, share)) if self.delays_ms else float("nan")

    def told(self) -> dict[str, float | int | list[float]]:
        """For the JSON file."""
        hours = self.own_s / 3600
        low, high = poisson_bounds(self.false_cuts)
        found: dict[str, float | int | list[float]] = {
            "sessions": self.sessions,
            "minutes": round(self.own_s / 60, 1),
            "false_cuts": self.false_cuts,
            "cold_cuts": self.cold_cuts,
            "cold_minutes": round(self.cold_s / 60, 1),
        }
        if hours:
            found["per_hour"] = round(self.false_cuts / hours, 2)
            found["per_hour_bounds"] = [round(low / hours, 2), round(high / hours, 2)]
        if self.people:
            found |= {
                "people": self.people,
                "detected": self.detected,
                "before": self.before,
                "detected_bounds": [round(b, 3) for b in share_bounds(self.detected, self.people)],
                "median_ms": self.quantile_ms(0.5),
                "p90_ms": self.quantile_ms(0.9),
            }
        return found
