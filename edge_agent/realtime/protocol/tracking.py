"""Tracking: what is known of the responses under way, and how to read their objects.

It must never send or decide: `session` does.  The readers at the end take whatever a server put
there and never raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.contract.events import ToolCall, Usage
from edge_agent.realtime.protocol.shapes import ID_MAX_CHARS, Item, Response

CALLS_MAX = 64
"""Of one response; a model that wants more in one breath is broken."""

ITEMS_MAX = 256
"""Of one response; an answer has two or three."""

TEXT_MAX_CHARS = 50_000
"""Of one response, spoken or written: an hour of speech, and forty times the longest notes."""

ARGUMENTS_MAX_CHARS = 65_536
"""Of one call; what is cut is no JSON any more, and its tool tells the model so."""

NAME_MAX_CHARS = 128
"""Of a tool; services allow 64."""

COUNT_MAX = 10**9
"""Tokens of a response, or milliseconds of a session (eleven days): more is a slip, and thousands
of them still add up to a number that every file can hold."""

TAG_KEY = "edge_agent_side_question"
"""Metadata key that marks a response as a side question of ours (keys hold 64 characters)."""

STATUSES = ("completed", "cancelled", "failed", "incomplete")


@dataclass(slots=True)
class Call:
    """A function call as it grows; a complete one has all of its arguments."""

    call_id: str = ""
    name: str = ""
    arguments: str = ""
    is_complete: bool = False


@dataclass(slots=True)
class Track:
    """One response between `response.created` and `response.done`.

    `calls` by item id, in order of appearance; `voiced` are items that had audio, with
    whether their end was reported; `text` collects a side answer.  `over` is told of what there
    is too much of and is left out.
    """

    response: str
    tag: str | None = None
    items: dict[str, None] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    voiced: dict[str, bool] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    text_chars: int = 0
    last_item: str = ""
    over: Callable[[str], None] = lambda _what: None

    def note_item(self, item: str) -> bool:
        """Remember an output item, in order of first appearance; False: one too many."""
        if item and item not in self.items:
            if len(self.items) >= ITEMS_MAX:
                self.over("items")
                return False
            self.items[item] = None
        self.last_item = item or self.last_item
        return True

    def note_call(self, item: Item, *, at_done: bool) -> None:
        """Take what an item object says about a function call."""
        if item.type != "function_call":
            return
        call_id = id_of(item.call_id)
        key = item.id or call_id
        call = self.calls.get(key)
        if call is None:
            if len(self.calls) >= CALLS_MAX:
                self.over("calls")
                return
            call = self.calls[key] = Call()
        call.call_id = call_id or call.call_id
        call.name = text_of(item.name)[:NAME_MAX_CHARS] or call.name
        if at_done and isinstance(item.arguments, str) and item.status != "incomplete":
            call.arguments = item.arguments[:ARGUMENTS_MAX_CHARS] or call.arguments
            call.is_complete = call.is_complete or item.status in ("completed", None)

    def takes_text(self, text: str) -> bool:
        """Count a piece of text; False: too much."""
        self.text_chars += len(text)
        if self.text_chars > TEXT_MAX_CHARS:
            self.over("text")
            return False
        return True

    def complete_calls(self) -> tuple[ToolCall, ...]:
        """Each complete call once; one without a call id cannot be answered and is left out."""
        by_id = {
            call.call_id: ToolCall(call_id=call.call_id, name=call.name, arguments=call.arguments)
            for call in reversed(self.calls.values())
            if call.is_complete and call.call_id
        }
        return tuple(reversed(by_id.values()))


def text_of(value: object) -> str:
    """`value` if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def id_of(value: object) -> str:
    """`value` if it is an id, else ""."""
    return value if isinstance(value, str) and len(value) <= ID_MAX_CHARS else ""


