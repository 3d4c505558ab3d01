"""Faults, doors and wires: every way in which the far side can misbehave.

Thread: the virtual loop.  It must never depend on the machine's speed.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import itertools
import json

import pytest
from server_talk import SPOKEN, Client, Says, silence, talk, talking, validate

from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused, WireClosed
from edge_agent.simulation.brains import ParrotBrain, Speech, hum
from edge_agent.simulation.clock import run
from edge_agent.simulation.faults import FaultError, Faults
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.wire import MemoryNetwork, memory_wire_pair

LONG = hum("a long answer that takes its time to be said " * 4)
URL = "ws://simulated/v1/realtime?model=gpt-realtime-2.1"


def speaker() -> Says:
    return Says(Speech(LONG, "a long answer that takes its time " * 4))


async def closed(client: Client) -> WireClosed:
    async with asyncio.timeout(4000):
        await client.gone.wait()
    assert client.closed is not None
    return client.closed


async def answered(client: Client) -> dict:  # type: ignore[type-arg]
    await client.send("response.create")
    return (await client.until("response.done"))["response"]  # type: ignore[no-any-return]


def test_session_expires_with_1001() -> None:
    async def scene(client: Client) -> None:
        error = await client.error()
        assert error["code"] == "session_expired"
        gone = await closed(client)
        assert (gone.close_code, gone.reason) == (1001, error["message"])
        assert error["message"] == "Your session hit the maximum duration of 60 minutes."
        assert asyncio.get_running_loop().time() == pytest.approx(4600.0, abs=1)

    async def long_scene(client: Client) -> None:
        await asyncio.sleep(3590)
        await scene(client)

    talk(long_scene)
    talk(_expiry_at_will)


async def _expiry_at_will(client: Client) -> None:
    client.server.expire_sessions()
    assert (await client.error())["code"] == "session_expired"
    assert (await closed(client)).close_code == 1001


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1013])
def test_close_in_the_middle_of_an_answer(code: int) -> None:
    brain = speaker()

    async def scene(client: Client) -> None:
        client.server.faults.close_after_deltas = 4
        client.server.faults.close_code = code
        await client.send("response.create")
        assert (await closed(client)).close_code == code
        assert "response.done" not in client.types()
        if code != 1006:
            assert len(client.of("response.output_audio.delta")) == 4
        assert client.server.faults.close_after_deltas == 0
        await asyncio.sleep(1)
        assert brain.dropped == brain.turns

    talk(scene, brain)


def test_a_dropped_answer_is_told_to_the_brain() -> None:
    brain = speaker()

    async def play() -> None:
        server = RealtimeServer(brain)
        async with talking(server) as client:
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            client.wire.cut()
            await closed(client)
        assert brain.dropped == brain.turns
        assert server.open_sessions == []

    run(play())


@pytest.mark.parametrize("code", ["insufficient_quota", "rate_limit_exceeded", "server_error"])
@pytest.mark.parametrize("after", [0, 3])
def test_failed_responses(code: str, after: int) -> None:
    async def scene(client: Client) -> None:
        done = await answered(client)
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"] == code
        assert len(client.of("response.output_audio.delta")) == after
        assert (await answered(client))["status"] == "completed"
        assert client.session.errors == []

    faults = Faults(fail_code=code, fail_count=1, fail_after_deltas=after)
    talk(scene, speaker(), faults=faults)


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_incomplete_responses(reason: str) -> None:
    async def scene(client: Client) -> None:
        done = await answered(client)
        assert done["status"] == "incomplete"
        assert done["status_details"] == {"type": "incomplete", "reason": reason}
        assert done["output"][0]["status"] == "incomplete"
        assert (await answered(client))["status"] == "completed"

    talk(scene, speaker(), faults=Faults(incomplete_reason=reason, incomplete_count=1))


def test_two_audio_items() -> None:
    async def scene(client: Client) -> None:
        done = await answered(client)
        assert [item["phase"] for item in done["output"]] == ["commentary", "final_answer"]
        said = " ".join(item["content"][0]["transcript"] for item in done["output"])
        assert said.split() == ("a long answer that takes its time " * 4).split()
        sound = b"".join(
            base64.b64decode(e["delta"]) for e in client.of("response.output_audio.delta")
        )
        assert sound == LONG

    talk(scene, speaker(), faults=Faults(two_audio_items=True))


def test_late_deltas_before_and_after_done() -> None:
    async def scene(client: Client) -> None:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        before = len(client.of("response.output_audio.delta"))
        await client.send("response.cancel")
        await client.until("response.done")
        await asyncio.sleep(1)
        kinds = client.types()
        done = kinds.index("response.done")
        assert kinds[done + 1 :] == ["response.output_audio.delta"] * 3
        assert kinds[:done].count("response.output_audio.delta") == before + 2

    talk(scene, speaker(), faults=Faults(late_deltas=2, late_deltas_after_done=3))


def test_odd_audio_duplicates_and_missing_figures() -> None:
    async def scene(client: Client) -> None:
        done = await answered(client)
        assert done["usage"] is None
        assert "rate_limits.updated" not in client.types()
        deltas = [e["delta"] for e in client.of("response.output_audio.delta")]
        assert len(base64.b64decode(deltas[0])) % 2 == 1
        ids = [event["event_id"] for event in client.log]
        assert len(ids) - len(set(ids)) >= len(ids) // 5

    faults = Faults(odd_audio_deltas=1, duplicate_every=3, no_usage=True, no_rate_limits=True)
    talk(scene, speaker(), faults=faults)


def test_unknown_events_garbage_binary_and_huge_frames() -> None:
    async def scene(client: Client) -> None:
        client.server.faults.garbage_frames = 2
        client.server.faults.binary_frames = 1
        client.server.faults.huge_frame_bytes = 20_000_000
        await answered(client)
        assert "response.sparkles" in client.types()
        assert sum(isinstance(frame, bytes) for frame in client.frames) == 1
        broken = [f for f in client.frames if isinstance(f, str) and not f.endswith("}")]
        assert len(broken) == 2
        assert max(len(frame) for frame in client.frames) > 20_000_000
        assert client.types()[-1] == "response.done"

    talk(scene, speaker(), faults=Faults(unknown_every=5), on_event=None)


def test_legacy_names() -> None:
    async def scene(client: Client) -> None:
        await answered(client)
        kinds = set(client.types())
        assert {"response.audio.delta", "response.audio_transcript.done"} <= kinds
        assert "conversation.item.created" in kinds
        assert not any(
            "output_audio" in kind or kind.endswith("item.added")
            for kind in kinds - {"response.output_item.added"}
        )
        content = client.log[-1]["response"]["output"][0]["content"]
        assert content[0]["type"] == "audio"

    talk(scene, speaker(), faults=Faults(legacy_names=True), on_event=None)


def test_slow_and_bursty_audio() -> None:
    arrivals: list[float] = []

    def note(side: str, event: dict[str, object], at: float) -> None:
        validate(side, event, at)
        if event["type"] == "response.output_audio.delta":
            arrivals.append(at)

    async def scene(client: Client) -> None:
        await answered(client)
        gaps = [b - a for a, b in itertools.pairwise(arrivals)]
        assert max(gaps) == pytest.approx(1.0, abs=0.05)
        assert sum(gap < 0.001 for gap in gaps) >= len(gaps) * 0.7

    faults = Faults(burst_ms=1000, slow_factor=8.0)
    talk(scene, speaker(), faults=faults, on_event=note)


def test_a_gap_inside_the_answer_and_slow_thinking() -> None:
    async def scene(client: Client) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        assert loop.time() - start >= 2.2
        await client.until("response.output_audio.delta")
        middle = loop.time()
        await client.until("response.output_audio.delta")
        assert loop.time() - middle >= 3.0

    faults = Faults(thinking_extra_ms=2000, pause_after_deltas=2, pause_ms=3000)
    talk(scene, speaker(), faults=faults)


def test_transcription_faults() -> None:
    async def scene(client: Client) -> None:
        await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        turn = silence(300) + SPOKEN + silence(700)
        await client.speak(turn)
        failed = await client.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"]
        await client.until("response.done")
        client.server.faults.transcription_after_done = True
        await client.speak(turn)
        await client.until("response.done")
        completed = await client.until("conversation.item.input_audio_transcription.completed")
        assert completed["usage"]["type"] == "duration"

    talk(scene, speaker(), faults=Faults(transcription_failures=1))


@pytest.mark.parametrize("fault", ["stall", "black_hole"])
def test_stall_holds_everything_until_it_ends(fault: str) -> None:
    async def scene(client: Client) -> None:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        setattr(client.server.faults, fault, True)
        await asyncio.sleep(0.1)
        count = len(client.log)
        await client.send("conversation.item.delete", item_id="never")
        await asyncio.sleep(30)
        assert len(client.log) == count
        assert client.closed is None
        setattr(client.server.faults, fault, False)
        await client.until("response.done")
        await asyncio.sleep(1)
        assert [error["code"] for error in client.session.errors] == ["item_delete_invalid_item_id"]

    talk(scene, speaker())


@pytest.mark.parametrize("fault", ["stall", "black_hole"])
def test_the_end_of_the_wire_is_seen_during_a_stall(fault: str) -> None:
    async def play() -> None:
        net = network()
        wire = await net(URL, {})
        await wire.receive()
        setattr(net.server.faults, fault, True)
        await wire.send('{"type": "response.create"}')
        await asyncio.sleep(1)
        await wire.close()
        await asyncio.sleep(1)
        assert net.server.open_sessions == []
        await net.aclose()

    run(play())


def test_delayed_events_arrive_late_and_in_order() -> None:
    async def scene(client: Client) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await client.update(instructions="x")
        assert loop.time() - start >= 0.5

    talk(scene, faults=Faults(events_delay_ms=500))


def test_faults_from_text() -> None:
    faults = Faults.parse("stall, fail_code=insufficient_quota,fail_count=2,slow_factor=1.5")
    expected = Faults(stall=True, fail_code="insufficient_quota", fail_count=2, slow_factor=1.5)
    assert faults == expected
    assert Faults.parse("") == Faults()
    assert Faults.parse("expire_after_s=2.5").expire_after_s == 2.5
    with pytest.raises(FaultError, match="There is no fault 'sparkle'"):
        Faults.parse("sparkle=1")
    with pytest.raises(FaultError, match="close_code"):
        Faults.parse("close_code=soon")
    for entry in dataclasses.fields(Faults):
        value = getattr(Faults(), entry.name)
        text = "none" if value is None else str(value)
        assert getattr(Faults.parse(f"{entry.name}={text}"), entry.name) == value


# -- the door --------------------------------------------------------------------------------


def network(**settings: object) -> MemoryNetwork:
    return MemoryNetwork(RealtimeServer(ParrotBrain(), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, LinkRefused, "link.bad_key"),
        (403, LinkRefused, "link.no_model"),
        (404, LinkRefused, "link.bad_url"),
        (429, LinkBusy, "link.busy"),
        (503, LinkBusy, "link.busy"),
    ],
)
def test_refusals_at_the_door(status: int, error: type[LinkError], code: str) -> None:
    async def play() -> None:
        net = network(faults=Faults(refuse_status=status, refuse_count=2, refuse_retry_after_s=7))
        for _ in range(2):
            with pytest.raises(error) as caught:
                await net(URL, {})
            assert caught.value.code == code
            if isinstance(caught.value, LinkBusy):
                assert caught.value.retry_after_s == 7.0
        wire = await net(URL, {})
        assert json.loads(await wire.receive())["type"] == "session.created"
        assert (net.server.dials, net.server.refusals) == (3, 2)
        await net.aclose()

    run(play())


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer good"},
        {"authorization": "bearer good"},
        {"api-key": "good"},
        {"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.good"},
    ],
)
def test_keys(headers: dict[str, str]) -> None:
    server = RealtimeServer(ParrotBrain(), keys=frozenset({"good"}))
    assert server.admit("/v1/realtime?model=x", headers) is None
    bad = {name: value.replace("good", "bad") for name, value in headers.items()}
    refusal = server.admit("/v1/realtime?model=x", bad)
    assert refusal is not None
    assert refusal.status == 401
    assert "bad" not in refusal.body
    assert server.admit("/v1/realtime", {}) is not None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/realtime", 0),
        ("/v1/realtime/?call_id=1", 0),
        ("/openai/v1/realtime?model=deployment", 0),
        ("/openai/realtime?api-version=2025-04-01-preview", 404),
        ("/", 404),
        ("/v1/chat", 404),
    ],
)
def test_paths(path: str, status: int) -> None:
    refusal = RealtimeServer(ParrotBrain()).admit(path, {})
    assert (refusal.status if refusal else 0) == status


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3000, "invalid_request_error.invalid_api_key"),
        (4000, "invalid_request_error.beta_api_shape_disabled"),
        (1011, ""),
    ],
)
def test_accepted_then_closed(code: int, reason: str) -> None:
    async def play() -> None:
        net = network(faults=Faults(accept_then_close=code, accept_then_close_count=1))
        wire = await net(URL, {})
        if reason:
            assert json.loads(await wire.receive())["type"] == "error"
        with pytest.raises(WireClosed) as caught:
            await wire.receive()
        assert (caught.value.close_code, caught.value.reason) == (code, reason)
        assert json.loads(await (await net(URL, {})).receive())["type"] == "session.created"
        await net.aclose()

    run(play())


def test_the_beta_header_is_turned_away() -> None:
    async def play() -> None:
        net = network()
        wire = await net(URL, {"OpenAI-Beta": "realtime=v1"})
        error = json.loads(await wire.receive())
        assert error["error"]["code"] == "beta_api_shape_disabled"
        with pytest.raises(WireClosed) as caught:
            await wire.receive()
        assert caught.value.close_code == 4000
        await net.aclose()

    run(play())


# -- wires -----------------------------------------------------------------------------------


def test_memory_wire_delays_keeps_order_and_closes() -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        one, other = memory_wire_pair(0.25)
        start = loop.time()
        await one.send("a")
        await one.send(b"b")
        await one.close(1000, "bye")
        assert await other.receive() == "a"
        assert loop.time() - start == pytest.approx(0.25)
        assert await other.receive() == b"b"
        for wire in (other, one):
            with pytest.raises(WireClosed) as caught:
                await wire.receive()
            assert (caught.value.close_code, caught.value.reason) == (1000, "bye")
            with pytest.raises(WireClosed):
                await wire.send("late")
        await other.close()

    run(play())


def test_memory_wire_cut_and_stall() -> None:
    async def play() -> None:
        one, other = memory_wire_pair()
        one.stall()
        await one.send("held")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await other.receive()
        one.stall(False)
        assert await other.receive() == "held"
        waiting = asyncio.create_task(other.receive())
        await asyncio.sleep(1)
        await one.send("lost")
        one.cut()
        with pytest.raises(WireClosed) as caught:
            await waiting
        assert caught.value.close_code == 1006
        with pytest.raises(WireClosed):
            await one.receive()

    run(play())


def test_memory_wire_pushes_back_when_nobody_reads() -> None:
    async def play() -> None:
        one, other = memory_wire_pair()
        frame = "x" * 1024 * 1024

        async def flood() -> None:
            for _ in range(20):
                await one.send(frame)

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(1)
        assert not flooding.done()
        for _ in range(20):
            assert await other.receive() == frame
        await flooding

    run(play())


def test_old_sessions_are_forgotten() -> None:
    async def play() -> None:
        net = network()
        first = await net(URL, {})
        for _ in range(40):
            wire = await net(URL, {})
            await wire.receive()
            await wire.close()
            await asyncio.sleep(1)
        assert net.server.sessions_begun == 41
        assert len(net.server.sessions) == 17
        assert net.server.open_sessions == [net.server.sessions[0]]
        assert json.loads(await first.receive())["session"]["id"] == net.server.sessions[0].id
        await net.aclose()

    run(play())


def test_network_goes_down_comes_up_and_swallows() -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        net = network()
        wire = await net(URL, {})
        await wire.receive()
        net.down()
        with pytest.raises(WireClosed):
            await wire.receive()
        with pytest.raises(LinkLost) as caught:
            await net(URL, {})
        assert caught.value.code == "link.unreachable"
        net.up()
        wire = await net(URL, {})
        await wire.receive()
        net.black_hole()
        await wire.send('{"type": "input_audio_buffer.clear"}')
        start = loop.time()
        with pytest.raises(LinkLost):
            await net(URL, {})
        assert loop.time() - start >= 5
        net.up()
        assert json.loads(await wire.receive())["type"] == "input_audio_buffer.cleared"
        assert len(net.links) == 1
        await net.aclose()
        assert net.links == []
        assert net.server.open_sessions == []

    run(play())
