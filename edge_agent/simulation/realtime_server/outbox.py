"""Events on their way to the client, in one order, with the faults of the way.

Thread: the event loop that serves the session.  It must never reorder: everything the session says
passes through this one queue.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.contract.errors import WireClosed
from edge_agent.contract.ports import Wire
from edge_agent.simulation.faults import Faults
from edge_agent.simulation.realtime_server.schemas import Json

Observer = Callable[[str, dict[str, object], float], None]

QUEUE_LIMIT_EVENTS = 256  # generation waits behind a client that reads slower than this
ABORTED = 1006  # RFC 6455: no close frame was seen, so none can be sent
STALL_POLL_S = 0.02  # how often a stalled connection looks whether it may go on
LEGACY_NAMES = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
LEGACY_PARTS = {"output_audio": "audio", "output_text": "text"}


@dataclass(frozen=True, slots=True)
class _Close:
    code: int
    reason: str


class Ids:
    """Ids in the service's style, unique over all sessions of a server, the same in every run."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._count = 0

    def new(self, prefix: str) -> str:
        """A fresh id such as `item_0001f00002a`."""
        self._count += 1
        return f"{prefix}_{self._session:05x}s{self._count:08x}"


async def held(faults: Faults) -> None:
    """Wait while the connection is stalled or a black hole."""
    # Polled: the switches are plain fields that tests and people set from outside.
    while faults.holds:  # noqa: ASYNC110
        await asyncio.sleep(STALL_POLL_S)


class Outbox:
    """The queue of one session and the task that empties it into the wire."""

    def __init__(self, wire: Wire, faults: Faults, ids: Ids, observer: Observer | None) -> None:
        self._wire = wire
        self._faults = faults
        self._ids = ids
        self._observer = observer
        self._queue: deque[Json | _Close] = deque()
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.events_sent = 0

    def emit(self, kind: str, **fields: object) -> None:
        """Queue one event; the values are taken as they are now."""
        event = {"type": kind, "event_id": self._ids.new("event"), **copy.deepcopy(fields)}
        self._put(event)

    def close(self, code: int, reason: str) -> None:
        """Close the wire after all that is queued; 1006 aborts it now, whatever it is doing."""
        abort = getattr(self._wire, "abort", None)
        if code == ABORTED and abort is not None:
            self._queue.clear()
            abort()
            return
        self._put(_Close(code, reason))

    def _put(self, entry: Json | _Close) -> None:
        self._queue.append(entry)
        self._more.set()
        if len(self._queue) > QUEUE_LIMIT_EVENTS:
            self._room.clear()

    async def room(self) -> None:
        """Wait while the client is far behind."""
        await self._room.wait()

    async def run(self) -> None:
        """Send until the wire is closed, by either side."""
        while True:
            while not self._queue:
                self._more.clear()
                self._room.set()
                await self._more.wait()
            entry = self._queue.popleft()
            await held(self._faults)
            if self._faults.events_delay_ms:
                await asyncio.sleep(self._faults.events_delay_ms / 1000)
            if isinstance(entry, _Close):
                await self._wire.close(entry.code, entry.reason)
                return
            try:
                await self._bad_frames()
                await self._send(entry)
            except WireClosed:
                return

    async def _send(self, event: Json) -> None:
        faults = self._faults
        self.events_sent += 1
        if faults.unknown_every and self.events_sent % faults.unknown_every == 0:
            await self._one({"type": "response.sparkles", "event_id": self._ids.new("event")})
        if faults.legacy_names:
            if event["type"] == "conversation.item.done":
                return
            event = _legacy(event)
        await self._one(event)
        if faults.duplicate_every and self.events_sent % faults.duplicate_every == 0:
            await self._one(event)

    async def _one(self, event: Json) -> None:
        if self._observer is not None:
            self._observer("server", event, asyncio.get_running_loop().time())
        await self._wire.send(json.dumps(event, separators=(",", ":")))

    async def _bad_frames(self) -> None:
        faults = self._faults
        while faults.garbage_frames:
            faults.take("garbage_frames")
            await self._wire.send('{"type": "response.output_audio.delta", "delta": "AAA')
        while faults.binary_frames:
            faults.take("binary_frames")
            send_bytes: Callable[[bytes], object] = self._wire.send  # type: ignore[assignment]
            await send_bytes(b"\x00\x01\x02\xff")  # type: ignore[misc]
        if faults.huge_frame_bytes:
            size, faults.huge_frame_bytes = faults.huge_frame_bytes, 0
            filler = {"type": "simulation.padding", "event_id": self._ids.new("event")}
            await self._wire.send(json.dumps({**filler, "padding": "x" * size}))


def _legacy(event: Json) -> Json:
    """The event as the retired beta named it."""
    renamed = copy.deepcopy(event)
    renamed["type"] = LEGACY_NAMES.get(str(event["type"]), event["type"])
    response = renamed.get("response")
    items = [renamed.get("item")]
    if isinstance(response, dict):
        items += response.get("output", [])
    for item in items:
        for part in item.get("content", []) if isinstance(item, dict) else []:
            part["type"] = LEGACY_PARTS.get(part["type"], part["type"])
    return renamed
