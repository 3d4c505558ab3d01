"""Messages: server JSON to typed structs, client messages to JSON text (purpose).

Owner thread: any, all functions are pure.  Must never raise on what a peer sends, never keep
state and never log: audio and the household's words pass through here.

One table, `SERVER_EVENTS`, maps every event name of the GA dialect (PROTOCOL section 5), the
retired beta names (section 11) and xAI's extras (section 12) to a struct.  Fields that a
speaker cannot do without are required; everything else may be missing, null or unknown, since
servers differ there and a lost `response.done` would silence a household.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from edge_agent.contract.pcm import whole_samples

Json = Mapping[str, Any]
"""A JSON object on its way out."""


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that `decode` returns."""


class Unknown(ServerMessage, frozen=True, kw_only=True):
    """A well-formed event whose type we have never heard of.  Not an error."""

    type: str


class Malformed(ServerMessage, frozen=True, kw_only=True):
    """Not JSON, not an object, or a known type without what it must carry.

    `reason` names the place and the kind of the fault, never the content.
    """

    type: str
    reason: str


# --- parts -----------------------------------------------------------------------------
# Inside objects almost everything is `Any`: `session` picks out what it needs with checks, so
# that an odd usage figure or metadata value never costs us the whole event.


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation item (PROTOCOL section 4.3), as far as a speaker reads it."""

    id: str | None = None
    type: Any = None
    role: Any = None
    status: Any = None
    content: Any = None
    name: Any = None
    call_id: Any = None
    arguments: Any = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The response object of `response.created` and `response.done`."""

    id: str
    status: Any = None
    status_details: Any = None
    output: Any = None
    usage: Any = None
    metadata: Any = None
    conversation_id: Any = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What an `error` event says; `event_id` is that of the client event at fault."""

    type: Any = None
    code: Any = None
    message: Any = None
    param: Any = None
    event_id: Any = None


# --- session and conversation ----------------------------------------------------------


class SessionCreated(ServerMessage, frozen=True, kw_only=True):
    """First frame of a GA server."""

    session: dict[str, Any]


class SessionUpdated(ServerMessage, frozen=True, kw_only=True):
    """Acknowledges a `session.update`, with the whole effective configuration."""

    session: dict[str, Any]


class ConversationCreated(ServerMessage, frozen=True, kw_only=True):
    """Sent by xAI and beta servers, sometimes instead of `session.created`."""

    conversation: Any = None


class ItemAdded(ServerMessage, frozen=True, kw_only=True):
    """An item entered the conversation (legacy name: `conversation.item.created`)."""

    item: Item
    previous_item_id: str | None = None


class ItemDone(ServerMessage, frozen=True, kw_only=True):
    """An item is complete."""

    item: Item
    previous_item_id: str | None = None


class ItemRetrieved(ServerMessage, frozen=True, kw_only=True):
    """Answer to a retrieve; we never ask for one."""

    item: Item


class ItemDeleted(ServerMessage, frozen=True, kw_only=True):
    """An item is gone.  xAI leaves the id empty."""

    item_id: str | None = None


class ItemTruncated(ServerMessage, frozen=True, kw_only=True):
    """A spoken item was cut."""

    item_id: str
    content_index: Any = None
    audio_end_ms: Any = None


class TranscriptionDelta(ServerMessage, frozen=True, kw_only=True):
    """A piece of the household's words (xAI: `.updated`, cumulative)."""

    item_id: str | None = None
    delta: Any = None


class TranscriptionCompleted(ServerMessage, frozen=True, kw_only=True):
    """The household's words; may come after the answer to them."""

    item_id: str
    transcript: str
    usage: Any = None


class TranscriptionFailed(ServerMessage, frozen=True, kw_only=True):
    """No transcript will come for this item."""

    item_id: str | None = None
    error: ErrorBody | None = None


class TranscriptionSegment(ServerMessage, frozen=True, kw_only=True):
    """A diarised piece; not used."""

    item_id: str | None = None


# --- input audio buffer ----------------------------------------------------------------


class SpeechStarted(ServerMessage, frozen=True, kw_only=True):
    """The server's voice detector heard an onset."""

    item_id: str | None = None
    audio_start_ms: Any = None


