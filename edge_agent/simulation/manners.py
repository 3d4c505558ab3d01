"""Manners: what recorded services do otherwise than our honest server, as a wire in between.

`Mannered(wire, MANNERS["xai"])` stands between a session of the simulated server and its client:
what the client says is changed on the way in, what the server says on the way out.  As recorded in
July and August 2026, or read in the sources of the local servers.

Thread: the event loop that serves.  It never waits: a frame becomes none, one or several at once.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edge_agent.contract.ports import Wire

Event = dict[str, Any]
CALL_ID_MAX_CHARS = 32
OWN_PROMPT = "Your knowledge cutoff is 2023-10. You are a helpful, witty, and friendly AI."
ASIDE_FIELDS = ("conversation", "input", "metadata")
XAI_CALL = "call-af8ed632-5a0c-4b2f-9b57-"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service says to a client event instead of taking it."""

    event: Event


Hears = Callable[[Event], Iterator[Event | Reply]]
Says = Callable[[Event], Iterator[Event]]


@dataclass(frozen=True, slots=True)
class Manner:
    """What becomes of each client event and of each server event."""

    hears: Hears
    says: Says


class Mannered:
    """A wire whose other end has these manners."""

    def __init__(self, inner: Wire, manner: Manner) -> None:
        self._inner = inner
        self._manner = manner
        self._heard: deque[str] = deque()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def send(self, text: str) -> None:
        """What the server says, in the service's words."""
        event = _object(text)
        if event is None:
            await self._inner.send(text)
            return
        for said in self._manner.says(event):
            await self._inner.send(json.dumps(said))

    async def receive(self) -> str | bytes:
        """What the client said, as far as the service takes it."""
        while not self._heard:
            frame = await self._inner.receive()
            event = _object(frame)
            if event is None:
                return frame
            for heard in self._manner.hears(event):
                if isinstance(heard, Reply):
                    await self._inner.send(json.dumps(heard.event))
                else:
                    self._heard.append(json.dumps(heard))
            await asyncio.sleep(0)
        return self._heard.popleft()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """As the wire does."""
        await self._inner.close(code, reason)


def _object(frame: str | bytes) -> Event | None:
    try:
        event = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None


def _error(message: str, **fields: object) -> Reply:
    body = {"type": "invalid_request_error", "code": None, "message": message, "param": None}
    return Reply(
        {"type": "error", "event_id": "event_e", "error": {**body, "event_id": None} | fields}
    )


# --- OpenAI and Azure ----------------------------------------------------------------------------


def _openai_hears(event: Event) -> Iterator[Event | Reply]:
    item = event.get("item") if event["type"] == "conversation.item.create" else None
    call_id = item.get("call_id") if isinstance(item, dict) else None
    if isinstance(call_id, str) and len(call_id) > CALL_ID_MAX_CHARS:
        yield _error(
            "Invalid 'item.call_id': string too long. Expected a string with maximum length 32.",
            code="string_above_max_length",
            param="item.call_id",
            event_id=event.get("event_id"),
        )
        return
    session = event.get("session")
    if isinstance(session, dict) and session.get("instructions") == "":
        event = {**event, "session": {**session, "instructions": OWN_PROMPT}}
    yield event


def _openai_says(event: Event) -> Iterator[Event]:
    if event["type"].endswith(".delta"):
        event["obfuscation"] = "aZ3k"
    if event["type"] == "error" and "item_delete" in str(event["error"].get("code")):
        event["error"]["event_id"] = None
    if event["type"] == "rate_limits.updated":
        event["rate_limits"] = [row for row in event["rate_limits"] if row["name"] == "tokens"]
    yield event


def _azure_says(event: Event) -> Iterator[Event]:
    kind = "conversation.item.input_audio_transcription"
    if event["type"] == f"{kind}.delta":
        return
    if event["type"] == f"{kind}.completed":
        words = "The API deployment for this resource does not exist."
        error = {"type": "invalid_request_error", "code": "DeploymentNotFound", "message": words}
        place = {key: event[key] for key in ("event_id", "item_id", "content_index")}
        yield {"type": f"{kind}.failed", **place, "error": {**error, "param": None}}
        return
    if "part" in event:
        event["content"] = event["part"]
    yield from _openai_says(event)


# --- xAI -----------------------------------------------------------------------------------------


