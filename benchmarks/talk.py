"""Wake word → wire: how soon the model hears somebody who calls the speaker.

Thread: the event loop.  It must never ask the daemon: ends and onsets are places in the clips,
first bytes are what the server received.
"""

from __future__ import annotations

import asyncio

from benchmarks.figures import Figure, Sheet, Target
from benchmarks.household import Household, SteadyBrain, answer, household
from edge_agent.demo.judge import tape
from edge_agent.demo.stage import Said

TITLE = "Wake word → wire"
SETTING = (
    "Virtual room, local WebSocket, threads on, wake word okay_nabu by two synthetic voices. The "
    "gate waits up to 0.4 s after the word for a person who goes on; what was said meanwhile is "
    "sent first."
)

ONE_BREATH = ("wake_what_time", "wake_tea_second_voice")
PAUSE_S = 1.0
"""Longer than the gate waits for a person who goes on."""

SHORT_ANSWER_S = 0.6


def figures() -> list[Figure]:
    """One breath, with a pause, and whether the words arrived."""
    return [
        Figure("wake.one_breath", "one breath: wake word end → first byte", "ms"),
        Figure("wake.decision", "wake word alone: its end → it listens", "ms"),
        Figure("wake.pause", "after a pause: speech onset → first byte", "ms"),
        Figure("wake.whole", "questions that arrived whole", "of 1", Target("min", "=", 1)),
        Figure("wake.gaps", "holes inside an answer heard to its end", "", Target("max", "=", 0)),
    ]


def measure(sheet: Sheet, n: int, brief: bool = False) -> None:
    """`n` wakes of each kind."""
    del brief
    asyncio.run(_measure(sheet, n))


async def _measure(sheet: Sheet, n: int) -> None:
    settings: dict[str, dict[str, object]] = {
        "listen": {"follow_up_s": 0, "server_silence_ms": 300}
    }
    server = {"first_delta_ms": 100}
    brain = SteadyBrain(answer(SHORT_ANSWER_S))
    async with household(brain, settings=settings, server=server) as home:
        for trial in range(n):
            await _one_breath(home, sheet, ONE_BREATH[trial % len(ONE_BREATH)])
            await _with_pause(home, sheet)


async def _one_breath(home: Household, sheet: Sheet, clip: str) -> None:
    stage = home.stage
    await asyncio.sleep(0.3)
    said = stage.speak(clip)
    await stage.sleep_until(said.end_at)
    _first_byte(home, sheet["wake.one_breath"], said.start_at, tape.wake_end(said))
    await _until_answered(home, sheet, said)


async def _with_pause(home: Household, sheet: Sheet) -> None:
    stage = home.stage
    await asyncio.sleep(0.3)
    woken = stage.speak("wake_only")
    await stage.sleep_until(woken.end_at + PAUSE_S)
    heard = stage.score.codes("talk.woken", woken.start_at)
    if not heard:
        sheet["wake.decision"].trials_failed += 1
        sheet["wake.pause"].trials_failed += 1
        return
    sheet["wake.decision"].add((heard[0].at - tape.wake_end(woken)) * 1000)
    said = stage.speak("follow_up")
    await stage.sleep_until(said.end_at)
    _first_byte(home, sheet["wake.pause"], said.start_at, said.onset_at)
    await _until_answered(home, sheet, said)


def _first_byte(home: Household, figure: Figure, since: float, from_at: float) -> None:
    arrived = [at for at, _ in home.ears.received if at >= since]
    if arrived:
        figure.add((arrived[0] - from_at) * 1000)
    else:
        figure.trials_failed += 1


async def _until_answered(home: Household, sheet: Sheet, said: Said) -> None:
    """Wait for the answer's end; is the question whole, and the answer without a hole?"""
    stage, since = home.stage, said.start_at
    if not any(at >= since for at, _ in home.ears.received):
        await stage.until_talk("asleep", 20.0)
        return
    await stage.until(
        lambda: stage.score.codes("talk.answer_done", since), 20.0, "the answer has been heard"
    )
    answered = [a for a in stage.brain.answered if a.at >= since]
    like = tape.words_in(said, b"".join(answered[0].turn.heard))
    sheet["wake.whole"].add(float(like.is_whole))
    # The chime is over before anybody speaks again; from the server's first delta on it is voice.
    first = min(at for at in home.ears.first_deltas if at >= since)
    sheet["wake.gaps"].add(home.holes(first, stage.now()))
    await stage.until_talk("asleep", 20.0)
