"""A TCP proxy that is slow, or that swallows everything without a word.

Thread: the event loop.  It must never look into what it carries, or change its order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536


class Proxy:
    """`async with Proxy(delay_s) as proxy`: dial `proxy.url`; `proxy.target()` is the real URL.

    Every byte arrives `delay_s` after it came, in each direction, however many there are.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.target: Callable[[], str] = str
        self.url = ""
        self._server: asyncio.Server | None = None
        self._swallowed: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/v1/realtime"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def black_hole(self) -> None:
        """From now on nothing comes through the connections that stand; new ones are fine.

        What a router does that has lost its table: the sender's packets go nowhere.
        """
        for swallowed in self._swallowed:
            swallowed.set()
        self._swallowed.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        place = urlsplit(self.target())
        far: asyncio.StreamWriter | None = None
        swallowed = asyncio.Event()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            far_reader, far = await asyncio.open_connection(place.hostname, place.port)
            self._swallowed.append(swallowed)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far, swallowed))
                group.create_task(self._carry(far_reader, writer, swallowed))
        for end in (writer, far):
            if end is not None:
                end.transport.abort()
        if swallowed in self._swallowed:
            self._swallowed.remove(swallowed)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        swallowed: asyncio.Event,
    ) -> None:
        """One direction, until its end; then the other side is told."""
        loop = asyncio.get_running_loop()
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        deliver = loop.create_task(self._deliver(on_the_way, writer))
        try:
            while True:
                try:
                    data = await reader.read(CHUNK_BYTES)
                except OSError:
                    data = b""
                if swallowed.is_set():
                    if not data:
                        return
                    continue
                on_the_way.put_nowait((loop.time() + self.delay_s, data))
                if not data:
                    await deliver
                    return
        finally:
            deliver.cancel()
            await asyncio.gather(deliver, return_exceptions=True)

    @staticmethod
    async def _deliver(
        on_the_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await on_the_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            with contextlib.suppress(OSError):
                await writer.drain()