class SpeechStopped(ServerMessage, frozen=True, kw_only=True):
    """The server's voice detector heard the end of a turn."""

    item_id: str | None = None
    audio_end_ms: Any = None


class BufferCommitted(ServerMessage, frozen=True, kw_only=True):
    """The buffer became a user item."""

    item_id: str | None = None
    previous_item_id: str | None = None


class BufferCleared(ServerMessage, frozen=True, kw_only=True):
    """The buffer was emptied."""


class TimeoutTriggered(ServerMessage, frozen=True, kw_only=True):
    """`idle_timeout_ms` passed in silence; the server will speak by itself."""

    item_id: str | None = None


class DtmfReceived(ServerMessage, frozen=True, kw_only=True):
    """SIP only."""

    event: Any = None


class OutputBufferEvent(ServerMessage, frozen=True, kw_only=True):
    """WebRTC and SIP only: over a WebSocket playback is ours."""

    response_id: str | None = None


# --- responses -------------------------------------------------------------------------


class ResponseCreated(ServerMessage, frozen=True, kw_only=True):
    """A response begins."""

    response: Response


class ResponseDone(ServerMessage, frozen=True, kw_only=True):
    """A response ended, well or not; failures come here and not as `error`."""

    response: Response


class OutputItemAdded(ServerMessage, frozen=True, kw_only=True):
    """A response began an item."""

    item: Item
    response_id: str | None = None


class OutputItemDone(ServerMessage, frozen=True, kw_only=True):
    """A response finished an item."""

    item: Item
    response_id: str | None = None


class ContentPartAdded(ServerMessage, frozen=True, kw_only=True):
    """An item got a content part."""

    response_id: str | None = None
    item_id: str | None = None
    part: Any = None


class ContentPartDone(ServerMessage, frozen=True, kw_only=True):
    """A content part is complete."""

    response_id: str | None = None
    item_id: str | None = None
    part: Any = None


class AudioDelta(ServerMessage, frozen=True, kw_only=True, gc=False):
    """A piece of spoken answer: `delta` is decoded PCM16, whole samples."""

    delta: bytes
    response_id: str | None = None
    item_id: str | None = None


class AudioDone(ServerMessage, frozen=True, kw_only=True):
    """No more audio for this item."""

    response_id: str | None = None
    item_id: str | None = None


class TranscriptDelta(ServerMessage, frozen=True, kw_only=True):
    """A piece of what the model is saying."""

    delta: str
    response_id: str | None = None
    item_id: str | None = None


class TranscriptDone(ServerMessage, frozen=True, kw_only=True):
    """All that the model said in this item."""

    response_id: str | None = None
    item_id: str | None = None
    transcript: Any = None


class TextDelta(ServerMessage, frozen=True, kw_only=True):
    """A piece of a text answer."""

    delta: str
    response_id: str | None = None
    item_id: str | None = None


class TextDone(ServerMessage, frozen=True, kw_only=True):
    """All of a text answer."""

    response_id: str | None = None
    item_id: str | None = None
    text: Any = None


class ArgumentsDelta(ServerMessage, frozen=True, kw_only=True):
    """A piece of a call's arguments; useless until complete."""

    response_id: str | None = None
    item_id: str | None = None


class ArgumentsDone(ServerMessage, frozen=True, kw_only=True):
    """A call's arguments, complete.  `name` is missing on some servers."""

    arguments: str
    response_id: str | None = None
    item_id: str | None = None
    call_id: str | None = None
    name: str | None = None


class McpProgress(ServerMessage, frozen=True, kw_only=True):
    """Progress of a tool that the *server* runs; we configure none."""

    item_id: str | None = None


class RateLimitsUpdated(ServerMessage, frozen=True, kw_only=True):
    """What is left of the provider's limits."""

    rate_limits: Any = None


class Heartbeat(ServerMessage, frozen=True, kw_only=True):
    """xAI's `ping` event: shows life, wants no answer."""


class ErrorEvent(ServerMessage, frozen=True, kw_only=True):
    """Something went wrong; the session usually goes on."""

    error: ErrorBody


