"""Wishes: events by which the owner asks for something at the command line.

They are events like those of `events`; see there for what an event may never hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.contract.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class SayRequested(Event):
    """A text is to be spoken, under `name`; `uid`: the account that asks."""

    name: str
    text: str
    uid: int
