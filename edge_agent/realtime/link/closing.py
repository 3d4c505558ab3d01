"""ClosingWires: wires of sessions that are over, on their way out beside what comes next.

Call `let_go` for a wire that is done with, `listen_on` for one whose peer may only be slow.

Thread: the event loop.  It never sends anything but a close, and what still comes is thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.contract.errors import LinkError
from edge_agent.contract.ports import Wire


@dataclass(frozen=True, slots=True)
class OpenPing:
    """A ping that the peer's kernel has taken and nobody has answered yet."""

    pong: asyncio.Future[None]
    taken_at: float


class ClosingWires:
    """Wires that are being closed: nobody waits for an old goodbye."""

    def __init__(self, close_s: float) -> None:
        self._close_s = close_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: set[asyncio.Task[None]] = set()

    def let_go(self, wire: Wire, *, is_dead: bool) -> None:
        """Close politely, or drop the wire if nobody listens at the other end."""
        abort: Callable[[], None] | None = getattr(wire, "abort", None)
        if is_dead and abort is not None:
            abort()
            return
        self._keep(asyncio.create_task(self._say(wire, abort), name="link goodbye"), self._tasks)

    def listen_on(
        self, wire: Wire, ping: OpenPing, until: float, answered: Callable[[float], None]
    ) -> None:
        """Find out by `until` whether the peer of a session that was given up lives after all;
        `answered` is told how late it answered."""
        listening = self._listen(wire, ping, until, answered)
        self._keep(asyncio.create_task(listening, name="link afterwards"), self._listening)

    @staticmethod
    def _keep(task: asyncio.Task[None], tasks: set[asyncio.Task[None]]) -> None:
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _listen(
        self, wire: Wire, ping: OpenPing, until: float, answered: Callable[[float], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        frame = asyncio.ensure_future(wire.receive())
        signs: set[asyncio.Future[object]] = {ping.pong, frame}  # type: ignore[arg-type]
        is_dead = True
        try:
            left_s = max(0.0, until - loop.time())
            done, _ = await asyncio.wait(signs, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if any(not sign.cancelled() and sign.exception() is None for sign in done):
                is_dead = False
                answered(loop.time() - ping.taken_at)
        finally:
            for sign in signs:
                sign.cancel()
            await asyncio.gather(*signs, return_exceptions=True)
            self.let_go(wire, is_dead=is_dead)

    async def _say(self, wire: Wire, abort: Callable[[], None] | None) -> None:
        try:
            async with asyncio.timeout(self._close_s):
                await wire.close()
        except (LinkError, TimeoutError):
            if abort is not None:
                abort()

    async def said(self) -> None:
        """End all of them; what is still listened to is not waited for."""
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
