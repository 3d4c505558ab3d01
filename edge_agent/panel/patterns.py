"""Patterns: what each light and each short sound means.

It must never know a pin, a clock or a thread.

Rules, learnt from speakers that people gave up on: one meaning per signal; every pattern can be
told apart on a light of one colour; asleep is dark, because it stands in bedrooms; mute is
always shown.  Presses are judged by the dialogue, which knows what they are about.
"""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]
"""Red, green, blue; each on (1) or off (0): no fading, so that any light can show it."""

DARK: Colour = (0, 0, 0)
RED: Colour = (1, 0, 0)
GREEN: Colour = (0, 1, 0)
BLUE: Colour = (0, 0, 1)
CYAN: Colour = (0, 1, 1)
VIOLET: Colour = (1, 0, 1)
YELLOW: Colour = (1, 1, 0)
WHITE: Colour = (1, 1, 1)

STEADY_S = 0.0
"""A step of this length stays until another pattern is shown."""

Steps = tuple[tuple[Colour, float], ...]
"""`(colour, seconds)`, repeated for ever; exactly one step of `STEADY_S` does not blink."""

FLASH_S = 0.12
"""Short, yet seen from the corner of an eye."""


def _flashes(colour: Colour, count: int, pause_s: float) -> Steps:
    """`count` short flashes, then a pause: a number that can be read off a single light."""
    one: Steps = ((colour, FLASH_S), (DARK, FLASH_S * 2))
    return one * (count - 1) + ((colour, FLASH_S), (DARK, pause_s))


LIGHTS: dict[str, Steps] = {
    "off": ((DARK, STEADY_S),),
    "asleep": ((DARK, STEADY_S),),
    "listening": ((CYAN, STEADY_S),),
    "boot": ((WHITE, 0.5), (DARK, 0.5)),
    "thinking": ((BLUE, 0.2), (DARK, 0.2)),
    "speaking": ((GREEN, 0.8), (DARK, 0.2)),
    "confirming": ((YELLOW, 0.25), (DARK, 0.25), (YELLOW, 0.25), (DARK, 0.75)),
    # Uneven, like nothing else here, and nearly steady light: seen by whoever is woken by it.
    "alarm": ((YELLOW, 0.3), (DARK, 0.1), (YELLOW, 1.0), (DARK, 0.1)),
    # Nearly steady: whoever looks, whenever they look, sees that it does not listen.
    "muted": ((RED, 2.85), (DARK, 0.15)),
    "offline": _flashes(VIOLET, 1, 3.0),
    "refused": _flashes(VIOLET, 2, 3.0),
    "device_down": _flashes(RED, 3, 3.0),
}
"""Light name → pattern.  `off` and `asleep` are both dark: nothing leaves the house."""

Notes = tuple[tuple[float, float, float], ...]
"""`(frequency in Hz, milliseconds, gain 0 … 1)`, one after another; frequency 0 is a pause."""

EARCONS: dict[str, Notes] = {
    # Upwards: it opens.  Short, so that nobody waits for it: one may speak over it.
    "woken": ((659.3, 60, 0.5), (987.8, 90, 0.5)),
    # The end of it, softly: it sounds into somebody's words.
    "woken_soft": ((987.8, 60, 0.15),),
    "heard": ((784.0, 50, 0.3),),
    # Downwards: it closes.
    "sleep": ((784.0, 60, 0.4), (523.3, 90, 0.4)),
    "muted": ((392.0, 80, 0.6), (0, 40, 0), (261.6, 140, 0.6)),
    "unmuted": ((261.6, 80, 0.6), (0, 40, 0), (392.0, 140, 0.6)),
    # Something is due, and it will ring when nobody is in the middle of a word.
    "timer": ((880.0, 70, 0.5), (0, 50, 0), (880.0, 70, 0.5)),
    "error": ((196.0, 120, 0.6), (0, 60, 0), (196.0, 120, 0.6)),
}
"""Short sounds, mixed over whatever plays.  An octave around middle C and above: audible on a
5 cm loudspeaker and not shrill."""


ALARM_SOUND: Notes = (
    *(((880.0, 90, 0.8), (1174.7, 90, 0.8), (0, 120, 0)) * 3),
    (0, 1000, 0),
)
"""Looped until somebody stops it: in the range where small loudspeakers and old ears are best, and
with a pause in which a wake word is heard without it."""


@dataclass(slots=True)
class LightPlayer:
    """Where a pattern stands.  `show` a name, then `step` whenever the returned time comes."""

    _steps: Steps = LIGHTS["off"]
    _index: int = 0
    _until: float = 0.0

    def show(self, light: str, at: float) -> tuple[Colour, float | None]:
        """Begin the pattern of that name: its colour now, and when to call `step`.

        An unknown name is dark rather than a guess.
        """
        self._steps = LIGHTS.get(light, LIGHTS["off"])
        self._index = 0
        self._until = at
        return self._now()

    def step(self, at: float) -> tuple[Colour, float | None]:
        """The colour at `at`, and when it changes next (None: never)."""
        if self._steps[self._index][1] == STEADY_S:
            return self._steps[self._index][0], None
        cycle_s = sum(seconds for _, seconds in self._steps)
        if at - self._until > cycle_s:
            # The loop slept (suspend, debugger): do not play back every missed flash.
            self._index, self._until = 0, at
            return self._now()
        while self._until <= at:
            self._index = (self._index + 1) % len(self._steps)
            self._until += self._steps[self._index][1]
        return self._steps[self._index][0], self._until

    def _now(self) -> tuple[Colour, float | None]:
        colour, seconds = self._steps[self._index]
        if seconds == STEADY_S:
            return colour, None
        self._until += seconds
        return colour, self._until
