"""Alarms: a timer or an alarm is due, until somebody stops it.

The wake word, the button and the model's tool stop the bell (`silence`); so do five minutes.
`CutPlayback` stops the sound as well, whatever it was for: then it begins again in the next pause.

Thread: event loop; pure.  It never needs the link or an open microphone, rings into somebody's
words, or wakes the talk: while it rings nothing leaves the house.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.state import Commands, Deadline, Microphone, Talk, TalkState

RING_MAX_S = 300.0
"""Whoever has not come after five minutes is not at home, and the neighbours are."""
RING_RETRY_S = 0.25
RING_AT_LATEST_S = 10.0
"""A pause in the talk is waited for, but not while the pasta burns; our own answer silences the
bell by itself, so it is waited for to its end."""
LATE_TELL_S = 60.0
"""Later than this is not "now": the household is told that we were off."""
LATE_RING_MAX_S = 900.0
"""What was due longer ago is told, not rung: a breakfast alarm in the evening only startles."""


class Alarms:
    """The bell."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        answers: Answers,
    ) -> None:
        self._state = state
        self._moves = moves
        self._answers = answers
        self.rings = False
        """The bell sounds (or pauses for a voice)."""
        self._due: list[str] = []
        """Names of what is due and was not stopped."""
        self._has_rung = False
        """It has begun to sound for what is due: whoever wakes us now means the bell."""
        self._told_button = False
        """For what is due it was said that the button stops it."""
        self._ring_by = float("inf")
        self._told_late_at = float("-inf")

    def alarm_due(self, event: e.AlarmDue) -> Commands:
        """A timer has come to its end."""
        state = self._state
        out = self._tell_late(event.late_s)
        if event.late_s > LATE_RING_MAX_S and not self._due:
            return [*out, c.StopAlarm((event.name,))]
        if event.name not in self._due:
            self._due.append(event.name)
        state.deadlines.set(Deadline.ALARM_OVER, RING_MAX_S)
        if self.rings:
            return out
        if state.talk is not Talk.ASLEEP:
            out.append(c.PlayEarcon("timer"))
        self._ring_by = state.now + RING_AT_LATEST_S
        return out + self.ring()

    def _tell_late(self, late_s: float) -> Commands:
        if late_s <= LATE_TELL_S:
            return []
        out: Commands = [c.Note("alarm.missed", {"minutes": round(late_s / 60)})]
        if self._state.now - self._told_late_at > LATE_TELL_S:  # once for all that come together
            self._told_late_at = self._state.now
            out += [c.PlayEarcon("timer"), self._moves.say("alarm_missed")]
        return out

    def ring(self) -> Commands:
        """Begin to ring, in a pause of the talk."""
        state = self._state
        state.deadlines.clear(Deadline.RING)
        if not self._due or self.rings or not state.device_ok:
            return []
        if self._answers.speaking or (not state.is_idle and state.now < self._ring_by):
            state.deadlines.set(Deadline.RING, RING_RETRY_S)
            return []
        self.rings = self._has_rung = True
        fields = {"count": len(self._due)} if len(self._due) > 1 else {}
        out: Commands = [c.RingAlarm(self._due[-1]), c.Note("alarm.ringing", fields)]
        return out + self._tell_button()

    def _tell_button(self) -> Commands:
        """Muted, the wake word stops nothing, and whoever calls in vain should know what does."""
        if self._state.microphone is not Microphone.MUTED or self._told_button:
            return []
        self._told_button = True
        return [self._moves.say("bell_muted")]

    def device_ready(self, _event: e.DeviceReady) -> Commands:
        """What fell due while there was no speaker rings now."""
        return self.ring()

    def playback_cut(self, _event: e.PlaybackCut) -> Commands:
        """A cut has stopped the bell too: wait for the next pause."""
        state = self._state
        self.rings = False
        if self._due and not state.stopping:
            self._ring_by = state.now + RING_AT_LATEST_S
            state.deadlines.set(Deadline.RING, RING_RETRY_S)
        return []

    def silence(self, cause: str, *, unheard: bool = False) -> Commands:
        """Stop the bell.  What is due and has not sounded yet stays, unless `unheard`."""
        if not self._due or not (self._has_rung or unheard):
            return []
        names = tuple(self._due)
        self._due.clear()
        self.rings = self._has_rung = self._told_button = False
        self._state.deadlines.clear(Deadline.RING, Deadline.ALARM_OVER)
        return [c.StopAlarm(names), c.Note("alarm.stopped", {"cause": cause})]

    def stop_requested(self, _event: e.AlarmStopRequested) -> Commands:
        """A tool, or the owner at the command line."""
        return self.silence("tool", unheard=True)

    def nobody_came(self) -> Commands:
        """It has rung, or should have, for long enough."""
        return self.silence("nobody", unheard=True)
