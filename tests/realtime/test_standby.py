"""Doubtful sessions: what is learnt of late pongs, and the second session beside a first one.

Thread: the test's loop, in virtual time.  It never waits for real time or opens a socket.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

import pytest
from house_config import household_timings
from hypothesis import given
from hypothesis import strategies as st
from link_world import World, play

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.realtime.link.channel import Channel, dial
from edge_agent.realtime.link.closing import ClosingWires
from edge_agent.realtime.link.endpoints import Route
from edge_agent.realtime.link.liveness import HALF_OPEN
from edge_agent.realtime.link.pongs import (
    BUCKET_RATIO,
    LATE_S,
    LIMIT_MAX_S,
    MARGIN,
    TAUGHT_LEAST_S,
    PongBook,
    Pongs,
)
from edge_agent.realtime.link.standby import Standby
from edge_agent.simulation.clock import run
from edge_agent.simulation.late_pongs import LatePongs
from edge_agent.simulation.realtime_server.session import Session
from edge_agent.simulation.wire import MemoryWire, memory_wire_pair

NEVER_S = 10_000.0
UNTAUGHT_S = 6.0
"""The promise for a provider that has taught us nothing: from the last sign to the end."""

Act = Callable[[World], Awaitable[None]]


class Pings(LatePongs):
    """Each ping is answered after `late_s` seconds."""

    def __init__(self, late_s: float) -> None:
        super().__init__()
        self.late_s = late_s

    def after_s(self, now: float) -> float:
        del now
        return self.late_s


def with_pongs(late_s: float) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.server.late_pongs = Pings(late_s)

    return prepare


def pings(world: World) -> Pings:
    assert isinstance(world.server.late_pongs, Pings)
    return world.server.late_pongs


def told(session: Session) -> int:
    """Messages that are no configuration."""
    return session.received.total() - session.received["session.update"]


async def in_turn(world: World) -> None:
    await world.ready()
    world.link.set_active(True)


# --- what is learnt ---------------------------------------------------------------------


@given(st.lists(st.floats(0.001, 19.0), max_size=60), st.booleans())
def test_a_pong_is_waited_for_as_the_providers_pongs_have_taught(
    late_s: list[float], was_cut: bool
) -> None:
    pongs = Pongs()
    for after_s in late_s:
        pongs.came(after_s)
    if was_cut:
        pongs.cut_while_healthy(6.0)
    limit_s = pongs.limit_s(4.9)
    assert 4.9 <= limit_s <= LIMIT_MAX_S
    assert not was_cut or limit_s >= TAUGHT_LEAST_S
    waited = sorted(one for one in [*late_s, *([6.0] if was_cut else [])] if one > LATE_S)
    if waited:
        assert limit_s >= min(MARGIN * waited[round(0.99 * (len(waited) - 1)) - 1], LIMIT_MAX_S)
        assert limit_s <= max(MARGIN * waited[-1] * BUCKET_RATIO, TAUGHT_LEAST_S)
    else:
        assert limit_s == 4.9


def test_a_quiet_night_does_not_hide_a_busy_evening() -> None:
    pongs = Pongs()
    for _ in range(3):
        pongs.came(8.0)
    for _ in range(20_000):
        pongs.came(0.05)
    assert pongs.quantile_s(0.99) < 0.1
    assert pongs.limit_s(4.9) >= MARGIN * 8.0


def test_what_was_learnt_is_forgotten_at_last() -> None:
    pongs = Pongs()
    pongs.cut_while_healthy(8.0)
    for _ in range(210_000):
        pongs.came(0.05)
    assert pongs.limit_s(4.9) == 4.9
    assert pongs.healthy_cuts == 0


# --- how long is waited -----------------------------------------------------------------


def test_a_pong_within_the_untaught_limit_costs_nothing() -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(600.0)

    world = play(act, prepare=with_pongs(4.5))
    assert not world.downs


def test_a_peer_that_is_silent_behind_a_front_is_given_up_within_six_seconds() -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(30.0)
        silent_at = asyncio.get_running_loop().time()
        world.home.links[0].stall()
        await world.until(lambda: world.downs)
        assert asyncio.get_running_loop().time() - silent_at <= UNTAUGHT_S
        await asyncio.sleep(20.0)

    world = play(act, prepare=with_pongs(0.05))
    assert [down.code for down in world.downs] == [HALF_OPEN]
    assert world.link.pongs.healthy_cuts == 0
    assert "link.healthy_cut" not in world.notes


def test_how_late_pongs_come_is_noted_at_the_end_of_a_session() -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(300.0)

    told = dict(play(act, prepare=with_pongs(0.05)).note_fields)["link.pongs"]
    assert told["provider"] == "openai"
    assert told["p50_ms"] == told["p99_ms"] == 51  # the upper edge of its bucket
    assert told["limit_s"] == household_timings().taken_s
    few = play(act, prepare=with_pongs(4.0))
    assert not few.notes


@pytest.mark.parametrize("later_s", [7.0, 9.0])
def test_after_the_first_lesson_no_healthy_session_is_cut(later_s: float) -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await world.until(lambda: world.notes)
        pings(world).late_s = later_s
        await asyncio.sleep(3000.0)

    world = play(act, prepare=with_pongs(6.5))
    assert len(world.downs) == 1
    assert world.note_fields[0] == ("link.healthy_cut", {"provider": "openai", "answered_s": 6.5})
    assert world.link.pongs.healthy_cuts == 1


def test_a_lesson_holds_over_a_restart() -> None:
    kept: list[dict[str, tuple[Sequence[int], int]]] = []

    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(120.0)

    first = play(
        act, prepare=with_pongs(8.0), pongs=PongBook(None, lambda now: kept.append(dict(now)))
    )
    assert len(first.downs) == 1
    again = play(act, prepare=with_pongs(8.0), pongs=PongBook(kept[-1]))
    assert not again.downs


def test_pongs_in_bursts_cut_one_healthy_session_and_no_more() -> None:
    def busy(world: World) -> None:
        world.server.late_pongs = LatePongs(seed=5)
        world.server.first_delta_ms = 6000

    async def act(world: World) -> None:
        await world.ready()
        rng = random.Random(3)
        seen = functools.partial(world.of, ev.ResponseEnded, ev.LinkDown)
        for _ in range(40):
            world.link.set_active(True)
            before = len(seen())
            world.link.execute(cmd.RequestResponse())
            await world.until(functools.partial(lambda n: len(seen()) > n, before))
            world.link.set_active(False)
            await asyncio.sleep(rng.uniform(0.5, 30.0))

    world = play(act, prepare=busy)
    assert len(world.downs) == world.link.pongs.healthy_cuts <= 1


# --- the second session -----------------------------------------------------------------


def test_a_second_session_stands_ready_and_knows_nothing_of_the_turn() -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(5.0)
        world.home.links[0].stall()
        await world.until(lambda: len(world.server.sessions) == 2)
        first, second = world.server.sessions
        world.link.execute(cmd.SendAudio(b"\1\0" * 2400))
        world.link.execute(cmd.AddMessage("", "user", "hello"))
        world.link.execute(cmd.RequestResponse())
        await asyncio.sleep(1.5)
        assert second.configured.is_set()
        assert told(second) == 0
        assert not world.downs
        assert world.link.sessions == 1
        await world.until(lambda: world.downs)
        down = world.downs[0]
        assert down.retry_in_s == 0.0
        await world.until(lambda: world.link.is_ready)
        assert world.readies[-1].at == down.at  # it stood ready
        assert world.readies[-1].session == second.id != first.id
        assert len(world.server.sessions) == 2
        await world.ask()
        assert told(second) >= 2

    play(act, prepare=with_pongs(0.05))


def test_the_second_session_goes_when_the_first_one_answers() -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await world.until(lambda: len(world.server.open_sessions) == 2)
        await asyncio.sleep(3.0)
        assert len(world.server.open_sessions) == 1
        assert world.server.open_sessions[0] is world.server.sessions[0]
        pings(world).late_s = 0.1
        await asyncio.sleep(60.0)
        assert len(world.server.open_sessions) == 1

    world = play(act, prepare=with_pongs(4.0))
    assert not world.downs
    assert world.link.sessions == 1


def test_nothing_of_the_first_session_is_played_once_it_was_given_up() -> None:
    """It had the question, and answers at last: it was alive, which is learnt."""

    def silent(world: World) -> None:
        with_pongs(NEVER_S)(world)
        world.server.first_delta_ms = 8000

    async def act(world: World) -> None:
        await in_turn(world)
        world.link.execute(cmd.AddMessage("", "user", "hello"))
        world.link.execute(cmd.RequestResponse())
        await world.until(lambda: len(world.server.sessions) == 2)
        pings(world).late_s = 0.1
        await world.until(lambda: world.downs)
        given_up_at = world.downs[0].at
        await world.until(lambda: "link.healthy_cut" in world.notes)
        await asyncio.sleep(20.0)
        assert not world.of(ev.VoiceChunk, ev.ResponseEnded)
        assert not [event for event in world.of(ev.ResponseStarted) if event.at > given_up_at]

    world = play(act, prepare=silent)
    assert world.link.pongs.healthy_cuts == 1
    assert len(world.downs) == 1


def test_settings_that_change_meanwhile_reach_the_second_session() -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(5.0)
        world.home.links[0].stall()
        await world.until(lambda: len(world.server.sessions) == 2)
        await asyncio.sleep(0.5)
        world.link.execute(cmd.UpdateSession(instructions="Speak like a sailor."))
        await world.until(lambda: len(world.readies) == 2)
        second = world.server.open_sessions[-1]
        assert second.config["instructions"] == "Speak like a sailor."

    play(act, prepare=with_pongs(0.05))


def test_a_session_that_is_dropped_while_in_doubt_is_replaced_at_once() -> None:
    """Unless the world has changed: then the second session is one of the old world."""

    async def drop(world: World, reason: str) -> int:
        await in_turn(world)
        await asyncio.sleep(5.0)
        world.home.links[0].stall()
        await world.until(lambda: len(world.server.sessions) == 2)
        await asyncio.sleep(0.5)
        world.link.reopen(reason)
        await world.until(lambda: len(world.readies) == 2)
        return len(world.server.sessions)

    for reason, sessions in (("no answer", 2), ("network", 3)):

        async def act(world: World, reason: str = reason, sessions: int = sessions) -> None:
            assert await drop(world, reason) == sessions

        play(act, prepare=with_pongs(0.05))


def test_a_service_that_has_room_for_one_session_is_dialled_once_more() -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(5.0)
        world.home.links[0].stall()
        faults = world.server.faults
        faults.refuse_status, faults.refuse_count = 429, 1
        await world.until(lambda: len(world.readies) == 2)

    world = play(act, prepare=with_pongs(0.05))
    assert [down.code for down in world.downs] == [HALF_OPEN]


def test_leaving_waits_for_nobody() -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(5.0)
        world.home.links[0].stall()
        await world.until(lambda: world.downs)
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        await world.link.close()
        assert loop.time() - begun_at < 2.0

    play(act, prepare=with_pongs(0.05))


@pytest.mark.parametrize("steps", range(12))
def test_a_second_session_that_is_released_at_any_moment_leaves_nothing_open(steps: int) -> None:
    async def act(world: World) -> None:
        await in_turn(world)
        pings(world).late_s = NEVER_S
        await world.until(lambda: world.link.standby.dials)
        for _ in range(steps):
            await asyncio.sleep(0)
        world.link.standby.release()
        pings(world).late_s = 0.05
        await world.until(lambda: len(world.readies) == 2)
        await asyncio.sleep(30.0)
        assert len(world.server.open_sessions) == 1

    play(act, prepare=with_pongs(0.05))


def test_a_second_session_that_is_released_while_it_is_dialled_does_not_come_back() -> None:
    async def main() -> None:
        dialling, is_over = asyncio.Event(), asyncio.Event()

        async def open_channel(_route: Route) -> Channel:
            dialling.set()
            try:
                await is_over.wait()
            except asyncio.CancelledError:
                is_over.set()
                raise
            raise AssertionError("it was not needed any more")

        standby = Standby(open_channel)
        standby.dial(cast(Route, None))
        await dialling.wait()
        standby.release()
        await asyncio.sleep(1.0)
        assert is_over.is_set()
        await standby.gone()

    run(main())


@pytest.mark.parametrize("steps", range(1, 10))
def test_a_dial_that_is_cancelled_at_any_moment_leaves_no_wire_open(steps: int) -> None:
    async def main() -> None:
        opened: list[MemoryWire] = []

        async def dialer(url: str, headers: Mapping[str, str]) -> MemoryWire:
            del url, headers
            await asyncio.sleep(0)
            opened.append(memory_wire_pair()[0])
            return opened[0]

        closing = ClosingWires(1.0)
        dialling = asyncio.create_task(dial(dialer, "", {}, household_timings(), closing))
        for _ in range(steps):
            await asyncio.sleep(0)
        dialling.cancel()
        (result,) = await asyncio.gather(dialling, return_exceptions=True)
        await closing.said()
        assert [wire for wire in opened if not wire.closed and wire is not result] == []

    run(main())


def test_what_is_not_new_is_not_kept_again() -> None:
    kept: list[object] = []

    async def act(world: World) -> None:
        await in_turn(world)
        await asyncio.sleep(60.0)
        world.home.down()
        await asyncio.sleep(3600.0)

    play(act, prepare=with_pongs(0.05), pongs=PongBook(None, kept.append))
    assert len(kept) == 1
