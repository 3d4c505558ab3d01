"""Turns: what the household said, as the server hears it, and the items of the conversation.

A part of `session`, which hands the messages of `TURN_MESSAGES` to `receive` and gets the events
back.

Thread: event loop; pure.  It never raises on what a server sends, and never sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import singledispatchmethod

from edge_agent.contract import events as ev
from edge_agent.contract.foreign import code_of
from edge_agent.realtime.protocol import shapes
from edge_agent.realtime.protocol.tracking import (
    TEXT_MAX_CHARS,
    count_of,
    id_of,
    mapping_of,
    text_of,
    transcript_usage_of,
)

ITEMS_REMEMBERED_MAX = 4096
"""Announced items, so that "added" and "done" of one count once; a session at home may last for
months."""


class Turns:
    """The server's ears and its list of items; oddities are added to `counts`, and `call_of` gives
    a call the name that the dialogue knows it by."""

    def __init__(self, counts: Counter[str], call_of: Callable[[str], str]) -> None:
        self.counts = counts
        self._call_of = call_of
        self._at = 0.0
        self._items: set[str] = set()

    def receive(self, message: shapes.ServerMessage, at: float) -> list[ev.Event]:
        """What one message, received at loop time `at`, means."""
        self._at = at
        event = self._on(message)
        return [event] if event is not None else []

    @singledispatchmethod
    def _on(self, _message: shapes.ServerMessage) -> ev.Event | None:
        return None

    @_on.register
    def _(self, message: shapes.SpeechStarted) -> ev.Event:
        item, start_ms = message.item_id or "", count_of(message.audio_start_ms)
        return ev.UserSpeechStarted(at=self._at, item=item, audio_start_ms=start_ms)

    @_on.register
    def _(self, message: shapes.SpeechStopped) -> ev.Event:
        item, end_ms = message.item_id or "", count_of(message.audio_end_ms)
        return ev.UserSpeechStopped(at=self._at, item=item, audio_end_ms=end_ms)

    @_on.register
    def _(self, message: shapes.BufferCommitted) -> ev.Event:
        return ev.UserTurnCommitted(at=self._at, item=message.item_id or "")

    @_on.register
    def _(self, message: shapes.TranscriptionCompleted) -> ev.Event | None:
        if message.status == "in_progress":
            self.counts["half a transcript"] += 1
            return None
        text = message.transcript[:TEXT_MAX_CHARS]
        usage = transcript_usage_of(message.usage)
        return ev.UserTranscript(at=self._at, item=message.item_id, text=text, usage=usage)

    @_on.register
    def _(self, message: shapes.TranscriptionFailed) -> ev.Event:
        self.counts["transcription_failed"] += 1
        error = mapping_of(message.error)
        code = code_of(text_of(error.get("code")) or text_of(error.get("type")))
        return ev.TranscriptionFailed(at=self._at, item=message.item_id or "", code=code)

    @_on.register(shapes.ItemAdded)
    @_on.register(shapes.ItemDone)
    def _(self, message: shapes.ItemAdded | shapes.ItemDone) -> ev.Event | None:
        item = message.item.id or ""
        if not item or item in self._items:
            return None
        if len(self._items) >= ITEMS_REMEMBERED_MAX:
            self._items.clear()
        self._items.add(item)
        return ev.ItemAdded(
            at=self._at,
            item=item,
            role=id_of(message.item.role),
            kind=id_of(message.item.type),
            call_id=self._call_of(id_of(message.item.call_id)),
        )

    @_on.register
    def _(self, message: shapes.ItemDeleted) -> ev.Event:
        item = message.item_id or ""
        self._items.discard(item)
        return ev.ItemDeleted(at=self._at, item=item)


TURN_SIGNS = (shapes.SpeechStarted, shapes.SpeechStopped, shapes.BufferCommitted)
"""Whichever of them a server sends: it will answer a turn."""

TURN_MESSAGES = (
    shapes.SpeechStarted,
    shapes.SpeechStopped,
    shapes.BufferCommitted,
    shapes.TranscriptionCompleted,
    shapes.TranscriptionFailed,
    shapes.ItemAdded,
    shapes.ItemDone,
    shapes.ItemDeleted,
)
"""What `Turns` reads."""