def _xai_hears(event: Event) -> Iterator[Event | Reply]:
    session = event.get("session")
    if event["type"] == "session.update" and isinstance(session, dict):
        session = {"type": "realtime", **session}
        audio = {way: dict(session.get("audio", {}).get(way, {})) for way in ("input", "output")}
        if "turn_detection" in session:
            audio["input"]["turn_detection"] = session.pop("turn_detection")
        if "voice" in session:
            audio["output"]["voice"] = session.pop("voice")
        event = {**event, "session": {**session, "audio": audio}}
    item = event.get("item")
    if isinstance(item, dict) and str(item.get("call_id", "")).startswith(XAI_CALL):
        event = {**event, "item": {**item, "call_id": item["call_id"].removeprefix(XAI_CALL)}}
    yield event


def _xai_says(event: Event) -> Iterator[Event]:
    kind = event["type"]
    if kind == "session.created":
        yield {"type": "ping", "event_id": "event_p", "timestamp": 1}
    if kind in ("conversation.item.done", "rate_limits.updated"):
        return
    if kind == "conversation.item.deleted":
        event["item_id"] = ""
    if kind == "conversation.item.input_audio_transcription.completed":
        words = str(event["transcript"]).split(" ")
        for count in range(1, len(words)):
            half = {"transcript": " ".join(words[:count]), "status": "in_progress"}
            yield {**event, **half}
        event["status"] = "completed"
    if kind == "response.done":
        response = event["response"]
        usage = response.get("usage") or {}
        event["usage"] = {**usage, "billable_audio_seconds": 1.0}
        event["response"] = {**response, "usage": {}, "status_details": "unimplemented"}
    yield _with_long_calls(event)


def _with_long_calls(value: Any) -> Any:
    """The event with every `call_id` in xAI's length."""
    if isinstance(value, dict):
        return {
            key: f"{XAI_CALL}{inner}" if key == "call_id" and inner else _with_long_calls(inner)
            for key, inner in value.items()
        }
    return [_with_long_calls(inner) for inner in value] if isinstance(value, list) else value


# --- servers of one's own ------------------------------------------------------------------------


def _localai_hears(event: Event) -> Iterator[Event | Reply]:
    response = event.get("response")
    if event["type"] == "response.create" and isinstance(response, dict):
        # It knows neither: the input goes into the talk for good, and the answer with it.
        for item in response.get("input") or []:
            if isinstance(item, dict) and item.get("type") == "message":
                yield {"type": "conversation.item.create", "item": item}
        kept = {key: value for key, value in response.items() if key not in ASIDE_FIELDS[:2]}
        event = {**event, "response": kept}
    yield event


def _localai_says(event: Event) -> Iterator[Event]:
    if event["type"] == "conversation.item.done":
        return
    if event["type"] == "response.done" and event["response"].get("status") == "failed":
        return
    if event["type"] == "error":
        event["error"]["event_id"] = "event_TODO"
        if "invalid_item_id" in str(event["error"].get("code")):
            event["error"]["code"] = "invalid_item_id"
    yield event


def _speaches_hears(event: Event) -> Iterator[Event | Reply]:
    kind = event["type"]
    if kind in ("response.cancel", "conversation.item.truncate"):
        yield _error(f"Handling of {kind} is not implemented.", type="server_error")
        return
    session, response = event.get("session"), event.get("response")
    if kind == "session.update" and isinstance(session, dict):
        taken = {key: session[key] for key in ("instructions", "tools") if key in session}
        event = {**event, "session": {"type": "realtime", **taken}}
    if kind == "response.create" and isinstance(response, dict):
        for field in ASIDE_FIELDS:
            if field in response:
                yield _error(f"response.{field}: Extra inputs are not permitted")
        kept = {key: value for key, value in response.items() if key not in ASIDE_FIELDS}
        event = {**event, "response": kept}
    yield event


def _as_it_is(event: Event) -> Iterator[Event]:
    if event["type"] == "error":
        event["error"] |= {"code": None, "event_id": None}
    yield event


MANNERS: dict[str, Manner] = {
    "openai": Manner(_openai_hears, _openai_says),
    "azure": Manner(_openai_hears, _azure_says),
    "xai": Manner(_xai_hears, _xai_says),
    "localai": Manner(_localai_hears, _localai_says),
    "speaches": Manner(_speaches_hears, _as_it_is),
}
"""Name of a service → its manners."""
