"""The live check on real sound streams: PortAudio over the suite's own sound server.

It must never touch the machine's own sound (see `pulse`).
"""

from __future__ import annotations

import asyncio
import io
import threading

from pulse import PulseServer
from rich.console import Console

from edge_agent.app.world import real_world
from edge_agent.demo.judge import measure
from edge_agent.demo.live import LiveResult, live_check
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.sound import voices

PATIENCE_S = 50.0
QUIET_S = 3.0
"""Before somebody speaks, so that the wake model's features have met the room."""
ANSWER_S = 7.0
"""A person who was not answered says it again; on a loaded machine a word can get lost."""


def test_the_parrot_hears_and_is_heard(pulse: PulseServer) -> None:
    rate_hz, question = voices.load("wake_what_time")
    answered = threading.Event()

    def person() -> None:
        while not answered.is_set():
            pulse.say(bytes(2 * round(rate_hz * QUIET_S)) + question, rate_hz)
            answered.wait(ANSWER_S)

    async def check() -> LiveResult:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(PATIENCE_S, stop.set)
        device = real_world(Settings()).device
        return await live_check(device, Console(file=io.StringIO()), turns=1, stop=stop)

    speaks = threading.Thread(target=person, name="person")
    with pulse.recording() as tape:
        speaks.start()
        try:
            result = asyncio.run(check())
        finally:
            answered.set()
            speaks.join()
    assert result.trouble == ""
    assert result.ok
    # The parrot says back what reached it, and it reached it from the question's first word on.
    heard = measure.likeness(
        measure.sound(question, rate_hz)[measure.COMPARE_RATE_HZ :],
        measure.sound(tape.pcm[: len(tape.pcm) // 2 * 2], 48_000),
    )
    assert heard.begins_whole
    assert heard.correlation > measure.FOUND_CORRELATION
