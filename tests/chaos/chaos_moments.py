"""Moments of a talk in which a fault is to strike.

Thread: the event loop.  It must never bring the fault itself: each returns when its moment is
there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from chaos_world import World

Phase = Callable[[World], Awaitable[None]]


async def at_rest(world: World) -> None:
    """Nobody speaks."""
    await asyncio.sleep(0.5)


async def talking(world: World) -> None:
    """In the middle of a sentence."""
    said = world.speak("wake", words_s=2.5)
    await asyncio.sleep(max(0.0, said.begin_at + 1.0 - world.now()))


async def answering(world: World) -> None:
    """In the middle of an answer."""
    world.speak("wake", words_s=1.0, answer_s=6.0)
    await world.until(lambda: world.talk == "speaking" and world.playout.audible, 15)
    await asyncio.sleep(0.4)


async def thinking(world: World) -> None:
    """Said, and not answered yet."""
    world.speak("wake", words_s=1.0)
    await world.until_talk("thinking", within_s=15)
