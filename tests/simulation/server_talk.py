"""A bare client for the tests of the simulated server: raw JSON over a memory wire.

Thread: the virtual loop of the test.  It must never import `edge_agent.realtime`.  Every server
event that passes is validated against the official SDK's models, unless a test says otherwise.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from edge_agent.contract.errors import WireClosed
from edge_agent.simulation.brains import Brain, Call, ParrotBrain, Part, Reply, Turn, hum
from edge_agent.simulation.clock import run
from edge_agent.simulation.server import RealtimeServer, Session
from edge_agent.simulation.wire import MemoryWire, memory_wire_pair

Event = dict[str, Any]
SDK_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
SPOKEN = hum("hello there little speaker", pitch_hz=150.0)
SPEECH_MS = len(SPOKEN) // 48


def silence(ms: int) -> bytes:
    """PCM16 24 kHz of nothing."""
    return bytes(48 * ms)


def validate(side: str, event: Event, _at: float) -> None:
    """Raise unless a server event is what the official SDK expects."""
    if side == "server":
        SDK_EVENT.validate_python(event)


class Says(Brain):
    """A brain that gives the same parts each time, and remembers its turns."""

    def __init__(self, *parts: Part) -> None:
        self.parts = parts
        self.turns: list[Turn] = []
        self.dropped: list[Turn] = []

    def reply(self, turn: Turn) -> Reply:
        self.turns.append(turn)
        if turn.outputs:
            return Reply(tuple(p for p in self.parts if not isinstance(p, Call)))
        return Reply(self.parts)

    def transcribe(self, pcm24k: bytes) -> str:
        return "what time is it"

    def abandoned(self, turn: Turn) -> None:
        self.dropped.append(turn)


class Client:
    """Sends events, keeps all that comes, and waits for what is expected."""

    def __init__(self, wire: MemoryWire, server: RealtimeServer) -> None:
        self.wire = wire
        self.server = server
        self.log: list[Event] = []
        self.frames: list[str | bytes] = []
        self.closed: WireClosed | None = None
        self.gone = asyncio.Event()
        self._seen = 0

    @property
    def session(self) -> Session:
        return self.server.sessions[-1]

    async def send(self, kind: str, **fields: Any) -> None:
        await self.wire.send(json.dumps({"type": kind, **fields}))

    async def listen(self) -> None:
        """Keep what comes until the wire closes."""
        while True:
            try:
                frame = await self.wire.receive()
            except WireClosed as gone:
                self.closed = gone
                self.gone.set()
                return
            self.frames.append(frame)
            try:
                self.log.append(json.loads(frame))
            except ValueError:
                continue

    async def until(self, kind: str, *, within_s: float = 120.0) -> Event:
        """The next event of that type, in the order of arrival."""
        async with asyncio.timeout(within_s):
            while True:
                while self._seen < len(self.log):
                    event = self.log[self._seen]
                    self._seen += 1
                    if event["type"] == kind:
                        return event
                await asyncio.sleep(0.005)

    async def speak(self, pcm24k: bytes, *, chunk_ms: int = 20, pace_s: float = 0.0) -> None:
        for start in range(0, len(pcm24k), chunk_ms * 48):
            piece = pcm24k[start : start + chunk_ms * 48]
            await self.send(
                "input_audio_buffer.append", audio=base64.b64encode(piece).decode("ascii")
            )
            if pace_s:
                await asyncio.sleep(pace_s)

    async def say_text(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item)

    async def update(self, **session: Any) -> Event:
        await self.send("session.update", session={"type": "realtime", **session})
        return await self.until("session.updated")

    async def manual(self) -> None:
        await self.update(audio={"input": {"turn_detection": None}})

    def types(self) -> list[str]:
        return [event["type"] for event in self.log]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.log if event["type"] == kind]

    async def error(self) -> Event:
        error: Event = (await self.until("error"))["error"]
        return error


@asynccontextmanager
async def talking(
    server: RealtimeServer,
    *,
    path: str = "/v1/realtime?model=gpt-realtime-2.1",
    delay_s: float = 0.0,
) -> AsyncIterator[Client]:
    """A client in a session of `server`."""
    near, far = memory_wire_pair(delay_s)
    serving = asyncio.create_task(server.serve_wire(far, path, {}))
    client = Client(near, server)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        await near.close()
        await asyncio.gather(serving, listening)


def talk(
    scene: Callable[[Client], Awaitable[None]], brain: Brain | None = None, **settings: Any
) -> None:
    """Play `scene` with a client that has seen `session.created`, in virtual time."""
    settings.setdefault("on_event", validate)
    path = settings.pop("path", "/v1/realtime?model=gpt-realtime-2.1")

    async def play() -> None:
        server = RealtimeServer(brain or ParrotBrain(), **settings)
        async with talking(server, path=path) as client:
            await client.until("session.created")
            await scene(client)

    run(play())
