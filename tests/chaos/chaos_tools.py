"""Tools of a chaos household, of each risk: their side effects are told to the border."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edge_agent.contract.risk import Risk
from edge_agent.tools.registry import Registry, tool

if TYPE_CHECKING:
    from chaos_world import World


def tools(world: World) -> Registry:
    """Tools whose first act is to say that they run."""

    @tool(risk=Risk.LOW, timeout_s=10)
    async def look_up(about: int) -> str:
        """Looks something up."""
        world.border.tool("look_up", about)
        await asyncio.sleep(world.rng.uniform(0.2, 2.5))
        return f"found it: {about}"

    @tool(risk=Risk.LOW)
    async def set_volume(about: int) -> str:
        """Makes the loudspeaker louder or softer."""
        world.border.tool("set_volume", about)
        world.playout.set_volume(world.rng.choice((30, 60, 100)))
        return f"done for {about}"

    @tool(risk=Risk.MEDIUM, timeout_s=10)
    async def shop(about: int) -> str:
        """Buys something."""
        world.border.tool("shop", about)
        await asyncio.sleep(world.rng.uniform(0.0, 1.5))
        return f"done for {about}"

    @tool(risk=Risk.HIGH, timeout_s=10)
    async def unlock(about: int) -> str:
        """Unlocks the door."""
        world.border.tool("unlock", about)
        return f"done for {about}"

    return Registry((look_up, set_volume, shop, unlock))
