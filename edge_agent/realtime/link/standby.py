"""Standby: a second session beside one that may be dead, in case it is.

Call `dial` when the present session has become doubtful, `release` when it has given a sign of
life, `take` when it was given up.

Thread: the event loop.  It never touches the present session, and it never hears anything of the
talk: what is said meanwhile goes to the present session alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from edge_agent.contract import commands as cmd
from edge_agent.contract.errors import LinkError, LocalProtocolError
from edge_agent.realtime.link.channel import Channel
from edge_agent.realtime.link.endpoints import Route

Standing = tuple[Channel, "asyncio.Task[LinkError]"]


class Standby:
    """At most one session.  `open_channel` dials and returns a channel that is not served yet."""

    def __init__(self, open_channel: Callable[[Route], Awaitable[Channel]]) -> None:
        self._open_channel = open_channel
        self._dialling: asyncio.Task[None] | None = None
        self._standing: Standing | None = None
        self._leaving: set[asyncio.Task[None] | asyncio.Task[LinkError]] = set()
        self.dials = 0

    @property
    def is_there(self) -> bool:
        """Whether `take` would return a session: READY, or being configured."""
        return self._standing is not None and not self._standing[1].done()

    def dial(self, route: Route) -> None:
        """Get a session with that endpoint, unless there is one or one is being dialled."""
        if self._dialling is None and not self.is_there:
            self.dials += 1
            self._dialling = asyncio.create_task(self._dial(route), name="link standby dial")

    async def _dial(self, route: Route) -> None:
        try:
            channel = await self._open_channel(route)
        except LinkError:
            return  # the present session is all there is
        finally:
            if self._dialling is asyncio.current_task():
                self._dialling = None
        self._standing = channel, asyncio.create_task(channel.serve(), name="link standby")

    def update(self, command: cmd.UpdateSession) -> None:
        """The household's settings have changed; the talk itself is never told."""
        if self.is_there and self._standing is not None and self._standing[0].is_ready:
            try:
                self._standing[0].execute(command)
            except LocalProtocolError:
                self.release()
        else:
            self.release()  # it was told what no longer holds

    def take(self) -> Standing | None:
        """Hand over the session with the task that serves it; a dial under way ends."""
        standing, is_there = self._standing, self.is_there
        if is_there:
            self._standing = None
        self.release()
        return standing if is_there else None

    def release(self) -> None:
        """It is not needed."""
        dialling, serving = self._dialling, self._standing and self._standing[1]
        self._dialling = self._standing = None
        if dialling is not None:
            dialling.cancel()
        if serving is not None:
            # It says goodbye by itself, but not before it has begun: that is queued by now.
            asyncio.get_running_loop().call_soon(serving.cancel)
        for task in (dialling, serving):
            if task is not None and not task.done():
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def gone(self) -> None:
        """Release it and wait until nothing of it is left."""
        self.release()
        await asyncio.gather(*self._leaving, return_exceptions=True)
