"""Shapes of items, responses and client events.

It must never hold state.  The source is the public GA reference.
"""

from __future__ import annotations

from edge_agent.simulation.realtime_server.checks import (
    Check,
    any_table,
    anything,
    array,
    boolean,
    integer,
    missing,
    nullable,
    one_of,
    string,
    table,
    tagged,
    wrong_type,
    wrong_value,
)
from edge_agent.simulation.realtime_server.schemas import (
    FORMAT,
    REASONING,
    TOOL,
    TOOL_CHOICE,
    TOOL_NAME,
    VOICE,
    modalities,
    output_tokens,
)

ITEM_ID_MAX_CHARS = 32  # the service's limit for ids that clients choose
EVENT_ID_MAX_CHARS = 512  # the service's limit for client event ids
METADATA_MAX_PAIRS = 16  # 16 pairs, 64-character keys, 512-character values
METADATA_KEY_MAX_CHARS = 64
METADATA_VALUE_MAX_CHARS = 512


def _metadata(value: object, path: str) -> None:
    if not isinstance(value, dict):
        raise wrong_type(value, path, "an object")
    if len(value) > METADATA_MAX_PAIRS:
        raise wrong_value(path, f"Invalid '{path}': at most {METADATA_MAX_PAIRS} pairs.")
    for key, element in value.items():
        string(max_length=METADATA_KEY_MAX_CHARS)(key, path)
        string(max_length=METADATA_VALUE_MAX_CHARS)(element, f"{path}.{key}")


ITEM_ID = string(min_length=1, max_length=ITEM_ID_MAX_CHARS)
_COMMON: dict[str, Check] = {
    "type": anything,
    "id": ITEM_ID,
    "object": one_of("realtime.item"),
    "status": one_of("completed", "incomplete", "in_progress"),
}
_TEXT = table({"type": anything, "text": string()}, required=("text",))


def _assistant_part(value: object, path: str) -> None:
    """Assistant audio cannot be put into a conversation: only `output_text` goes in."""
    tagged("type", {"output_text": anything, "output_audio": anything})(value, path)
    if isinstance(value, dict) and "text" not in value:
        raise missing(f"{path}.text")
    tagged("type", {"output_text": _TEXT})(value, path)


def _image_url(value: object, path: str) -> None:
    string()(value, path)
    if not str(value).startswith(("data:image/", "https://")):
        raise wrong_value(path, f"Invalid '{path}': expected a data URL of an image.")


_USER_PART = tagged(
    "type",
    {
        "input_text": _TEXT,
        "input_audio": table(
            {"type": anything, "audio": string(), "transcript": nullable(string())},
            required=("audio",),
        ),
        "input_image": table(
            {
                "type": anything,
                "image_url": _image_url,
                "detail": one_of("auto", "low", "high"),
            },
            required=("image_url",),
        ),
    },
)


def _message(part: Check) -> Check:
    return table({**_COMMON, "role": anything, "content": array(part)}, required=("content",))


ITEM = tagged(
    "type",
    {
        "message": tagged(
            "role",
            {
                "system": _message(tagged("type", {"input_text": _TEXT})),
                "user": _message(_USER_PART),
                "assistant": _message(_assistant_part),
            },
        ),
        "function_call": table(
            {**_COMMON, "name": TOOL_NAME, "arguments": string(), "call_id": string()},
            required=("name", "arguments"),
        ),
        "function_call_output": table(
            {**_COMMON, "call_id": string(min_length=1), "output": string()},
            required=("call_id", "output"),
        ),
        "mcp_approval_response": table(
            {
                **_COMMON,
                "approval_request_id": string(),
                "approve": boolean,
                "reason": nullable(string()),
            },
            required=("approval_request_id", "approve"),
        ),
    },
)


def _input_item(value: object, path: str) -> None:
    if isinstance(value, dict) and value.get("type") == "item_reference":
        table({"type": anything, "id": string(min_length=1)}, required=("id",))(value, path)
    else:
        ITEM(value, path)


RESPONSE = table(
    {
        "conversation": one_of("auto", "none"),
        "input": array(_input_item),
        "instructions": nullable(string()),  # livekit sends null for "those of the session"
        "output_modalities": modalities,
        "audio": table({"output": table({"format": FORMAT, "voice": VOICE})}),
        "tools": array(TOOL, max_length=128),
        "tool_choice": TOOL_CHOICE,
        "parallel_tool_calls": boolean,
        "reasoning": REASONING,
        "max_output_tokens": output_tokens,
        "metadata": nullable(_metadata),
        "prompt": nullable(any_table),
    }
)

_EVENT: dict[str, Check] = {"type": anything, "event_id": string(max_length=EVENT_ID_MAX_CHARS)}
CLIENT_EVENTS: dict[str, Check] = {
    "session.update": table({**_EVENT, "session": anything}, required=("session",)),
    "input_audio_buffer.append": table({**_EVENT, "audio": string()}, required=("audio",)),
    "input_audio_buffer.commit": table(_EVENT),
    "input_audio_buffer.clear": table(_EVENT),
    "conversation.item.create": table(
        {**_EVENT, "item": ITEM, "previous_item_id": nullable(string())}, required=("item",)
    ),
    "conversation.item.delete": table({**_EVENT, "item_id": string()}, required=("item_id",)),
    "conversation.item.retrieve": table({**_EVENT, "item_id": string()}, required=("item_id",)),
    "conversation.item.truncate": table(
        {
            **_EVENT,
            "item_id": string(),
            "content_index": integer(0),
            "audio_end_ms": integer(0),
        },
        required=("item_id", "content_index", "audio_end_ms"),
    ),
    "response.create": table({**_EVENT, "response": nullable(RESPONSE)}),
    "response.cancel": table({**_EVENT, "response_id": nullable(string())}),
    "output_audio_buffer.clear": table(_EVENT),
}


def check_event(event: object) -> str:
    """Raise `BadParameter` unless `event` is a client event; return its type."""
    tagged("type", CLIENT_EVENTS)(event, "")
    assert isinstance(event, dict)
    return str(event["type"])
