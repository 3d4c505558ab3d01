"""What surrounds the daemon on the stage: the network, the panel, the service manager, the journal.

Thread: the event loop, real or virtual.  It must never decide what happens: `stage.Stage` puts
these around the daemon, and whoever plays on it breaks them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge_agent.app.world import real_dialer
from edge_agent.contract.events import Event
from edge_agent.contract.ports import Panel
from edge_agent.demo.judge.score import Score
from edge_agent.host.service.systemd import Notifier
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.brains import Brain, Reply, Speech, Turn
from edge_agent.simulation.server import RealtimeServer, listen
from edge_agent.simulation.wire import MemoryNetwork

MEMORY_URL = "ws://127.0.0.1:1/v1/realtime"
"""Never dialled: the in-memory network looks at the path only."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The model was asked for an answer: what it had heard, and what it says."""

    at: float
    turn: Turn
    reply: Reply


class WatchedBrain(Brain):
    """Hands every turn on to another brain, and remembers what that one heard and said.

    `on_words` is told the words of each answer to the household.
    """

    def __init__(self, inner: Brain, on_words: Callable[[str], None]) -> None:
        self.inner = inner
        self._on_words = on_words
        self.answered: list[Answered] = []

    def reply(self, turn: Turn) -> Reply:
        reply = self.inner.reply(turn)
        at = asyncio.get_running_loop().time()
        self.answered.append(Answered(at, turn, reply))
        if not turn.out_of_band:
            for part in reply.parts:
                if isinstance(part, Speech) and part.transcript:
                    self._on_words(part.transcript)
        return reply

    def transcribe(self, pcm24k: bytes) -> str:
        return self.inner.transcribe(pcm24k)

    def abandoned(self, turn: Turn) -> None:
        self.inner.abandoned(turn)


class SocketNetwork:
    """A port on this machine; down is a reset and a closed port."""

    def __init__(self, server: RealtimeServer) -> None:
        self._server = server
        self._open = contextlib.AsyncExitStack()
        self.url = ""
        self.dial = real_dialer(Settings())
        self._port = 0

    async def up(self) -> None:
        listening = await self._open.enter_async_context(
            listen(self._server, "127.0.0.1", self._port)
        )
        self._port, self.url = listening.port, listening.url

    async def down(self) -> None:
        self._server.abort_sessions()
        await asyncio.sleep(0)  # the abort is done by the session's own task
        await self._open.aclose()

    async def close(self) -> None:
        await self._open.aclose()


class InMemoryNetwork:
    """The same in memory, for virtual time."""

    def __init__(self, server: RealtimeServer, delay_s: float) -> None:
        self.url = MEMORY_URL
        self.dial = MemoryNetwork(server, delay_s)

    async def up(self) -> None:
        self.dial.up()

    async def down(self) -> None:
        self.dial.down()

    async def close(self) -> None:
        await self.dial.aclose()


class StagePanel(Panel):
    """A button without a finger and a light that is only written down."""

    def __init__(self, post: Callable[[Event], None]) -> None:
        self.post = post
        self.light = ""
        self.is_closed = False

    def show(self, light: str) -> None:
        """Remember the light."""
        self.light = light

    def close(self) -> None:
        """Nothing to release."""
        self.is_closed = True


class StageNotifier(Notifier):
    """A service manager that remembers what it was told: `(loop time, line)`."""

    def __init__(self) -> None:
        super().__init__({})
        self.told: list[tuple[float, str]] = []

    def _send(self, *lines: str) -> bool:
        now = asyncio.get_running_loop().time()
        self.told += [(now, line) for line in lines]
        return True


class ScoreSink:
    """Journal lines go into the score."""

    def __init__(self, score: Score) -> None:
        self._score = score

    def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
        del level, text
        self._score.note(code, fields)
        return True
