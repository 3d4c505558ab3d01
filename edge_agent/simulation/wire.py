"""In-memory wires and a network made of them.

Thread: one event loop, real or virtual; all waiting is on that loop's clock.  It must never start a
thread or look at another clock.  A wire here fails as a real one does: it is cut, or it swallows
everything in silence.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_agent.contract import net_faults
from edge_agent.contract.errors import LinkError, WireClosed
from edge_agent.contract.net_faults import Peer
from edge_agent.contract.ports import Wire

if TYPE_CHECKING:
    from edge_agent.simulation.late_pongs import LatePongs
    from edge_agent.simulation.server import RealtimeServer, Refusal

CAPACITY_BYTES = 4 * 1024 * 1024  # what socket buffers on both ends hold before `send` waits
DIAL_TIMEOUT_S = 10.0  # how long a dial into a black hole takes to give up
ABNORMAL_CLOSE = 1006  # RFC 6455: the connection went away without a close frame
Closing = tuple[int, str]


@dataclass(eq=False)
class _Pipe:
    """One direction: frames with the loop time from which they may be received."""

    delay_s: float
    frames: deque[tuple[float, str | bytes | Closing]] = field(default_factory=deque)
    held_bytes: int = 0
    stalled: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self) -> None:
        """Wake everybody who waits on this pipe; each looks again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def put(self, frame: str | bytes | Closing) -> None:
        ready = asyncio.get_running_loop().time() + self.delay_s
        self.frames.append((ready, frame))
        self.held_bytes += _size(frame)
        self.notify()


def _size(frame: str | bytes | Closing) -> int:
    return len(frame) if isinstance(frame, str | bytes) else 0


