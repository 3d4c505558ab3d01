"""The link over an in-memory network, in virtual time: every way a link can die.

It must never wait for real time or open a socket.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable

import pytest
from house_config import household_provider, household_session, household_timings
from link_world import WITHOUT_VAD, World, play

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.contract.pcm import silence
from edge_agent.contract.transcript import Hints
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.protocol.config import SemanticVad, SessionConfig
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.clock import run
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.wire import MemoryNetwork


def test_ready_then_a_talk() -> None:
    async def act(world: World) -> None:
        await world.ready()
        await world.ask()

    world = play(act)
    assert [type(event) for event in world.events[:2]] == [ev.LinkConnecting, ev.LinkReady]
    assert world.of(ev.VoiceChunk)
    assert world.events[-1].status == "completed"  # type: ignore[attr-defined]
    assert not world.downs, "a close of our own is no news"


def test_audio_arrives_whole_and_in_order() -> None:
    spoken = bytes(range(256)) * 400

    async def act(world: World) -> None:
        await world.ready()
        for start in range(0, len(spoken), 960):
            world.link.execute(cmd.SendAudio(spoken[start : start + 960]))
        world.link.execute(cmd.CommitAudio())
        await world.until(lambda: world.of(ev.UserTurnCommitted))

    world = play(act)
    item = world.server.sessions[0].conversation.items[-1]
    assert bytes(item.audio[0]) == spoken


def test_every_dead_link_is_told_once() -> None:
    async def act(world: World) -> None:
        def lost(times: int) -> Callable[[], bool]:
            return lambda: len(world.downs) >= times

        for times in range(1, 6):
            await world.ready(times)
            await asyncio.sleep(5)
            world.home.cut()
            await world.until(lost(times))

    world = play(act)
    kinds = [type(event) for event in world.of(ev.LinkConnecting, ev.LinkReady, ev.LinkDown)]
    cycle = [ev.LinkConnecting, ev.LinkReady, ev.LinkDown]
    assert kinds[:15] == cycle * 5


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
def test_back_at_once_after_a_clean_close(code: int) -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(5)
        for wire in world.home.links:
            assert wire.peer is not None
            await wire.peer.close(code, "bye")
        assert await world.ready(2) <= 0.3

    world = play(act)
    assert world.downs[0].code == "link.closed"
    assert not world.downs[0].refused


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("outage_s", [0.4, 3.0, 45.0])
def test_back_within_1200_ms_of_the_port(outage_s: float, seed: int) -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(5)
        world.home.down()
        await asyncio.sleep(outage_s)
        world.home.up()
        assert await world.ready(2) <= 1.2

    play(act, seed=seed)


def test_a_long_outage_is_not_hammered_and_ends() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.home.down()
        await asyncio.sleep(6 * 3600)
        dials = world.home.dials
        await asyncio.sleep(3600)
        assert world.home.dials - dials < 400  # every 15 s on average
        world.home.up()
        assert await world.ready(2) <= 31
        world.home.down()
        await asyncio.sleep(3600)
        world.home.up()
        world.link.reopen("network")
        assert await world.ready(3) <= 0.5

    play(act)


@pytest.mark.parametrize(("active", "limit_s"), [(True, 3.0), (False, 10.0)])
@pytest.mark.parametrize("quiet_s", [0.0, 0.7, 4.9, 60.0])
def test_a_black_hole_is_noticed(active: bool, limit_s: float, quiet_s: float) -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.link.set_active(active)
        await asyncio.sleep(quiet_s)
        world.home.black_hole()
        assert await world.until(lambda: world.downs) <= limit_s + 0.3

    assert play(act).downs[0].code == "link.dead"


def test_a_turn_that_begins_in_a_black_hole_is_not_kept_waiting() -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(20)
        world.home.black_hole()
        world.link.set_active(True)
        assert await world.until(lambda: world.downs) <= 3.3

    play(act)


def test_hours_of_silence_do_not_end_a_session() -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(3000)

    world = play(act)
    assert not world.downs
    assert world.link.sessions == 1


@pytest.mark.parametrize(
    ("status", "code"), [(401, "link.bad_key"), (403, "link.no_model"), (404, "link.bad_url")]
)
def test_refusals_are_not_hammered(status: int, code: str) -> None:
    async def act(world: World) -> None:
        world.server.faults.refuse_status = status
        await asyncio.sleep(3600)
        assert 6 <= world.home.dials <= 15
        assert all(down.refused and down.code == code for down in world.downs)
        assert max(down.retry_in_s for down in world.downs) <= 600
        world.server.faults.refuse_status = 0
        world.link.reopen("config")
        assert await world.ready() <= 0.5

    play(act)


def test_another_key_is_picked_up() -> None:
    async def act(world: World) -> None:
        world.key = "sk-wrong"
        world.home.cut()
        await world.until(lambda: world.downs)
        await asyncio.sleep(300)
        dials = world.home.dials
        world.key = "sk-new"
        assert await world.ready() <= 6
        assert world.home.dials == dials + 1

    async def from_the_start(world: World) -> None:
        world.key = "sk-wrong"
        world.link.reopen("key")
        await act(world)

    world = play(from_the_start)
    assert {down.code for down in world.downs if down.refused} == {"link.bad_key"}


def test_without_a_key_nothing_is_dialled() -> None:
    async def act(world: World) -> None:
        world.key = None
        world.link.reopen("key")
        await world.until(lambda: any(down.code == "link.no_key" for down in world.downs))
        dials = world.home.dials
        await asyncio.sleep(1000)
        assert world.home.dials == dials
        world.key = "sk-test"
        sessions = world.link.sessions
        await world.ready(sessions + 1, 6)

    play(act)


@pytest.mark.parametrize(
    ("close_code", "code", "refused"),
    [
        (3000, "link.bad_key", True),
        (4000, "link.dialect", True),
        (1008, "link.refused", True),
        (1013, "link.busy", False),
        (1011, "link.closed", False),
    ],
)
def test_accepted_then_closed(close_code: int, code: str, refused: bool) -> None:
    async def act(world: World) -> None:
        world.server.faults.accept_then_close = close_code
        world.link.reopen("config")
        await asyncio.sleep(600)
        told = [down for down in world.downs if down.code != "link.reopened"]
        assert told
        assert {(down.code, down.refused) for down in told} == {(code, refused)}
        # A connect is no success: the pauses grow all the same.
        assert world.home.dials < 60
        world.server.faults.accept_then_close = 0
        await world.ready(within_s=601)

    play(act)


def test_retry_after_is_honoured() -> None:
    async def act(world: World) -> None:
        world.server.faults.refuse_status = 429
        world.server.faults.refuse_retry_after_s = 120.0
        world.link.reopen("config")
        await world.until(lambda: any(down.code == "link.busy" for down in world.downs))
        dials = world.home.dials
        await asyncio.sleep(119)
        assert world.home.dials == dials
        await asyncio.sleep(3)
        assert world.home.dials == dials + 1

    play(act)


def test_the_time_limit_of_a_session_is_followed_by_the_next() -> None:
    async def act(world: World) -> None:
        world.server.faults.expire_after_s = 30.0
        world.link.reopen("config")
        await world.until(lambda: "link.session_expired" in {d.code for d in world.downs}, 40)
        sessions = world.link.sessions
        assert await world.ready(sessions + 1) <= 0.3

    play(act)


def test_commands_that_cross_a_link_down_are_counted() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.home.down()
        await world.until(lambda: world.downs)
        world.link.execute(cmd.SendAudio(silence(20)))
        world.link.execute(cmd.CommitAudio())

    assert play(act).link.late_commands == 2


def test_a_changed_prompt_survives_a_reconnect() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.link.execute(cmd.UpdateSession(instructions="Be brief."))
        await asyncio.sleep(5)
        world.home.cut()
        await world.ready(2)

    world = play(act)
    assert world.server.sessions[-1].config["instructions"] == "Be brief."


def test_a_wish_to_reopen_that_never_helps_does_not_hammer() -> None:
    async def act(world: World) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + 60
        while loop.time() < until:
            if world.link.is_ready:
                world.link.reopen("the dialogue is unhappy")
            await asyncio.sleep(0.01)
        assert world.home.dials < 40

    play(act)


def test_oddities_are_counted_over_all_sessions() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.server.faults.garbage_frames = 5
        await world.ask()
        assert world.link.counts["malformed"] == 5
        world.home.cut()
        await world.ready(2)
        assert world.link.counts["malformed"] == 5
        world.server.faults.garbage_frames = 2
        await world.ask()
        assert world.link.counts["malformed"] == 7

    play(act)


def test_garbage_for_ever_is_left_and_a_little_is_survived() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.server.faults.garbage_frames = 5
        world.server.faults.binary_frames = 3
        await world.ask()
        assert not world.downs
        world.server.faults.garbage_frames = 40
        world.link.execute(cmd.AddMessage("", "user", "hello"))
        await world.until(lambda: world.downs)
        assert world.downs[0].code == "link.garbage"
        world.server.faults.garbage_frames = 0
        await world.ready(2)

    assert play(act).notes.count("link.garbage") >= 1


def test_a_server_that_stalls_in_a_turn_is_left() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.link.set_active(True)
        world.server.faults.stall = True
        assert await world.until(lambda: world.downs) <= 14
        world.server.faults.stall = False
        await world.ready(2)

    play(act)


def test_a_server_that_never_greets_is_given_up() -> None:
    async def act(world: World) -> None:
        world.server.faults.stall = True
        world.link.reopen("config")
        assert await world.until(lambda: any(d.code == "link.no_answer" for d in world.downs)) <= 11

    play(act)


def test_cancelling_run_leaves_nothing_behind() -> None:
    async def main() -> None:
        network = MemoryNetwork(RealtimeServer(ParrotBrain()))
        link = RealtimeLink(
            timings=household_timings(),
            dial=network,
            provider=household_provider(),
            config=WITHOUT_VAD,
            key=lambda: "sk-test",
            post=lambda _event: None,
            note=lambda _code, **_fields: None,
            rng=random.Random(1),
        )
        for moment_s in (0.0, 0.001, 0.5, 7.0):
            running = asyncio.create_task(link.run())
            await asyncio.sleep(moment_s)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await link.close()
            link = RealtimeLink(
                timings=household_timings(),
                dial=network,
                provider=household_provider(),
                config=WITHOUT_VAD,
                key=lambda: "sk-test",
                post=lambda _event: None,
                note=lambda _code, **_fields: None,
                rng=random.Random(1),
            )
        await asyncio.sleep(0.1)
        assert not network.links
        await network.aclose()

    run(main())


@pytest.mark.parametrize(
    "config",
    [
        household_session(),
        household_session(
            instructions="Be kind.",
            tools=({"type": "function", "name": "clock", "parameters": {"type": "object"}},),
            turn_detection=SemanticVad("high"),
            transcription_model="gpt-transcribe",
            transcription_hints=Hints("At home.", ("Wattwurm", "Käthe"), ("en", "de")),
            max_output_tokens=500,
            speed=1.2,
            reasoning_effort="low",
            keep_ratio=0.8,
            keep_tokens=8000,
        ),
    ],
    ids=["plain", "everything"],
)
def test_a_strict_server_takes_the_whole_configuration(config: SessionConfig) -> None:
    async def act(world: World) -> None:
        await world.ready()

    assert play(act, config=config).notes == []


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_the_story_is_told_in_order_and_ends_well(seed: int) -> None:
    chance = random.Random(seed)

    async def act(world: World) -> None:
        faults = world.server.faults
        for _ in range(chance.randint(5, 25)):
            blow = chance.choice(
                ["cut", "down", "up", "hole", "refuse", "busy", "close", "garbage", "ask", "calm"]
            )
            faults.refuse_status = {"refuse": 401, "busy": 503}.get(blow, 0)
            faults.accept_then_close = chance.choice([1001, 1011, 3000]) if blow == "close" else 0
            faults.garbage_frames = chance.choice([0, 50]) if blow == "garbage" else 0
            if blow in ("cut", "down", "up"):
                getattr(world.home, blow)()
            elif blow == "hole":
                world.home.black_hole(chance.random() < 0.7)
            elif blow == "ask":
                world.link.execute(cmd.AddMessage("", "user", "hello"))
                world.link.execute(cmd.RequestResponse())
            world.link.set_active(chance.random() < 0.5)
            if chance.random() < 0.2:
                world.link.reopen(chance.choice(["network", "config", "unhappy"]))
            await asyncio.sleep(chance.choice([0.0, 0.01, 0.3, 2.0, 15.0]))
        faults.refuse_status = faults.accept_then_close = faults.garbage_frames = 0
        world.home.up()
        sessions = world.link.sessions
        world.link.reopen("network")
        await world.until(lambda: world.link.sessions > sessions, 15)
        await asyncio.sleep(1)
        assert world.link.is_ready

    world = play(act, seed=seed)
    told = world.of(ev.LinkConnecting, ev.LinkReady, ev.LinkDown)
    follows = {
        ev.LinkConnecting: (ev.LinkReady, ev.LinkDown),
        ev.LinkReady: (ev.LinkDown,),
        ev.LinkDown: (ev.LinkConnecting,),
    }
    for one, following in itertools.pairwise(told):
        assert isinstance(following, follows[type(one)]), (one, following)
    assert [event.at for event in told] == sorted(event.at for event in told)
