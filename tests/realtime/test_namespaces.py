"""Cables, addresses and black holes between real network namespaces.

The play (`namespace_play.py`) runs in a process of its own.  Where no namespace is to be had, the
same acts are played in virtual time; that is a test of its own as well, so that both stay true.

It must never touch this machine's own network.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import link_world
from other_ways import TELL, namespaces

from edge_agent.host.service.network import NetworkWatch

PLAY = Path(__file__).with_name("namespace_play.py")
ROOT = PLAY.parents[2]
V4 = int(socket.AF_INET)
OURS, OURS_LATER = "10.77.0.1", "10.77.0.3"

CABLE = "ip link set lo up && ip link add near type veth peer name far"
"""What the play begins with."""

NOTICED_S, BACK_S = 3.0, 2.0
"""The promises: noticed in a turn, and ready again."""


class Home:
    """The play's acts in memory: the kernel's looks are told, the packets are a test wire's."""

    def __init__(self, world: link_world.World) -> None:
        self.world = world
        self.ways = {V4: OURS}
        self.moved = 0
        self.watch = NetworkWatch(
            lambda _news: None,
            lambda _code, **_fields: None,
            look=lambda: dict(self.ways),
            owns=lambda family, address: self.ways.get(family) == address,
        )
        self.watch._judge()

    def changed(self, ways: dict[int, str]) -> None:
        """The kernel tells of a change, after which these are the ways out."""
        self.ways = ways
        news = self.watch._judge()
        self.moved += news.moved
        self.world.link.network_changed(moved=news.moved, came_up=news.came_up)

    async def acts(self) -> dict[str, Any]:
        world, network, link = self.world, self.world.home, self.world.link
        told: dict[str, Any] = {}
        await world.ready()

        self.changed(self.ways)  # a bridge of a container engine
        await asyncio.sleep(0.5)
        told["unrelated"] = {"downs": len(world.downs), "sessions": link.sessions}

        link.set_active(True)
        network.is_down = True  # nothing is routed, and what stands hears nothing more
        for wire in network.links:
            wire.stall(True)
        self.changed({})
        told["cable_out_noticed_s"] = await world.until(lambda: world.downs)
        await asyncio.sleep(4)
        network.up()
        self.changed({V4: OURS})
        told["cable_in_ready_s"] = await world.until(lambda: link.is_ready)

        sessions = link.sessions
        self.changed({V4: OURS_LATER})
        told["moved_ready_s"] = await world.until(lambda: link.sessions > sessions)

        before = len(world.downs)
        network.black_hole()
        told["hole_noticed_s"] = await world.until(lambda: len(world.downs) > before)
        told["hole_code"] = world.downs[-1].code
        await asyncio.sleep(3)
        network.up()
        told["hole_over_ready_s"] = await world.until(lambda: link.is_ready)
        return {**told, "moved": self.moved, "notes": world.notes}


def in_virtual_time() -> dict[str, Any]:
    told: dict[str, Any] = {}

    async def act(world: link_world.World) -> None:
        told.update(await Home(world).acts())

    link_world.play(act)
    return told


def judge(told: dict[str, Any], times: float) -> None:
    """`times`: by how much a machine may be slower than the promise."""
    assert told["unrelated"] == {"downs": 0, "sessions": 1}
    assert told["hole_code"] == "link.dead"
    assert told["notes"] == []
    assert told["moved"] >= 1
    for noticed in ("cable_out_noticed_s", "hole_noticed_s"):
        assert told[noticed] < times * NOTICED_S, told
    for back in ("cable_in_ready_s", "moved_ready_s", "hole_over_ready_s"):
        assert told[back] < times * BACK_S, told


def test_a_home_network_and_its_troubles(another_way: TELL) -> None:
    enter, why = namespaces("--net", CABLE)
    if not enter:
        another_way(f"the same acts in virtual time, without a kernel's network ({why})")
        judge(in_virtual_time(), times=1)
        return
    done = subprocess.run(
        [*enter, sys.executable, str(PLAY)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    judge(json.loads(done.stdout), times=2)


def test_the_same_troubles_in_virtual_time() -> None:
    judge(in_virtual_time(), times=1)
