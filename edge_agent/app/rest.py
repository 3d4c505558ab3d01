"""Rest: the loudspeaker's stream pauses while nobody needs it (purpose).

Owner thread: event loop.  Must never rest while anything of ours may still be audible, nor let
the first sound after a rest wait for anything but the card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.contract.commands import (
    Command,
    PlayEarcon,
    PlaySentence,
    PlayVoice,
    RingAlarm,
)
from edge_agent.contract.events import Event
from edge_agent.dialogue.state import Talk

if TYPE_CHECKING:
    from edge_agent.app.daemon import Daemon

SOUNDS = (PlayVoice, PlaySentence, PlayEarcon, RingAlarm)


class Rest:
    """Watches the pump (as an observer) and is asked now and then (`look`)."""

    def __init__(self, daemon: Daemon, after_s: float) -> None:
        self._daemon = daemon
        self._after_s = after_s
        self._needed_at = daemon.time()

    def see(self, _event: Event, commands: list[Command], at: float) -> None:
        """Somebody talks to us, or something is to sound: the card wakes before the sound is
        due, since a wake word is known some 400 ms before its chime."""
        if not commands:
            return
        awake = self._daemon.dialogue.talk is not Talk.ASLEEP
        if awake or any(isinstance(command, SOUNDS) for command in commands):
            self._needed_at = at
            self._daemon.keeper.resume()

    def look(self) -> None:
        """Rest, if it has been quiet for long enough; never in a talk.  Call it every second."""
        daemon, now = self._daemon, self._daemon.time()
        if daemon.dialogue.talk is not Talk.ASLEEP or daemon.playout.audible:
            self._needed_at = now
            daemon.keeper.resume()
        elif self._after_s and now - self._needed_at >= self._after_s:
            daemon.keeper.rest()
