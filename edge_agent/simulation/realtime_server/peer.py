"""What the parts of a session know of it, and what a session knows of its server.

It must never hold an implementation.  A `Session` is the `Peer` of its responder, responses and
transcriber; a `RealtimeServer` is the `Provider` of its sessions.  `Refusal` is a server's answer
to a dial that it does not let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge_agent.simulation.brains import Brain
from edge_agent.simulation.faults import Faults
from edge_agent.simulation.realtime_server.conversation import Conversation, Item
from edge_agent.simulation.realtime_server.outbox import Ids, Observer, Outbox
from edge_agent.simulation.realtime_server.schemas import Json
from edge_agent.simulation.realtime_server.usage import Piece


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of the upgrade."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Provider(Protocol):
    """What holds for all sessions of one server; `simulation.server` says what each one means."""

    brain: Brain
    faults: Faults
    audio_speed: float
    delta_ms: int
    first_delta_ms: int
    transcription_ms: int
    session_max_s: float
    on_event: Observer | None
    unix_time: Callable[[], float] | None


class Peer(Protocol):
    """A session, as the parts that work for it see it."""

    brain: Brain
    faults: Faults
    ids: Ids
    model: str
    config: Json
    conversation: Conversation
    outbox: Outbox
    audio_speed: float
    delta_ms: int
    first_delta_ms: int
    transcription_ms: int

    def emit(self, kind: str, **fields: object) -> None:
        """Queue one server event."""

    def emit_item(self, kind: str, item: Item) -> None:
        """Queue `conversation.item.added` or `.done` with its place in the conversation."""

    def emit_rate_limits(self, context: Sequence[Piece]) -> None:
        """Queue `rate_limits.updated` for an answer that read this context."""

    def hang_up(self, code: int, reason: str) -> None:
        """Close after what is queued; 1006 cuts the connection at once."""

    def watch(self, task: asyncio.Task[None]) -> None:
        """A done callback: the session ends when `task` has failed."""
