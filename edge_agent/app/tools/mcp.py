"""Tool servers at work: connected after READY, their tools put among ours.

Thread: event loop; what blocks (importing the package, files with secrets, certificates) is done by
`io_pool`.  It must never hold up READY or the talk, end the daemon when a server makes trouble, or
put what a server said into the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from edge_agent.contract.events import Event, ToolsChanged
from edge_agent.contract.risk import Risk
from edge_agent.contract.secrets import in_use
from edge_agent.host.secret_files import read_headers, read_token, read_variables
from edge_agent.host.service.tool_units import tool_socket
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.mcp import McpServer
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.json_file import NoteFunction
from edge_agent.host.stores.tool_store import ToolStore, tools_path
from edge_agent.tools.registry import Behaviour, Registry
from edge_agent.tools.servers.mcp_server import ToolServer, is_installed, load_library
from edge_agent.tools.servers.mcp_socket import socket_wire
from edge_agent.tools.servers.mcp_tools import LeftOut, McpTool, ServerPlan, Shape, shown
from edge_agent.tools.servers.mcp_wire import (
    OpenWire,
    Streams,
    Trouble,
    program_wire,
    tls_context,
    web_wire,
)

TOOLS_IN_ALL = 128
"""What the Realtime API takes, ours among them."""
AFTER_FAULT_S = 60.0
"""A slip of our own must not fill the journal."""


def plan_of(name: str, server: McpServer) -> ServerPlan:
    """A server of the settings, in the tools' own words."""
    return ServerPlan(
        name=name,
        command=server.command,
        url=server.url,
        env={key: in_use(value.get_secret_value()) for key, value in server.env.items()},
        tools={tool: Risk(risk) for tool, risk in server.tools.items()},
        allow_all=server.allow_all,
        manners={tool: Behaviour(manner) for tool, manner in server.manners.items()},
        timeout_s=server.timeout_s,
    )


def plans(settings: Settings) -> dict[str, ServerPlan]:
    """The servers that are enabled."""
    servers = settings.mcp.servers.items()
    return {name: plan_of(name, server) for name, server in servers if server.enabled}


def wire_for(
    plan: ServerPlan,
    server: McpServer,
    worker: Worker,
    complain: Callable[[str], None] | None = None,
) -> OpenWire:
    """How this machine reaches a server; its secrets are read at every connection."""

    @contextlib.asynccontextmanager
    async def opened(trouble: Trouble) -> AsyncIterator[Streams]:
        if plan.command and (socket := tool_socket(plan.name)).exists():
            async with socket_wire(socket, trouble) as streams:  # its secrets are with its unit
                yield streams
            return
        secrets = await worker.run(lambda: _secrets(server))
        if plan.command:
            async with program_wire(
                plan.command, {**plan.env, **secrets}, trouble, complain
            ) as streams:
                yield streams
        else:
            tls = await worker.run(tls_context)
            async with web_wire(plan.url, secrets, trouble, tls) as streams:
                yield streams

    return opened


def _secrets(server: McpServer) -> Mapping[str, str]:
    """Variables for a program, or headers for an address."""
    if server.command:
        return read_variables(Path(server.env_file)) if server.env_file else {}
    headers = read_headers(Path(server.headers_file)) if server.headers_file else {}
    if server.token_file:
        headers["Authorization"] = f"Bearer {read_token(Path(server.token_file))}"
    return headers


