"""Who looks on while a tool server comes and goes, and which program plays one (purpose).

Owner thread: the test's event loop.  Must never decide: it keeps what it was told.
"""

from __future__ import annotations

from pathlib import Path

from edge_agent.tools.servers.mcp_server import ToolServer

PLAIN = str(Path(__file__).with_name("tool_servers.py"))
PATIENCE_S = 20.0
"""Real processes on a loaded machine; nothing waits so long when all is well."""


class Watcher:
    """Keeps the reasons why a server was lost."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def tools_changed(self) -> None:
        """Not looked at here."""

    def connected(self, server: ToolServer) -> None:
        """Not looked at here."""

    def lost(self, server: ToolServer, why: str, retry_in_s: float) -> None:
        self.reasons.append(why)
