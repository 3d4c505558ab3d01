"""Tool servers as they are: programs and addresses, real ones from the registry and bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from authority import Authority
from tool_servers import plain_web
from tool_watcher import PLAIN, Watcher, running
from waiting import PATIENCE_S, until

from edge_agent.contract.errors import ToolError
from edge_agent.tools.servers.mcp_server import ToolServer, load_library
from edge_agent.tools.servers.mcp_tools import ServerPlan
from edge_agent.tools.servers.mcp_wire import (
    NICENESS,
    OpenWire,
    program_wire,
    tls_context,
    web_wire,
)


@asynccontextmanager
async def served(wire: OpenWire, **plan: Any) -> AsyncIterator[tuple[ToolServer, Watcher]]:
    load_library()
    watcher = Watcher()
    whole: dict[str, Any] = {"command": ("x",), "allow_all": True, **plan}
    server = ToolServer(ServerPlan("s", **whole), wire, watcher, random.Random(7))
    async with running(server):
        yield server, watcher


async def complaint(call: Awaitable[str]) -> str:
    with pytest.raises(ToolError) as caught:
        await call
    return str(caught.value)


def program(*command: str, complain: Callable[[str], None] | None = None, **env: str) -> OpenWire:
    return lambda trouble: program_wire(command, env, trouble, complain)


def plain(complain: Callable[[str], None] | None = None, **behaviour: Any) -> OpenWire:
    return program(sys.executable, PLAIN, json.dumps(behaviour), complain=complain)


OTHERS: set[psutil.Process] = set()
"""What this process had for children before the test: a sound server of other tests."""


@pytest.fixture(autouse=True)
def others() -> None:
    OTHERS.clear()
    OTHERS.update(psutil.Process().children(recursive=True))


def children() -> list[psutil.Process]:
    """The programs of this test."""
    return [one for one in psutil.Process().children(recursive=True) if one not in OTHERS]


# --- a real server from the registry ---------------------------------------------------------


def test_the_time_server_from_the_registry() -> None:
    async def talk() -> None:
        tools = {"get_current_time": "low"}
        wire = program(sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC")
        async with served(wire, allow_all=False, tools=tools) as (server, _):
            await until(lambda: server.is_up)
            assert [tool.name for tool in server.tools] == ["s__get_current_time"]
            told = await server.call("get_current_time", {"timezone": "Asia/Kathmandu"})
            assert json.loads(told)["timezone"] == "Asia/Kathmandu"
            assert "+05:45" in told
            assert "Nowhere" in await complaint(
                server.call("get_current_time", {"timezone": "Nowhere"})
            )
            [process] = children()
            process.kill()
            await until(lambda: not server.is_up)
            await until(lambda: server.is_up)
            assert "UTC" in await server.call("get_current_time", {"timezone": "UTC"})
        assert not children()

    asyncio.run(talk())


# --- programs that misbehave -----------------------------------------------------------------


def test_a_program_that_dies_in_the_middle_of_a_call() -> None:
    async def talk() -> None:
        async with served(plain()) as (server, watcher):
            await until(lambda: server.is_up)
            assert "stopped in the middle of the call" in await complaint(server.call("die", {}))
            await until(lambda: watcher.reasons)
            await until(lambda: server.is_up)
            assert await server.call("echo", {"a": 1}) == "{'a': 1}"
            assert watcher.reasons == ["its program ended"]

    asyncio.run(talk())


def test_a_program_that_hangs_holds_up_nobody_and_is_killed() -> None:
    async def talk() -> None:
        async with served(plain(ignores_sigterm=True), timeout_s=0.3) as (server, _):
            await until(lambda: server.is_up)
            [first] = children()
            assert "no answer within 0.3 seconds" in await complaint(server.call("hang", {}))
            ticks = 0
            for _ in range(20):
                await asyncio.sleep(0.001)
                ticks += 1
            assert ticks == 20
        assert not first.is_running()
        assert not children()

    asyncio.run(talk())


def test_five_megabytes_of_text_are_cut() -> None:
    async def talk() -> None:
        async with served(plain()) as (server, _):
            await until(lambda: server.is_up)
            told = await server.call("huge_text", {})
            assert told.startswith("word word")
            assert len(told) < 25_000
            assert told.endswith("bytes more]")
            assert await server.call("picture", {}) == "[an image, 750 kB]"

    asyncio.run(talk())


def test_an_answer_that_cannot_be_cut_is_refused_at_once() -> None:
    async def talk() -> None:
        async with served(plain(), timeout_s=15.0) as (server, watcher):
            await until(lambda: server.is_up)
            words = await complaint(server.call("huge_structure", {}))
            assert "refused the call: the answer is" in words
            assert await server.call("echo", {}) == "{}"
            assert not watcher.reasons

    asyncio.run(talk())


def test_a_line_without_end_ends_the_connection() -> None:
    async def talk() -> None:
        async with served(plain(), timeout_s=15.0) as (server, watcher):
            await until(lambda: server.is_up)
            assert "stopped in the middle" in await complaint(server.call("endless", {}))
            await until(lambda: watcher.reasons)
            assert watcher.reasons == ["it sent more than can be read"]
            await until(lambda: server.is_up)
            assert await server.call("echo", {}) == "{}"

    asyncio.run(talk())


def test_tools_that_come_at_run_time_are_noticed() -> None:
    async def talk() -> None:
        async with served(plain()) as (server, _):
            await until(lambda: server.is_up)
            assert not any(one.name == "fresh" for one in server.listed)
            await server.call("change", {})
            await until(lambda: any(one.name == "fresh" for one in server.listed))

    asyncio.run(talk())


def test_a_greeting_on_standard_output_is_overheard() -> None:
    async def talk() -> None:
        async with served(plain(noise=20)) as (server, watcher):
            await until(lambda: server.is_up)
            assert not watcher.reasons

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["yes", "garbage"], "what it sends is not MCP"),
        (["true"], "its program ended"),
        (["/nowhere/server"], "the program /nowhere/server cannot be started: No such file"),
    ],
)
def test_a_program_that_is_no_server(command: list[str], why: str) -> None:
    async def talk() -> None:
        async with served(program(*command)) as (_, watcher):
            await until(lambda: watcher.reasons)
            assert watcher.reasons[0].startswith(why)
        assert not children()

    asyncio.run(talk())


def test_a_program_gets_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")

    async def talk() -> None:
        wire = program(sys.executable, PLAIN, "{}", MINE="given")
        async with served(wire) as (server, _):
            await until(lambda: server.is_up)
            [process] = children()
            assert process.nice() >= NICENESS, "sound goes first"
            environ = json.loads(await server.call("env", {}))
            assert environ["MINE"] == "given"
            assert environ["PATH"] == os.environ["PATH"]
            assert not {"OPENAI_API_KEY", "CREDENTIALS_DIRECTORY"} & set(environ)

    asyncio.run(talk())


def test_what_a_program_complains_of_is_told_in_bounds_where_somebody_listens() -> None:
    async def talk() -> None:
        heard: list[str] = []
        wire = plain(heard.append, complaint="no token\n" + "x" * 5000 + "\n")
        async with served(wire) as (server, _):
            await until(lambda: server.is_up and len(heard) == 2)
            assert heard[0] == "no token"
            assert len(heard[1]) == 300

    asyncio.run(talk())


def test_no_process_is_left_behind_by_one_that_will_not_go() -> None:
    async def talk() -> None:
        script = "sleep 60 & exec " + sys.executable + " " + PLAIN + " '{\"stays\": true}'"
        async with served(program("sh", "-c", script)) as (server, _):
            await until(lambda: server.is_up)
            group = os.getpgid(children()[0].pid)
        await until(lambda: not _living(group))

    asyncio.run(talk())


def test_the_end_of_one_that_floods_is_seen_behind_what_was_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[int] = []
    wait = asyncio.subprocess.Process.wait

    async def watched(process: asyncio.subprocess.Process) -> int:
        ended.append(await wait(process))
        return ended[-1]

    monkeypatch.setattr(asyncio.subprocess.Process, "wait", watched)
    flood = "while True: print('x' * 100_000)"

    async def talk() -> None:
        troubles: list[str] = []
        async with program(sys.executable, "-c", flood)(troubles.append):
            await until(lambda: troubles)  # it is no server, and is read no further
            [process] = children()
            written = -1
            while written != process.io_counters().write_chars:  # and so it cannot write on
                written = process.io_counters().write_chars
                await asyncio.sleep(0.05)
        assert ended

    asyncio.run(talk())


def _living(group: int) -> list[int]:
    """The processes of a group; one that is only not buried yet does not count."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            is_dead = process.status() == psutil.STATUS_ZOMBIE
            if os.getpgid(process.pid) == group and not is_dead:
                found.append(process.pid)
    return found


