"""Control: real sockets, good and bad askers, and a speaker that never suffers from them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.errors import ConfigError
from edge_agent.host.service.control import (
    ASKERS_MAX,
    REFUSALS_NOTED_PER_MIN,
    REQUEST_MAX_BYTES,
    SERVICE_FOLDER,
    ControlError,
    ControlServer,
    NotRunning,
    ask,
    client_paths,
    server_path,
    speaker_pid,
)


class House:
    """A server with its notes, and what can be asked of it."""

    def __init__(self, path: Path) -> None:
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.faults: list[BaseException] = []
        self.muted = False
        self.server = ControlServer(
            path,
            {"status": self.status, "mute": self.mute, "break": self.crash, "big": self.big},
            note=lambda code, **fields: self.notes.append((code, fields)),
            fault=self.faults.append,
        )

    def status(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"talk": "asleep", "muted": self.muted}

    def mute(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("to") not in ("on", "off", "toggle"):
            raise ConfigError("There is no such mute.", fix="Say on, off or toggle.")
        self.muted = {"on": True, "off": False, "toggle": not self.muted}[request["to"]]
        return {"muted": self.muted}

    def crash(self, _request: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("what somebody said")

    def big(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"text": "x" * 200_000}


def with_house(path: Path, play: Callable[[House], Awaitable[None]]) -> House:
    async def evening() -> House:
        house = House(path)
        assert await house.server.start()
        try:
            await play(house)
        finally:
            await house.server.stop()
            await house.server.stop()
            await asyncio.sleep(0)
        return house

    return asyncio.run(evening())


async def said(path: Path, raw: bytes) -> bytes:
    """What comes back for these bytes."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(raw)
    writer.write_eof()
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


# --- where it is ---------------------------------------------------------------------------


def test_who_only_looks_whether_somebody_listens_is_no_line_of_the_journal(tmp_path: Path) -> None:
    notes: list[str] = []

    async def evening() -> None:
        server = ControlServer(
            tmp_path / "c.sock", {}, note=lambda code, **_fields: notes.append(code)
        )
        assert await server.start()
        other = ControlServer(tmp_path / "c.sock", {}, note=lambda *_a, **_f: None)
        assert not await other.start()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "c.sock"))
        writer.write(b"x\n")
        await reader.readline()
        writer.close()
        await server.stop()

    asyncio.run(evening())
    assert notes == ["control.refused"], "the one that said something"


def test_the_place_follows_setting_service_account() -> None:
    service = {"RUNTIME_DIRECTORY": "/run/edge-agent:/run/other", "XDG_RUNTIME_DIR": "/run/user/1"}
    assert server_path("/x/y.sock", service) == Path("/x/y.sock")
    assert server_path("", service) == Path("/run/edge-agent/control.sock")
    by_hand = {"XDG_RUNTIME_DIR": "/run/user/1"}
    assert server_path("", by_hand) == Path("/run/user/1/edge-agent/control.sock")
    assert server_path("", {}) == SERVICE_FOLDER / "control.sock"
    assert client_paths("", by_hand) == [
        Path("/run/user/1/edge-agent/control.sock"),
        SERVICE_FOLDER / "control.sock",
    ]


# --- asking --------------------------------------------------------------------------------


def test_a_question_has_its_answer(path: Path) -> None:
    modes: list[int] = []

    async def play(house: House) -> None:
        modes.append(os.stat(path).st_mode)  # noqa: PTH116
        nobody = path.with_name("nobody")
        answer = await asyncio.to_thread(ask, {"do": "status"}, [nobody, path])
        assert answer == {"ok": True, "talk": "asleep", "muted": False}
        for to, muted in (("on", True), ("toggle", False), ("toggle", True), ("off", False)):
            assert (await asyncio.to_thread(ask, {"do": "mute", "to": to}, [path]))[
                "muted"
            ] is muted
            assert house.muted is muted

    house = with_house(path, play)
    assert [stat.S_IMODE(mode) for mode in modes] == [0o660]
    assert not path.exists()
    assert (house.notes, house.faults) == ([], [])


def test_a_refusal_comes_with_its_words(path: Path) -> None:
    async def play(_house: House) -> None:
        with pytest.raises(ControlError, match=r"There is no such mute\. Say on, off or toggle\."):
            await asyncio.to_thread(ask, {"do": "mute", "to": "maybe"}, [path])
        with pytest.raises(ControlError, match=r"There are: big, break, mute, status\."):
            await asyncio.to_thread(ask, {"do": "dance"}, [path])

    house = with_house(path, play)
    assert [code for code, _ in house.notes] == ["control.refused"]


def test_a_fault_in_an_answer_is_told_and_does_not_leak(path: Path) -> None:
    async def play(_house: House) -> None:
        with pytest.raises(ControlError, match="A fault in the program") as caught:
            await asyncio.to_thread(ask, {"do": "break"}, [path])
        assert "somebody" not in str(caught.value)
        assert (await asyncio.to_thread(ask, {"do": "status"}, [path]))["ok"]

    house = with_house(path, play)
    assert [type(fault) for fault in house.faults] == [RuntimeError]


