"""The microphone of the virtual room, with what can be wrong with one.

Thread: the room's loop.  It must never know a time or a person: it turns sound into samples.
"""

from __future__ import annotations

from edge_agent.simulation.sound import acoustics


class Capsule:
    """Set what is wrong: `zeros` (its key is off), `stuck` (a converter that gives this value
    alone), `gain_db` (far below 0: faint; far above: it clips), `says_off` (what the card's mixer
    knows of its switch)."""

    def __init__(self) -> None:
        self.zeros = False
        self.stuck: int | None = None
        self.gain_db = 0.0
        self.says_off: bool | None = None
        self.channels = (1, 0)
        """How many it has, and how many of them are dead."""

    def pcm(self, sound: acoustics.Sound) -> bytes:
        """What it makes of the sound at it."""
        value = 0 if self.zeros else self.stuck
        if value is not None:
            return value.to_bytes(2, "little", signed=True) * len(sound)
        return acoustics.to_pcm(sound * acoustics.gain(self.gain_db)).tobytes()

    def is_switched_off(self) -> bool | None:
        """The mixer's word."""
        return self.says_off
