"""Device: the sound device came or went.

Thread: event loop; pure.  It never lets what waited for the speaker come out once the device is
back.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.state import Commands, CutFor, Talk, TalkState


class Device:
    """Microphone and loudspeaker, as far as the talk depends on them."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate

    def ready(self, event: e.DeviceReady) -> Commands:
        """Both are open and frames move."""
        self._state.device_ok, self._state.hears = True, event.hears
        if self._state.talk is Talk.ASLEEP:
            self._moves.close_gate()
        if not event.capture:
            loudspeaker = {"render": event.render_name, "render_why": event.render_why}
            return [c.Note("device.muted", loudspeaker)]
        fields = {
            "capture": event.capture_name,
            "capture_why": event.capture_why,
            "render": event.render_name,
            "render_why": event.render_why,
        }
        return [c.Note("device.ready", fields)]

    def microphone_failed(self, event: e.MicrophoneFailed) -> Commands:
        """Somebody wanted to be heard and is not: the loudspeaker can still say so."""
        if event.hears:
            return [self._moves.say(event.code)]
        self._state.hears = False
        fields = {"code": event.code, "message": event.message, "fix": event.fix}
        out: Commands = [c.Note("device.deaf", fields)]
        if self._state.talk is Talk.LISTENING:
            out += self._moves.end_talk("sound device lost")
        return [*out, self._moves.say(event.code)]

    def down(self, event: e.DeviceDown) -> Commands:
        """They are missing or lost: the talk is over, whatever a cut under way was for."""
        self._state.device_ok = False
        self._gate.forget()
        fields = {"code": event.code, "message": event.message, "fix": event.fix}
        cut = self._moves.fall_silent(CutFor.SLEEP, "sound device lost", event.at, overrule=True)
        return [c.Note("device.down", fields), *cut]
