"""One tool server kept connected, in virtual time: hangs, deaths, slowness, changes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from tool_servers import CHANGED, MemoryServer, described, text
from tool_watcher import running
from waiting import until

from edge_agent.contract.errors import ToolError
from edge_agent.simulation import clock
from edge_agent.tools.servers.mcp_server import (
    BACK_SOON_S,
    CONNECT_MAX_S,
    LIST_MAX_S,
    LOOK_EVERY_S,
    PAUSE_MAX_S,
    ToolServer,
)
from edge_agent.tools.servers.mcp_tools import ServerPlan


class Watcher:
    """Writes down what it is told, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str]] = []
        self.server: ToolServer | None = None
        self.began = asyncio.get_running_loop().time()

    def tools_changed(self) -> None:
        assert self.server is not None
        self._note("tools " + " ".join(tool.name for tool in self.server.tools))

    def connected(self, server: ToolServer) -> None:
        self._note("connected")

    def flooded(self, server: ToolServer) -> None:
        self._note("floods")

    def lost(self, server: ToolServer, why: str, retry_in_s: float) -> None:
        assert 0 < retry_in_s <= PAUSE_MAX_S
        self._note(why)

    def _note(self, what: str) -> None:
        self.told.append((asyncio.get_running_loop().time() - self.began, what))

    @property
    def words(self) -> list[str]:
        return [what for _, what in self.told]


@asynccontextmanager
async def served(memory: MemoryServer, **plan: Any) -> AsyncIterator[tuple[ToolServer, Watcher]]:
    watcher = Watcher()
    whole: dict[str, Any] = {"command": ("x",), "allow_all": True, "timeout_s": 5.0, **plan}
    server = ToolServer(ServerPlan("home", **whole), memory.wire, watcher, random.Random(7))
    watcher.server = server
    async with running(server):
        yield server, watcher


