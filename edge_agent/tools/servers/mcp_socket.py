"""MCP over a socket: a tool server's program that systemd runs, one for each connection.

`socket_wire` is a wire as those of `mcp_wire`; that the program ends with the connection is seen to
on the other side.

Thread: event loop.  It must never start a program, or buffer without a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from edge_agent.contract.errors import ToolError
from edge_agent.tools.servers.mcp_shorten import LINE_MAX_BYTES
from edge_agent.tools.servers.mcp_wire import Asked, Streams, Trouble, listen, speak


@contextlib.asynccontextmanager
async def socket_wire(path: Path, trouble: Trouble) -> AsyncIterator[Streams]:
    """Connect and talk line by line.  Raises `ToolError` when nobody listens."""
    import anyio

    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=LINE_MAX_BYTES)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ToolError(f"its socket {path} cannot be reached: {why}") from error
    inbound, heard = anyio.create_memory_object_stream[Any](0)
    to_say, outbound = anyio.create_memory_object_stream[Any](0)
    asked = Asked()
    tasks = [
        asyncio.create_task(listen(reader, inbound, trouble, asked), name="tool server, its words"),
        asyncio.create_task(speak(writer, outbound, asked), name="tool server, our words"),
    ]
    try:
        yield heard, to_say
    finally:
        writer.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (inbound, heard, to_say, outbound):
            stream.close()
