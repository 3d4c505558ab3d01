"""Liveness: who speaks lives, who is slow is given the time that its record allows.

Thread: the test's, in virtual time.  It must never wait for real time or open a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from house_config import household_provider, household_timings
from hypothesis import given, settings
from hypothesis import strategies as st
from link_world import World, play

from edge_agent.app.endpoints import endpoints
from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.contract.errors import LinkLost
from edge_agent.contract.ports import Wire
from edge_agent.host.price_list import PriceList, ProviderRecord
from edge_agent.host.settings.root import Settings
from edge_agent.realtime.link.liveness import HALF_OPEN, Liveness, ProbedWire
from edge_agent.realtime.link.pong_tolerance import FORGET_S, MAX_FACTOR, PROMPT_S, PongTolerance
from edge_agent.simulation.clock import run

TIMINGS = household_timings()
Play = Callable[[World], Awaitable[None]]
PATIENCE_S = TIMINGS.ping_active_s + TIMINGS.pong_active_s
TAKEN_S = TIMINGS.ping_active_s + TIMINGS.taken_s


class LateWire:
    """Another wire whose peer answers a ping after `pong_s`; None: never."""

    def __init__(self, inner: Wire | None = None, pong_s: float | None = None) -> None:
        self.inner = inner
        self.pong_s = pong_s
        self.pings = 0
        self.took_at: float | None = None
        """When its kernel took something of what waits; None: nothing waits."""

    async def ping(self) -> None:
        self.pings += 1
        if self.pong_s is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self.pong_s)

    def quiet_s(self) -> float | None:
        took_at = self.took_at
        return None if took_at is None else asyncio.get_running_loop().time() - took_at

    async def send(self, text: str) -> None:
        assert self.inner is not None
        await self.inner.send(text)

    async def receive(self) -> str | bytes:
        assert self.inner is not None
        return await self.inner.receive()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self.inner is not None:
            await self.inner.close(code, reason)


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, TAKEN_S - 0.3), min_size=1, max_size=40))
def test_a_peer_that_speaks_lives_although_it_answers_no_ping(gaps_s: list[float]) -> None:
    async def act() -> float:
        loop = asyncio.get_running_loop()
        wire = LateWire()
        liveness = Liveness(wire, TIMINGS, lambda: False, server_answers=True)
        liveness.set_active(True)
        watch = asyncio.create_task(liveness.watch())
        for gap_s in gaps_s:
            await asyncio.sleep(gap_s)
            assert not watch.done()
            liveness.frame_came(loop.time())
        last = loop.time()
        with pytest.raises(LinkLost) as caught:
            await watch
        assert caught.value.code == HALF_OPEN
        assert liveness.unanswered is not None
        liveness.unanswered.pong.cancel()
        return loop.time() - last

    assert isinstance(LateWire(), ProbedWire)
    assert run(act()) <= TAKEN_S + 0.01 < 6.0  # who falls silent is dead as soon as ever


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, TIMINGS.pong_active_s - 0.1), min_size=1, max_size=10))
def test_a_line_that_loses_much_lives_while_it_takes_something(gaps_s: list[float]) -> None:
    """Found with netem at 20 % loss: the second long pause between acknowledgements ended a
    session, and its successor had all to send again."""

    async def act() -> float:
        loop = asyncio.get_running_loop()
        wire = LateWire()
        wire.took_at = loop.time()
        liveness = Liveness(wire, TIMINGS, lambda: False, server_answers=True)
        liveness.set_active(True)
        watch = asyncio.create_task(liveness.watch())
        for gap_s in gaps_s:
            await asyncio.sleep(gap_s)
            assert not watch.done()
            wire.took_at = loop.time()
        last = loop.time()
        with pytest.raises(LinkLost):
            await watch
        return loop.time() - last

    assert run(act()) <= PATIENCE_S + 0.01


def test_a_line_that_takes_forever_is_given_up() -> None:
    async def act() -> float:
        loop = asyncio.get_running_loop()
        wire, begun_at = LateWire(), loop.time()
        watch = asyncio.create_task(
            Liveness(wire, TIMINGS, lambda: False, server_answers=True).watch()
        )
        while not watch.done():
            wire.took_at = loop.time()
            await asyncio.sleep(0.1)
        assert isinstance(watch.exception(), LinkLost)
        return loop.time() - begun_at

    assert abs(run(act()) - TIMINGS.ping_idle_s - TIMINGS.slow_s) < 0.2


def answer_behind_late_pongs(pong_s: float, pong_active_s: float | None) -> World:
    """A turn whose answer takes 6 s, from a server that answers pings after `pong_s`."""

    async def act(world: World) -> None:
        await world.ready()
        world.link.set_active(True)
        world.link.execute(cmd.AddMessage("", "user", "hello"))
        world.link.execute(cmd.RequestResponse())
        await asyncio.sleep(10.0)

    return behind_late_pongs(act, pong_s, pong_active_s)


def behind_late_pongs(
    act: Play, pong_s: float, pong_active_s: float | None, *, loses: bool = False
) -> World:
    """A server that answers pings after `pong_s`, and asks for a hearing of 6 s; `loses`: a ping
    is under way all that time, else the server's kernel has it at once."""

    def slow_pongs(world: World) -> None:
        straight = world.home.__call__

        async def door(url: str, headers: Mapping[str, str]) -> Wire:
            wire = LateWire(await straight(url, headers), pong_s)
            wire.took_at = 0.0 if loses else None
            return wire

        world.dial = door  # type: ignore[method-assign]
        world.server.first_delta_ms = 6000

    local = household_provider("local", url_template="ws://127.0.0.1/", pong_active_s=pong_active_s)
    return play(act, provider=local, prepare=slow_pongs)