class ToolServers:
    """All tool servers of one speaker; `run` for as long as the daemon lives.

    `ready`: set when the speaker is.  `wire_to`: how a server is reached instead of as this
    machine does.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        io_pool: Worker,
        note: NoteFunction,
        fault: Callable[[BaseException], None],
        post: Callable[[Event], None],
        time: Callable[[], float],
        ready: asyncio.Event,
        rng: random.Random,
        wire_to: Callable[[ServerPlan], OpenWire] | None,
    ) -> None:
        self._settings = settings.mcp.servers
        self._registry = registry
        self._io_pool = io_pool
        self._note = note
        self._fault = fault
        self._post = post
        self._time = time
        self._ready = ready
        self._wire_to = wire_to
        own_rng = random.Random(rng.random())
        self.servers = tuple(
            ToolServer(plan, self._wire(name, plan), self, own_rng, self._not_accepted)
            for name, plan in plans(settings).items()
        )
        self._accepted = ToolStore(tools_path(settings.state.path), note)
        self._ours = len(registry.schemas())
        self._theirs: tuple[McpTool, ...] = ()
        self._told: dict[str, object] = {}
        """What the journal knows of each server: said once, not at every attempt."""

    async def run(self) -> None:
        """Connect them all once the speaker is ready, and keep them so, until cancelled."""
        await self._ready.wait()
        tasks: list[asyncio.Task[None]] = []
        if self.servers and await self._is_loaded():
            tasks = [
                asyncio.create_task(self._keep(server), name=f"tool server {server.plan.name}")
                for server in self.servers
            ]
        try:
            await asyncio.Event().wait()
        finally:
            for task in tasks:
                task.cancel()
            if tasks:  # side by side: each may take its seconds
                await asyncio.wait(tasks)

    async def _is_loaded(self) -> bool:
        with contextlib.suppress(ImportError):
            if is_installed():
                await self._io_pool.run(load_library)
                # What was imported is never rubbish; a full collection would walk over it for
                # 50 ms in one step of the loop, whenever a server lists much.
                gc.freeze()
                return True
        self._note("mcp.missing")
        names = (server.plan.name for server in self.servers)
        self._told = dict.fromkeys(names, "the package for tool servers is not installed")
        return False

    async def _keep(self, server: ToolServer) -> None:
        while True:
            try:
                await server.run()
            except Exception as problem:
                self._fault(problem)
                await asyncio.sleep(AFTER_FAULT_S)

    def _wire(self, name: str, plan: ServerPlan) -> OpenWire:
        if self._wire_to is not None:
            return self._wire_to(plan)
        return wire_for(plan, self._settings[name], self._io_pool)

    async def _not_accepted(self, server: str, now: Mapping[str, Shape]) -> Collection[str]:
        """Read anew each time: the owner accepts on the command line."""
        try:
            return await self._io_pool.run(lambda: self._accepted.changed(server, now, learn=True))
        except OSError:  # noted; nobody knows how they were
            return now

    def standing(self) -> dict[str, str]:
        """Each server's name, and why it cannot be used; "" if nothing is known against it."""
        known = {one.plan.name: self._told.get(one.plan.name) for one in self.servers}
        return {name: told if isinstance(told, str) else "" for name, told in known.items()}

    # --- what the servers tell (`tools.servers.mcp_server.Watcher`) -------------------------------

    def tools_changed(self) -> None:
        """Put their tools among ours, and tell the dialogue."""
        found = [tool for server in self.servers for tool in server.tools]
        fitting = tuple(found[: max(0, TOOLS_IN_ALL - self._ours)])
        self._registry.replace(self._theirs, fitting)
        self._theirs = fitting
        self._post(
            ToolsChanged(
                at=self._time(),
                schemas=self._registry.schemas(),
                risks=self._registry.risks(),
                terms=self._registry.terms(),
            )
        )

    def connected(self, server: ToolServer) -> None:
        """Tell the admin what is there, and what is missed."""
        name = server.plan.name
        there = {tool.name for tool in self._theirs}
        offered = [tool for tool in server.tools if tool.name in there]
        too_many = [
            LeftOut(tool.name, f"all together may have {TOOLS_IN_ALL}")
            for tool in server.tools
            if tool.name not in there
        ]
        listed = {one.name for one in server.listed}
        absent = [tool for tool in server.plan.tools if tool not in listed]
        changed = [shown(tool.own_name) for tool in offered if tool.is_changed]
        news: tuple[Any, ...] = (len(offered), (*server.left_out, *too_many), absent, changed)
        if self._told.get(name) == news:
            return
        self._told[name] = news
        self._note("mcp.ready", server=name, count=len(offered))
        for one in (*server.left_out, *too_many):
            self._note("mcp.left_out", server=name, tool=one.name, why=one.why)
        for tool in absent:
            self._note("mcp.absent", server=name, tool=shown(tool))
        for tool in changed:
            self._note("mcp.changed", server=name, tool=tool)

    def lost(self, server: ToolServer, why: str, retry_in_s: float) -> None:  # noqa: ARG002
        """Tell the admin, once for each reason."""
        if self._told.get(server.plan.name) != why:
            self._told[server.plan.name] = why
            self._note("mcp.down", server=server.plan.name, why=why)

    def flooded(self, server: ToolServer) -> None:
        """Tell the admin."""
        self._note("mcp.flood", server=server.plan.name)
