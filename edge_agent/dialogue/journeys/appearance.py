"""Appearance: the light, and the one line that the service manager shows.

`changes` after every event.

Thread: event loop; pure.  It never shows a state that the talk is not in: both are worked out anew
each time.
"""

from __future__ import annotations

from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.dialogue.state import Commands, Link, Microphone, Talk, TalkState


class Bell(Protocol):
    """What is needed of the alarms."""

    rings: bool


class Appearance:
    """What can be seen from outside; told only when it changes."""

    def __init__(
        self,
        state: TalkState,
        *,
        bell: Bell,
    ) -> None:
        self._state = state
        self._bell = bell
        self._light = ""
        self._shown: tuple[Talk, Link, Microphone, str] | None = None

    def changes(self) -> Commands:
        """What looks different now."""
        state = self._state
        out: Commands = []
        light = self._light_now()
        if light != self._light:
            self._light = light
            out.append(c.ShowLight(light))
        known = state.link_trouble if state.link is not Link.READY else None
        trouble = known.code if known is not None else ""
        shown = (state.talk, state.link, state.microphone, trouble)
        if shown != self._shown:
            self._shown = shown
            talk, link, microphone = (part.value for part in shown[:3])
            out.append(c.SetStatus(f"{talk}; link {link}; microphone {microphone}", trouble))
        return out

    def _light_now(self) -> str:
        state = self._state
        if state.stopping:
            return "off"
        if state.microphone is Microphone.MUTED:
            return "muted"
        if not (state.device_ok and state.hears):
            return "device_down"
        if self._bell.rings and state.talk is Talk.ASLEEP:
            return "alarm"
        trouble = state.link_trouble if state.link is not Link.READY else None
        if trouble is not None and state.talk in (Talk.ASLEEP, Talk.THINKING):
            return "refused" if trouble.refused else "offline"
        return state.talk.value