def play(talk: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await talk()

    clock.run(whole())


async def complaint(call: Awaitable[str]) -> str:
    with pytest.raises(ToolError) as caught:
        await call
    return str(caught.value)


def test_tools_are_listed_page_by_page_and_called() -> None:
    async def talk() -> None:
        memory = MemoryServer(tools=described("a", "b", "c", "d", "e"), page=2)
        async with served(memory) as (server, watcher):
            await until(lambda: server.is_up)
            assert [one.name for one in server.listed] == ["a", "b", "c", "d", "e"]
            assert watcher.words == ["tools home__a home__b home__c home__d home__e", "connected"]
            assert await server.call("c", {"x": 1}) == "c {'x': 1}"
            assert memory.called == [("c", {"x": 1})]

    play(talk)


def test_a_list_without_end_is_ended() -> None:
    async def talk() -> None:
        memory = MemoryServer(tools=described(*(f"t{n}" for n in range(50))), page=1)
        async with served(memory) as (server, _):
            await until(lambda: server.is_up)
            assert len(server.listed) == 20

    play(talk)


@pytest.mark.parametrize("start_s", [5.0, 40.0])
def test_a_server_that_needs_long_to_start_is_waited_for(start_s: float) -> None:
    async def talk() -> None:
        async with served(MemoryServer(start_s=start_s)) as (server, watcher):
            await until(lambda: server.is_up, CONNECT_MAX_S)
            assert start_s <= watcher.told[0][0] < start_s + 1
            assert watcher.words[-1] == "connected"

    play(talk)


def test_a_server_that_never_answers_is_tried_again_and_again() -> None:
    async def talk() -> None:
        memory = MemoryServer(is_deaf=True)
        async with served(memory) as (server, watcher):
            await until(lambda: len(watcher.told) >= 3, 600)
            assert set(watcher.words) == {"it did not answer in time"}
            assert watcher.told[0][0] <= CONNECT_MAX_S
            memory.is_deaf = False
            await until(lambda: server.is_up, 2 * CONNECT_MAX_S + PAUSE_MAX_S)
            assert await server.call("echo", {})

    play(talk)


def test_attempts_in_vain_become_rare_but_do_not_end() -> None:
    async def talk() -> None:
        memory = MemoryServer(refuses="the program x cannot be started: not there")
        async with served(memory) as (server, watcher):
            await asyncio.sleep(3600)
            times = [at for at, _ in watcher.told]
            pauses = [b - a for a, b in pairwise(times)]
            assert pauses[0] <= 0.5
            assert all(PAUSE_MAX_S / 2 <= pause <= PAUSE_MAX_S for pause in pauses[8:])
            assert set(watcher.words) == {"the program x cannot be started: not there"}
            memory.refuses = ""
            await until(lambda: server.is_up, PAUSE_MAX_S + 1)

    play(talk)


def test_a_server_killed_in_the_middle_of_a_call_is_told_at_once_and_comes_back() -> None:
    async def talk() -> None:
        memory = MemoryServer(call=lambda _name, _arguments: asyncio.sleep(3, text("late")))
        async with served(memory) as (server, watcher):
            await until(lambda: server.is_up)
            call = asyncio.create_task(server.call("echo", {}))
            await asyncio.sleep(1)
            killed_at = asyncio.get_running_loop().time()
            memory.kill()
            words = await complaint(call)
            assert asyncio.get_running_loop().time() - killed_at < 0.1
            assert "home stopped in the middle of the call. Whether it was done is not" in words
            assert server.tools, "a model that knows them can say what is wrong"
            assert await server.call("echo", {}) == "late"
            assert watcher.words[-2:] == ["its program ended", "connected"]
            assert memory.connections == 2

    play(talk)


def test_a_call_wakes_a_server_that_is_being_waited_for_and_gives_up_soon() -> None:
    async def talk() -> None:
        memory = MemoryServer()
        async with served(memory) as (server, watcher):
            await until(lambda: server.is_up)
            memory.refuses = "gone"
            memory.kill()
            await until(lambda: watcher.words.count("gone") >= 9, 600)
            began = asyncio.get_running_loop().time()
            words = await complaint(server.call("echo", {}))
            assert words == "The tool server home cannot be reached just now. Nothing was done."
            assert asyncio.get_running_loop().time() - began <= BACK_SOON_S + 0.1
            memory.refuses = ""
            assert await server.call("echo", {}) == "echo {}"

    play(talk)


def test_a_server_that_hangs_is_found_out_and_started_anew() -> None:
    async def talk() -> None:
        memory = MemoryServer()
        async with served(memory) as (server, watcher):
            await until(lambda: server.is_up)
            memory.is_deaf = True
            assert "no answer within 5 seconds" in await complaint(server.call("echo", {}))
            await until(lambda: not server.is_up, LIST_MAX_S + 1)
            memory.is_deaf = False
            await until(lambda: server.is_up, 5)
            assert watcher.words[-2:] == ["it did not answer in time", "connected"]

    play(talk)


def test_a_server_that_hangs_unasked_is_found_out_within_a_minute() -> None:
    async def talk() -> None:
        memory = MemoryServer()
        async with served(memory) as (server, _):
            await until(lambda: server.is_up)
            memory.is_deaf = True
            await until(lambda: not server.is_up, LOOK_EVERY_S + LIST_MAX_S + 1)

    play(talk)


def test_a_cancelled_call_is_cancelled_at_the_server_too() -> None:
    async def talk() -> None:
        memory = MemoryServer(call=lambda _name, _arguments: asyncio.sleep(60, text("late")))
        async with served(memory, timeout_s=90.0) as (server, _):
            await until(lambda: server.is_up)
            call = asyncio.create_task(server.call("echo", {}))
            await asyncio.sleep(1)
            call.cancel()
            await asyncio.wait({call})
            assert call.cancelled()
            await until(lambda: bool(memory.cancelled), 1)
            await asyncio.sleep(LIST_MAX_S + 1)
            assert server.is_up, "it answers, so it stays"

    play(talk)


@pytest.mark.parametrize("told", [True, False])
def test_tools_that_change_are_noticed(told: bool) -> None:
    async def talk() -> None:
        memory = MemoryServer()
        async with served(memory) as (server, watcher):
            await until(lambda: server.is_up)
            memory.tools = described("echo", "fresh")
            began = asyncio.get_running_loop().time()
            if told:
                memory.tell(CHANGED)
            await until(lambda: len(server.tools) == 2, LOOK_EVERY_S + 1)
            waited_s = asyncio.get_running_loop().time() - began
            assert waited_s < 0.1 if told else waited_s > 1
            assert watcher.words[-2:] == ["tools home__echo home__fresh", "connected"]
            memory.tools = []
            memory.tell(CHANGED)
            await until(lambda: not server.tools, 1)

    play(talk)


def test_a_list_that_stays_the_same_is_no_news() -> None:
    async def talk() -> None:
        memory = MemoryServer()
        async with served(memory) as (server, watcher):
            await until(lambda: server.is_up)
            await asyncio.sleep(10 * LOOK_EVERY_S)
            memory.kill()
            await until(lambda: memory.connections == 2 and server.is_up)
            assert watcher.words == [
                "tools home__echo",
                "connected",
                "its program ended",
                "connected",
            ]

    play(talk)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (text("The lamp is broken.", is_error=True), "The tool failed: The lamp is broken."),
        ({"content": "nonsense"}, "an answer that cannot be read"),
        ({}, "an answer that cannot be read"),
        ({"content": [{"type": "unheard of"}]}, "an answer that cannot be read"),
    ],
)
def test_a_result_that_is_none_is_told_in_words(result: dict[str, Any], words: str) -> None:
    async def talk() -> None:
        async with served(MemoryServer(call=lambda _n, _a: result)) as (server, _):
            await until(lambda: server.is_up)
            assert words in await complaint(server.call("echo", {}))
            assert server.is_up

    play(talk)


def test_a_refused_call_is_told_with_the_servers_reason() -> None:
    async def talk() -> None:
        memory = MemoryServer()
        real = memory._reply

        async def reply(message: dict[str, Any]) -> dict[str, Any]:
            if message["method"] == "tools/call":
                error = {"code": -32602, "message": "No such\nlamp. " + "x" * 5000}
                return {"jsonrpc": "2.0", "id": message["id"], "error": error}
            return await real(message)

        memory._reply = reply  # type: ignore[method-assign]
        async with served(memory) as (server, _):
            await until(lambda: server.is_up)
            words = await complaint(server.call("echo", {}))
            assert words.startswith("The tool server home refused the call: No such lamp. xxx")
            assert len(words) < 300

    play(talk)


def test_many_calls_run_side_by_side() -> None:
    async def talk() -> None:
        memory = MemoryServer(call=lambda _n, a: asyncio.sleep(2, text(str(a["n"]))))
        async with served(memory) as (server, _):
            await until(lambda: server.is_up)
            began = asyncio.get_running_loop().time()
            results = await asyncio.gather(*(server.call("echo", {"n": n}) for n in range(20)))
            assert results == [str(n) for n in range(20)]
            assert asyncio.get_running_loop().time() - began < 3

    play(talk)
