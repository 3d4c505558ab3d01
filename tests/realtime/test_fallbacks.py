"""Fall-back providers, keys that are replaced, accounts that are filled again (purpose).

Owner thread: the test's, in virtual time.  Must never assert on real time.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Mapping

import pytest
from house_config import household_provider, household_session, household_timings
from hypothesis import given
from hypothesis import strategies as st
from link_world import World, play

from edge_agent.contract import events as ev
from edge_agent.contract.errors import ConfigError, LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.contract.ports import Wire
from edge_agent.realtime.link.endpoints import FAILURES_UNTIL_NEXT, Routes, endpoint_for

HOME, NEXT = "openai", "local"


def refuse(status: int) -> object:
    def prepare(world: World) -> None:
        world.home.server.faults.refuse_status = status

    return prepare


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_a_home_that_refuses_is_replaced_and_the_household_not_told_of_a_refusal(
    status: int,
) -> None:
    async def act(world: World) -> None:
        assert await world.ready(within_s=5) <= 3
        assert world.link.provider == NEXT
        await world.ask()
        await asyncio.sleep(1800)
        assert world.link.provider == NEXT
        assert world.home.dials <= 12

    world = play(act, with_next=True, prepare=refuse(status))  # type: ignore[arg-type]
    assert not any(down.refused for down in world.downs)
    assert len(world.downs) <= FAILURES_UNTIL_NEXT
    assert world.notes.count("link.provider_changed") == 1
    assert world.readies[0].model == "other-model"


@pytest.mark.parametrize("how", ["down", "black_hole"])
def test_a_home_that_cannot_be_reached(how: str) -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(10)
        getattr(world.home, how)()
        assert await world.until(lambda: world.link.provider == NEXT, 35) <= 32
        world.home.up()
        # Not earlier than a minute, and without a word in between.
        assert await world.until(lambda: world.link.provider == HOME, 200) > 59
        await world.ask()
        assert len(world.home.server.open_sessions) == 1
        assert not world.next.server.open_sessions

    world = play(act, with_next=True)
    assert world.readies[-1].replaces
    assert world.notes.count("link.provider_changed") == 2


def test_home_is_tried_only_in_a_quiet_moment_and_trusted_after_a_spell() -> None:
    async def act(world: World) -> None:
        await world.ready(within_s=5)
        world.is_quiet = False
        world.home.server.faults.refuse_status = 0
        await asyncio.sleep(640)
        assert world.link.provider == NEXT
        assert len(world.home.server.open_sessions) == 1, "it stands ready"
        world.is_quiet = True
        await asyncio.sleep(6)
        assert world.link.provider == HOME

    world = play(act, with_next=True, prepare=refuse(503))  # type: ignore[arg-type]
    dues = [event for event in world.events if isinstance(event, ev.RollOverDue)]
    assert dues[0].at >= world.readies[0].at + 600 + 10
    gaps_s = {round(later.at - due.at, 6) for due, later in itertools.pairwise(dues)}
    assert gaps_s == {5.0}, "the fall-back session may stay as long as it is: no last call"


def test_when_all_refuse_only_a_person_can_help_and_then_home_is_first() -> None:
    def prepare(world: World) -> None:
        world.key = "sk-wrong"
        world.next_key = "sk-wrong"

    async def act(world: World) -> None:
        await asyncio.sleep(600)
        assert world.downs[-1].refused
        assert world.downs[-1].code == "link.bad_key"
        assert world.home.dials + world.next.dials < 20
        world.key = "sk-new"
        assert await world.ready() <= 6
        assert world.link.provider == HOME

    play(act, with_next=True, prepare=prepare)


def test_each_provider_is_asked_for_its_own_key() -> None:
    def prepare(world: World) -> None:
        world.key = None
        world.next_key = "sk-new"

    async def act(world: World) -> None:
        await world.ready(within_s=5)
        assert world.link.provider == NEXT
        assert world.home.dials == 0
        # The key at home comes while the other one serves us: no need to wait ten minutes.
        world.key = "sk-test"
        assert await world.until(lambda: world.link.provider == HOME, 60) <= 5 + 10 + 6

    world = play(act, with_next=True, prepare=prepare)
    assert world.readies[-1].replaces


def test_a_fall_back_that_dies_does_not_wait_for_a_home_that_hangs() -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(5)
        world.home.black_hole()
        await world.until(lambda: world.link.provider == NEXT, 35)
        await asyncio.sleep(20)
        world.next.cut()
        sessions = world.link.sessions
        assert await world.ready(sessions + 1) <= 0.5

    play(act, with_next=True)


def test_a_dead_network_tries_all_without_hammering_and_comes_back() -> None:
    async def act(world: World) -> None:
        await world.ready()
        for network in (world.home, world.next):
            network.down()
        await asyncio.sleep(3600)
        dials = world.home.dials + world.next.dials
        assert dials < 1500
        for network in (world.home, world.next):
            network.up()
        world.link.network_changed(moved=True)
        assert await world.until(lambda: world.link.is_ready) <= 0.5
        assert world.link.provider == HOME

    play(act, with_next=True)


# --- a person helps ------------------------------------------------------------------------


def test_a_key_that_is_replaced_while_it_is_refused() -> None:
    def prepare(world: World) -> None:
        world.key = "sk-wrong"

    async def act(world: World) -> None:
        await world.until(lambda: world.downs)
        await asyncio.sleep(3000)
        dials = world.home.dials
        world.key = "sk-new"
        assert await world.ready() <= 5.1
        assert world.home.dials == dials + 1

    play(act, prepare=prepare)


def test_a_key_that_cannot_be_read_is_noted_once() -> None:
    def prepare(world: World) -> None:
        world.key = None

    async def act(world: World) -> None:
        def unreadable() -> str | None:
            if world.key is None:
                raise PermissionError("no")
            return world.key

        world.link._routes.home.endpoint = endpoint_for(household_provider(), "m", unreadable)
        await asyncio.sleep(1000)
        assert world.notes.count("link.key_unreadable") == 1
        world.key = "sk-test"
        assert await world.ready() <= 5.1

    play(act, prepare=prepare)


def test_an_account_that_is_filled_again() -> None:
    async def act(world: World) -> None:
        await world.ready()
        faults = world.server.faults
        faults.fail_code = "insufficient_quota"
        for _ in range(3):
            await world.ask()
        ended = [event for event in world.events if isinstance(event, ev.ResponseEnded)]
        assert {event.code for event in ended} == {"insufficient_quota"}
        assert world.link.is_ready, "the session stands: the next turn asks again"
        faults.fail_code = ""
        await world.ask()
        assert not world.downs

    play(act)


def test_a_server_that_closes_for_want_of_quota_is_asked_again_at_long_intervals() -> None:
    async def act(world: World) -> None:
        await world.ready()
        for _ in range(12):
            await world.until(lambda: world.link.is_ready, 700)
            world.server.sessions[-1].hang_up(1008, "insufficient_quota")
            await world.until(lambda: not world.link.is_ready)
            assert world.downs[-1].refused
            assert world.downs[-1].code == "link.no_quota"
        assert world.downs[-1].retry_in_s > 500
        await world.until(lambda: world.link.is_ready, 601)
        await world.ask()

    play(act)


# --- a change of the network ---------------------------------------------------------------


def test_an_unrelated_interface_disturbs_nothing() -> None:
    async def act(world: World) -> None:
        await world.ready()
        for _ in range(100):
            world.link.network_changed(moved=False)
            await asyncio.sleep(0.3)
        assert world.link.sessions == 1

    assert not play(act).downs


def test_a_dead_session_is_found_by_the_news_in_less_than_two_seconds() -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(1)
        world.home.black_hole()
        world.link.network_changed(moved=False)
        assert await world.until(lambda: world.downs) <= 2.1

    assert play(act).downs[0].code == "link.dead"


def test_another_way_out_means_another_session_at_once() -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(1)
        world.link.network_changed(moved=True)
        assert await world.ready(2) <= 0.1

    assert [down.code for down in play(act).downs] == ["link.reopened"]


def test_news_end_a_pause_but_neither_a_dial_nor_a_refusal() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.home.down()
        await asyncio.sleep(3 * 3600)
        world.home.up()
        world.link.network_changed(moved=False)
        assert await world.ready(2) <= 0.1
        world.home.cut()
        world.key = "sk-wrong"
        await world.until(lambda: world.downs[-1].refused, 70)
        dials = world.home.dials
        for _ in range(50):
            world.link.network_changed(moved=False)
            await asyncio.sleep(0.3)
        assert world.home.dials == dials
        world.key = "sk-new"
        await world.ready(3, 6)

    play(act)


# --- choosing, pure ------------------------------------------------------------------------


def routes(count: int = 3) -> Routes:
    endpoints = [
        endpoint_for(household_provider("local"), "m", lambda: None, url=f"wss://host{n}/")
        for n in range(count)
    ]
    return Routes(endpoints, household_session(), random.Random(1), household_timings())


FAULTS = st.sampled_from(
    [
        LinkLost("x", code="link.unreachable"),
        LinkLost("x", code="link.timeout"),
        LinkBusy("x", retry_after_s=120.0),
        LinkRefused("x", code="link.bad_key"),
        None,
    ]
)


@given(st.integers(1, 4), st.lists(st.tuples(FAULTS, st.floats(0, 100)), max_size=60))
def test_the_chosen_one_is_never_a_worse_choice(
    count: int, story: list[tuple[LinkError | None, float]]
) -> None:
    all_of_them = routes(count)
    now = 0.0
    for fault, pause_s in story:
        now += pause_s
        chosen = all_of_them.choose(now)
        waits_s = max(0.0, chosen.not_before - now)
        assert waits_s <= 660
        assert all(waits_s <= max(1.0, r.not_before - now) for r in all_of_them.all)
        now += waits_s
        if fault is None:
            chosen.worked()
        else:
            chosen.failed(fault, now)
    all_of_them.forgive()
    assert all_of_them.choose(now) is all_of_them.home


def test_only_encrypted_outside_of_this_machine() -> None:
    with pytest.raises(ConfigError):
        endpoint_for(household_provider("local"), "m", lambda: None, url="ws://nas.lan/")


# --- a dial that hangs ---------------------------------------------------------------------


@pytest.mark.parametrize("hole_s", [0.5, 3.0, 6.2, 9.9, 31.0])
def test_a_dial_into_a_hole_does_not_delay_the_way_back(hole_s: float) -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.link.set_active(True)
        await asyncio.sleep(5)
        world.home.black_hole()
        await asyncio.sleep(hole_s)
        world.home.up()
        assert await world.until(lambda: world.link.is_ready, 10) <= 2.1
        await asyncio.sleep(12)
        assert len(world.home.server.open_sessions) == 1

    play(act)


def test_a_slow_door_is_not_knocked_in() -> None:
    """A server that takes six seconds to answer, and has room for one."""

    async def act(world: World) -> None:
        assert 5.9 < await world.ready() < 6.2
        await asyncio.sleep(30)
        assert len(world.home.server.open_sessions) == 1
        assert not world.downs

    def prepare(world: World) -> None:
        knocked: list[int] = []

        async def door(url: str, headers: Mapping[str, str]) -> Wire:
            knocked.append(1)
            if len(knocked) > 1:
                raise LinkBusy("There is room for one.")
            await asyncio.sleep(6)
            return await world.home(url, headers)

        world.dial = door  # type: ignore[method-assign]

    play(act, prepare=prepare)
