"""Debug lines: what the pump does with an event, for `journal.level = debug`.

`on_event` is an observer of the pump.  Thread: event loop.  It must never write what an event or a
command holds: their kinds alone, and the states of the talk.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.contract.commands import (
    Command,
    Note,
    PlayVoice,
    SendAudio,
    SetStatus,
)
from edge_agent.contract.events import Event
from edge_agent.host.stores.json_file import NoteFunction

UNTOLD = (Note, PlayVoice, SendAudio, SetStatus)
"""Commands that come many times a second, or that the journal tells itself."""


class DebugLines:
    """`states` gives talk, link and microphone in one word each; `is_wanted`: somebody reads."""

    def __init__(
        self,
        note: NoteFunction,
        states: Callable[[], tuple[str, str, str]],
        is_wanted: Callable[[], bool],
    ) -> None:
        self._note = note
        self._states = states
        self._is_wanted = is_wanted
        self._last = states()
        self._streams = False

    def on_event(self, event: Event, commands: list[Command], _at: float) -> None:
        """Tell what came of it, if anything but sound did."""
        if not self._is_wanted():
            return
        kind = type(event).__name__
        states = self._states()
        if states != self._last:
            self._last = states
            talk, link, microphone = states
            self._note("dialogue.state", talk=talk, link=link, microphone=microphone, cause=kind)
        streams = any(isinstance(command, SendAudio) for command in commands)
        if streams != self._streams and (streams or kind == "HeardFrame"):
            self._streams = streams
            self._note("dialogue.gate", gate="open" if streams else "closed", cause=kind)
        done = [type(one).__name__ for one in commands if not isinstance(one, UNTOLD)]
        if done:
            self._note("dialogue.done", cause=kind, commands=", ".join(done))
