"""Feed: what comes from a socket is handed to the WebSocket library a little at a time.

A read of the event loop may bring 256 kB, which can be 131,072 pings: a second of work in one step,
before anybody sees a message.  Put `Feed.take` in place of the library's `data_received`, count
`frames` as it tells of them, and give it the library's own wishes as `hold` and `release`.

Thread: the event loop's thread.  It never reads on while something waits, and never loses a byte
but of a connection that is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from edge_agent.contract.pace import Pace
from edge_agent.realtime.protocol.messages import FRAME_MAX_BYTES

PIECE_BYTES = 512
"""What is handed on at once: at most 256 frames, pings that are answered, some 10 ms."""

TURN_BYTES = 64 * 1024
TURN_FRAMES = 256
"""What is handed on before others get a turn."""

FRAMES_PER_S_MAX = 5000
"""Of all kinds, pieces of messages and pings among them.  A message of 8 MiB in pieces of 1 kB is
read within two seconds; whoever sends more is read no faster, and takes 3 % of a processor."""

UNSENT_MAX_BYTES = FRAME_MAX_BYTES
"""What may wait to be written.  Ours are far smaller; one who has us answer his pings and reads
nothing is left."""


@runtime_checkable
class Fed(Protocol):
    """A wire that is fed this way."""

    feed: Feed


class Feed:
    """The bytes of one connection; `hand_on` gets them in order."""

    def __init__(self, transport: asyncio.Transport, hand_on: Callable[[bytes], None]) -> None:
        self.frames = 0
        """How many there were; whoever hands on counts them."""
        self.on_flood: Callable[[], None] = lambda: None
        """Told once that the peer sends more than is read at full speed."""
        self._transport = transport
        self._hand_on = hand_on
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._next: asyncio.Handle | None = None
        self._is_held = False
        self._has_told = False
        self._pace = Pace(FRAMES_PER_S_MAX)

    def take(self, data: bytes) -> None:
        """What was read; handed on now, or as soon as it may be."""
        self._waiting += data
        self._turn()

    def hold(self) -> None:
        """The library has enough for now."""
        self._is_held = True
        self._read_or_not()

    def release(self) -> None:
        """The library takes more."""
        self._is_held = False
        if self._waiting and self._next is None:
            self._next = self._loop.call_soon(self._again)
        self._read_or_not()

    def end(self) -> None:
        """The connection is lost; what it said last, a reason perhaps, is handed on."""
        if self._next is not None:
            self._next.cancel()
        rest = bytes(self._waiting[:PIECE_BYTES])
        self._waiting.clear()
        if rest:
            self._hand_on(rest)

    def _again(self) -> None:
        self._next = None
        self._turn()

    def _turn(self) -> None:
        if self._next is None and not self._is_held:
            began, taken = self.frames, 0
            while (
                self._waiting
                and not self._is_held
                and taken < TURN_BYTES
                and self.frames - began < TURN_FRAMES
            ):
                piece = bytes(self._waiting[:PIECE_BYTES])
                del self._waiting[:PIECE_BYTES]
                taken += len(piece)
                self._hand_on(piece)
            rest_s = self._rest_s(self.frames - began)
            if rest_s:
                self._next = self._loop.call_later(rest_s, self._again)
            elif self._waiting and not self._is_held:
                self._next = self._loop.call_soon(self._again)
            if self._transport.get_write_buffer_size() > UNSENT_MAX_BYTES:
                self._transport.abort()
        self._read_or_not()

    def _rest_s(self, frames: int) -> float:
        rest_s = self._pace.rest_s(frames, self._loop.time())
        if rest_s and not self._has_told:
            self._has_told = True
            self.on_flood()
        return rest_s

    def _read_or_not(self) -> None:
        if self._transport.is_closing():
            return
        if self._is_held or self._waiting or self._next is not None:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