@pytest.mark.parametrize(
    "raw",
    [
        b"\n",
        b"hello\n",
        b"[1]\n",
        b'{"do": 3}\n',
        b"\xff\xfe\n",
        b"[" * 3000 + b"\n",
        b"x" * (REQUEST_MAX_BYTES * 4),
        b'{"do": "nothing"}\n',
    ],
)
def test_noise_is_refused_and_the_next_is_served(path: Path, raw: bytes) -> None:
    async def play(_house: House) -> None:
        answer = json.loads(await said(path, raw))
        assert answer["ok"] is False
        assert answer["error"].startswith("The speaker refused: ")
        assert json.loads(await said(path, b'{"do": "status"}\n'))["ok"]

    with_house(path, play)


def test_one_that_asks_and_leaves_does_no_harm(path: Path) -> None:
    async def play(_house: House) -> None:
        for request in (b'{"do": "big"}\n', b'{"do"', b""):
            with socket.socket(socket.AF_UNIX) as rude:
                rude.connect(str(path))
                rude.sendall(request)
        assert json.loads(await said(path, b'{"do": "status"}\n'))["ok"]

    assert with_house(path, play).faults == []


def test_one_that_only_looks_whether_somebody_is_there_leaves_no_line(path: Path) -> None:
    async def play(_house: House) -> None:
        assert await said(path, b"") == b""
        assert await asyncio.to_thread(speaker_pid, [path]) == os.getpid()
        assert json.loads(await said(path, b'{"do": "status"}\n'))["ok"]

    assert with_house(path, play).notes == []


def test_mute_always_gets_in_and_refusals_are_noted_a_few_times(path: Path) -> None:
    async def play(house: House) -> None:
        async def crowd() -> None:
            while True:
                for raw in (b"", b"{}\n"):
                    _, writer = await asyncio.open_unix_connection(str(path))
                    writer.write(raw)
                    held.append(writer)

        held: list[asyncio.StreamWriter] = []
        crowds = [asyncio.create_task(crowd()) for _ in range(8)]
        for to in ("on", "off") * 20:
            assert json.loads(
                await said(path, json.dumps({"do": "mute", "to": to}).encode() + b"\n")
            )
            assert house.muted is (to == "on")
        for one in crowds:
            one.cancel()
        await asyncio.gather(*crowds, return_exceptions=True)
        for writer in held:
            writer.close()
        assert len(held) > ASKERS_MAX

    house = with_house(path, play)
    assert 0 < len(house.notes) <= REFUSALS_NOTED_PER_MIN


def test_those_who_only_hold_the_line_are_few_and_leave_with_the_house(path: Path) -> None:
    late: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def play(_house: House) -> None:
        silent = [await asyncio.open_unix_connection(str(path)) for _ in range(ASKERS_MAX)]
        assert await said(path, b'{"do": "status"}\n')
        assert await silent[0][0].read() == b""  # the oldest had to go, and nobody else
        assert not any(reader.at_eof() for reader, _ in silent[1:])
        for _, writer in silent:
            writer.close()
            await writer.wait_closed()
        # One more, which still holds the line when the house closes.
        late.append(await asyncio.open_unix_connection(str(path)))
        assert await said(path, b'{"do": "status"}\n')  # so the one before has been let in

    async def to_the_end(house: House) -> None:
        await play(house)
        await house.server.stop()
        ((reader, writer),) = late
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    with_house(path, to_the_end)


# --- the daemon is not there ---------------------------------------------------------------


def test_nobody_there_is_a_sentence(path: Path) -> None:
    with pytest.raises(NotRunning, match="not running"):
        ask({"do": "status"}, [path])
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NotRunning):
        ask({"do": "status"}, [path])


@pytest.mark.parametrize("reply", [b"", b"what?\n", b"[]\n", b"{"])
def test_a_speaker_that_talks_nonsense_is_a_sentence(path: Path, reply: bytes) -> None:
    async def play() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(reply)
            writer.close()

        path.parent.mkdir()
        server = await asyncio.start_unix_server(serve, str(path))
        with pytest.raises(ControlError, match="did not answer"):
            await asyncio.to_thread(ask, {"do": "status"}, [path])
        server.close()
        await server.wait_closed()

    asyncio.run(play())


# --- the socket's place --------------------------------------------------------------------


def test_a_socket_left_by_a_crash_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def play(_house: House) -> None:
        assert json.loads(await said(path, b'{"do": "status"}\n'))["ok"]

    with_house(path, play)


def test_a_second_speaker_leaves_the_first_in_its_place(path: Path) -> None:
    async def play(_house: House) -> None:
        second = House(path)
        assert not await second.server.start()
        await second.server.stop()
        assert second.notes == [
            (
                "control.unavailable",
                {"path": str(path), "why": "another edge-agent listens there"},
            )
        ]
        assert json.loads(await said(path, b'{"do": "status"}\n'))["ok"]

    with_house(path, play)


def test_a_place_that_cannot_be_had_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").write_text("")
    for path, why in (
        (tmp_path / "file" / "control.sock", "File exists"),
        (tmp_path / "taken", "Address already in use"),
        (tmp_path / ("x" * 120), "longer than"),
    ):
        house = House(path)
        assert not asyncio.run(house.server.start())
        (note,) = house.notes
        assert note[0] == "control.unavailable"
        assert why in str(note[1]["why"])
    assert (tmp_path / "taken").exists()