SERVER_EVENTS: dict[str, type[ServerMessage]] = {
    "session.created": SessionCreated,
    "session.updated": SessionUpdated,
    "conversation.created": ConversationCreated,
    "conversation.item.added": ItemAdded,
    "conversation.item.done": ItemDone,
    "conversation.item.retrieved": ItemRetrieved,
    "conversation.item.deleted": ItemDeleted,
    "conversation.item.truncated": ItemTruncated,
    "conversation.item.input_audio_transcription.delta": TranscriptionDelta,
    "conversation.item.input_audio_transcription.completed": TranscriptionCompleted,
    "conversation.item.input_audio_transcription.failed": TranscriptionFailed,
    "conversation.item.input_audio_transcription.segment": TranscriptionSegment,
    "input_audio_buffer.speech_started": SpeechStarted,
    "input_audio_buffer.speech_stopped": SpeechStopped,
    "input_audio_buffer.committed": BufferCommitted,
    "input_audio_buffer.cleared": BufferCleared,
    "input_audio_buffer.timeout_triggered": TimeoutTriggered,
    "input_audio_buffer.dtmf_event_received": DtmfReceived,
    "output_audio_buffer.started": OutputBufferEvent,
    "output_audio_buffer.stopped": OutputBufferEvent,
    "output_audio_buffer.cleared": OutputBufferEvent,
    "response.created": ResponseCreated,
    "response.done": ResponseDone,
    "response.output_item.added": OutputItemAdded,
    "response.output_item.done": OutputItemDone,
    "response.content_part.added": ContentPartAdded,
    "response.content_part.done": ContentPartDone,
    "response.output_text.delta": TextDelta,
    "response.output_text.done": TextDone,
    "response.output_audio.delta": AudioDelta,
    "response.output_audio.done": AudioDone,
    "response.output_audio_transcript.delta": TranscriptDelta,
    "response.output_audio_transcript.done": TranscriptDone,
    "response.function_call_arguments.delta": ArgumentsDelta,
    "response.function_call_arguments.done": ArgumentsDone,
    "mcp_list_tools.in_progress": McpProgress,
    "mcp_list_tools.completed": McpProgress,
    "mcp_list_tools.failed": McpProgress,
    "response.mcp_call_arguments.delta": McpProgress,
    "response.mcp_call_arguments.done": McpProgress,
    "response.mcp_call.in_progress": McpProgress,
    "response.mcp_call.completed": McpProgress,
    "response.mcp_call.failed": McpProgress,
    "rate_limits.updated": RateLimitsUpdated,
    "error": ErrorEvent,
    # retired beta names, still spoken by older local servers
    "conversation.item.created": ItemAdded,
    "response.audio.delta": AudioDelta,
    "response.audio.done": AudioDone,
    "response.audio_transcript.delta": TranscriptDelta,
    "response.audio_transcript.done": TranscriptDone,
    "response.text.delta": TextDelta,
    "response.text.done": TextDone,
    # xAI
    "conversation.item.input_audio_transcription.updated": TranscriptionDelta,
    "ping": Heartbeat,
}
"""Every event name that has a meaning for us."""


class _Head(msgspec.Struct, frozen=True):
    type: str


class _LooseAudio(msgspec.Struct, frozen=True):
    """An audio delta whose base64 the strict decoder refused."""

    delta: str
    response_id: str | None = None
    item_id: str | None = None


_head = msgspec.json.Decoder(_Head)
_loose_audio = msgspec.json.Decoder(_LooseAudio)
_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(kind) for name, kind in SERVER_EVENTS.items()
}


def decode(frame: str | bytes) -> ServerMessage:
    """One received frame as a struct of `SERVER_EVENTS`, `Unknown` or `Malformed`.

    Never raises.  Audio deltas are decoded from base64 here, in the JSON parser; a half
    sample at the end is cut off, missing padding is forgiven, other bad base64 is `Malformed`.
    """
    if not isinstance(frame, str):
        return Malformed(type="", reason="a binary frame")
    try:
        data = frame.encode()
        kind = _head.decode(data).type
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return Malformed(type="", reason=_place(error))
    decoder = _decoders.get(kind)
    if decoder is None:
        return Unknown(type=kind[:64])
    try:
        message: ServerMessage = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        if SERVER_EVENTS[kind] is AudioDelta:
            return _decode_loose_audio(kind, data)
        return Malformed(type=kind, reason=_place(error))
    if isinstance(message, AudioDelta) and len(message.delta) % 2:
        return msgspec.structs.replace(message, delta=whole_samples(message.delta))
    return message


