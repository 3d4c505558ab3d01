"""The live check on real sound streams: PortAudio over the suite's own sound server.

It must never touch the machine's own sound (see `pulse`).
"""

from __future__ import annotations

import asyncio
import io
import threading
import time

from pulse import PulseServer, Recording
from rich.console import Console

from edge_agent.app.world import real_world
from edge_agent.demo.judge import measure
from edge_agent.demo.live import LiveResult, live_check
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.sound import voices

PATIENCE_S = 50.0
ATTEMPTS = 4
"""How often PortAudio may give up a sink that a busy machine wakes for longer than a second."""
QUIET_S = 3.0
"""Before somebody speaks, so that the wake model's features have met the room."""
ANSWER_S = 7.0
"""After it the person says it again: on a loaded machine the sound server loses pieces of sound,
and the parrot can only say back what reached it."""
LOOK_S = 0.5
REST_S = 4.0
"""From the sentence's first words until the end of the answer is counted."""


def test_the_parrot_hears_and_is_heard(pulse: PulseServer) -> None:
    rate_hz, question = voices.load("wake_what_time")
    sentence = measure.sound(question, rate_hz)[measure.COMPARE_RATE_HZ :]
    over = threading.Event()
    heard: list[measure.Likeness] = []

    def said_back(tape: Recording) -> bool:
        pcm = tape.pcm
        heard.append(measure.likeness(sentence, measure.sound(pcm[: len(pcm) // 2 * 2], 48_000)))
        return heard[-1].begins_whole and heard[-1].correlation > measure.FOUND_CORRELATION

    def person(tape: Recording, stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        while not over.is_set():
            pulse.say(bytes(2 * round(rate_hz * QUIET_S)) + question, rate_hz)
            again_at = time.monotonic() + ANSWER_S
            while time.monotonic() < again_at and not over.wait(LOOK_S):
                if said_back(tape):
                    tape.wait_for_seconds(REST_S)
                    loop.call_soon_threadsafe(stop.set)
                    return

    async def check(tape: Recording) -> LiveResult:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.call_later(PATIENCE_S, stop.set)
        speaks = threading.Thread(target=person, args=(tape, stop, loop), name="person")
        speaks.start()
        try:
            result = await live_check(
                real_world(Settings()).device, Console(file=io.StringIO()), stop=stop
            )
        finally:
            over.set()
            await asyncio.to_thread(speaks.join)
        return result

    with pulse.recording() as tape:
        for _ in range(ATTEMPTS):
            over.clear()
            result = asyncio.run(check(tape))
            if "does not open" not in result.trouble:
                break
    assert result.trouble == ""
    assert result.ok
    # The parrot says back what reached it, and it reached it from the question's first word on.
    assert heard[-1].begins_whole, heard
    assert heard[-1].correlation > measure.FOUND_CORRELATION, heard
