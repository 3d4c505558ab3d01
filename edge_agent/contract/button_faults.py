"""Button faults: events by which the panel tells that a button's wiring is broken, and whole again.

They are events like those of `events`; see there for what an event may never hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.contract.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonFaulty(Event):
    """A button does what no finger does; until `ButtonWorks` its presses are not told."""

    button: str
    fault: str
    """`stuck`, `closed at the start` or `bounces`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonWorks(Event):
    """It has come to rest: its presses count again."""

    button: str
