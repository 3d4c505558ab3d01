"""The simulated Realtime server on a real port and in a thread of its own, for verbs that block.

    with RealtimeService(brain) as service:
        ...  # `service.url`; read `service.server` when the verb is over

Thread: the server's own.  It must never outlive the `with`.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any, Self

from waiting import PATIENCE_S

from edge_agent.simulation.brains import Brain, Reply, Speech, Turn
from edge_agent.simulation.brains import hum as spoken
from edge_agent.simulation.server import RealtimeServer, listen

hum = functools.cache(spoken)
"""The same text is read and looked for several times."""


class ReadsAloud(Brain):
    """Reads what was typed, word for word.  `slips`: text → what it does instead, one by one."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.slips: dict[str, list[Reply]] = {}

    @property
    def texts(self) -> list[str]:
        """What it was asked to read, oldest first."""
        return [turn.texts[-1] for turn in self.turns]

    def reply(self, turn: Turn) -> Reply:
        self.turns.append(turn)
        text = turn.texts[-1]
        if self.slips.get(text):
            return self.slips[text].pop(0)
        return Reply((Speech(hum(text), text),))


class RealtimeService:
    """`server` behind `url`, from the `with` to its end."""

    def __init__(self, brain: Brain, **options: Any) -> None:
        # Faster than real time as far as a machine goes: nobody listens.
        options = {"audio_speed": 400.0, "delta_ms": 500, "first_delta_ms": 0} | options
        self.server = RealtimeServer(brain, **options)
        self.url = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._is_up = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_up.wait(PATIENCE_S), "the server did not start"
        return self

    def __exit__(self, *_raised: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with listen(self.server, "127.0.0.1", 0) as port:
            self.url = f"ws://127.0.0.1:{port.port}/v1/realtime"
            self._is_up.set()
            await self._stop.wait()
