"""Messages: server JSON to typed structs, client messages to JSON text.

It must never raise on what a peer sends, never keep state and never log: audio and the household's
words pass through here.  The structs are in `shapes`.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from edge_agent.contract.pcm import whole_samples
from edge_agent.realtime.protocol.shapes import (
    SERVER_EVENTS,
    AudioDelta,
    Id,
    Malformed,
    ServerMessage,
    Unknown,
)

Json = Mapping[str, Any]
"""A JSON object on its way out."""


FRAME_MAX_BYTES = 8 * 1024 * 1024
"""Two minutes of sound in one delta, as servers send that speak a whole answer at once."""

SMALL_FRAME_BYTES = 64 * 1024
"""Below it there is no room for more parts than a frame may have."""

PARTS_MAX = 30_000
"""Values in one frame: each becomes an object of some 100 bytes.  The longest honest frame, a
configuration with all of its tools, has a few thousand."""


class _Head(msgspec.Struct, frozen=True):
    type: str


class _LooseAudio(msgspec.Struct, frozen=True):
    """An audio delta whose base64 the strict decoder refused."""

    delta: str
    response_id: Id | None = None
    item_id: Id | None = None


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
        if problem := _too_much(data):
            return Malformed(type="", reason=problem)
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


def _too_much(data: bytes) -> str:
    """Why this frame is refused unread; "" if it may be read."""
    if len(data) <= SMALL_FRAME_BYTES:
        return ""
    if len(data) > FRAME_MAX_BYTES:
        return f"larger than {FRAME_MAX_BYTES // 1024 // 1024} MiB"
    # Base64 has none of these.
    parts = data.count(b",") + data.count(b"[") + data.count(b"{")
    return f"more than {PARTS_MAX} parts" if parts > PARTS_MAX else ""


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


def tool_call_item(item_id: str, call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A function call that was made before; `arguments` is JSON text."""
    return {
        "id": item_id,
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def tool_output_item(call_id: str, output: str) -> dict[str, Any]:
    """The result of a function call."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def item_references(items: Sequence[str]) -> list[dict[str, str]]:
    """Pointers to items of the conversation, for the input of a side question."""
    return [{"type": "item_reference", "id": item} for item in items]
