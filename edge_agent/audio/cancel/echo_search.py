"""Does our own voice reach the microphone at all?

Thread: the front end's.  It must never say "no" for an echo that is merely late: it is asked
because the linear canceller has found none, and a wrong "no" lets the speaker interrupt itself.

Headphones, a loudspeaker in another room, a microphone array that cancels echo by itself: there
the canceller finds nothing for ever, and waiting for it would make every interruption slow.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.audio.cancel.canceller import Float32Array

FRAMES = 200
"""So many frames of 10 ms in which we were loud, while the microphone never left its floor.
Bluetooth, the latest of sound paths, has 0.4 s: any echo would have shown itself; and in its own
pauses a late one stays away for half of that."""

LOUD_POWER = 3.2e-5
"""Of our voice, per sample (full scale 1.0): -45 dBFS.  Softer sound proves nothing."""

MARGIN = 4.0
"""6 dB above the floor still is the floor: smoothed frames of steady noise scatter by 2 dB."""

SMOOTHING = 0.2
"""Of the microphone's power per frame: 50 ms."""

FLOOR_RISE = 1.002
"""Per frame, 0.9 dB a second: speech does not lift the floor, a fan does within half a minute."""

LOWEST_FLOOR = 9.3e-9
"""3 LSB of 16 bits: a microphone that gives digital silence has a floor as well."""

LOUDER = 10.0
"""10 dB above the loudest of our sounds that went unheard: the volume was raised, and what hid
in the room's noise may come out of it.  It has to be proved anew."""


class EchoSearch:
    """Listen whether the microphone hears what we play.

    Call `hear` with every frame while we sound (full scale 1.0), `wait` with all others' powers.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another device: nothing is known."""
        self._power = -1.0
        self._floor = 0.0
        self._frames = 0
        self._loudest = 0.0
        self._unheard = 0.0

    @property
    def none_found(self) -> bool:
        """Our voice was loud for long enough and nothing of it was heard."""
        return self._unheard > 0.0

    def wait(self, powers: Iterable[float]) -> None:
        """Take the microphone's powers per sample of frames in which our speaker is silent."""
        for power in powers:
            self._follow(power)

    def _follow(self, power: float) -> None:
        if self._power < 0.0:
            self._power = self._floor = power
        self._power += SMOOTHING * (power - self._power)
        self._floor = max(LOWEST_FLOOR, min(self._power, FLOOR_RISE * self._floor))

    def hear(self, microphone: Float32Array, played: Float32Array) -> None:
        """Take the next frame in which our speaker sounds."""
        self._follow(float(microphone @ microphone) / microphone.size)
        if self._power > MARGIN * self._floor:
            self._frames = 0
            self._loudest = 0.0
        ours = float(played @ played) / played.size
        if ours > LOUDER * self._unheard > 0.0:
            self._unheard = 0.0
            self._frames = 0
        if ours < LOUD_POWER or self._power > MARGIN * self._floor:
            return
        self._frames += 1
        self._loudest = max(self._loudest, ours)
        if self._frames >= FRAMES:
            self._unheard = max(self._unheard, self._loudest)
