"""One session: what a client may say, and what it is answered.

Thread: the event loop on which `serve` runs.  It must never read a clock other than the loop's, and
never change anything for an event that it refuses.  Everything it holds may be looked at: `config`,
`conversation`, `input`, `responses`, `errors`, `received`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from edge_agent.contract.errors import WireClosed
from edge_agent.contract.ports import Wire
from edge_agent.simulation.realtime_server import codec, schemas
from edge_agent.simulation.realtime_server.checks import BadParameter
from edge_agent.simulation.realtime_server.conversation import (
    BYTES_PER_MS,
    Conversation,
    Item,
    decoded_audio,
    item_from_client,
)
from edge_agent.simulation.realtime_server.event_schemas import check_event
from edge_agent.simulation.realtime_server.input_audio import InputAudio
from edge_agent.simulation.realtime_server.outbox import Ids, Outbox, held
from edge_agent.simulation.realtime_server.peer import Provider
from edge_agent.simulation.realtime_server.responder import Responder, check_reasoning
from edge_agent.simulation.realtime_server.response import Response
from edge_agent.simulation.realtime_server.schemas import Json
from edge_agent.simulation.realtime_server.transcription import Transcriber
from edge_agent.simulation.realtime_server.usage import Piece

APPEND_MAX_BYTES = 15 * 1024 * 1024  # the service's limit per append event
EXPIRED_TEXT = "Your session hit the maximum duration of {minutes:g} minutes."
RATE_LIMITS = {"requests": 1_000, "tokens": 400_000}  # plausible figures of a small account
RATE_WINDOW_S = 60.0


class Session:
    """The service's side of one connection."""

    def __init__(self, server: Provider, wire: Wire, number: int, kind: str, model: str) -> None:
        self.server = server
        self.brain = server.brain
        self.faults = server.faults
        self.model = model
        self.audio_speed = server.audio_speed
        self.delta_ms = server.delta_ms
        self.first_delta_ms = server.first_delta_ms
        self.transcription_ms = server.transcription_ms
        self.number = number
        self.ids = Ids(number)
        self.id = self.ids.new("sess")
        self.outbox = Outbox(wire, server.faults, self.ids, server.on_event)
        self.config = schemas.default_session(kind, self.id, model)
        self.conversation = Conversation(self.ids.new("conv"))
        self.input = InputAudio(self)
        self.responder = Responder(self, self._response_ended)
        self.transcriber = Transcriber(self)
        self.received: Counter[str] = Counter()
        """Client events by type."""
        self.errors: list[Json] = []
        """The `error` objects this client earned, in order."""
        self.configured = asyncio.Event()
        """Set once a configuration of the client's has been acknowledged."""
        self.is_open = True
        self._wire = wire
        self._broken: asyncio.Future[None] | None = None
        self._late: deque[str | bytes] = deque()
        self._catching_up: asyncio.Task[None] | None = None
        self._spoke = False
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "session.update": self._session_update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._item_create,
            "conversation.item.delete": self._item_delete,
            "conversation.item.retrieve": self._item_retrieve,
            "conversation.item.truncate": self._item_truncate,
            "response.create": self._response_create,
            "response.cancel": self._response_cancel,
            "output_audio_buffer.clear": self._output_clear,
        }

    @property
    def responses(self) -> list[Response]:
        """Every response of this session, oldest first."""
        return self.responder.all

    @property
    def items(self) -> list[Item]:
        """The conversation's items in order."""
        return self.conversation.items

    # -- life ----------------------------------------------------------------------------

    async def serve(self) -> None:
        """Serve until the wire is closed by either side."""
        loop = asyncio.get_running_loop()
        limit_s = self.faults.expire_after_s or self.server.session_max_s
        if self.server.unix_time is not None:
            self.config["expires_at"] = int(self.server.unix_time() + limit_s)
        timer = loop.call_later(limit_s, self.expire)
        self.input.configure(self._audio_input()["turn_detection"])
        self.emit("session.created", session=self.config)
        broken = self._broken = loop.create_future()
        sender = asyncio.create_task(self.outbox.run())
        receiver = asyncio.create_task(self._receive())
        try:
            await asyncio.wait((sender, receiver, broken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.is_open = False
            timer.cancel()
            await self.responder.aclose()
            await self.transcriber.aclose()
            parts = [sender, receiver, broken]
            if self._catching_up is not None:
                parts.append(self._catching_up)
            for part in parts:
                part.cancel()
            outcomes = await asyncio.gather(*parts, return_exceptions=True)
            await self._wire.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def watch(self, task: asyncio.Task[None]) -> None:
        """End the session when `task` fails: a mistake of the server must never go unseen."""
        failure = None if task.cancelled() else task.exception()
        if failure is not None and self._broken is not None and not self._broken.done():
            self._broken.set_exception(failure)

    async def _receive(self) -> None:
        while True:
            try:
                frame = await self._wire.receive()
            except WireClosed:
                return
            # Reading goes on during a stall, or the end of the wire would never be seen.
            if self._late or self.faults.holds:
                self._late.append(frame)
                self._start_catching_up()
            else:
                self.handle(frame)

    def _start_catching_up(self) -> None:
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.create_task(self._catch_up())
            self._catching_up.add_done_callback(self.watch)

    async def _catch_up(self) -> None:
        while self._late:
            await held(self.faults)
            self.handle(self._late.popleft())

    def expire(self) -> None:
        """The session's time is up: say so and close with 1001."""
        seconds = self.faults.expire_after_s or self.server.session_max_s
        text = EXPIRED_TEXT.format(minutes=seconds / 60)
        self._error("session_expired", text)
        self.hang_up(1001, text)

    def hang_up(self, code: int, reason: str) -> None:
        """Close after what is queued; 1006 cuts the connection at once."""
        self.outbox.close(code, reason)

    # -- out -----------------------------------------------------------------------------

    def emit(self, kind: str, **fields: object) -> None:
        """Queue one server event."""
        self.outbox.emit(kind, **fields)

    def emit_item(self, kind: str, item: Item) -> None:
        """Queue `conversation.item.added` or `.done` with its place in the conversation."""
        where = self.conversation.previous_id(item) if item in self.items else None
        self.emit(kind, previous_item_id=where, item=item.shown())

    def emit_rate_limits(self, context: Sequence[Piece]) -> None:
        """Queue `rate_limits.updated`, unless that is switched off."""
        if self.faults.no_rate_limits:
            return
        spent = {
            "requests": len(self.responses),
            "tokens": sum(p.text + p.audio + p.image for p in context),
        }
        limits = [
            {
                "name": name,
                "limit": limit,
                "remaining": max(0, limit - spent[name]),
                "reset_seconds": round(RATE_WINDOW_S * spent[name] / limit, 3),
            }
            for name, limit in RATE_LIMITS.items()
        ]
        self.emit("rate_limits.updated", rate_limits=limits)

    def _error(
        self,
        code: str | None,
        message: str,
        param: str | None = None,
        event_id: object = None,
        kind: str = "invalid_request_error",
    ) -> None:
        error: Json = {
            "type": kind,
            "code": code,
            "message": message,
            "param": param,
            "event_id": event_id,
        }
        self.errors.append(error)
        self.emit("error", error=error)

    # -- in ------------------------------------------------------------------------------

    def handle(self, frame: str | bytes) -> None:
        """Take one frame; what is wrong with it becomes an `error` event."""
        event: object = None
        try:
            event = self._parsed(frame)
            kind = check_event(event)
            assert isinstance(event, dict)
            self.received[kind] += 1
            self._handlers[kind](event)
        except BadParameter as bad:
            event_id = event.get("event_id") if isinstance(event, dict) else None
            known = event_id if isinstance(event_id, str) else None
            self._error(bad.code, bad.message, bad.param, known)

    def _parsed(self, frame: str | bytes) -> object:
        observe, now = self.server.on_event, asyncio.get_running_loop().time()
        try:
            if isinstance(frame, bytes):
                raise ValueError
            event: object = json.loads(frame, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            self.received["malformed"] += 1
            if observe is not None:
                observe("client", {"type": "malformed"}, now)
            raise BadParameter(
                "invalid_json",
                "We could not parse the JSON body of your event. Events are JSON objects in text "
                "frames.",
                None,
            ) from None
        if not isinstance(event, dict):
            raise BadParameter("invalid_type", "Expected a JSON object.", None)
        if observe is not None:
            observe("client", event, now)
        return event

    def _audio_input(self) -> dict[str, Any]:
        audio = self.config["audio"]
        assert isinstance(audio, dict)
        settings = audio["input"]
        assert isinstance(settings, dict)
        return settings

    def _session_update(self, event: dict[str, Any]) -> None:
        patch = event["session"]
        schemas.check_session(patch, str(self.config["type"]))
        if patch.get("model", self.config.get("model")) != self.config.get("model"):
            text = "'session.model' cannot be changed during a session."
            raise BadParameter("invalid_value", text, "session.model")
        check_reasoning(patch, self.model)
        merged = schemas.merged(self.config, patch)
        assert isinstance(merged, dict)
        if self._spoke and _voice(merged) != _voice(self.config):
            raise BadParameter(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                "session.audio.output.voice",
            )
        before = self._audio_input()["turn_detection"]
        self.config = merged
        if self._audio_input()["turn_detection"] != before:
            self.input.configure(self._audio_input()["turn_detection"])
        self.emit("session.updated", session=self.config)
        self.configured.set()

    def _append(self, event: dict[str, Any]) -> None:
        kind = self._audio_input()["format"]["type"]
        audio = decoded_audio(event["audio"], "audio", sample_bytes=codec.sample_bytes(kind))
        if len(audio) > APPEND_MAX_BYTES:
            raise BadParameter(
                "invalid_value",
                f"Invalid 'audio': {len(audio)} bytes in one event, at most {APPEND_MAX_BYTES}.",
                "audio",
            )
        self.input.append(codec.to_pcm24k(kind, audio))

    def _commit(self, _: dict[str, Any]) -> None:
        self.input.commit()

    def _clear(self, _: dict[str, Any]) -> None:
        self.input.clear()
        self.emit("input_audio_buffer.cleared")

    def _item_create(self, event: dict[str, Any]) -> None:
        raw = event["item"]
        item = item_from_client(raw, self.ids.new("item"), self.ids.new("call"), "item")
        self.conversation.insert(item, event.get("previous_item_id"))
        self.emit_item("conversation.item.added", item)
        self.emit_item("conversation.item.done", item)

    def _item_delete(self, event: dict[str, Any]) -> None:
        self.conversation.delete(event["item_id"])
        self.emit("conversation.item.deleted", item_id=event["item_id"])

    def _item_retrieve(self, event: dict[str, Any]) -> None:
        item = self.conversation.get(event["item_id"], "retrieve")
        self.emit("conversation.item.retrieved", item=item.shown_with_audio())

    def _item_truncate(self, event: dict[str, Any]) -> None:
        where = {key: event[key] for key in ("item_id", "content_index", "audio_end_ms")}
        self.conversation.truncate(**where)
        self.emit("conversation.item.truncated", **where)

    def _response_create(self, event: dict[str, Any]) -> None:
        if self.config["type"] == "transcription":
            raise BadParameter(
                "invalid_value", "A transcription session does not create responses.", "type"
            )
        self.responder.create(event.get("response") or {})

    def _response_cancel(self, event: dict[str, Any]) -> None:
        self.responder.cancel(event.get("response_id"))

    def _output_clear(self, _: dict[str, Any]) -> None:
        raise BadParameter(
            "invalid_value",
            "'output_audio_buffer.clear' is for WebRTC and SIP: over a WebSocket the client owns "
            "the playback.",
            "type",
        )

    # -- what the input buffer and the responses report ------------------------------------

    def new_item_id(self) -> str:
        """An id for an item that is about to exist."""
        return self.ids.new("item")

    def speech_started(self, item_id: str, audio_start_ms: int) -> None:
        """Tell the client first, then interrupt: in that order on the wire."""
        self.emit(
            "input_audio_buffer.speech_started", audio_start_ms=audio_start_ms, item_id=item_id
        )
        detection = self._audio_input()["turn_detection"]
        if detection["interrupt_response"]:
            self.responder.interrupt()

    def speech_stopped(self, item_id: str, audio_end_ms: int) -> None:
        """Tell the client."""
        self.emit("input_audio_buffer.speech_stopped", audio_end_ms=audio_end_ms, item_id=item_id)

    def idle_timeout(self, item_id: str, start_ms: int, end_ms: int) -> None:
        """Tell the client; the silence becomes an item and is answered like a turn."""
        self.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=start_ms,
            audio_end_ms=end_ms,
            item_id=item_id,
        )

    def committed(self, item_id: str, pcm24k: bytes, *, by_vad: bool) -> None:
        """An utterance is complete: make its item, transcribe it, answer it."""
        content: Json = {"type": "input_audio", "transcript": None}
        body: Json = {"id": item_id, "object": "realtime.item", "type": "message"}
        body |= {"status": "completed", "role": "user", "content": [content]}
        item = Item(body, {0: bytearray(pcm24k)})
        self.emit(
            "input_audio_buffer.committed",
            previous_item_id=self.conversation.last_id(),
            item_id=item_id,
        )
        self.conversation.append(item)
        self.emit_item("conversation.item.added", item)
        self.emit_item("conversation.item.done", item)
        settings = self._audio_input()
        if settings["transcription"] is not None:
            self.transcriber.start(item, len(pcm24k) / BYTES_PER_MS)
        wanted = by_vad and settings["turn_detection"]["create_response"]
        if wanted and self.config["type"] == "realtime":
            self.responder.answer_turn()

    def _response_ended(self, response: Response) -> None:
        """A response sent its `response.done`."""
        self._spoke = self._spoke or response.audio_ms > 0
        if not response.out_of_band:
            remaining_ms = response.audio_ms * (1 - 1 / max(1.0, self.audio_speed))
            self.input.answer_ended(remaining_ms)
        self.responder.ended(response)
        self.transcriber.response_ended()


def _no_constant(name: str) -> object:
    """`NaN` and `Infinity` are Python's idea, not JSON."""
    raise ValueError(name)


def _voice(config: Json) -> object:
    """The voice of a session, whatever its kind."""
    audio = config["audio"]
    assert isinstance(audio, dict)
    return audio.get("output", {}).get("voice")