class MemoryWire:
    """One end of a pair; implements `contract.ports.Wire`."""

    def __init__(self, inward: _Pipe, outward: _Pipe) -> None:
        self._inward = inward
        self._outward = outward
        self._closed: Closing | None = None
        self.peer: MemoryWire | None = None

    @property
    def closed(self) -> bool:
        """Whether this end knows that the wire is gone."""
        return self._closed is not None

    async def send(self, text: str | bytes) -> None:
        """Send one frame; waits while more than `CAPACITY_BYTES` are under way."""
        while self._closed is None and self._outward.held_bytes > CAPACITY_BYTES:
            await self._outward.changed.wait()
        if self._closed is not None:
            raise WireClosed(*self._closed)
        self._outward.put(text)

    async def receive(self) -> str | bytes:
        """The next frame, once its delay has passed."""
        loop = asyncio.get_running_loop()
        pipe = self._inward
        while True:
            if self._closed is not None:
                raise WireClosed(*self._closed)
            if pipe.stalled or not pipe.frames:
                await pipe.changed.wait()
                continue
            ready, frame = pipe.frames[0]
            wait_s = ready - loop.time()
            if wait_s > 0:
                changed = pipe.changed
                try:
                    async with asyncio.timeout(wait_s):
                        await changed.wait()
                except TimeoutError:
                    pass
                continue
            pipe.frames.popleft()
            pipe.held_bytes -= _size(frame)
            pipe.notify()
            if isinstance(frame, tuple):
                self._finish(frame)
                continue
            return frame

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; the other end learns of it after what was sent before."""
        if self._closed is None:
            self._finish((code, reason))
            self._outward.put((code, reason))

    def abort(self) -> None:
        """Cut the wire without a word (as a TCP reset does); both ends see 1006."""
        self.cut()

    def cut(self) -> None:
        """Both ends lose the wire now; what was under way is lost too."""
        for end in (self, self.peer):
            if end is not None:
                end._inward.frames.clear()
                end._inward.held_bytes = 0
                end._finish((ABNORMAL_CLOSE, ""))

    def stall(self, stalled: bool = True) -> None:
        """Black hole in both directions: frames are taken and not delivered until it ends."""
        for pipe in (self._inward, self._outward):
            pipe.stalled = stalled
            pipe.notify()

    def _finish(self, closing: Closing) -> None:
        if self._closed is None:
            self._closed = closing
        self._inward.notify()
        self._outward.notify()


class FrontedWire(MemoryWire):
    """The client's end of a wire through a front that acknowledges whatever it is sent.

    The kernel therefore knows nothing (`quiet_s`), and the pong is the server's, as late as
    `late_pongs` has it.
    """

    def __init__(self, inward: _Pipe, outward: _Pipe, late_pongs: LatePongs) -> None:
        super().__init__(inward, outward)
        self._late_pongs = late_pongs
        self._pong_at = 0.0

    def quiet_s(self) -> float | None:
        """As in `realtime`'s `ProbedWire`: nothing waits to be acknowledged."""
        return None

    async def ping(self) -> None:
        """Return when a ping was answered; pongs come in the order of their pings."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._pong_at = pong_at = max(self._pong_at, now + self._late_pongs.after_s(now))
        while self._closed is None and (self._inward.stalled or loop.time() < pong_at):
            changed = self._inward.changed
            wait_s = None if self._inward.stalled else pong_at - loop.time()
            try:
                async with asyncio.timeout(wait_s):
                    await changed.wait()
            except TimeoutError:
                pass
        if self._closed is not None:
            raise WireClosed(*self._closed)


def memory_wire_pair(
    delay_s: float = 0.0, late_pongs: LatePongs | None = None
) -> tuple[MemoryWire, MemoryWire]:
    """Two connected ends; each direction takes `delay_s` and keeps the order.  With `late_pongs`
    the first is behind a front."""
    there, back = _Pipe(delay_s), _Pipe(delay_s)
    one = MemoryWire(back, there) if late_pongs is None else FrontedWire(back, there, late_pongs)
    other = MemoryWire(there, back)
    one.peer, other.peer = other, one
    return one, other


class MemoryNetwork:
    """A `Dialer` that connects to a `RealtimeServer` in memory, and can be broken.

    Use `await network.aclose()` at the end: it cuts what is left and waits for the sessions.
    """

    def __init__(self, server: RealtimeServer, delay_s: float = 0.0) -> None:
        self.server = server
        self.delay_s = delay_s
        self.dials = 0
        self.is_down = False
        self.is_black_hole = False
        self._links: dict[MemoryWire, asyncio.Task[None]] = {}

    async def __call__(self, url: str, headers: Mapping[str, str]) -> Wire:
        """Dial; raises `LinkLost`, `LinkBusy` or `LinkRefused` as the real dialer does."""
        self.dials += 1
        if self.delay_s:
            await asyncio.sleep(2 * self.delay_s)  # one round trip, for the handshake
        if self.is_black_hole:
            await asyncio.sleep(DIAL_TIMEOUT_S)
            raise net_faults.error_for(net_faults.TIMEOUT, SERVER)
        if self.is_down:
            raise net_faults.error_for(net_faults.UNREACHABLE, SERVER)
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        refusal = self.server.admit(path, headers)
        if refusal is not None:
            raise translated_refusal(refusal)
        near, far = memory_wire_pair(self.delay_s, self.server.late_pongs)
        task = asyncio.create_task(self.server.serve_wire(far, path, headers))
        self._links[near] = task
        task.add_done_callback(lambda _: self._links.pop(near, None))
        return near

    @property
    def links(self) -> list[MemoryWire]:
        """The client's ends of the connections that still stand."""
        return list(self._links)

    def down(self) -> None:
        """Unplug: live wires are cut, dials fail at once."""
        self.is_down = True
        self.cut()

    def up(self) -> None:
        """Plug in again, and end a black hole; stalled wires deliver what they held."""
        self.is_down = False
        self.black_hole(False)

    def cut(self) -> None:
        """Reset all live wires; dialling goes on working."""
        for wire in self.links:
            wire.cut()

    def black_hole(self, on: bool = True) -> None:
        """Swallow everything in silence: live wires and dials hang."""
        self.is_black_hole = on
        for wire in self.links:
            wire.stall(on)

    async def aclose(self) -> None:
        """Cut what is left and wait until the server's sessions have ended."""
        tasks = list(self._links.values())
        self.cut()
        await asyncio.gather(*tasks, return_exceptions=True)


SERVER = Peer(
    name="server", code="link", url="the URL", example="ws://127.0.0.1/v1/realtime", retries=True
)


def translated_refusal(refusal: Refusal) -> LinkError:
    """The error of an HTTP refusal at the upgrade, as for any other dialer."""
    status = refusal.status
    fault = net_faults.of_status(status, refusal.body) or net_faults.NOT_THERE
    # Virtual time has no dates: a server in memory says how many seconds.
    wait_s = net_faults.retry_after_s(refusal.headers.get("Retry-After"), 0.0)
    return net_faults.error_for(fault, SERVER, f"HTTP {status}", wait_s=wait_s)
