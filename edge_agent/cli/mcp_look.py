"""One look at each tool server: is it there, and which tools has it.

Thread: main, with a loop of its own.  It must never run a tool, print a secret, or let a server's
words steer the terminal.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_agent.app.tools.mcp import plan_of, wire_for
from edge_agent.cli.outcome import note
from edge_agent.contract.risk import Risk
from edge_agent.host.secret_files import is_open_to_others
from edge_agent.host.service.tool_units import PREFIX, tool_socket
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.mcp import McpServer
from edge_agent.host.settings.text import toml_value
from edge_agent.host.stores.tool_store import Shape, ToolStore
from edge_agent.tools.servers.mcp_server import ToolServer
from edge_agent.tools.servers.mcp_tools import CHANGED, plain, shown, tool_name

COMPLAINTS_MAX = 8
"""Last lines of a failed program's standard error: where it says what it lacks."""
DESCRIPTION_MAX_CHARS = 90
"""Enough to know what a tool is for."""


def look_at_all(servers: Mapping[str, McpServer], wait_s: float, accepted: ToolStore) -> list[Look]:
    """Look at them side by side, each for `wait_s` at most."""

    async def whole() -> list[Look]:
        looks = [Look(name, settings, accepted) for name, settings in servers.items()]
        await asyncio.gather(*(look.take(wait_s) for look in looks))
        return looks

    return asyncio.run(whole())


class Look:
    """One server, looked at once; also what it wants to be told (`mcp_server.Watcher`)."""

    def __init__(self, name: str, settings: McpServer, accepted: ToolStore) -> None:
        self.name = name
        self.settings = settings
        self.why = ""
        """Why it cannot be used."""
        self.complaints: deque[str] = deque(maxlen=COMPLAINTS_MAX)
        self.server: ToolServer | None = None
        self.shapes: dict[str, Shape] = {}
        """How the tools that the settings name are described now, by the server's own names."""
        self.changed: dict[str, Shape | None] = {}
        """Those that are not as they were accepted, and how they were then."""
        self.accepted = accepted
        self._over = asyncio.Event()

    async def take(self, wait_s: float) -> None:
        """Connect, list, disconnect."""
        for file in (self.settings.token_file, self.settings.headers_file, self.settings.env_file):
            _warn_if_open(file)
        plan = plan_of(self.name, self.settings)
        worker = Worker("io", threads=False, on_fault=_nobody)
        wire = wire_for(plan, self.settings, worker, self.complaints.append)
        self.server = ToolServer(plan, wire, self, random.Random(), self._not_accepted)
        running = asyncio.create_task(self.server.run())
        try:
            async with asyncio.timeout(wait_s):
                await self._over.wait()
        except TimeoutError:
            self.why = f"it did not answer within {wait_s:g} s"
        finally:
            running.cancel()
            await asyncio.wait({running})

    async def _not_accepted(self, server: str, now: Mapping[str, Shape]) -> Collection[str]:
        self.shapes = dict(now)
        try:
            self.changed = self.accepted.changed(server, now, learn=False)
        except OSError:
            note("whether tools have changed cannot be told: start it with sudo")
        return self.changed

    def tools_changed(self) -> None:
        """Told again by `connected`."""

    def connected(self, server: ToolServer) -> None:  # noqa: ARG002
        """All that was asked for is known."""
        self._over.set()

    def lost(self, server: ToolServer, why: str, retry_in_s: float) -> None:  # noqa: ARG002
        """Once is enough: a person sits before it and tries again."""
        if not self._over.is_set():
            self.why = why
            self._over.set()

    def flooded(self, server: ToolServer) -> None:
        """It is seen in what it lists."""

    def rows(self) -> list[tuple[str, str, str]]:
        """`(tool, what it may do, what it is for)`, the allowed ones first."""
        assert self.server is not None, "it was looked at"
        plan, left_out = self.server.plan, {one.name: one.why for one in self.server.left_out}
        offered = {tool.name for tool in self.server.tools}
        found = []
        for one in self.server.listed:
            name, risk = shown(one.name), plan.risk(one.name)
            may = "not allowed" if risk is None else f"{risk.value}: {plan.risk_because(one.name)}"
            if one.name in self.changed:
                may = f"{Risk.HIGH.value}: {CHANGED}"
            if risk is not None and tool_name(plan.name, one.name) not in offered:
                may = f"left out: {left_out.get(name) or one.why or 'too many'}"
            found.append((name, may, plain(one.description, DESCRIPTION_MAX_CHARS)))
        absent = [t for t in plan.tools if t not in {one.name for one in self.server.listed}]
        found += [(shown(name), "named in the settings, not there", "") for name in absent]
        return sorted(found, key=lambda row: (row[1] == "not allowed", row[0]))

    def lines(self) -> list[str]:
        """For a person."""
        off = "" if self.settings.enabled else "  (switched off)"
        if self.why:
            head = f"{self.name}{off}: cannot be used: {self.why}."
            last = [plain(line, 200) for line in self.complaints if line.strip()]
            if self.settings.command and tool_socket(self.name).exists():
                unit = f"{PREFIX}{self.name}@.service"
                return [head, f"  To hear its program: StandardError=journal in {unit}"]
            return [head, *(f"  its program says: {line}" for line in last)]
        rows = self.rows()
        widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
        table = [f"  {name:<{widths[0]}}  {may:<{widths[1]}}  {what}" for name, may, what in rows]
        free = [name for name, may, _ in rows if may == "not allowed"]
        if self.changed:
            command = f"sudo edge-agent mcp accept {self.name}"
            table.append(f"  To see what has changed, and accept it: {command}")
        count = len(self.server.listed) if self.server is not None else 0
        lines = [f"{self.name}{off}: {count} tools", *self._confinement()]
        lines += [line.rstrip() for line in table]
        if free:
            example = toml_value({free[0]: "high"})
            lines.append(f"  To allow one: tools = {example} below [mcp.servers.{self.name}]")
        return lines

    def _confinement(self) -> Iterator[str]:
        if self.settings.command and tool_socket(self.name).exists():
            network = "with" if self.settings.network else "without"
            yield f"  (confined by systemd, {network} network)"
        elif self.settings.command:
            yield "  (not confined: it runs under the account of whoever starts it)"

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        rows = [] if self.why else self.rows()
        return {
            "server": self.name,
            "enabled": self.settings.enabled,
            "why_not": self.why,
            "confined": bool(self.settings.command) and tool_socket(self.name).exists(),
            "tools": [{"name": n, "may": may, "description": what} for n, may, what in rows],
            "changed": sorted(map(shown, self.changed)),
        }


def _warn_if_open(file: str) -> None:
    if file and is_open_to_others(Path(file)):
        note(f"{file} can be read by others; run: chmod 600 {file}")


def _nobody(_problem: BaseException) -> None:
    """Nothing is put aside here."""
