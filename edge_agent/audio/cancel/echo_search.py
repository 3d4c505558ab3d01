"""Does our own voice reach the microphone at all?

Thread: the front end's.  It must never say "no" for an echo that is merely late: it is asked
because the linear canceller has found none, and a wrong "no" lets the speaker interrupt itself.

Headphones, a loudspeaker in another room, a microphone array that cancels echo by itself: there
the canceller finds nothing for ever, and waiting for it would make every interruption slow.

A microphone that leaves its floor has heard an echo or something else: a person who talks over us,
a noise that swells.  An echo of a certain lag is heard whenever we were loud so long before;
anything else pauses at some point.  So evidence is kept for each lag by itself, and there is no
echo where it speaks against all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from edge_agent.audio.cancel.canceller import Float32Array

FRAMES = 200
"""So many frames of 10 ms in which we were loud are listened to before anything is concluded."""

UNHEARD = 25.0
"""And so much of our voice, in frames as loud as its peaks, has to have gone unheard at each lag:
two to three seconds of speech."""

CONTRADICTS = 2.0
"""Weight of a frame in which the microphone left its floor (evidence for an echo) against one in
which it did not (evidence against).  At the lag of a real echo our loudest frames find it at the
floor one time in ten or less; where somebody else makes the sound, as often as they are silent."""

LAGS = range(0, 46, 5)
"""In frames: an echo may be 0.45 s late (Bluetooth, the latest of sound paths, has 0.4 s).  The
microphone's power is smoothed over the frames between two of them."""

PEAK_FALL = 0.9985
"""Per frame, 0.65 dB a second: what counts as one of our peaks."""

LOUD_POWER = 3.2e-5
"""Of our voice, per sample (full scale 1.0): -45 dBFS.  Softer sound proves nothing."""

MARGIN = 4.0
"""6 dB above the floor still is the floor: smoothed frames of steady noise scatter by 2 dB."""

SMOOTHING = 0.2
"""Of the microphone's power per frame: 50 ms."""

FLOOR_RISE = 1.002
"""Per frame, 0.9 dB a second: speech does not lift the floor, a fan does within half a minute."""

FLOOR_RISE_OVER_US = 1.0002
"""The same while we sound: a long note of ours must not become the floor."""

LOWEST_FLOOR = 9.3e-9
"""3 LSB of 16 bits: a microphone that gives digital silence has a floor as well."""

LOUDER = 10.0
"""10 dB above the loudest of our sounds that went unheard: the volume was raised, and an echo that
the room's noise had hidden may now be heard.  The search starts over."""


class EchoSearch:
    """Listen whether the microphone hears what we play.

    Call `hear` with every frame while we sound and no echo was found (full scale 1.0), `wait` with
    the powers of all others.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another device: nothing is known."""
        self._power = -1.0
        self._floor = 0.0
        self._unheard = 0.0
        self._begin()

    def _begin(self) -> None:
        self._frames = 0
        self._peak = LOUD_POWER
        self._against = [0.0] * len(LAGS)
        """Per lag: what speaks against an echo that comes so late."""
        self._recent: deque[float] = deque(maxlen=LAGS[-1] + 1)
        """Our last frames' power against our peaks, newest first; soft ones are 0."""

    @property
    def none_found(self) -> bool:
        """Our voice was loud for long enough and nothing of it was heard."""
        return self._unheard > 0.0

    def wait(self, powers: Iterable[float]) -> None:
        """Take the microphone's powers per sample of frames in which our speaker is silent."""
        self._recent.clear()
        for power in powers:
            self._follow(power, FLOOR_RISE)

    def _follow(self, power: float, rise: float) -> None:
        if self._power < 0.0:
            self._power = self._floor = power
        self._power += SMOOTHING * (power - self._power)
        self._floor = max(LOWEST_FLOOR, min(self._power, rise * self._floor))

    def hear(self, microphone: Float32Array, played: Float32Array) -> None:
        """Take the next frame in which our speaker sounds."""
        self._follow(float(microphone @ microphone) / microphone.size, FLOOR_RISE_OVER_US)
        ours = float(played @ played) / played.size
        if ours > LOUDER * self._unheard > 0.0:
            self._unheard = 0.0
            self._begin()
        self._peak = max(ours, PEAK_FALL * self._peak, LOUD_POWER)
        loud = ours >= LOUD_POWER
        self._frames += loud
        self._recent.appendleft(ours / self._peak if loud else 0.0)
        sign = -CONTRADICTS if self._power > MARGIN * self._floor else 1.0
        for number, lag in enumerate(LAGS):
            if lag < len(self._recent):
                self._against[number] = max(0.0, self._against[number] + sign * self._recent[lag])
        if self._frames >= FRAMES and min(self._against) >= UNHEARD:
            self._unheard = max(self._unheard, self._peak)
