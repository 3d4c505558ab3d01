"""What a rule is: it looks at records and names what they break.

A rule overrides what it needs.  Every method yields pairs: the code of what was broken, such as
`gate.wire`, and one line for a person.  Codes are stable: known breaks are excused by them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee.records import Record, Step
from referee.scene import Scene

Found = Iterable[tuple[str, str]]


class Rule:
    """One promise.  `scene` is shared with the other rules and read only."""

    number: ClassVar[int]
    """Of the promise in the design."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def event(self, event: e.Event) -> Found:
        """An event goes in; the scene knows it, its commands are still to come."""
        return ()

    def command(self, command: c.Command, step: Step) -> Found:
        """A command came out; the scene stands as before it."""
        return ()

    def after(self, step: Step) -> Found:
        """The step is over."""
        return ()

    def record(self, record: Record) -> Found:
        """Anything else that crossed a border."""
        return ()

    def end(self, at: float) -> Found:
        """All is over."""
        return ()

    def forget(self) -> None:
        """What has been judged is over: drop what would grow in a day of life."""
