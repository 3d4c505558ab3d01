"""Standby: when the loudspeaker may rest, because nobody needs it.

Thread: event loop.  `supervisor` asks it and does what it says.  It must never let the loudspeaker
rest while anything of ours may still be audible, nor read a clock: every call brings the loop time.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.contract.commands import (
    Command,
    PlayEarcon,
    PlaySentence,
    PlayVoice,
    RingAlarm,
    SayText,
)

SOUNDS = (PlayVoice, PlaySentence, SayText, PlayEarcon, RingAlarm)


class Standby:
    """Counts the quiet seconds.

    `after_s` of them are enough; 0: the loudspeaker never rests.  `is_awake`: somebody talks with
    us.  `is_audible`: something of ours sounds.  `frames_made`: frames of sound that we have made
    so far; while this stands still, something is broken, and a rest would only hide it.
    """

    def __init__(
        self,
        after_s: float,
        at: float,
        *,
        is_awake: Callable[[], bool],
        is_audible: Callable[[], bool],
        frames_made: Callable[[], int],
    ) -> None:
        self._after_s = after_s
        self._needed_at = at
        self._is_awake = is_awake
        self._is_audible = is_audible
        self._frames_made = frames_made
        self._made = 0

    def is_needed_for(self, commands: list[Command], at: float) -> bool:
        """Whether these commands need the loudspeaker.  It wakes before the sound is due, since a
        wake word is known some 400 ms before its chime."""
        if not commands:
            return False
        needed = self._is_awake() or any(isinstance(command, SOUNDS) for command in commands)
        if needed:
            self._needed_at = at
        return needed

    def is_needed(self, at: float) -> bool:
        """Whether somebody talks with us or something sounds now."""
        needed = self._is_awake() or self._is_audible()
        if needed:
            self._needed_at = at
        return needed

    def may_begin(self, at: float) -> bool:
        """Whether it has been quiet for long enough.  Ask now and then while sound is made."""
        made = self._frames_made()
        moves, self._made = made != self._made, made
        return bool(self._after_s) and moves and at - self._needed_at >= self._after_s
