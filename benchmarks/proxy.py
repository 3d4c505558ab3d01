"""A TCP proxy that is slow, or that swallows everything without a word.

Thread: the event loop.  It must never look into what it carries, or change its order.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536
SO_ATTACH_FILTER = 26  # linux/asm-generic/socket.h
RETURN_CONSTANT = 0x06  # BPF_RET | BPF_K, linux/bpf_common.h


def drop_segments(sock: socket.socket) -> None:
    """Have the kernel drop whatever comes for a connection, before it acknowledges it.

    A packet filter of one instruction, "keep nothing", which needs no privilege.
    """
    instruction = ctypes.create_string_buffer(struct.pack("=HBBI", RETURN_CONSTANT, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))  # struct sock_fprog
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


class Proxy:
    """`async with Proxy(delay_s) as proxy`: dial `proxy.url`; `proxy.target()` is the real URL.

    Every byte arrives `delay_s` after it came, in each direction, however many there are.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.target: Callable[[], str] = str
        self.url = ""
        self._server: asyncio.Server | None = None
        self._swallowed: list[tuple[asyncio.Event, asyncio.StreamWriter]] = []
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

    def black_hole(self, *, acknowledges: bool = False) -> None:
        """From now on nothing comes through the connections that stand; new ones are fine.

        What a router does that has lost its table: the sender's packets go nowhere, and its kernel
        hears no acknowledgement.  `acknowledges`: what a front does whose server hangs.
        """
        for swallowed, near in self._swallowed:
            swallowed.set()
            if not acknowledges:
                drop_segments(near.get_extra_info("socket"))
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
            self._swallowed.append((swallowed, writer))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far, swallowed))
                group.create_task(self._carry(far_reader, writer, swallowed))
        for end in (writer, far):
            if end is not None:
                end.transport.abort()
        self._swallowed = [one for one in self._swallowed if one[0] is not swallowed]

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
