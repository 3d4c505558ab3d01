"""Verdicts: what an act promised, what was seen, and the figures it measured.

It must never judge: the acts do, and write it down here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: `text`, and what was expected and seen in words a person can compare."""

    text: str
    ok: bool
    expected: str
    seen: str
    late: tuple[float, float, float] | None = None
    """Begin and end of a span that was longer than allowed, and by how many seconds."""
    busy: bool = False
    """It did not pass, and what it measured was the machine: other programs had the processor."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, e.g. `Figure("barge-in: onset to silence", 121.3, "ms", 6.02)`.

    `begin` and `end` (loop time) draw it on the time line as a span, if both are there.
    """

    name: str
    value: float
    unit: str = "ms"
    begin: float | None = None
    end: float | None = None


@dataclass
class ActResult:
    """One act as it went.  `played` is False when it never began."""

    number: int
    key: str
    title: str
    story: str
    begin: float = 0.0
    end: float = 0.0
    played: bool = False
    checks: list[Check] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Played to its end, and every check passed."""
        return self.played and bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def failed(self) -> list[Check]:
        """The checks that did not pass, and nothing but the speaker explains it."""
        return [check for check in self.checks if not check.ok and not check.busy]

    @property
    def unjudged(self) -> bool:
        """It was played, and all that did not pass is explained by a machine that was busy."""
        return self.played and not self.failed and any(check.busy for check in self.checks)

    @property
    def verdict(self) -> str:
        """`good`, `bad`, `busy` (not judged), or `none` where it was not played."""
        if not self.played:
            return "none"
        return "good" if self.ok else "busy" if self.unjudged else "bad"

    def excuse(self, waited_s: Callable[[float, float], float], *, crowded: bool) -> None:
        """Mark what did not pass for want of a processor: a span that would have been short
        enough without the time waited in it, and anything in an act that was `crowded`."""
        for index, check in enumerate(self.checks):
            if check.ok:
                continue
            begin, end, excess_s = check.late or (0.0, 0.0, float("inf"))
            if crowded or waited_s(begin, end) >= excess_s:
                self.checks[index] = replace(check, busy=True)

    def check(self, text: str, ok: object, expected: str, seen: str) -> bool:
        """Write down a promise and whether it was kept."""
        self.checks.append(Check(text, bool(ok), expected, seen))
        return bool(ok)

    def figure(
        self,
        name: str,
        value: float,
        unit: str = "ms",
        *,
        begin: float | None = None,
        end: float | None = None,
    ) -> float:
        """Write down a measured value; returns it."""
        self.figures.append(Figure(name, value, unit, begin, end))
        return value

    def within(
        self,
        text: str,
        seconds: tuple[float, float],
        limit_ms: float,
        *,
        name: str = "",
    ) -> bool:
        """Check that a span of time was not longer than `limit_ms`, and keep it as a figure."""
        begin, end = seconds
        took_ms = (end - begin) * 1000
        self.figure(name or text, took_ms, begin=begin, end=end)
        ok = 0 <= took_ms <= limit_ms
        late = None if took_ms <= limit_ms else (begin, end, (took_ms - limit_ms) / 1000)
        self.checks.append(Check(text, ok, f"≤ {limit_ms:g} ms", f"{took_ms:.0f} ms", late))
        return ok
