"""Random troubles with spare sessions and a fall-back provider: the story stays in order (purpose).

Owner thread: the test's, in virtual time.  Must never assert on real time.
"""

from __future__ import annotations

import asyncio
import random

import pytest
from house_config import household_provider, household_timings
from link_world import World, play

from edge_agent.contract import commands as cmd
from edge_agent.contract.pcm import silence

BLOWS = (
    *("cut", "down", "up", "hole", "refuse", "busy", "close", "expire", "stall", "key", "talk"),
    *("quiet", "loud", "moved", "stirred", "came up", "configure", "calm", "calm", "calm"),
)


def strike(world: World, blow: str, chance: random.Random) -> None:
    network = chance.choice([world.home, world.home, world.next])
    faults = network.server.faults
    faults.refuse_status = {"refuse": chance.choice([401, 403, 404]), "busy": 503}.get(blow, 0)
    faults.accept_then_close = chance.choice([1001, 1011, 3000]) if blow == "close" else 0
    faults.stall = blow == "stall"
    if blow in ("cut", "down", "up"):
        getattr(network, blow)()
    elif blow == "hole":
        network.black_hole(chance.random() < 0.6)
    elif blow == "expire":
        network.server.expire_sessions()
    elif blow == "key":
        world.key = chance.choice(["sk-test", "sk-wrong", None])
    elif blow in ("quiet", "loud"):
        world.is_quiet = blow == "quiet"
    elif blow == "talk":
        for _ in range(5):
            world.link.execute(cmd.SendAudio(silence(20)))
        world.link.execute(cmd.AddMessage("", "user", "hello"))
        world.link.execute(cmd.RequestResponse())
    elif blow in ("moved", "stirred", "came up"):
        world.link.network_changed(moved=blow == "moved", came_up=blow == "came up")
    elif blow == "configure":
        world.link.execute(cmd.UpdateSession(instructions=f"Be {chance.random()}."))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_one_session_is_left_and_it_works(seed: int) -> None:
    chance = random.Random(seed)
    limit_s = chance.choice([90.0, 200.0, 400.0])
    provider = household_provider(max_session_s=limit_s)
    timings = household_timings(home_s=30.0, home_soon_s=8.0, home_spell_s=2.0, roll_retry_s=3.0)

    async def act(world: World) -> None:
        world.home.server.session_max_s = limit_s
        for _ in range(chance.randint(10, 50)):
            strike(world, chance.choice(BLOWS), chance)
            world.link.set_active(chance.random() < 0.5)
            if chance.random() < 0.1:
                world.link.reopen(chance.choice(["network", "config", "unhappy"]))
            await asyncio.sleep(chance.choice([0.0, 0.01, 0.3, 2.0, 15.0]))
        strike(world, "calm", chance)
        for network in (world.home, world.next):
            network.up()
            network.server.faults.refuse_status = 0
            network.server.faults.accept_then_close = 0
            network.server.faults.stall = False
        world.key, world.is_quiet = "sk-test", True
        world.link.network_changed(moved=True)
        await world.until(lambda: world.link.is_ready, 20)
        downs = len(world.downs)
        await asyncio.sleep(3 * limit_s + 60)
        assert world.link.is_ready
        assert world.link.provider == "openai"
        assert len(world.downs) <= downs + 1, world.downs[downs:]
        await world.ask()
        # One in use, and at most one that stands ready beside it.
        left = world.home.server.open_sessions + world.next.server.open_sessions
        assert 1 <= len(left) <= 2
        others = [t for t in asyncio.all_tasks() if t.get_name().startswith("link")]
        assert len(others) <= 14, others

    world = play(act, provider=provider, timings=timings, with_next=True, seed=seed)
    assert "link.internal_error" not in world.notes
    assert "link.local_error" not in world.notes
