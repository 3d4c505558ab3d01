"""The door between the front end's thread and the loop: bounded, counted, one wake-up a batch.

Thread: the front end's on one side, the event loop's on the other.  It must never hold up the front
end: what a busy loop cannot take is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edge_agent.contract.events import HeardFrame

PENDING_FRAMES_MAX = 100
"""One second of heard frames may wait for a busy loop; what comes then is dropped and counted."""


class FrameDoor:
    """`take` is called on the loop with every batch, in order."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[Sequence[HeardFrame]], None],
        *,
        threads: bool,
    ) -> None:
        self._loop = loop
        self._take = take
        self._threads = threads
        # Two totals, each written by one thread: a difference that both write would drift, and
        # a door that takes itself for full stays shut for ever.
        self._handed = 0
        self._taken = 0
        self.dropped = 0

    def one(self, frame: HeardFrame) -> None:
        """Hand over one frame; without threads it is taken at once."""
        if self._threads:
            self.many([frame])
        else:
            self._take((frame,))

    def many(self, frames: list[HeardFrame]) -> None:
        """Hand over a batch, on the front end's thread."""
        count = len(frames)
        if self._handed - self._taken + count > PENDING_FRAMES_MAX:
            self.dropped += count
            return
        try:
            self._loop.call_soon_threadsafe(self._take_all, frames)
        except RuntimeError:
            return  # the loop is closed: we are leaving
        self._handed += count

    def _take_all(self, frames: list[HeardFrame]) -> None:
        self._taken += len(frames)
        self._take(frames)
