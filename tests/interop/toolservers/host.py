"""Use a tool server that we did not write, over both wires.

Thread: main, in the project's own environment.  It must never judge by more than what came back.
The last line of output is the verdict as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from edge_agent.contract.errors import ToolError
from edge_agent.tools.servers.mcp_server import ToolServer, load_library
from edge_agent.tools.servers.mcp_tools import ServerPlan
from edge_agent.tools.servers.mcp_wire import OpenWire, program_wire, tls_context, web_wire

START_S = 30.0
CALL_S = 5.0

CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "text": ("echo", {"message": "hello"}, "hello"),
    "number": ("get-sum", {"a": 2, "b": 3}, "5"),
    "image": ("get-tiny-image", {}, "[an image, "),
    "structure": ("get-structured-content", {"location": "Chicago"}, '"temperature"'),
    "link": ("get-resource-links", {"count": 1}, "[a link to "),
    "resource": ("get-resource-reference", {}, "Resource 1"),
    "bad arguments": ("get-sum", {"a": "x"}, "The tool failed: "),
    "no such tool": ("nonsense", {}, "nonsense"),
    "slow": ("trigger-long-running-operation", {"duration": 60, "steps": 2}, "no answer within 5"),
}
"""What is tried: a tool, its arguments, and words that the model must be told."""


@dataclass
class Verdict:
    """What went well, and what did not."""

    held: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Watcher:
    """Keeps the reason why a server could not be used."""

    def __init__(self, verdict: Verdict, wire: str) -> None:
        self._verdict = verdict
        self._wire = wire
        self.is_there = asyncio.Event()

    def tools_changed(self) -> None:
        """Looked at later."""

    def connected(self, server: ToolServer) -> None:
        """Waited for."""
        self.is_there.set()

    def flooded(self, server: ToolServer) -> None:
        """No honest server does."""
        self._verdict.notes.append(f"{self._wire}: it floods")

    def lost(self, server: ToolServer, why: str, retry_in_s: float) -> None:
        """Told as a note: a server that starts is not there at first."""
        self._verdict.notes.append(f"{self._wire}: {why}")


async def use(name: str, wire: OpenWire, verdict: Verdict) -> None:
    """Connect, try every call, disconnect."""
    plan = ServerPlan("it", command=("x",), allow_all=True, timeout_s=CALL_S)
    watcher = Watcher(verdict, name)
    server = ToolServer(plan, wire, watcher, random.Random(7))
    running = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(START_S):
            await watcher.is_there.wait()
        if server.left_out:
            verdict.faults.append(f"{name}: left out: {server.left_out}")
        for what, (tool, arguments, words) in CALLS.items():
            try:
                told = await server.call(tool, arguments)
            except ToolError as error:
                told = str(error)
            if words in told:
                verdict.held.append(f"{name} {what}")
            else:
                verdict.faults.append(f"{name} {what}: the model would be told {told[:100]!r}")
    except TimeoutError:
        verdict.faults.append(f"{name}: not connected within {START_S:g} s")
    finally:
        running.cancel()
        await asyncio.wait({running})


@contextlib.asynccontextmanager
async def web_server(command: list[str]) -> AsyncIterator[str]:
    """Start it on a port of its own; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = await asyncio.create_subprocess_exec(
        *command, "streamableHttp", env={**os.environ, "PORT": str(port)}, stdout=sys.stderr
    )
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        await process.wait()


async def host(command: list[str]) -> Verdict:
    """Both wires, one after the other."""
    load_library()
    verdict = Verdict()
    program = tuple(command)
    await use("stdio", lambda trouble: program_wire(program, {}, trouble), verdict)
    async with web_server(command) as url:
        tls = tls_context()
        await use("http", lambda trouble: web_wire(url, {}, trouble, tls), verdict)
    return verdict


def main() -> int:
    verdict = asyncio.run(host(sys.argv[2:]))
    sys.stdout.write(json.dumps(vars(verdict)) + "\n")
    return bool(verdict.faults)


if __name__ == "__main__":
    sys.exit(main())
