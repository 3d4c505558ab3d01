"""Tool servers without end: floods, lists, schemas, results; what they cost has a bound."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from tool_servers import CHANGED, MemoryServer, described, text
from tool_watcher import Watcher, running
from waiting import until

from edge_agent.contract.errors import ToolError
from edge_agent.contract.pace import Pace
from edge_agent.simulation import clock
from edge_agent.tools.servers import mcp_server
from edge_agent.tools.servers.mcp_server import (
    CHANGES_MAX,
    LISTED_MAX,
    LOOKS_PER_MIN,
    ToolServer,
    load_library,
)
from edge_agent.tools.servers.mcp_shorten import LINE_MAX_BYTES, MESSAGE_MAX_BYTES
from edge_agent.tools.servers.mcp_tools import LEFT_OUT_MAX, TOOLS_MAX, ServerPlan
from edge_agent.tools.servers.mcp_wire import (
    ASKED_MAX,
    FLOODS,
    LINES_PER_UNIT,
    NO_JSON,
    UNIT_BYTES,
    UNITS_PER_S_MAX,
    WEB_RETURNS_PER_MIN,
    Asked,
    OpenWire,
    listen,
    program_wire,
    short_lines,
    speak,
    tls_context,
    web_wire,
)

sys.path.append(str(Path(__file__).parents[1] / "hostile"))

import hostile_tools

UNDONE = "The tool server s "
"""Lost, silent or away by then: which of them depends on how fast the machine is."""
NOTE = hostile_tools.LOG.encode() + b"\n"
PING = b'{"jsonrpc": "2.0", "id": 7, "method": "ping"}\n'


def play(talk: Callable[[], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        return await talk()

    return clock.run(whole())


@asynccontextmanager
async def served(wire: OpenWire, **plan: Any) -> AsyncIterator[tuple[ToolServer, Watcher]]:
    load_library()
    watcher = Watcher()
    whole: dict[str, Any] = {"command": ("x",), "allow_all": True, "timeout_s": 2.0, **plan}
    server = ToolServer(ServerPlan("s", **whole), wire, watcher, random.Random(7))
    async with running(server):
        yield server, watcher


async def outcome(call: Awaitable[str]) -> str:
    try:
        return await call
    except ToolError as error:
        return str(error)


# --- a program's words, in virtual time --------------------------------------------------------


async def heard_in(seconds: float, line: bytes) -> tuple[int, list[str]]:
    """How many messages come of a program that says `line` without end, and what is wrong."""
    load_library()
    reader = asyncio.StreamReader()
    inbound, heard = anyio.create_memory_object_stream[Any](0)
    troubles: list[str] = []
    count = 0

    async def feed() -> None:
        while True:
            if len(reader._buffer) < 100 * len(line):  # type: ignore[attr-defined]
                reader.feed_data(line * 100)
            await asyncio.sleep(0.01)

    async def take() -> None:
        nonlocal count
        async for _ in heard:
            count += 1

    tasks = [
        asyncio.create_task(work)
        for work in (feed(), take(), listen(reader, inbound, troubles.append, Asked()))
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    heard.close()
    return count, troubles


def test_notifications_without_end_are_read_no_faster_than_so_many_a_second() -> None:
    count, troubles = play(lambda: heard_in(4.0, NOTE))
    assert UNITS_PER_S_MAX * 2 < count <= UNITS_PER_S_MAX * 5
    assert troubles.count(FLOODS) == 1


def test_a_large_message_counts_as_several() -> None:
    long = NOTE.replace(b'"x"', b'"' + b"x" * 4 * UNIT_BYTES + b'"')
    count, _ = play(lambda: heard_in(10.0, long))
    assert count <= UNITS_PER_S_MAX * 11 / 5 + 1


def test_a_server_that_asks_and_reads_no_answer_is_left() -> None:
    count, troubles = play(lambda: heard_in(10.0, PING))
    assert count == ASKED_MAX
    assert troubles == ["it asks and does not listen"]


def test_a_question_that_was_answered_counts_no_more() -> None:
    async def talk() -> int:
        from mcp.shared.message import SessionMessage
        from mcp_types import JSONRPCRequest, JSONRPCResponse

        written: list[bytes] = []

        class Writer:
            write = written.append

            async def drain(self) -> None:
                """It is taken at once."""

        asked = Asked()
        to_say, outbound = anyio.create_memory_object_stream[Any](0)
        speaking = asyncio.create_task(
            speak(cast("asyncio.StreamWriter", Writer()), outbound, asked)
        )
        for number in range(5):
            asked.came(JSONRPCRequest(jsonrpc="2.0", id=number, method="ping"))
            answer = JSONRPCResponse(jsonrpc="2.0", id=number, result={})
            await to_say.send(SessionMessage(answer))
        question = JSONRPCRequest(jsonrpc="2.0", id=9, method="tools/list")
        await to_say.send(SessionMessage(question))
        to_say.close()
        await speaking
        outbound.close()
        assert len(written) == 6
        return asked.count

    assert play(talk) == 0


# --- an address's words, in virtual time -------------------------------------------------------


async def pieces_of(data: bytes) -> AsyncIterator[bytes]:
    """Without end; each time others get their turn."""
    while True:
        await asyncio.sleep(0)
        yield data


@pytest.mark.parametrize(
    ("data", "is_one", "limit_bytes"),
    [
        (b"x" * 65_536, True, LINE_MAX_BYTES),
        (b"x" * 65_536, False, LINE_MAX_BYTES),
        (b"\n" * 65_536, True, 3 * MESSAGE_MAX_BYTES),
        (b'{"a": 1}\n', True, 3 * MESSAGE_MAX_BYTES),
    ],
    ids=["a line", "a line of events", "empty lines", "lines"],
)
def test_an_answer_over_http_that_never_ends_is_ended(
    data: bytes, is_one: bool, limit_bytes: int
) -> None:
    async def talk() -> tuple[int, bytes]:
        size, last = 0, b""
        async for last in short_lines(pieces_of(data), is_one=is_one, pace=Pace(10**9)):
            size += len(last)
        return size, last

    size, last = play(talk)
    assert size <= limit_bytes
    assert last == NO_JSON


@pytest.mark.parametrize(
    ("event", "units"),
    [(b"data: {}\n\n", 1.0), (b"data: {}\n", 1 / LINES_PER_UNIT), (b": " * 8192 + b"\n", 1.0)],
    ids=["events", "lines of an event", "long lines"],
)
def test_events_without_end_are_read_no_faster_than_so_many_a_second(
    event: bytes, units: float
) -> None:
    async def talk() -> int:
        pace, size = Pace(UNITS_PER_S_MAX), 0

        async def read() -> None:
            nonlocal size
            async for short in short_lines(pieces_of(event * 100), is_one=False, pace=pace):
                size += len(short)

        reading = asyncio.create_task(read())
        await asyncio.sleep(10.0)
        reading.cancel()
        await asyncio.wait({reading})
        return size // len(event)

    assert 100 <= play(talk) <= UNITS_PER_S_MAX * 11 / units + 200


# --- lists, in virtual time --------------------------------------------------------------------


def listings(memory: MemoryServer) -> list[float]:
    """When the tools are asked for, from now on."""
    real, times = memory._reply, list[float]()

    async def reply(message: dict[str, Any]) -> dict[str, Any]:
        if message["method"] == "tools/list":
            times.append(asyncio.get_running_loop().time())
        return await real(message)

    memory._reply = reply  # type: ignore[method-assign]
    return times


def test_news_without_end_are_looked_at_some_times_a_minute() -> None:
    async def talk() -> None:
        memory = MemoryServer()
        times = listings(memory)
        async with served(memory.wire) as (server, watcher):
            await until(lambda: server.is_up)
            for number in range(6000):
                memory.tools = described("echo", f"new_{number}")
                if server.is_up:
                    memory.tell(CHANGED)
                await asyncio.sleep(0.1)
            assert 10 <= len(times) <= 10 * (LOOKS_PER_MIN + 2)
            assert set(watcher.reasons) == {"its tools never stay the same"}
            assert memory.connections <= len(times) // CHANGES_MAX + 1
            await asyncio.sleep(2 * mcp_server.LOOK_EVERY_S)
            assert "new_5999" in [one.name for one in server.listed]  # at last

    play(talk)


def test_a_long_list_is_looked_at_as_far_as_its_bound() -> None:
    async def talk() -> None:
        memory = MemoryServer(tools=described(*(f"t{n}" for n in range(9000))), page=400)
        times = listings(memory)
        async with served(memory.wire) as (server, _):
            await until(lambda: server.is_up)
            assert len(server.listed) == LISTED_MAX
            assert len(times) == 2
            assert len(server.tools) == TOOLS_MAX
            assert len(server.left_out) == LEFT_OUT_MAX + 2
            more = LISTED_MAX - TOOLS_MAX - LEFT_OUT_MAX
            assert server.left_out[-2].name == f"({more} more)"
            assert server.left_out[-1].why == f"only the first {LISTED_MAX} are looked at"

    play(talk)


def test_a_schema_that_cannot_be_used_is_not_kept() -> None:
    async def talk() -> None:
        wide = {f"p{n}": {"type": "string"} for n in range(5000)}
        tools = [*described("wide", type="object", properties=wide), *described("echo")]
        async with served(MemoryServer(tools=tools).wire) as (server, _):
            await until(lambda: server.is_up)
            assert [one.schema is None for one in server.listed] == [True, False]
            assert [tool.name for tool in server.tools] == ["s__echo"]
            assert "longer than" in server.left_out[0].why

    play(talk)


def test_progress_without_end_is_no_result() -> None:
    async def talk() -> None:
        memory = MemoryServer(call=lambda _name, _arguments: asyncio.sleep(600, text("late")))
        note = {"jsonrpc": "2.0", "method": "notifications/progress"}
        async with served(memory.wire) as (server, _):
            await until(lambda: server.is_up)
            call = asyncio.create_task(outcome(server.call("echo", {})))
            for number in itertools.takewhile(lambda _: not call.done(), range(1000)):
                for token in range(5):
                    params = {"progressToken": token, "progress": number}
                    memory.tell({**note, "params": params})
                await asyncio.sleep(0.1)
            assert "no answer within 2 seconds" in await call
            assert number < 30

    play(talk)


def test_one_that_ends_as_soon_as_it_stands_is_started_ever_more_rarely() -> None:
    async def talk() -> None:
        memory = MemoryServer()
        async with served(memory.wire) as (server, watcher):

            async def kills() -> None:
                while True:
                    await until(lambda: server.is_up, 100)
                    memory.kill()
                    await until(lambda: not server.is_up)

            killing = asyncio.create_task(kills())
            await asyncio.sleep(600)
            assert 12 <= memory.connections <= 40
            assert len(watcher.reasons) <= memory.connections
            killing.cancel()
            await asyncio.wait({killing})
            await until(lambda: server.is_up, 100)
            assert await server.call("echo", {}) == "echo {}"

    play(talk)


# --- as programs, and on a port ----------------------------------------------------------------


def hostile(name: str) -> OpenWire:
    command = (sys.executable, hostile_tools.__file__, name)
    return lambda trouble: program_wire(command, {}, trouble)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("honest", "hello"),
        ("line", UNDONE),
        ("noise", "hello|" + UNDONE),  # which comes first, the answer or the end of the flood
        ("asks", "hello|" + UNDONE),
        ("pages", "hello"),
        ("schemas", "hello"),
        ("big", UNDONE),
        ("endless", UNDONE),
        ("progress", "gave no answer within 2 seconds"),
        ("ends", UNDONE),
    ],
)
def test_whatever_a_program_does_a_call_has_its_answer(name: str, words: str) -> None:
    async def life() -> None:
        async with served(hostile(name)) as (server, watcher):
            await until(lambda: watcher.has_connected)  # "ends" is up for the blink of an eye
            told = await outcome(server.call("echo", {}))
            assert any(word in told for word in words.split("|"))

    asyncio.run(life())


@contextmanager
def address(name: str) -> Iterator[hostile_tools.WebServer]:
    with hostile_tools.WebServer(hostile_tools.WEB_WAYS[name]) as server:
        thread = threading.Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", hostile_tools.WEB_WAYS)
def test_whatever_an_address_does_a_call_has_its_answer(name: str) -> None:
    async def life() -> None:
        tls = tls_context()
        with address(name) as web:
            url = f"http://127.0.0.1:{web.server_address[1]}/mcp"
            async with served(lambda trouble: web_wire(url, {}, trouble, tls)) as (server, _):
                await until(lambda: server.is_up)
                assert "The tool server s" in await outcome(server.call("echo", {}))
                asked = web.gets
            assert asked <= WEB_RETURNS_PER_MIN

    asyncio.run(life())
