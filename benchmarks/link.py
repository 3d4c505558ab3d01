"""The link: how soon a dead connection is replaced, and what becomes of the words.

Thread: the event loop.  It must never help the daemon: connections are broken from outside.

In every trial but the idle ones a person asks something while the connection dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

from benchmarks.figures import Figure, Sheet, Target
from benchmarks.household import CHIME_S, Household, SteadyBrain, answer, household
from edge_agent.demo.judge import tape

TITLE = "Lost connections"
SETTING = (
    "Virtual room, local WebSocket, threads on. In mid-question (5 s of speech) the connection is "
    "reset, closed with 1001, swallowed without an acknowledgement (black hole), or swallowed by a "
    "front that acknowledges; or the port is closed for 5 s. READY is a session that the server "
    "has confirmed."
)

QUESTION = "network_question"
BREAK_AFTER_S = (1.0, 4.0)
"""From the first word, at random: inside the question."""

CLOSED_S = 5.0
HEALTHY_S = 3.3
"""A session that lived so long counts as healthy, as one does that was open all evening; from an
unhealthy one the next dial waits longer, on purpose."""

IDLE_HOUSEHOLDS = 3
"""Idle black holes take up to half a minute each: these households wait for theirs at once."""

IDLE_LIMIT_S = 45.0

Break = Callable[[Household], Awaitable[float]]


def figures() -> list[Figure]:
    """Times per way to die, and the fate of the question."""
    return [
        Figure("link.reset", "TCP reset → READY", "s", Target("median", "≤", 1.0)),
        Figure("link.closed", "clean close 1001 → READY", "s", Target("median", "≤", 0.3)),
        Figure(
            "link.hole.noticed",
            "black hole in a turn (nothing acknowledged) → noticed",
            "s",
            Target("max", "≤", 3.0),
        ),
        Figure("link.hole.ready", "black hole in a turn → READY", "s"),
        Figure(
            "link.front.noticed",
            "server hangs in a turn, its front acknowledges → given up",
            "s",
            Target("max", "≤", 6.0),
        ),
        Figure("link.front.ready", "server hangs in a turn, its front acknowledges → READY", "s"),
        Figure("link.idle.noticed", "black hole while idle → noticed", "s", Target("max", "<", 10)),
        Figure("link.idle.ready", "black hole while idle → READY", "s"),
        Figure("link.port", "closed port opens again → READY", "s", Target("median", "≤", 1.2)),
        Figure("link.whole", "questions delivered whole", "of 1", Target("min", "=", 1)),
        Figure("link.answers", "answers to each of them", "", Target("max", "=", 1)),
    ]


def measure(sheet: Sheet, n: int, brief: bool = False) -> None:
    """`n` resets, closes, and holes in a turn; half as many closed ports.  Brief: no more than
    resets and closes."""
    asyncio.run(_measure(sheet, n, brief))


async def _measure(sheet: Sheet, n: int, brief: bool) -> None:
    if brief:
        await _in_turns(sheet, n, brief)
        return
    # Beside each other: the idle households wait, and cost next to nothing meanwhile.
    await asyncio.gather(_in_turns(sheet, n, brief), _idle(sheet, min(n, IDLE_HOUSEHOLDS)))


async def _in_turns(sheet: Sheet, n: int, brief: bool) -> None:
    settings: dict[str, dict[str, object]] = {"listen": {"follow_up_s": 0}}
    rng = random.Random(9)
    async with household(SteadyBrain(answer(0.8)), settings=settings, proxy=True) as home:
        ways: tuple[tuple[str, Break, int], ...] = (
            ("link.reset", _reset, n),
            ("link.closed", _close, n),
            ("link.front.ready", _hanging_server, n),
            ("link.port", _closed_port, max(1, n // 2)),
        )
        for key, way, trials in ways[:2] if brief else ways:
            for _ in range(trials):
                await _trial(home, sheet, key, way, rng)
    for _ in range(0 if brief else n):
        # Each in a household of its own: a second hole within two minutes is given twice the
        # time, since a session that followed at once looked like a false alarm (`patience`).
        async with household(SteadyBrain(answer(0.8)), settings=settings, proxy=True) as home:
            await _trial(home, sheet, "link.hole.ready", _black_hole, rng)


async def _reset(home: Household) -> float:
    home.stage.server.abort_sessions()
    return home.stage.now()


async def _close(home: Household) -> float:
    home.stage.server.close_sessions(1001, "going away")
    return home.stage.now()


async def _black_hole(home: Household) -> float:
    assert home.proxy is not None
    home.proxy.black_hole()
    return home.stage.now()


async def _hanging_server(home: Household) -> float:
    assert home.proxy is not None
    home.proxy.black_hole(acknowledges=True)
    return home.stage.now()


async def _closed_port(home: Household) -> float:
    await home.stage.network.down()
    await asyncio.sleep(CLOSED_S)
    await home.stage.network.up()
    return home.stage.now()


async def _trial(home: Household, sheet: Sheet, key: str, way: Break, rng: random.Random) -> None:
    stage = home.stage
    await stage.until_talk("asleep", 40.0)
    await stage.until(lambda: stage.link == "ready", 40.0, "the link is ready")
    await asyncio.sleep(HEALTHY_S - CHIME_S)
    before = len(stage.brain.answered)
    await stage.push()
    said = stage.speak(QUESTION, in_s=CHIME_S)
    await stage.sleep_until(said.start_at + rng.uniform(*BREAK_AFTER_S))
    begin = stage.now()
    from_at = await way(home)
    await stage.until(lambda: _next(home, "ready", begin) is not None, 40.0, "READY again")
    ready, lost = _next(home, "ready", begin), _lost(home, begin)
    assert ready is not None
    assert lost is not None
    sheet[key].add(ready - from_at)
    if key in ("link.hole.ready", "link.front.ready"):
        sheet[key.replace("ready", "noticed")].add(lost - begin)
    await stage.sleep_until(said.end_at)
    with contextlib.suppress(Exception):
        await stage.until(lambda: len(stage.brain.answered) > before, 20.0, "an answer")
    await stage.until_talk("asleep", 60.0)
    answered = stage.brain.answered[before:]
    heard = b"".join(pcm for a in answered for pcm in a.turn.heard)
    like = tape.words_in(said, heard)
    whole, answers = sheet["link.whole"], sheet["link.answers"]
    whole.add(float(like.is_whole))
    answers.add(len(answered))
    for figure, wrong in ((whole, not like.is_whole), (answers, len(answered) != 1)):
        if wrong:
            word = f"{like.coverage:.0%} of it" if figure is whole else f"{len(answered)} answers"
            figure.note += f"{'; ' if figure.note else ''}{key}: {word}"


def _lost(home: Household, since: float) -> float | None:
    """When the link was no longer ready."""
    bands = home.stage.score.bands("link")
    return next((b.begin for b in bands if b.begin >= since and b.state != "ready"), None)


def _next(home: Household, state: str, since: float) -> float | None:
    """When the link came into a state again, after it was lost."""
    lost = _lost(home, since)
    if lost is None:
        return None
    bands = home.stage.score.bands("link")
    return next((b.begin for b in bands if b.begin >= lost and b.state == state), None)


async def _idle(sheet: Sheet, n: int) -> None:
    """Nobody speaks; the connections are swallowed at different times after the last ping."""
    await asyncio.gather(*(_one_idle(sheet, 1.0 + 2.7 * number) for number in range(n)))


async def _one_idle(sheet: Sheet, wait_s: float) -> None:
    async with household(SteadyBrain(answer(0.5)), proxy=True) as home:
        await asyncio.sleep(wait_s)
        begin = await _black_hole(home)
        stage = home.stage
        await stage.until(lambda: _next(home, "ready", begin) is not None, IDLE_LIMIT_S, "READY")
        ready, lost = _next(home, "ready", begin), _lost(home, begin)
        assert ready is not None
        assert lost is not None
        sheet["link.idle.noticed"].add(lost - begin)
        sheet["link.idle.ready"].add(ready - begin)
