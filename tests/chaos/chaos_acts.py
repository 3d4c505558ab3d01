"""What a household does besides asking: presses, mutes, guests, bells, barge-ins, talk of its own.

`disturb` lives a few of these acts at random moments while something else goes on; `put_right`
leaves the house as it should be found.  Everything is drawn from the given generator.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

from chaos_house import Said
from chaos_world import World

from edge_agent.contract import events as e

Act = Callable[[World, random.Random], Awaitable[None]]

YES = ("Yes, please.", "Go ahead.", "Ja, bitte.")
NO = ("No.", "Nein, danke.", "No, leave it.")
OTHER = ("Which one was that, please?", "The green one, I think.")
ACTS_MAX = 4
WITHIN_S = 15.0
"""Of a strike's beginning: the longest way to its phase, and the first moments of the fault."""
MUTED_S = (1.0, 25.0)


# --- hands --------------------------------------------------------------------------------------


async def presses(world: World, rng: random.Random) -> None:
    """A short press."""
    world.press(hold_s=rng.uniform(0.04, 0.3))


async def presses_twice(world: World, rng: random.Random) -> None:
    """Impatient, or meant as the gesture for guests."""
    world.press(hold_s=0.06)
    await asyncio.sleep(rng.uniform(0.08, 0.7))
    world.press(hold_s=0.06)


async def bounces(world: World, rng: random.Random) -> None:
    """A bad contact: one press that comes several times."""
    for _ in range(rng.randint(2, 4)):
        world.press(hold_s=0.004)
        await asyncio.sleep(rng.uniform(0.006, 0.02))


async def mutes(world: World, rng: random.Random) -> None:
    """By the button, by a long press of the other one or by the control socket; for a while."""
    for muted in (True, False):
        how = rng.choice(("button", "long press", "control"))
        if how == "control":
            world.wants(e.MuteRequested(at=world.now(), muted=muted))
        elif world.is_muted is not muted:
            long_s = world.config.long_press_s + rng.uniform(0.1, 0.8)
            world.press("mute") if how == "button" else world.press(hold_s=long_s)
            await asyncio.sleep(long_s)
        if muted:
            await asyncio.sleep(rng.uniform(*MUTED_S))


# --- guests and bells ---------------------------------------------------------------------------


async def has_guests(world: World, rng: random.Random) -> None:
    """Guest mode, for a while."""
    world.wants(e.GuestRequested(at=world.now(), on=True))
    await asyncio.sleep(rng.uniform(1, 20))
    world.wants(e.GuestRequested(at=world.now(), on=False))


async def bell(world: World, rng: random.Random) -> None:
    """A timer is due; somebody stops it, by hand or from elsewhere, or nobody does."""
    late_s = rng.choice((0.0, 0.0, 100.0, 2000.0))
    world.wants(e.AlarmDue(at=world.now(), name=rng.choice(("pasta", "tea")), late_s=late_s))
    await asyncio.sleep(rng.uniform(0.1, 12))
    how = rng.choice(("button", "word", "elsewhere", "nobody"))
    if how == "button":
        world.press()
    elif how == "word":
        world.speak("wake", words_s=rng.uniform(0.6, 1.5), answer_s=1.0)
    elif how == "elsewhere":
        world.wants(e.AlarmStopRequested(at=world.now()))


# --- mouths -------------------------------------------------------------------------------------


async def talks_over(world: World, rng: random.Random) -> None:
    """Somebody speaks over the next answer."""
    if await world.until(lambda: world.light == "speaking", WITHIN_S):
        await asyncio.sleep(rng.uniform(0.0, 1.5))
        world.speak("barge-in", words_s=rng.uniform(0.5, 1.5), answer_s=1.0)


def _shows(world: World, light: str) -> bool:
    return world.light == light


async def follows_up(world: World, rng: random.Random) -> None:
    """Somebody uses the window after the next answer."""
    for light in ("speaking", "listening"):
        if not await world.until(partial(_shows, world, light), WITHIN_S):
            return
    in_s = rng.uniform(0.1, 4.0)
    world.speak("follow-up", in_s=in_s, words_s=rng.uniform(0.5, 1.5), answer_s=1.0)


async def talks_to_others(world: World, rng: random.Random) -> None:
    """People talk to each other; nobody called."""
    world.speak("aside", in_s=rng.uniform(0.05, 2.0), words_s=rng.uniform(0.5, 3.0))


async def calls(world: World, rng: random.Random) -> None:
    """Somebody else asks something, with some tool."""
    tool = rng.choice(("", "", "look_up", "set_volume", "shop", "unlock"))
    how = rng.choice(("wake", "paused", "pressed"))
    words_s = rng.uniform(0.5, 1.5)
    said = world.speak(how, in_s=rng.uniform(0.05, 1.0), words_s=words_s, answer_s=1.0, tool=tool)
    if tool in ("shop", "unlock"):
        await agrees(world, said, rng)


async def false_wake(world: World, rng: random.Random) -> None:
    """The wake word, and nothing after it but a click."""
    del rng
    world.speak("paused", words_s=0.02, counts=False)


ACTS: tuple[Act, ...] = (
    *(presses, presses, presses_twice, bounces, mutes, mutes, has_guests, bell, bell),
    *(talks_over, talks_over, follows_up, talks_to_others, talks_to_others, calls, calls),
    false_wake,
)
"""Twice: twice as often."""


async def agrees(world: World, said: Said, rng: random.Random) -> None:
    """Answer the question about `said`, if there is one: in words, by the button, or not at all."""
    if not await world.until(lambda: world.light == "confirming", 30):
        return
    await asyncio.sleep(rng.uniform(0.0, 3.0))
    if world.light != "confirming":
        return
    how = rng.choice(("yes", "yes", "no", "other", "button", "button", "nothing"))
    if how == "button":
        world.press()
    elif how != "nothing":
        words = rng.choice({"yes": YES, "no": NO, "other": OTHER}[how])
        world.speak(
            "agree", words_s=rng.uniform(0.4, 1.0), words=words, about=asked_about(world, said)
        )


def asked_about(world: World, said: Said) -> int:
    """The utterance that the question names: another than `said`, if somebody talked over that."""
    called = (asked.primary for asked in reversed(world.asked) if asked.kind == "tool")
    return next(called, said.number)


async def disturb(world: World, rng: random.Random) -> None:
    """A few acts, each at a moment of its own."""

    async def one(act: Act, in_s: float) -> None:
        await asyncio.sleep(in_s)
        await act(world, random.Random(rng.random()))

    some = [(rng.choice(ACTS), rng.uniform(0.0, WITHIN_S)) for _ in range(rng.randint(1, ACTS_MAX))]
    async with asyncio.TaskGroup() as together:
        for act, in_s in some:
            together.create_task(one(act, in_s))


async def put_right(world: World) -> None:
    """Open the microphone, see the guests off, stop the bell."""
    world.wants(e.AlarmStopRequested(at=world.now()))
    world.wants(e.GuestRequested(at=world.now(), on=False))
    world.wants(e.MuteRequested(at=world.now(), muted=False))