def count_of(value: object) -> int:
    """A token count or a time in ms from the wire; anything odd is 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return int(value) if 0 < value <= COUNT_MAX else 0  # false for what is no number, too


def mapping_of(value: object) -> Mapping[str, Any]:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects_of(value: object) -> Iterator[Mapping[str, Any]]:
    """The JSON objects in a list; everything else is skipped."""
    if isinstance(value, list):
        yield from (element for element in value if isinstance(element, Mapping))


def tag_of(response: Response) -> str | None:
    """The tag of a side question of ours, else None."""
    tag = mapping_of(response.metadata).get(TAG_KEY)
    return tag if isinstance(tag, str) else None


def item_of(fields: Mapping[str, Any]) -> Item:
    """An item inside a response's `output`, read with care."""
    return Item(
        id=id_of(fields.get("id")) or None,
        type=fields.get("type"),
        role=fields.get("role"),
        status=fields.get("status"),
        content=fields.get("content"),
        name=fields.get("name"),
        call_id=fields.get("call_id"),
        arguments=fields.get("arguments"),
    )


def content_text(item: Item) -> str:
    """The text in an item's content, spoken or written."""
    parts = objects_of(item.content)
    return "".join(text_of(part.get("text")) or text_of(part.get("transcript")) for part in parts)


def outcome_of(response: Response) -> tuple[str, str, str]:
    """`(status, code, message)` as `contract.events.ResponseEnded` words them."""
    details = mapping_of(response.status_details)
    error = mapping_of(details.get("error"))
    status = response.status
    if status not in STATUSES:
        # Some servers send no status, or still "in_progress": the event itself says it is over.
        status = "failed" if error else "completed"
    if status == "completed":
        return status, "", ""
    code = text_of(error.get("code")) or text_of(error.get("type"))
    if status != "failed":
        code = text_of(details.get("reason")) or code
    elif not code:
        code = "unknown"
    return status, code, text_of(error.get("message"))


def transcript_usage_of(value: object) -> Usage | None:
    """What a transcript cost: tokens, or the sound's length; None if the server gave neither."""
    usage = mapping_of(value)
    if usage.get("type") == "duration":
        seconds = usage.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            return None
        sound_ms = count_of(seconds * 1000)
        return Usage(sound_ms=sound_ms) if sound_ms or seconds == 0 else None
    return usage_of(value)


def usage_of(value: object) -> Usage | None:
    """Token counts (PROTOCOL section 10); None if the server gave none.

    Cached counts never exceed the counts they are part of.  Where only a sum of cached tokens
    is given it is taken as text first, which is the cheaper saving, so cost is not understated.
    """
    usage = mapping_of(value)
    if not usage:
        return None
    taken = mapping_of(usage.get("input_token_details"))
    given = mapping_of(usage.get("output_token_details"))
    cached = mapping_of(taken.get("cached_tokens_details"))
    text_in = count_of(taken.get("text_tokens"))
    audio_in = count_of(taken.get("audio_tokens"))
    image_in = count_of(taken.get("image_tokens"))
    if not (text_in or audio_in or image_in):
        text_in = count_of(usage.get("input_tokens"))
    text_out = count_of(given.get("text_tokens"))
    audio_out = count_of(given.get("audio_tokens"))
    if not (text_out or audio_out):
        text_out = count_of(usage.get("output_tokens"))
    if cached:
        cached_text = count_of(cached.get("text_tokens"))
        cached_audio = count_of(cached.get("audio_tokens"))
        cached_image = count_of(cached.get("image_tokens"))
    else:
        rest = count_of(taken.get("cached_tokens"))
        cached_text = min(rest, text_in)
        cached_audio = min(rest - cached_text, audio_in)
        cached_image = rest - cached_text - cached_audio
    return Usage(
        text_in=text_in,
        audio_in=audio_in,
        image_in=image_in,
        cached_text_in=min(cached_text, text_in),
        cached_audio_in=min(cached_audio, audio_in),
        cached_image_in=min(cached_image, image_in),
        text_out=text_out,
        audio_out=audio_out,
    )
