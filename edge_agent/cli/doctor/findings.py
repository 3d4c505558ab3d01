"""Findings: what the doctor saw, one line each, with the command that mends it.

Pure, and of the standard library alone: `before` runs where nothing is installed yet.  `shown`
makes lines of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    """It works, with a flaw or not for long."""
    FAIL = "fail"
    """The speaker cannot do its work."""
    NOT_SEEN = "-"
    """It could not be looked at, and that is nobody's fault."""
    FIXED = "done"
    """`--fix` has just mended it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them: about what, how it is, in words, and what to do."""

    about: str
    state: State
    said: str
    fix: str = ""


def ok(about: str, said: str) -> Finding:
    """All is well."""
    return Finding(about, State.OK, said)


def warn(about: str, said: str, fix: str) -> Finding:
    """It works, but."""
    return Finding(about, State.WARN, said, fix)


def fail(about: str, said: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(about, State.FAIL, said, fix)


def not_seen(about: str, why: str) -> Finding:
    """It could not be looked at."""
    return Finding(about, State.NOT_SEEN, why)


def fixed(about: str, what: str) -> Finding:
    """It was mended just now."""
    return Finding(about, State.FIXED, what)


ABOUT_CHARS = 11
"""The longest of our own words: Loudspeaker."""


def shown(finding: Finding) -> Iterator[str]:
    """Its lines for a terminal."""
    first, *more = finding.said.splitlines() or [""]
    margin = " " * (len("fail  ") + ABOUT_CHARS + 2)
    yield f"{finding.state.value:<4}  {finding.about:<{ABOUT_CHARS}}  {first}"
    yield from (margin + line.strip() for line in more)
    if finding.fix:
        yield f"{margin}-> {finding.fix}"


def has_failed(findings: Iterable[Finding]) -> bool:
    """Does something keep the speaker from working?  A flaw does not."""
    return any(finding.state is State.FAIL for finding in findings)


def is_clock_wrong(findings: Iterable[Finding]) -> bool:
    """Whether no certificate can hold, whatever a server shows."""
    return any(one.about == "Clock" and one.state is State.FAIL for one in findings)
