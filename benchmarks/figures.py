"""Figures: measured values, their distribution, and whether a target is met.

It must never hold a number that was not measured: a figure without values is missing and says so.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field


def nearest_rank(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed; NaN for none.

    Nearest rank invents no value between two measured ones.  With fewer than 20 values the 95th
    percentile is the maximum.
    """
    ordered = sorted(values)
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Iterable[float]) -> float:
    """Middle value, or the mean of the middle two; NaN for none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True, slots=True)
class Target:
    """What has to hold: `statistic` (median, max, min or worst, the largest absolute value)
    compared with `limit` by `sign` (≤, < , ≥ or =)."""

    statistic: str
    sign: str
    limit: float

    def text(self, unit: str) -> str:
        """In words of the table."""
        words = {"worst": "every |value|", "max": "every value", "min": "every value"}
        words["median"] = "median"
        if self.sign == "=":
            words["max"] = "every value"
        limit = f"{self.sign} {self.limit:g} {unit}".strip()
        return f"{words[self.statistic]} {limit}"

    def met(self, values: list[float]) -> bool:
        """Judge values; there must be some."""
        judged = {
            "median": [median(values)],
            "max": [max(values)],
            "min": [min(values)],
            "worst": [max(abs(v) for v in values)],
        }[self.statistic]
        if self.sign == "=":
            judged = values
        return all(_COMPARE[self.sign](value, self.limit) for value in judged)


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "≤": operator.le,
    "<": operator.lt,
    "≥": operator.ge,
    "=": operator.eq,
}


@dataclass
class Figure:
    """One row: `values` in `unit`, one per trial."""

    key: str
    name: str
    unit: str
    target: Target | None = None
    values: list[float] = field(default_factory=list)
    note: str = ""
    """What a reader must know to judge the row; failed trials are counted here."""
    trials_failed: int = 0
    """Trials that ought to have given a value and did not; one of them breaks any target."""

    def add(self, value: float) -> None:
        """Write a measured value down."""
        self.values.append(float(value))

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without target or without values."""
        if self.target is None or not (self.values or self.trials_failed):
            return None
        return not self.trials_failed and self.target.met(self.values)

    def as_json(self) -> dict[str, object]:
        """For `results.json`; `n` is 0 for a figure that is missing."""
        values = self.values
        statistics: dict[str, object] = {"n": len(values)}
        for name, value in (
            ("min", min(values, default=math.nan)),
            ("median", median(values)),
            ("p95", nearest_rank(values, 0.95)),
            ("max", max(values, default=math.nan)),
        ):
            statistics[name] = None if math.isnan(value) else round(value, 3)
        return {
            "key": self.key,
            "name": self.name,
            "unit": self.unit,
            **statistics,
            "failed": self.trials_failed,
            "target": None if self.target is None else self.target.text(self.unit),
            "met": self.met,
            "note": self.note,
            "values": [round(v, 3) for v in values],
        }


class Sheet:
    """The figures of one family, by key."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._figures = {figure.key: figure for figure in figures}

    def __getitem__(self, key: str) -> Figure:
        return self._figures[key]

    def __iter__(self) -> Iterator[Figure]:
        return iter(self._figures.values())
