"""Shapes: every server event of the Realtime protocol as a typed struct.

It must never hold behaviour or decode anything itself.

One table, `SERVER_EVENTS`, maps every event name of the GA dialect (PROTOCOL section 5), the
retired beta names (section 11) and xAI's extras (section 12) to a struct.  Fields that a
speaker cannot do without are required; everything else may be missing, null or unknown, since
servers differ there and a lost `response.done` would silence a household.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

ID_MAX_CHARS = 256
"""Of an id, which is kept and compared; services use up to 64."""

Id = Annotated[str, msgspec.Meta(max_length=ID_MAX_CHARS)]
"""A name that the server gives to something."""


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that `decode` returns."""


class Unknown(ServerMessage, frozen=True, kw_only=True):
    """A well-formed event whose type we have never heard of.  Not an error."""

    type: str


class Ignored(ServerMessage, frozen=True, kw_only=True):
    """An event of the protocol that a speaker need not act upon: no field of it is read."""


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

    id: Id | None = None
    type: Any = None
    role: Any = None
    status: Any = None
    content: Any = None
    name: Any = None
    call_id: Any = None
    arguments: Any = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The response object of `response.created` and `response.done`."""

    id: Id
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


class ItemAdded(ServerMessage, frozen=True, kw_only=True):
    """An item entered the conversation (legacy name: `conversation.item.created`)."""

    item: Item


class ItemDone(ServerMessage, frozen=True, kw_only=True):
    """An item is complete."""

    item: Item


class ItemDeleted(ServerMessage, frozen=True, kw_only=True):
    """An item is gone.  xAI leaves the id empty."""

    item_id: Id | None = None


class TranscriptionCompleted(ServerMessage, frozen=True, kw_only=True):
    """The household's words; may come after the answer to them.

    xAI sends it several times for a turn, with the status `in_progress` but for the last.
    """

    item_id: Id
    transcript: str
    status: Any = None
    usage: Any = None


class TranscriptionFailed(ServerMessage, frozen=True, kw_only=True):
    """No transcript will come for this item."""

    item_id: Id | None = None
    error: Any = None


# --- input audio buffer ----------------------------------------------------------------


class SpeechStarted(ServerMessage, frozen=True, kw_only=True):
    """The server's voice detector heard an onset."""

    item_id: Id | None = None
    audio_start_ms: Any = None


class SpeechStopped(ServerMessage, frozen=True, kw_only=True):
    """The server's voice detector heard the end of a turn."""

    item_id: Id | None = None
    audio_end_ms: Any = None


class BufferCommitted(ServerMessage, frozen=True, kw_only=True):
    """The buffer became a user item."""

    item_id: Id | None = None


# --- responses -------------------------------------------------------------------------


class ResponseCreated(ServerMessage, frozen=True, kw_only=True):
    """A response begins."""

    response: Response


class ResponseDone(ServerMessage, frozen=True, kw_only=True):
    """A response ended, well or not; failures come here and not as `error`.

    xAI leaves the response's own usage empty and puts the figures beside it.
    """

    response: Response
    usage: Any = None


class OutputItemAdded(ServerMessage, frozen=True, kw_only=True):
    """A response began an item."""

    item: Item
    response_id: Id | None = None


class OutputItemDone(ServerMessage, frozen=True, kw_only=True):
    """A response finished an item."""

    item: Item
    response_id: Id | None = None


class AudioDelta(ServerMessage, frozen=True, kw_only=True, gc=False):
    """A piece of spoken answer: `delta` is decoded PCM16, whole samples."""

    delta: bytes
    response_id: Id | None = None
    item_id: Id | None = None


class AudioDone(ServerMessage, frozen=True, kw_only=True):
    """No more audio for this item."""

    response_id: Id | None = None
    item_id: Id | None = None


class TranscriptDelta(ServerMessage, frozen=True, kw_only=True):
    """A piece of what the model is saying."""

    delta: str
    response_id: Id | None = None
    item_id: Id | None = None


class TextDelta(ServerMessage, frozen=True, kw_only=True):
    """A piece of a text answer."""

    delta: str
    response_id: Id | None = None
    item_id: Id | None = None


class ArgumentsDone(ServerMessage, frozen=True, kw_only=True):
    """A call's arguments, complete.  `name` is missing on some servers."""

    arguments: str
    response_id: Id | None = None
    item_id: Id | None = None
    call_id: Id | None = None
    name: str | None = None


class ErrorEvent(ServerMessage, frozen=True, kw_only=True):
    """Something went wrong; the session usually goes on."""

    error: ErrorBody


SERVER_EVENTS: dict[str, type[ServerMessage]] = {
    "session.created": SessionCreated,
    "session.updated": SessionUpdated,
    "conversation.created": ConversationCreated,
    "conversation.item.added": ItemAdded,
    "conversation.item.done": ItemDone,
    "conversation.item.retrieved": Ignored,
    "conversation.item.deleted": ItemDeleted,
    "conversation.item.truncated": Ignored,
    "conversation.item.input_audio_transcription.delta": Ignored,
    "conversation.item.input_audio_transcription.completed": TranscriptionCompleted,
    "conversation.item.input_audio_transcription.failed": TranscriptionFailed,
    "conversation.item.input_audio_transcription.segment": Ignored,
    "input_audio_buffer.speech_started": SpeechStarted,
    "input_audio_buffer.speech_stopped": SpeechStopped,
    "input_audio_buffer.committed": BufferCommitted,
    "input_audio_buffer.cleared": Ignored,
    "input_audio_buffer.timeout_triggered": Ignored,
    # telephone and WebRTC only: over a WebSocket playback is ours
    "input_audio_buffer.dtmf_event_received": Ignored,
    "output_audio_buffer.started": Ignored,
    "output_audio_buffer.stopped": Ignored,
    "output_audio_buffer.cleared": Ignored,
    "response.created": ResponseCreated,
    "response.done": ResponseDone,
    "response.output_item.added": OutputItemAdded,
    "response.output_item.done": OutputItemDone,
    "response.content_part.added": Ignored,
    "response.content_part.done": Ignored,
    "response.output_text.delta": TextDelta,
    "response.output_text.done": Ignored,
    "response.output_audio.delta": AudioDelta,
    "response.output_audio.done": AudioDone,
    "response.output_audio_transcript.delta": TranscriptDelta,
    "response.output_audio_transcript.done": Ignored,
    "response.function_call_arguments.delta": Ignored,
    "response.function_call_arguments.done": ArgumentsDone,
    # tools that the *server* runs; we configure none
    "mcp_list_tools.in_progress": Ignored,
    "mcp_list_tools.completed": Ignored,
    "mcp_list_tools.failed": Ignored,
    "response.mcp_call_arguments.delta": Ignored,
    "response.mcp_call_arguments.done": Ignored,
    "response.mcp_call.in_progress": Ignored,
    "response.mcp_call.completed": Ignored,
    "response.mcp_call.failed": Ignored,
    "rate_limits.updated": Ignored,
    "error": ErrorEvent,
    # retired beta names, still spoken by older local servers
    "conversation.item.created": ItemAdded,
    "response.audio.delta": AudioDelta,
    "response.audio.done": AudioDone,
    "response.audio_transcript.delta": TranscriptDelta,
    "response.audio_transcript.done": Ignored,
    "response.text.delta": TextDelta,
    "response.text.done": Ignored,
    # xAI
    "conversation.item.input_audio_transcription.updated": Ignored,
    "ping": Ignored,
}
"""Every event name that has a meaning for us."""