def _decode_loose_audio(kind: str, data: bytes) -> ServerMessage:
    try:
        loose = _loose_audio.decode(data)
        text = loose.delta.rstrip("=")
        pcm = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return Malformed(type=kind, reason=_place(error))
    except ValueError:  # binascii.Error is one
        return Malformed(type=kind, reason="bad base64 - at `$.delta`")
    return AudioDelta(
        delta=whole_samples(pcm), response_id=loose.response_id, item_id=loose.item_id
    )


def _place(error: Exception) -> str:
    """The decoder's own words: they name types, paths and byte positions, not contents."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "not valid Unicode"
    return str(error)[:200]


# --- client messages -------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


def _text(kind: str, event_id: str, **fields: Any) -> str:
    return _encode({"type": kind, "event_id": event_id, **fields}).decode()


def update_session(event_id: str, session: Json) -> str:
    """Change the keys present in `session`; the server takes all of them or none."""
    return _text("session.update", event_id, session=session)


def append_audio(event_id: str, pcm24k: bytes) -> str:
    """Append PCM16 to the input buffer; not acknowledged.  At most 15 MiB of audio a frame."""
    audio = binascii.b2a_base64(pcm24k, newline=False).decode("ascii")
    # Built by hand: nothing in it needs escaping, and this is nearly all of our uplink.
    return f'{{"type":"input_audio_buffer.append","event_id":"{event_id}","audio":"{audio}"}}'


def commit_audio(event_id: str) -> str:
    """Make the buffer a user item; does not ask for an answer."""
    return _text("input_audio_buffer.commit", event_id)


def clear_audio(event_id: str) -> str:
    """Empty the input buffer."""
    return _text("input_audio_buffer.clear", event_id)


def create_item(event_id: str, item: Json, after: str = "") -> str:
    """Insert `item`; `after` as in `contract.commands.AddMessage`."""
    if after:
        return _text("conversation.item.create", event_id, item=item, previous_item_id=after)
    return _text("conversation.item.create", event_id, item=item)


def delete_item(event_id: str, item_id: str) -> str:
    """Remove an item."""
    return _text("conversation.item.delete", event_id, item_id=item_id)


def truncate_item(event_id: str, item_id: str, audio_end_ms: int) -> str:
    """Cut a spoken item to what was audible; its transcript goes with it."""
    return _text(
        "conversation.item.truncate",
        event_id,
        item_id=item_id,
        content_index=0,
        audio_end_ms=audio_end_ms,
    )


def create_response(event_id: str, response: Json | None = None) -> str:
    """Ask for a response; `response` as in PROTOCOL section 4.2."""
    if response:
        return _text("response.create", event_id, response=response)
    return _text("response.create", event_id)


def cancel_response(event_id: str, response_id: str = "") -> str:
    """Stop a response; an empty id means the one in progress."""
    if response_id:
        return _text("response.cancel", event_id, response_id=response_id)
    return _text("response.cancel", event_id)


def message_item(item_id: str, role: str, text: str, pcm24k: bytes) -> dict[str, Any]:
    """A message item.  A client may create assistant text only as `output_text`."""
    content: list[dict[str, str]] = []
    if pcm24k:
        audio = binascii.b2a_base64(pcm24k, newline=False).decode("ascii")
        content.append({"type": "input_audio", "audio": audio})
    if text or not content:
        kind = "output_text" if role == "assistant" else "input_text"
        content.append({"type": kind, "text": text})
    item: dict[str, Any] = {"type": "message", "role": role, "content": content}
    if item_id:
        item["id"] = item_id
    return item


def tool_output_item(call_id: str, output: str) -> dict[str, Any]:
    """The result of a function call."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def item_references(items: Sequence[str]) -> list[dict[str, str]]:
    """Pointers to items of the conversation, for the input of a side question."""
    return [{"type": "item_reference", "id": item} for item in items]
