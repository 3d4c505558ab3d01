"""Announcements: a text that the owner wants spoken, by the speaker's own voice.

It is spoken at once or not at all.  One that waited for its turn would come late, and an
announcement that is late misleads: whoever asked is told why not, and can ask again.

Thread: event loop; pure.  It never speaks while somebody talks with the speaker, and never puts the
text into a note.  Whoever calls cuts it like any other voice of ours.
"""

from __future__ import annotations

from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.wishes import SayRequested
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.state import Commands, Talk, TalkState


class Bell(Protocol):
    """What is needed of `Alarms`."""

    @property
    def rings(self) -> bool:
        """It sounds, or pauses for a voice."""


class Announcements:
    """The owner's words."""

    def __init__(self, state: TalkState, moves: Moves, *, bell: Bell) -> None:
        self._state = state
        self._moves = moves
        self._bell = bell
        self._name = ""
        """The one that was asked for last."""

    def requested(self, event: SayRequested) -> Commands:
        """Say it, if nobody is disturbed by it."""
        fields = {"chars": len(event.text), "uid": event.uid}
        if why := self._hindrance():
            return [c.Note("say.refused", {"why": why, **fields})]
        self._name = event.name
        return [c.Note("say.begun", fields), self._moves.say_text(event.name, event.text)]

    def text_failed(self, event: e.TextFailed) -> Commands:
        """Nobody will hear it."""
        if event.name != self._name:
            return []
        return [c.Note("say.failed", {"code": event.code})]

    def _hindrance(self) -> str:
        state = self._state
        if not state.device_ok:
            return "no sound device"
        if state.talk is not Talk.ASLEEP:
            return "a talk"
        if self._bell.rings:
            return "an alarm"
        return "another sentence" if self._moves.sounding else ""
