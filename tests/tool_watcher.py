"""A tool server kept running for a test (`running`), and who looks on while it comes and goes.

`PLAIN` is the program that plays one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edge_agent.tools.servers.mcp_server import ToolServer

PLAIN = str(Path(__file__).with_name("tool_servers.py"))


class Watcher:
    """Keeps the reasons why a server was lost, and whether it was ever there."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.has_connected = False

    def tools_changed(self) -> None:
        """Not looked at here."""

    def connected(self, server: ToolServer) -> None:
        self.has_connected = True

    def flooded(self, server: ToolServer) -> None:
        """Not looked at here."""

    def lost(self, server: ToolServer, why: str, retry_in_s: float) -> None:
        self.reasons.append(why)


@asynccontextmanager
async def running(server: ToolServer) -> AsyncIterator[None]:
    """Keep the server connected until the end, and see that it ends."""
    task = asyncio.create_task(server.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert not server.is_up
