"""High-pass filter: takes from the microphone what no loudspeaker of ours plays and nobody says.

`begin` it with the first frame of a playback, then call `of` with each frame, that one included.

Thread: the front end's, which is its one owner.  It must never delay the sound.

Many small microphones have an offset, and every room has rumble and hum.  The canceller cannot
remove them, so that to it the echo would never be gone, and a person as soft as they are would not
be heard.
"""

from __future__ import annotations

import numpy as np

from edge_agent.audio.cancel.canceller import BLOCK, RATE_HZ, Float32Array

CUTOFF_HZ = 80.0
"""-3 dB, 6 dB an octave: the lowest note of a deep voice loses 3 dB, an offset everything."""

KEPT = float(np.exp(-2 * np.pi * CUTOFF_HZ / RATE_HZ))
"""Of the last output, in each sample."""


class HighPass:
    """y[n] = x[n] - x[n-1] + KEPT * y[n-1], for frames of 10 ms at 16 kHz.

    Written as a sum, sum(KEPT ** (n - k) * (x[k] - x[k-1])), because numpy has no recursion; within
    a frame the powers of KEPT stay below 160, which single precision holds.
    """

    def __init__(self) -> None:
        powers = KEPT ** np.arange(1, BLOCK + 1)
        self._falling = powers.astype(np.float32)
        self._rising = (1 / powers).astype(np.float32)
        self._steps = np.empty(BLOCK, np.float32)
        self._last_in = np.float32(0.0)
        self._last_out = np.float32(0.0)

    def begin(self, frame: Float32Array) -> None:
        """As if the mean of this frame had been there for ever."""
        self._last_in = np.float32(frame.mean())
        self._last_out = np.float32(0.0)

    def of(self, frame: Float32Array) -> Float32Array:
        """The next frame, as `(160,)` of float32."""
        steps = self._steps
        steps[0] = frame[0] - self._last_in
        np.subtract(frame[1:], frame[:-1], out=steps[1:])
        self._last_in = frame[-1]
        steps *= self._rising
        out = np.add.accumulate(steps)  # a third of what `cumsum` costs
        out += self._last_out
        out *= self._falling
        self._last_out = out[-1]
        return out
