"""When a sample of a stream happened, from time stamps that jitter.

Thread: that of the stream.  It must never follow a single late time stamp: a callback that was held
up for 40 ms did not lose 40 ms of sound, and a wrong slip costs the echo canceller two seconds.
Only an offset that stays is a jump, and it is said so.
"""

from __future__ import annotations

JUMP_AT_ONCE_S = 0.25
"""No scheduling delay of a healthy machine: the stream was stopped or has lost this much."""

JUMP_S = 0.02
"""Less is taken for drift and followed slowly."""

FAST_SMOOTHING = 0.1
"""Per block of about 10 ms.  A stall of 40 ms (late stamps 40, 30, 20, 10 ms) moves the fast mean
by less than `JUMP_S`; a real loss of 30 ms is seen within 12 blocks."""

SLOW_SMOOTHING = 0.002
"""Per block: 5 s.  Averages a jitter of 5 ms to 0.2 ms and follows 200 ppm within 1 ms."""


class SampleClock:
    """Map sample counts of one stream to loop time.

    Call `observe(index, at)` for each block (index of its first sample); it returns by how many
    seconds the mapping jumped, 0.0 in the usual case.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.jumps = 0
        self.reset()

    def reset(self) -> None:
        """Forget the mapping: the next block sets it."""
        self._offset_s: float | None = None
        self._fast_s = 0.0
        self._blocks = 0

    @property
    def running(self) -> bool:
        """Whether a block has been observed since the start or the last reset."""
        return self._offset_s is not None

    def observe(self, index: int, at: float) -> float:
        """Take a block's time stamp; return the jump in seconds (positive: sound is missing)."""
        offset = at - index / self.rate_hz
        if self._offset_s is None:
            self._offset_s = offset
            self._fast_s = 0.0
            self._blocks = 1
            return 0.0
        deviation = offset - self._offset_s
        self._fast_s += FAST_SMOOTHING * (deviation - self._fast_s)
        if abs(deviation) > JUMP_AT_ONCE_S or abs(self._fast_s) > JUMP_S:
            self._offset_s = offset
            self._fast_s = 0.0
            self._blocks = 1
            self.jumps += 1
            return deviation
        self._blocks += 1
        # A plain mean while there is little to average, so that it settles at once.
        step = max(SLOW_SMOOTHING, 1 / self._blocks) * deviation
        self._offset_s += step
        self._fast_s -= step
        return 0.0

    def time_of(self, index: float) -> float:
        """Loop time of a sample; 0.0 while not running."""
        return (self._offset_s or 0.0) + index / self.rate_hz

    def index_of(self, at: float) -> float:
        """Sample (with a fraction) that happened at a loop time; 0.0 while not running."""
        if self._offset_s is None:
            return 0.0
        return (at - self._offset_s) * self.rate_hz