# --- streamable HTTP: the official package's server ------------------------------------------

WEB_SERVER = """
import asyncio, os, sys
from mcp.server.mcpserver import MCPServer
server = MCPServer("web")

@server.tool()
async def echo(text: str) -> str:
    "Says it again."
    return text

@server.tool()
async def die() -> str:
    "Ends in the middle."
    os._exit(3)

@server.tool()
async def hang() -> str:
    "Does nothing for long."
    await asyncio.sleep(60)
    return "late"

@server.tool(structured_output=False)
async def huge() -> str:
    "Talks a lot."
    return "word " * 1_000_000

server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]),
           json_response=sys.argv[2] == "json")
"""


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def web_server(
    tmp_path: Path, port: int, kind: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yields once it can be reached."""
    script = tmp_path / "web.py"
    script.write_text(WEB_SERVER)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(port), kind, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def web(url: str, headers: dict[str, str] | None = None) -> OpenWire:
    tls = tls_context()
    return lambda trouble: web_wire(url, headers or {}, trouble, tls)


@pytest.mark.parametrize("kind", ["json", "stream"])
def test_a_server_over_http_dies_in_the_middle_and_comes_back(tmp_path: Path, kind: str) -> None:
    async def talk() -> None:
        port = free_port()
        wire = web(f"http://127.0.0.1:{port}/mcp")
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(web_server(tmp_path, port, kind))
            server, watcher = await stack.enter_async_context(served(wire, timeout_s=15.0))
            await until(lambda: server.is_up)
            assert await server.call("echo", {"text": "hello"}) == "hello"
            told = await server.call("huge", {})
            assert len(told) < 25_000
            assert told.startswith("word word")
            words = await complaint(server.call("die", {}))
            assert "stopped in the middle of the call" in words
            await first.wait()
            await until(lambda: "the server could not be reached" in watcher.reasons)
            assert not server.is_up
            async with web_server(tmp_path, port, kind):
                await until(lambda: server.is_up)
                assert await server.call("echo", {"text": "again"}) == "again"

    asyncio.run(talk())


# --- addresses that misbehave ----------------------------------------------------------------


def test_the_token_goes_with_every_request() -> None:
    async def talk() -> None:
        with plain_web() as (port, handler):
            wire = web(f"http://127.0.0.1:{port}/mcp", {"Authorization": "Bearer t0ken"})
            async with served(wire) as (server, _):
                await until(lambda: server.is_up)
                assert await server.call("echo", {}) == "hello"
            assert {seen.get("authorization") for seen in handler.seen} == {"Bearer t0ken"}

    asyncio.run(talk())


def test_a_redirect_elsewhere_is_not_followed_with_the_token() -> None:
    async def talk() -> None:
        with plain_web() as (port, handler), plain_web() as (other, elsewhere):
            where = {"location": f"http://127.0.0.1:{other}/mcp"}
            handler.answer_with = staticmethod(lambda _message: (307, where, b""))
            wire = web(f"http://127.0.0.1:{port}/mcp", {"Authorization": "Bearer t0ken"})
            async with served(wire) as (_, watcher):
                await until(lambda: watcher.reasons)
                assert watcher.reasons[0] == "it redirects us (HTTP 307); see its url"
            assert handler.seen
            assert not elsewhere.seen

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ((401, {}, b""), "it refuses us (HTTP 401); see its token"),
        ((503, {}, b"busy"), "it has trouble of its own (HTTP 503)"),
        ((200, {"content-type": "text/html"}, b"<html>"), "it does not answer as an MCP server"),
        ((200, {"content-type": "application/json"}, b"{nonsense"), "it does not answer as an MCP"),
        ((202, {}, b""), "it does not answer as an MCP server does"),
        ((404, {}, b""), "it does not answer as an MCP server does"),
    ],
)
def test_an_address_that_is_no_tool_server(
    reply: tuple[int, dict[str, str], bytes], why: str
) -> None:
    async def talk() -> None:
        with plain_web() as (port, handler):
            handler.answer_with = staticmethod(lambda _message: reply)
            async with served(web(f"http://127.0.0.1:{port}/mcp")) as (_, watcher):
                await until(lambda: watcher.reasons)
                assert watcher.reasons[0].startswith(why)

    asyncio.run(talk())


def test_an_answer_in_many_lines_is_bounded_as_a_whole() -> None:
    async def talk() -> None:
        with plain_web() as (port, _):
            async with served(web(f"http://127.0.0.1:{port}/mcp"), timeout_s=15.0) as (server, _w):
                await until(lambda: server.is_up)
                assert "s" in await complaint(server.call("rows", {}))
                assert await server.call("echo", {}) == "hello"

    asyncio.run(talk())


def test_why_nobody_answers_is_told_as_everywhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))

    async def told(url: str) -> str:
        async with served(web(url)) as (_, watcher):
            await until(lambda: watcher.reasons)
            return watcher.reasons[0]

    async def talk() -> None:
        expired = authority.server(end="20200101000000Z")
        with plain_web(expired) as (port, _):
            why = await told(f"https://localhost:{port}/mcp")
            assert why == "the certificate is not valid at the time of this machine's clock"
            why = await told(f"http://localhost:{port}/mcp")  # plain words to an encrypted port
            assert why == "the connection broke"
        why = await told(f"http://localhost:{free_port()}/mcp?token=hush")
        assert why == "the server could not be reached"

    asyncio.run(talk())


def test_encryption_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "ca")

    async def talk() -> None:
        with plain_web(authority.server()) as (port, _):
            url = f"https://localhost:{port}/mcp"
            async with served(web(url)) as (_, watcher):
                await until(lambda: watcher.reasons)
                assert watcher.reasons[0].startswith("the certificate of the other side is not")
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
            async with served(web(url)) as (server, _w):
                await until(lambda: server.is_up)
                assert await server.call("echo", {}) == "hello"

    asyncio.run(talk())
