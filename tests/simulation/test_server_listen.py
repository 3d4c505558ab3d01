"""The server on real ports: handshake, frames, TLS-free TCP faults.

Thread: the loop of each test.  It must never assert on the wall clock.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from server_talk import Says
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from edge_agent.simulation.brains import ParrotBrain, Speech, hum
from edge_agent.simulation.faults import Faults
from edge_agent.simulation.late_pongs import LatePongs
from edge_agent.simulation.server import Listening, RealtimeServer, listen

Scene = Callable[[RealtimeServer, Listening], Awaitable[None]]


def serve(scene: Scene, server: RealtimeServer | None = None) -> None:
    async def play() -> None:
        served = server or RealtimeServer(ParrotBrain(), first_delta_ms=5)
        async with asyncio.timeout(20), listen(served) as port:
            await scene(served, port)
        assert served.open_sessions == []

    asyncio.run(play())


async def until(client: ClientConnection, kind: str) -> dict:  # type: ignore[type-arg]
    while True:
        event = json.loads(await client.recv())
        if event["type"] == kind:
            return event  # type: ignore[no-any-return]


def test_handshake_subprotocol_compression_and_both_paths() -> None:
    async def scene(_server: RealtimeServer, port: Listening) -> None:
        offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.k")]
        async with connect(port.url + "?model=x", subprotocols=offered) as client:
            assert client.subprotocol == "realtime"
            assert client.protocol.extensions
            session = (await until(client, "session.created"))["session"]
            assert session["model"] == "x"
        azure = port.url.replace("/v1", "/openai/v1")
        async with connect(azure + "?model=d", compression=None) as client:
            assert client.subprotocol is None
            await until(client, "session.created")
            waiter = await client.ping()
            await waiter

    serve(scene)


def test_refusals_carry_status_and_retry_after() -> None:
    async def scene(server: RealtimeServer, port: Listening) -> None:
        for status in (401, 403, 404, 429, 503):
            server.faults.refuse_status, server.faults.refuse_count = status, 1
            with pytest.raises(InvalidStatus) as caught:
                await connect(port.url)
            assert caught.value.response.status_code == status
            assert caught.value.response.headers["Retry-After"] == "3"
            assert json.loads(caught.value.response.body or b"")["error"]["message"]
        with pytest.raises(InvalidStatus) as caught:
            await connect(port.url + "/nowhere")
        assert caught.value.response.status_code == 404

    serve(scene, RealtimeServer(ParrotBrain(), faults=Faults(refuse_retry_after_s=3)))


def test_large_appends_and_huge_frames() -> None:
    async def scene(server: RealtimeServer, port: Listening) -> None:
        async with connect(port.url, max_size=None, compression=None) as client:
            session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await client.send(json.dumps({"type": "session.update", "session": session}))
            await until(client, "session.updated")
            audio = "A" * (20 * 1024 * 1024)
            await client.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            await client.send(json.dumps({"type": "input_audio_buffer.commit"}))
            await until(client, "input_audio_buffer.committed")
            [item] = server.sessions[0].conversation.items
            assert len(item.audio[0]) == len(audio) * 3 // 4
            server.faults.huge_frame_bytes = 20_000_000
            await client.send(json.dumps({"type": "input_audio_buffer.clear"}))
            padded = await until(client, "simulation.padding")
            assert len(padded["padding"]) == 20_000_000
            await until(client, "input_audio_buffer.cleared")

    serve(scene)


@pytest.mark.parametrize(("code", "seen"), [(1011, 1011), (1001, 1001), (1006, 1006)])
def test_closing_in_the_middle_of_an_answer(code: int, seen: int) -> None:
    async def scene(server: RealtimeServer, port: Listening) -> None:
        server.faults.close_after_deltas, server.faults.close_code = 3, code
        async with connect(port.url) as client:
            await client.send('{"type": "response.create"}')
            with pytest.raises(ConnectionClosed) as caught:
                await until(client, "response.done")
            received = caught.value.rcvd
            assert (received.code if received else 1006) == seen

    brain = Says(Speech(hum("a long answer " * 10), "a long answer"))
    serve(scene, RealtimeServer(brain, first_delta_ms=1, audio_speed=50.0))


def test_stall_answers_pings_and_ignored_pings_do_not() -> None:
    async def scene(server: RealtimeServer, port: Listening) -> None:
        async with connect(port.url, ping_interval=None) as client:
            await until(client, "session.created")
            server.faults.stall = True
            await (await client.ping())
            await client.send('{"type": "input_audio_buffer.clear"}')
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.recv()
            server.faults.stall, server.faults.ignore_pings = False, True
            await until(client, "input_audio_buffer.cleared")
            pong = asyncio.ensure_future(await client.ping())
            await client.send('{"type": "input_audio_buffer.clear"}')
            await until(client, "input_audio_buffer.cleared")
            assert not pong.done()
            pong.cancel()

    serve(scene)


def test_black_hole_swallows_pings_and_gives_them_back() -> None:
    async def scene(server: RealtimeServer, port: Listening) -> None:
        async with connect(port.url, ping_interval=None) as client:
            await until(client, "session.created")
            server.faults.black_hole = True
            pong = asyncio.ensure_future(await client.ping())
            await client.send('{"type": "input_audio_buffer.clear"}')
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asyncio.shield(pong)
            server.faults.black_hole = False
            await pong
            await until(client, "input_audio_buffer.cleared")

    serve(scene)


def test_an_abort_resets_the_connection_even_in_a_stall() -> None:
    async def scene(server: RealtimeServer, port: Listening) -> None:
        async with connect(port.url, ping_interval=None) as client:
            await until(client, "session.created")
            server.faults.stall = True
            server.abort_sessions()
            with pytest.raises(ConnectionClosed) as caught:
                await client.recv()
            assert isinstance(caught.value.__cause__, ConnectionResetError)

    serve(scene)


def test_stopping_with_a_black_hole_open() -> None:
    async def scene(server: RealtimeServer, port: Listening) -> None:
        client = await connect(port.url, ping_interval=None, close_timeout=0.05)
        await until(client, "session.created")
        server.faults.black_hole = True
        await client.send('{"type": "input_audio_buffer.clear"}')
        await asyncio.sleep(0.05)
        await port.stop()
        with pytest.raises(OSError, match="Connect call failed"):
            await connect(port.url)
        await client.close()

    serve(scene)


def test_late_pongs_are_late() -> None:
    class Late(LatePongs):
        def after_s(self, now: float) -> float:
            del now
            return 0.4

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = RealtimeServer(ParrotBrain())
        server.late_pongs = Late()
        async with (
            listen(server, "127.0.0.1", 0) as port,
            connect(port.url, ping_interval=None) as client,
        ):
            asked_at = loop.time()
            pong = await client.ping()
            assert "session.created" in str(await client.recv())
            await pong
            assert loop.time() - asked_at >= 0.4

    asyncio.run(main())
