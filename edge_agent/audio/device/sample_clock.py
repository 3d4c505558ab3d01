"""When a sample of a stream happened, from time stamps that jitter.

Thread: that of the stream.  It must never follow a single late time stamp: a callback that was held
up for 40 ms did not lose 40 ms of sound, and a wrong slip costs the echo canceller two seconds.
Only an offset that stays is a jump, and it is said so.
"""

from __future__ import annotations

from math import sqrt

JUMP_AT_ONCE_S = 0.25
"""No scheduling delay of a healthy machine: the stream was stopped or has lost this much."""

JUMP_S = 0.02
"""A mean of the last stamps that is so far off is a jump, however much they jitter."""

SMALL_JUMP_S = 0.004
SMALL_JUMP_SCATTER = 6
ODD_BLOCKS = 12
"""So many stamps in a row that are off to the same side by more than this, and by six times their
usual scatter, are a small jump: a block of 10 ms was lost.  Fewer are a stall, and are ignored."""

KNOWN_BLOCKS = 50
"""From here on the scatter is known."""

FAST_SMOOTHING = 0.1
"""Per block of about 10 ms.  A stall of 40 ms (late stamps 40, 30, 20, 10 ms) moves the fast mean
by less than `JUMP_S`; a real loss of 30 ms is seen within 12 blocks."""

MEMORY_BLOCKS = 3000
"""The line is laid through the stamps of the last half minute: a jitter of 2 ms leaves 0.1 ms of
error and 2 ppm."""

MOST_DRIFT = 300e-6
"""Of one card's clock against ours; crystals have 100 ppm, and young stamps tell nonsense."""

SURE_DRIFT = 20e-6
"""Standard error from which the drift is told: after 3 s of good stamps, 6 s of bad ones."""

BATCH_BLOCKS = 100
EVEN_S = 0.0002
"""Means of stamps over a second that scatter more are no clock's.  Stamps of a card that jitter by
2 ms have 0.2 ms and less; those of a PulseAudio microphone 2 to 10 ms (recorded: they wander, and
neighbours are alike, so that their drift looks sure one by one and is wrong by 300 ppm)."""

SURE_BATCHES = 3

SCATTER_BLOCKS = 100


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
        self._index = 0
        self._fast_s = 0.0
        self._odd = 0
        """Odd stamps in a row: negative, if they were too early."""
        self._blocks = 0
        self._slope = 0.0
        self._slope_blocks = 0
        self._scatter_s2 = 0.0
        self._batch_s = 0.0
        self._in_batch = self._batches = 0
        self._batch_scatter_s2 = 0.0
        self._is_sure = False

    @property
    def running(self) -> bool:
        """Whether a block has been observed since the start or the last reset."""
        return self._offset_s is not None

    def observe(self, index: int, at: float) -> float:
        """Take a block's time stamp; return the jump in seconds (positive: sound is missing)."""
        if self._offset_s is None:
            self.begin(index, at)
            return 0.0
        since_s = (index - self._index) / self.rate_hz
        expected = self._offset_s + self._slope * since_s
        deviation = at - index / self.rate_hz - expected
        self._fast_s = fast_s = self._fast_s + FAST_SMOOTHING * (deviation - self._fast_s)
        # Twice per block, all day: conditions cost a tenth of what `abs`, `min` and `max` do.
        far = not -JUMP_AT_ONCE_S <= deviation <= JUMP_AT_ONCE_S
        if far or not -JUMP_S <= fast_s <= JUMP_S:
            self.begin(index, at)
            self.jumps += 1
            return deviation
        if not -SMALL_JUMP_S <= deviation <= SMALL_JUMP_S and self._is_odd(deviation):
            if abs(self._odd) < ODD_BLOCKS:
                return 0.0
            self.begin(index, at)
            self.jumps += 1
            return deviation
        self._odd = 0
        # The line of least squares through all stamps so far, then through the last ones.
        if self._blocks < MEMORY_BLOCKS:
            self._blocks += 1
        count = self._blocks
        step = deviation * (4 * count - 2) / (count * (count + 1))
        self._offset_s = expected + step
        self._fast_s -= step
        self._index = index
        if since_s > 0.0:
            if self._slope_blocks < MEMORY_BLOCKS:
                self._slope_blocks += 1
            count = self._slope_blocks
            share = 1 / count if count < SCATTER_BLOCKS else 1 / SCATTER_BLOCKS
            self._scatter_s2 += share * (deviation * deviation - self._scatter_s2)
            self._slope += deviation * 6 / (count * (count + 1)) / since_s
            if not -MOST_DRIFT <= self._slope <= MOST_DRIFT:
                self._slope = MOST_DRIFT if self._slope > 0 else -MOST_DRIFT
            self._batch_s += deviation
            self._in_batch += 1
            if self._in_batch == BATCH_BLOCKS:
                self._weigh(since_s)
        return 0.0

    def _weigh(self, block_s: float) -> None:
        """A second's stamps are over: are they even enough to tell a drift?"""
        mean_s = self._batch_s / BATCH_BLOCKS
        self._batch_s, self._in_batch = 0.0, 0
        self._batches = min(self._batches + 1, MEMORY_BLOCKS // BATCH_BLOCKS)
        self._batch_scatter_s2 += (mean_s * mean_s - self._batch_scatter_s2) / self._batches
        scatter_s = sqrt(self._batch_scatter_s2)
        doubt = sqrt(12) * scatter_s / (self._batches**1.5 * BATCH_BLOCKS * block_s)
        self._is_sure = self._batches >= SURE_BATCHES and scatter_s < EVEN_S and doubt < SURE_DRIFT

    @property
    def drift(self) -> float | None:
        """How much longer than they should its seconds are; None where its stamps cannot tell."""
        return self._slope if self._is_sure else None

    def _is_odd(self, deviation: float) -> bool:
        if self._slope_blocks < KNOWN_BLOCKS:
            return False
        if deviation * deviation < SMALL_JUMP_SCATTER**2 * self._scatter_s2:
            return False
        side = 1 if deviation > 0 else -1
        self._odd = self._odd + side if self._odd * side > 0 else side
        return True

    def begin(self, index: int, at: float) -> None:
        """The stream has slipped: this sample happened at that time.  Its pace stays known."""
        self._offset_s = at - index / self.rate_hz
        self._index = index
        self._fast_s = 0.0
        self._odd = 0
        self._blocks = 1

    def time_of(self, index: float) -> float:
        """Loop time of a sample; 0.0 while not running."""
        past = (index - self._index) / self.rate_hz
        return (self._offset_s or 0.0) + self._slope * past + index / self.rate_hz

    def index_of(self, at: float) -> float:
        """Sample (with a fraction) that happened at a loop time; 0.0 while not running."""
        if self._offset_s is None:
            return 0.0
        past = at - self._offset_s - self._index / self.rate_hz
        return self._index + past / (1 + self._slope) * self.rate_hz
