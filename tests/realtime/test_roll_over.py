"""A session is replaced before its limit, without a word about it (purpose).

Owner thread: the test's, in virtual time.  Must never assert on real time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools

import pytest
from house_config import household_provider, household_timings
from link_world import World, play

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.contract.pcm import silence

HOUR_S = 3600.0
OPENAI = household_provider()


def open_sessions(world: World) -> int:
    return len(world.server.open_sessions)


def test_a_day_of_sessions_without_a_gap() -> None:
    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(24 * HOUR_S)
        await world.ask()
        assert open_sessions(world) == 1

    world = play(act)
    assert not world.downs
    assert 25 <= world.link.sessions <= 28  # every 55 minutes
    assert all(ready.replaces for ready in world.readies[1:])
    assert world.link.late_commands == 0


def test_the_old_session_goes_on_until_the_household_is_quiet() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.is_quiet = False
        await asyncio.sleep(HOUR_S - 299)
        assert open_sessions(world) == 2, "one stands ready beside the other"
        await world.ask()
        assert len(world.server.sessions[0].conversation.items) >= 2, "the old one answers"
        world.is_quiet = True
        await asyncio.sleep(6)
        assert world.link.sessions == 2
        await asyncio.sleep(2)
        assert open_sessions(world) == 1

    world = play(act)
    assert not world.downs
    assert "link.rolled_over" in world.notes


def test_without_a_quiet_moment_it_is_swapped_at_the_very_end() -> None:
    async def act(world: World) -> None:
        world.server.session_max_s = HOUR_S
        await world.ready()
        world.is_quiet = False
        await asyncio.sleep(HOUR_S - 1)
        assert world.link.sessions == 1
        await asyncio.sleep(2)
        assert world.link.is_ready

    world = play(act)
    assert not world.downs
    assert [ready.replaces for ready in world.readies] == [False, True]
    begin, end = (ready.at for ready in world.readies)
    assert end - begin == pytest.approx(HOUR_S, abs=1)
    dues = [event.at for event in world.events if isinstance(event, ev.RollOverDue)]
    assert end - dues[0] == pytest.approx(300, abs=2)
    gaps_s = [later - due for due, later in itertools.pairwise(dues)]
    assert gaps_s[0] == pytest.approx(5)
    assert gaps_s[-1] == pytest.approx(1), "asked more often in the last minute"


def test_nothing_that_is_said_around_the_swap_is_lost_or_said_twice() -> None:
    spoken = [bytes([n, 0] * 480) for n in range(1, 200)]

    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(HOUR_S - 302)
        for piece in spoken:
            world.link.execute(cmd.SendAudio(piece))
            await asyncio.sleep(0.02)
        world.link.execute(cmd.CommitAudio())
        await asyncio.sleep(1)

    world = play(act)
    assert world.link.sessions == 2
    heard = b"".join(
        bytes(audio)
        for session in world.server.sessions
        for audio in (
            [a for item in session.conversation.items for a in item.audio.values()]
            if session is world.server.sessions[-1]
            else []
        )
    )
    # What went to the old session was the old session's; after the swap nothing is missing.
    assert heard
    assert b"".join(spoken).endswith(heard)


def test_a_second_session_that_cannot_be_had_is_tried_again() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.server.faults.refuse_status = 503
        await asyncio.sleep(HOUR_S - 250)
        assert world.link.is_ready
        assert world.link.sessions == 1
        assert world.notes.count("link.roll_over_failed") >= 2
        assert world.home.dials < 12
        world.server.faults.refuse_status = 0
        await asyncio.sleep(85)
        assert world.link.sessions == 2

    assert not play(act).downs


def test_when_no_second_session_can_be_had_the_limit_is_survived_as_before() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.server.faults.refuse_status = 503
        await world.until(lambda: world.downs, HOUR_S + 5)
        assert world.downs[0].code == "link.session_expired"
        world.server.faults.refuse_status = 0
        await world.ready(2, 31)

    play(act)


def test_the_second_session_stands_in_when_the_first_dies_before_the_swap() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.is_quiet = False
        await asyncio.sleep(HOUR_S - 290)
        world.server.sessions[0].hang_up(1011, "oops")
        await world.ready(2, 0.1)

    world = play(act)
    assert not world.downs
    assert world.readies[-1].replaces


def test_a_network_that_dies_takes_both_and_one_comes_back() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.is_quiet = False
        await asyncio.sleep(HOUR_S - 290)
        world.home.black_hole()
        await world.until(lambda: world.downs, 15)
        world.home.up()
        await world.until(lambda: world.link.is_ready, 15)
        await asyncio.sleep(5)
        assert open_sessions(world) == 1

    assert [down.code for down in play(act).downs] == ["link.dead"]


def test_a_second_session_that_dies_while_it_waits_is_replaced() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.is_quiet = False
        await asyncio.sleep(HOUR_S - 290)
        world.server.sessions[-1].hang_up(1011, "oops")
        await asyncio.sleep(30)
        assert world.link.sessions == 1
        assert open_sessions(world) == 2
        world.is_quiet = True
        await asyncio.sleep(10)
        assert world.link.sessions == 2

    assert not play(act).downs


def test_a_swap_that_comes_too_late_changes_nothing() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.link.execute(cmd.RollOver())
        await world.ask()

    world = play(act)
    assert world.link.sessions == 1
    assert not world.downs


def test_a_changed_prompt_reaches_the_waiting_session_as_well() -> None:
    async def act(world: World) -> None:
        await world.ready()
        world.is_quiet = False
        await asyncio.sleep(HOUR_S - 290)
        world.link.execute(cmd.UpdateSession(instructions="Be brief."))
        await asyncio.sleep(1)
        world.is_quiet = True
        await asyncio.sleep(10)
        assert world.link.sessions == 2
        assert world.server.sessions[-1].config["instructions"] == "Be brief."

    play(act)


@pytest.mark.parametrize("promised_s", [1800.0, 600.0])
def test_what_the_session_says_of_its_end_counts(promised_s: float) -> None:
    def prepare(world: World) -> None:
        world.server.session_max_s = promised_s

    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(3 * promised_s)

    world = play(act, prepare=prepare, wall_clock=True)
    assert not world.downs
    assert world.link.sessions >= 3


def test_a_wrong_clock_neither_hurries_nor_stops_the_roll_over() -> None:
    for offset_s in (-40 * 365 * 86400.0, 3595.0, 86400.0 * 400):

        def prepare(world: World, offset_s: float = offset_s) -> None:
            theirs = world.unix_offset_s
            world.server.unix_time = lambda: asyncio.get_running_loop().time() + theirs
            world.unix_offset_s += offset_s

        async def act(world: World) -> None:
            await world.ready()
            await asyncio.sleep(2 * HOUR_S)

        world = play(act, wall_clock=True, prepare=prepare)
        assert not world.downs
        assert world.link.sessions == 3


def test_a_provider_without_a_limit_is_left_alone() -> None:
    async def act(world: World) -> None:
        world.server.session_max_s = 1e9
        world.link.reopen("config")
        await world.ready(1)
        await asyncio.sleep(12 * HOUR_S)

    world = play(act, provider=dataclasses.replace(OPENAI, max_session_s=0.0))
    assert world.count(ev.RollOverDue) == 0


@pytest.mark.parametrize("phase", ["silent", "streaming", "committed", "answering", "closing"])
@pytest.mark.parametrize("at_s", [0.02, 0.05, 0.3, 1.0])
def test_in_every_phase_the_old_session_finishes_its_turn(phase: str, at_s: float) -> None:
    early = household_timings(roll_early_s=300)

    async def act(world: World) -> None:
        await world.ready()
        await asyncio.sleep(HOUR_S - 300 - at_s)
        world.is_quiet = phase in ("silent", "closing")
        answered = world.count(ev.ResponseEnded)
        if phase in ("streaming", "committed", "answering"):
            for _ in range(30):
                world.link.execute(cmd.SendAudio(silence(20)))
                await asyncio.sleep(0.02)
            if phase != "streaming":
                world.link.execute(cmd.CommitAudio())
            if phase == "answering":
                world.link.execute(cmd.RequestResponse())
                await world.until(lambda: world.count(ev.ResponseEnded) > answered)
                assert world.link.sessions == 1
        if phase == "closing":
            world.link.reopen("unhappy")
        await asyncio.sleep(2)
        world.is_quiet = True
        await world.until(lambda: world.link.sessions == 2 and world.link.is_ready, 20)
        await world.ask()

    world = play(act, timings=early)
    assert len(world.downs) == (phase == "closing")
    assert world.link.late_commands == 0
