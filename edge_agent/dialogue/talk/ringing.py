"""Ringing: a timer or an alarm is due, until somebody stops it (purpose).

Owner thread: event loop.  Must never need the link or an open microphone, ring into somebody's
words, or wake the talk: while it rings nothing leaves the house.

The wake word, the button and the model's tool stop it; so do five minutes.  `CutPlayback` stops
the sound as well, whatever it was for: then it begins again in the next pause.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.talk.states import Talk
from edge_agent.dialogue.talk.talk_core import Commands, Intent, TalkCore

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


class Ringing(TalkCore):
    """The bell."""

    def __init__(
        self, config: DialogueConfig, *, muted: bool = False, spending: Spending | None = None
    ) -> None:
        super().__init__(config, muted=muted, spending=spending)
        self._due: list[str] = []
        """Names of what is due and was not stopped."""
        self._rings = False
        """The bell sounds (or pauses for a voice)."""
        self._has_rung = False
        """It has begun to sound for what is due: whoever wakes us now means the bell."""
        self._ring_by = float("inf")
        self._told_late_at = float("-inf")

    def _alarm_due(self, event: e.AlarmDue) -> Commands:
        out = self._tell_late(event.late_s)
        if event.late_s > LATE_RING_MAX_S and not self._due:
            return [*out, c.StopAlarm((event.name,))]
        if event.name not in self._due:
            self._due.append(event.name)
        self._at("alarm over", RING_MAX_S)
        if self._rings:
            return out
        if self.talk is not Talk.ASLEEP:
            out.append(c.PlayEarcon("timer"))
        self._ring_by = self._now + RING_AT_LATEST_S
        return out + self._ring()

    def _tell_late(self, late_s: float) -> Commands:
        if late_s <= LATE_TELL_S:
            return []
        out: Commands = [c.Note("alarm.missed", {"minutes": round(late_s / 60)})]
        if self._now - self._told_late_at > LATE_TELL_S:  # once for all that come together
            self._told_late_at = self._now
            out += [c.PlayEarcon("timer"), self._say("alarm_missed")]
        return out

    def _ring(self) -> Commands:
        """Begin to ring, in a pause of the talk."""
        self._clear("ring")
        if not self._due or self._rings or not self._device_ok:
            return []
        if self._answers.speaking or (self._in_a_turn and self._now < self._ring_by):
            self._at("ring", RING_RETRY_S)
            return []
        self._rings = self._has_rung = True
        fields = {"count": len(self._due)} if len(self._due) > 1 else {}
        return [c.RingAlarm(self._due[-1]), c.Note("alarm.ringing", fields)]

    @property
    def _in_a_turn(self) -> bool:
        """Somebody is speaking to us, or has been and waits."""
        listens = self.talk is Talk.LISTENING and self._turn is None and self._breath_from is None
        return not (self.talk is Talk.ASLEEP or listens)

    def _ring_again(self) -> None:
        """A cut has stopped the bell too: wait for the next pause."""
        self._rings = False
        if self._due and not self._stopping:
            self._ring_by = self._now + RING_AT_LATEST_S
            self._at("ring", RING_RETRY_S)

    def _hush(self) -> Commands:
        """The bell is silent too while somebody speaks to us."""
        if self._rings and self._intent is None:
            self._intent = Intent("hush", "speech", self._now)
            return [c.CutPlayback()]
        return super()._hush()

    def _silence_alarm(self, cause: str, *, unheard: bool = False) -> Commands:
        """Stop the bell.  What is due and has not sounded yet stays, unless `unheard`."""
        if not self._due or not (self._has_rung or unheard):
            return []
        names = tuple(self._due)
        self._due.clear()
        self._rings = self._has_rung = False
        self._clear("ring", "alarm over")
        return [c.StopAlarm(names), c.Note("alarm.stopped", {"cause": cause})]
