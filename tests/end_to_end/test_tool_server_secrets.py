"""Tool servers get their own secrets from their own files, as these are at every connection."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tool_servers import plain_web
from tool_watcher import PLAIN, Watcher, running
from waiting import until

from edge_agent.app.tools.mcp import plan_of, wire_for
from edge_agent.contract.errors import ToolError
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.mcp import McpServer
from edge_agent.tools.servers.mcp_server import ToolServer, load_library


@asynccontextmanager
async def served(settings: McpServer) -> AsyncIterator[tuple[ToolServer, Watcher]]:
    load_library()
    worker = Worker("io", threads=False, on_fault=lambda _problem: None)
    plan, watcher = plan_of("s", settings), Watcher()
    server = ToolServer(plan, wire_for(plan, settings, worker), watcher, random.Random(7))
    async with running(server):
        yield server, watcher


def test_variables_are_read_anew_at_every_start(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("HASS_TOKEN=one\n")

    async def talk() -> None:
        settings = McpServer.model_validate(
            {
                "command": [sys.executable, PLAIN, "{}"],
                "env": {"MODE": "quiet"},
                "env_file": str(secrets),
                "allow_all": True,
            }
        )
        async with served(settings) as (server, watcher):
            await until(lambda: server.is_up)
            given = json.loads(await server.call("env", {}))
            assert (given["MODE"], given["HASS_TOKEN"]) == ("quiet", "one")
            secrets.write_text("HASS_TOKEN=two\n")
            with pytest.raises(ToolError):
                await server.call("die", {})
            await until(lambda: watcher.reasons)
            await until(lambda: server.is_up)
            assert json.loads(await server.call("env", {}))["HASS_TOKEN"] == "two"

    asyncio.run(talk())


def test_a_token_and_headers_go_to_their_address_once_they_are_there(tmp_path: Path) -> None:
    token, headers = tmp_path / "token", tmp_path / "headers"
    headers.write_text("X-House: 7\n")

    async def talk() -> None:
        with plain_web() as (port, handler):
            settings = McpServer(
                url=f"http://127.0.0.1:{port}/mcp",
                token_file=str(token),
                headers_file=str(headers),
                allow_all=True,
            )
            async with served(settings) as (server, watcher):
                await until(lambda: watcher.reasons)
                assert watcher.reasons[0] == f"{token} cannot be read: No such file or directory"
                assert not handler.seen, "nobody is asked without the token"
                token.write_text("t0ken\n")
                await until(lambda: server.is_up)
                assert await server.call("echo", {}) == "hello"
            given = {(seen.get("authorization"), seen.get("x-house")) for seen in handler.seen}
            assert given == {("Bearer t0ken", "7")}

    asyncio.run(talk())
