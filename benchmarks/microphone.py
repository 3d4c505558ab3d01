"""Microphone → wire: how old a sound is when the server has it.

Thread: the event loop.  It must never ask the daemon: clicks are put into the room at known times
and found again in what the server received.
"""

from __future__ import annotations

import asyncio
import random

import numpy as np

from benchmarks.figures import Figure, Sheet, Target
from benchmarks.household import CHIME_S, Household, SteadyBrain, answer, household
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.simulation.sound import voices

TITLE = "Microphone → wire"
SETTING = (
    "Virtual sound card (48 kHz, 10 ms blocks, 10 ms input latency), local WebSocket, threads on; "
    "a click while somebody speaks into the open gate, until the server has read the message "
    "that holds it."
)

RATE_HZ = 48_000
CLICK_HZ = 3000
CLICK_S = 0.004
CLICK_LEVEL = 0.8
FOUND_LEVEL = 0.4
"""Nothing but a click is so loud: the speech under them is played 12 dB down."""

SPEECH_GAIN_DB = -12.0
TURN_S = 24.0
"""Under the daemon's 30 s for one utterance."""

EVERY_S = (0.10, 0.17)
"""Between clicks, at random, so that they fall anywhere in a block."""

LATE_S = 1.0
"""A click that was not found so long after it sounded was not delivered."""


def figures() -> list[Figure]:
    """One row."""
    target = Target("median", "≤", 30)
    return [Figure("microphone.wire", "sound at the microphone → server has it", "ms", target)]


def measure(sheet: Sheet, n: int, brief: bool = False) -> None:
    """`n` clicks, in as many turns as they need."""
    del brief
    asyncio.run(_measure(sheet["microphone.wire"], n))


async def _measure(figure: Figure, n: int) -> None:
    settings: dict[str, dict[str, object]] = {"listen": {"server_silence_ms": 5000}}
    rng = random.Random(14)
    async with household(SteadyBrain(answer(0.5)), settings=settings) as home:
        while len(figure.values) + figure.trials_failed < n:
            await _turn(home, figure, n - len(figure.values) - figure.trials_failed, rng)
        late = home.room.late_blocks
        figure.note = (
            f"{late} blocks of the virtual sound card were late in this run" if late else ""
        )


async def _turn(home: Household, figure: Figure, n: int, rng: random.Random) -> None:
    stage = home.stage
    await stage.until_talk("asleep", 30.0)
    await stage.push()
    rate_hz, pcm = voices.load("network_question")
    begin = stage.now() + CHIME_S
    end = begin
    while end < begin + TURN_S:
        end = stage.room.say(pcm, rate_hz, at=end, gain_db=SPEECH_GAIN_DB).end_at
    await stage.until(lambda: home.ears.received, 10.0, "sound goes to the server")
    await asyncio.sleep(0.3)  # the pre-roll is through: from here on sound is live
    clicks: list[float] = []
    at = stage.now() + 0.1
    while len(clicks) < n and at < min(end, begin + TURN_S):
        clicks.append(stage.room.say(_click(), RATE_HZ, at=at, dry=True).start_at)
        at += rng.uniform(*EVERY_S)
    seen = len(home.ears.received)
    await stage.sleep_until(clicks[-1] + LATE_S)
    arrived = [t for t in _arrivals(home.ears.received[max(0, seen - 100) :]) if t > clicks[0]]
    if len(arrived) == len(clicks):
        for click, at in zip(clicks, arrived, strict=True):
            figure.add((at - click) * 1000)
    else:  # which of them was lost cannot be told
        figure.trials_failed += len(clicks)
    stage.room.hush()


def _click() -> bytes:
    time = np.arange(round(CLICK_S * RATE_HZ)) / RATE_HZ
    tone = CLICK_LEVEL * np.cos(2 * np.pi * CLICK_HZ * time)
    return bytes((tone * 32767).astype("<i2").tobytes())


def _arrivals(received: list[tuple[float, bytes]]) -> list[float]:
    """When the message came that holds a click's first sample, for every click."""
    found: list[float] = []
    position, last = 0, -WIRE_RATE_HZ
    for at, pcm in received:
        samples = np.frombuffer(pcm, "<i2").astype(np.float64) / 32768
        for index in np.flatnonzero(np.abs(samples) >= FOUND_LEVEL):
            if position + index - last > EVERY_S[0] / 2 * WIRE_RATE_HZ:
                found.append(at)
                last = position + int(index)
        position += len(samples)
    return found
