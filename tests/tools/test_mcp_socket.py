"""A tool server's program behind a socket, as systemd runs it: the door there, our wire here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from tool_watcher import PLAIN, Watcher, running
from waiting import PATIENCE_S, until

from edge_agent.contract.errors import ToolError
from edge_agent.host.service.tool_units import DOOR
from edge_agent.tools.servers.mcp_server import ToolServer, load_library
from edge_agent.tools.servers.mcp_socket import socket_wire
from edge_agent.tools.servers.mcp_tools import ServerPlan

SERVER = (sys.executable, PLAIN, "{}")
STUBBORN = (sys.executable, "-c", "import time\nwhile True: time.sleep(60)")
"""Never looks at its input."""

Door = subprocess.Popen[bytes]


def opened(connection: socket.socket, *command: str) -> Door:
    """A door as systemd starts it, with the connection as standard input and output."""
    with connection:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(DOOR), *command],
            stdin=connection.fileno(),
            stdout=connection.fileno(),
            stderr=subprocess.DEVNULL,
            process_group=0,
        )


@contextlib.asynccontextmanager
async def listening(path: Path, *command: str) -> AsyncIterator[list[Door]]:
    """What a socket unit with `Accept=yes` does; yields the doors that it has started."""
    doors: list[Door] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)

        async def accept() -> None:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                connection.setblocking(True)
                doors.append(opened(connection, *command))

        accepting = asyncio.create_task(accept())
        try:
            yield doors
        finally:
            accepting.cancel()
            for door in doors:  # as systemd ends what is left in the unit
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(door.pid, signal.SIGKILL)
                door.wait()


def server_at(path: Path, watcher: Watcher) -> ToolServer:
    load_library()
    plan = ServerPlan("s", command=("x",), allow_all=True)
    return ToolServer(plan, partial(socket_wire, path), watcher, random.Random(7))


def test_tools_are_called_and_the_door_ends_with_the_connection(tmp_path: Path) -> None:
    async def life() -> None:
        path = tmp_path / "s.sock"
        async with listening(path, *SERVER) as doors:
            server = server_at(path, Watcher())
            async with running(server):
                await until(lambda: server.is_up)
                assert await server.call("echo", {"text": "hello"})
                assert len(doors) == 1
                assert doors[0].poll() is None
            await until(lambda: doors[0].poll() is not None)
            assert doors[0].returncode == 0

    asyncio.run(life())


def test_two_at_once_have_a_program_each(tmp_path: Path) -> None:
    async def life() -> None:
        path = tmp_path / "s.sock"
        async with listening(path, *SERVER) as doors:
            one, two = server_at(path, Watcher()), server_at(path, Watcher())
            async with running(one), running(two):
                await until(lambda: one.is_up and two.is_up)
                assert len(doors) == 2

    asyncio.run(life())


def test_a_program_that_ends_is_lost_and_started_anew(tmp_path: Path) -> None:
    async def life() -> None:
        path, watcher = tmp_path / "s.sock", Watcher()
        async with listening(path, *SERVER) as doors:
            server = server_at(path, watcher)
            async with running(server):
                await until(lambda: server.is_up)
                with pytest.raises(ToolError, match="stopped in the middle"):
                    await server.call("die", {})
                assert await asyncio.to_thread(doors[0].wait, PATIENCE_S) != 0
                await until(lambda: server.is_up and len(doors) == 2)
                assert watcher.reasons == ["its program ended"]

    asyncio.run(life())


@pytest.mark.parametrize(
    ("command", "code"), [(STUBBORN, 0), (("/not/there",), 127), ((sys.executable, "-c", "1/0"), 1)]
)
def test_the_door_ends_with_the_speaker_or_with_its_program(
    command: tuple[str, ...], code: int
) -> None:
    """A stubborn program is left to systemd, which ends the whole unit when the door has gone."""
    ours, theirs = socket.socketpair()
    door = opened(theirs, *command)
    try:
        with ours:
            if code:
                assert door.wait(PATIENCE_S) == code
        assert door.wait(PATIENCE_S) == code
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(door.pid, signal.SIGKILL)


def test_a_socket_at_which_nobody_listens_is_told(tmp_path: Path) -> None:
    async def life() -> None:
        watcher = Watcher()
        server = server_at(tmp_path / "none.sock", watcher)
        async with running(server):
            await until(lambda: bool(watcher.reasons))
        assert "cannot be reached: No such file or directory" in watcher.reasons[0]

    asyncio.run(life())
