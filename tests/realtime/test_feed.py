"""What comes from a socket reaches the library a little at a time, whatever is sent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from house_config import household_dialer
from hypothesis import given
from hypothesis import strategies as st
from real_sockets import raw_server
from waiting import until

from edge_agent.realtime.link import feed as module
from edge_agent.realtime.link.feed import (
    FRAMES_PER_S_MAX,
    PIECE_BYTES,
    TURN_BYTES,
    TURN_FRAMES,
    UNSENT_MAX_BYTES,
    Fed,
    Feed,
)
from edge_agent.simulation import clock

PING, SAID = b"\x89\x00", b"\x81\x02hi"


class Socket:
    """A transport and the library behind a feed; two bytes are a frame."""

    def __init__(self) -> None:
        self.is_reading, self.is_gone, self.unsent = True, False, 0
        self.got: list[bytes] = []
        self.floods = 0
        self.reading_while_waiting = 0
        self.feed = Feed(cast("asyncio.Transport", self), self._library)
        self.feed.on_flood = self._flood

    def _library(self, data: bytes) -> None:
        self.got.append(data)
        self.feed.frames += len(data) // 2

    def _flood(self) -> None:
        self.floods += 1

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def is_closing(self) -> bool:
        return self.is_gone

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.is_gone = True


def play(talk: Callable[[Socket], Awaitable[None]]) -> Socket:
    async def main() -> Socket:
        socket = Socket()
        await talk(socket)
        return socket

    return clock.run(main())


@given(st.lists(st.integers(0, 3 * TURN_BYTES), max_size=4))
def test_every_byte_is_handed_on_in_order_and_reading_goes_on(sizes: list[int]) -> None:
    reads = [random.Random(size).randbytes(size) for size in sizes]

    async def talk(socket: Socket) -> None:
        for data in reads:
            await until(lambda: socket.is_reading, 600)  # else it gives nothing
            socket.feed.take(data)
        await asyncio.sleep(600)

    socket = play(talk)
    assert b"".join(socket.got) == b"".join(reads)
    assert max(map(len, socket.got), default=0) <= PIECE_BYTES
    assert socket.is_reading


def test_a_read_full_of_pings_is_handed_on_no_faster_than_so_many_a_second() -> None:
    frames = 131_072
    times: list[float] = []

    async def talk(socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        socket.feed.take(PING * frames)
        assert not socket.is_reading
        while socket.feed.frames < frames:
            assert not socket.is_reading
            await asyncio.sleep(0.001)
        times.append(loop.time() - began)

    socket = play(talk)
    assert times[0] >= frames / FRAMES_PER_S_MAX - 1
    assert socket.floods == 1


def test_a_long_message_is_not_slowed() -> None:
    async def talk(socket: Socket) -> None:
        socket.feed._hand_on = socket.got.append  # one frame, not told of before its end
        began = asyncio.get_running_loop().time()
        for _ in range(32):
            socket.feed.take(bytes(4 * TURN_BYTES))
            await until(lambda: socket.is_reading)
        assert asyncio.get_running_loop().time() - began < 1  # 32 times the poll of `until`

    assert sum(map(len, play(talk).got)) == 128 * TURN_BYTES


def test_while_the_library_has_enough_nothing_more_is_handed_on_or_read() -> None:
    async def talk(socket: Socket) -> None:
        socket.feed.hold()
        assert not socket.is_reading
        socket.feed.take(SAID)
        await asyncio.sleep(1)
        assert not socket.got
        socket.feed.release()
        await asyncio.sleep(0)
        assert socket.got == [SAID]
        assert socket.is_reading

    play(talk)


def test_one_who_has_us_answer_and_reads_nothing_is_left() -> None:
    async def talk(socket: Socket) -> None:
        socket.unsent = UNSENT_MAX_BYTES
        socket.feed.take(PING)
        assert not socket.is_gone
        socket.unsent += 1
        socket.feed.take(PING)
        assert socket.is_gone

    play(talk)


def test_what_a_lost_connection_said_last_is_handed_on() -> None:
    async def talk(socket: Socket) -> None:
        socket.feed.hold()
        socket.feed.take(SAID)
        socket.feed.end()
        await asyncio.sleep(1)

    assert play(talk).got == [SAID]


# --- with the library, on a real socket --------------------------------------------------------


@pytest.mark.parametrize(
    "flood", [PING, b"\x8a\x00", b"\x81\x00"], ids=["pings", "pongs", "empty messages"]
)
def test_frames_without_end_leave_the_loop_to_others(
    flood: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRAMES_PER_S_MAX", 10**9)  # not what is looked at here
    wanted = 100_000

    async def main() -> None:
        async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from websockets.server import ServerProtocol

            protocol = ServerProtocol()
            protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
            (request,) = protocol.events_received()
            protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
            writer.write(b"".join(protocol.data_to_send()))
            writer.write(flood * wanted)
            while await reader.read(100_000):
                pass

        async with raw_server(floods) as port:
            wire = await household_dialer()(f"ws://127.0.0.1:{port}/", {})
            assert isinstance(wire, Fed)
            feed = wire.feed

            async def reads() -> None:
                while True:
                    await wire.receive()

            reading = asyncio.create_task(reads())
            before, most = feed.frames, 0
            while feed.frames < wanted:
                await asyncio.sleep(0)
                most, before = max(most, feed.frames - before), feed.frames
            assert most <= 2 * (TURN_FRAMES + PIECE_BYTES // 2)  # a read and a turn in one round
            reading.cancel()
            await asyncio.wait({reading})
            wire.abort()  # type: ignore[attr-defined]

    asyncio.run(main())