def test_a_busy_box_keeps_its_session_if_its_record_says_so() -> None:
    for pong_s, allowed_s in ((5.2, 6.0), (4.5, None)):
        world = answer_behind_late_pongs(pong_s, allowed_s)
        assert not world.downs
        assert world.count(ev.ResponseEnded) == 1
    assert answer_behind_late_pongs(5.2, None).downs[0].code == HALF_OPEN


def test_a_line_that_was_called_dead_and_was_not_is_given_more_time() -> None:
    """Found with netem at 20 % loss: one session after another was given up within a turn."""

    async def act(world: World) -> None:
        await world.ready()
        world.link.set_active(True)
        await asyncio.sleep(60.0)

    assert len(behind_late_pongs(act, 3.0, None, loses=True).downs) == 1


def test_patience_grows_by_false_alarms_only_and_ends() -> None:
    tolerance = PongTolerance()
    tolerance.died(100.0)
    tolerance.stands(100.0 + PROMPT_S + 0.1)  # that was an outage
    assert tolerance.factor(104.0) == 1.0
    for count in range(5):
        tolerance.died(200.0 + count)
        tolerance.stands(200.1 + count)
        assert tolerance.factor(200.2 + count) == min(2.0 ** (count + 1), MAX_FACTOR)
    tolerance.stands(204.2)  # a session that replaces none that died
    assert tolerance.factor(204.0 + FORGET_S) == MAX_FACTOR
    assert tolerance.factor(204.2 + FORGET_S) == 1.0


@pytest.mark.parametrize(
    ("chosen", "patience_s"), [({}, 4.0), ({"ping_timeout_active_s": 2.5}, None)]
)
def test_the_owners_setting_is_stronger_than_the_record(
    chosen: dict[str, object], patience_s: float | None
) -> None:
    table = PriceList({"box": ProviderRecord(url="ws://127.0.0.1:9/", pong_active_s=4.0)})
    realtime = {"provider": "box", **chosen}
    [endpoint] = endpoints(Settings.model_validate({"realtime": realtime}), table)
    assert endpoint.provider.pong_active_s == patience_s
