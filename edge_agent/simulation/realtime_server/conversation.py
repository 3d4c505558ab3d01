"""The conversation: items in order, with their audio, and the rules for changing it.

Thread: the event loop that serves the session.  It must never emit an event itself: it changes and
answers, the session tells.  Audio is held as PCM16 mono 24 kHz whatever the wire's format is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_agent.simulation.realtime_server.checks import BadParameter
from edge_agent.simulation.realtime_server.schemas import Json

BYTES_PER_MS = 48  # PCM16 mono at 24 kHz


@dataclass(eq=False)
class Item:
    """One item as the service holds it.

    `body` is the JSON shape without audio; `audio` maps a content index to PCM16 24 kHz.
    """

    body: Json
    audio: dict[int, bytearray] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Unique in the conversation, at most 32 characters."""
        return str(self.body["id"])

    @property
    def kind(self) -> str:
        """`message`, `function_call`, `function_call_output`, …"""
        return str(self.body["type"])

    @property
    def role(self) -> str:
        """`user`, `assistant`, `system`; empty for items that are not messages."""
        return str(self.body.get("role", ""))

    @property
    def content(self) -> list[Json]:
        """Content parts of a message (the live list); empty for other items."""
        content = self.body.get("content")
        return content if isinstance(content, list) else []

    @property
    def text(self) -> str:
        """All words of the item: typed, transcribed or spoken, in order, joined by blanks."""
        words = (part.get("text") or part.get("transcript") for part in self.content)
        return " ".join(str(word) for word in words if word)

    def audio_ms(self, content_index: int = 0) -> float:
        """Duration of the audio held, in milliseconds (exact, may be fractional)."""
        return len(self.audio.get(content_index, b"")) / BYTES_PER_MS

    def shown(self) -> Json:
        """The item as events carry it: no audio, and not shared with the live one."""
        shown: Json = {**self.body}
        if "content" in self.body:
            shown["content"] = [{**part} for part in self.content]
        return shown

    def shown_with_audio(self) -> Json:
        """The item as `conversation.item.retrieved` carries it."""
        shown = self.shown()
        content = shown.get("content")
        if isinstance(content, list):
            for index, pcm in self.audio.items():
                if index < len(content):
                    content[index]["audio"] = base64.b64encode(bytes(pcm)).decode("ascii")
        return shown


def decoded_audio(text: str, path: str, *, sample_bytes: int = 2) -> bytes:
    """Bytes of a base64 string holding whole samples; raises `BadParameter` otherwise."""
    try:
        audio = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadParameter(
            "invalid_value", f"Invalid '{path}': expected base64-encoded audio bytes.", path
        ) from None
    if len(audio) % sample_bytes:
        raise BadParameter(
            "invalid_value", f"Invalid '{path}': audio holds half a 16-bit sample.", path
        )
    return audio


def item_from_client(raw: Json, item_id: str, call_id: str, path: str) -> Item:
    """An item made from a checked client item; `item_id`, `call_id` are used where it has none."""
    body: Json = {"id": raw.get("id", item_id), "object": "realtime.item"}
    body.update({key: value for key, value in raw.items() if key not in ("id", "object")})
    body.setdefault("status", "completed")
    audio: dict[int, bytearray] = {}
    if raw["type"] == "function_call":
        body.setdefault("call_id", call_id)
    content = raw.get("content")
    if isinstance(content, list):
        parts: list[Json] = []
        for index, part in enumerate(content):
            if part["type"] != "input_audio":
                parts.append({**part})
                continue
            pcm = decoded_audio(part["audio"], f"{path}.content[{index}].audio")
            audio[index] = bytearray(pcm)
            parts.append({"type": "input_audio", "transcript": part.get("transcript")})
        body["content"] = parts
    return Item(body, audio)


class Conversation:
    """The default conversation of one session."""

    def __init__(self, conversation_id: str) -> None:
        self.id = conversation_id
        self.items: list[Item] = []
        self.outputs_per_call: dict[str, int] = {}

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __contains__(self, item_id: object) -> bool:
        return any(item.id == item_id for item in self.items)

    def find(self, item_id: str) -> Item | None:
        """The item with that id, or nothing."""
        return next((item for item in self.items if item.id == item_id), None)

    def get(self, item_id: str, verb: str) -> Item:
        """The item with that id; raises `item_<verb>_invalid_item_id`."""
        item = self.find(item_id)
        if item is None:
            raise BadParameter(
                f"item_{verb}_invalid_item_id",
                f"Error: cannot {verb} the item: no item with id '{item_id}' in the conversation.",
                "item_id",
            )
        return item

    def last_id(self) -> str | None:
        """Id of the newest item."""
        return self.items[-1].id if self.items else None

    def previous_id(self, item: Item) -> str | None:
        """Id of the item before `item`, or nothing at the root."""
        index = self.items.index(item)
        return self.items[index - 1].id if index else None

    def append(self, item: Item) -> None:
        """Add the service's own item at the end."""
        self.items.append(item)

    def insert(self, item: Item, previous_item_id: str | None) -> None:
        """Add a client's item: at the end (`None`), first (`"root"`) or after an item.

        Raises `BadParameter`: duplicate id, unknown predecessor, output for an unknown call.
        """
        if item.id in self:
            raise BadParameter(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{item.id}' already exists.",
                "item.id",
            )
        if item.kind == "function_call_output":
            call_id = str(item.body["call_id"])
            calls = [i.body.get("call_id") for i in self.items if i.kind == "function_call"]
            if call_id not in calls:
                raise BadParameter(
                    "invalid_tool_call_id",
                    f"Tool call ID '{call_id}' not found in conversation.",
                    "item.call_id",
                )
        index = len(self.items)
        if previous_item_id == "root":
            index = 0
        elif previous_item_id is not None:
            previous = self.find(previous_item_id)
            if previous is None:
                raise BadParameter(
                    "item_create_invalid_previous_item_id",
                    f"Error adding item: no item with id '{previous_item_id}' to put it after.",
                    "previous_item_id",
                )
            index = self.items.index(previous) + 1
        self.items.insert(index, item)
        if item.kind == "function_call_output":
            self.outputs_per_call[call_id] = self.outputs_per_call.get(call_id, 0) + 1

    def delete(self, item_id: str) -> None:
        """Remove an item; raises `item_delete_invalid_item_id`."""
        self.items.remove(self.get(item_id, "delete"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Drop the audio after `audio_end_ms`, and the transcript, of a spoken answer.

        Raises `BadParameter`: unknown item, an item without spoken audio so far, a content index
        that is not there, or a point behind the end of the audio.
        """
        item = self.get(item_id, "truncate")
        if item.role != "assistant" or not any(item.audio.values()):
            raise BadParameter(
                "unsupported_content_type",
                "Only model output audio messages can be truncated.",
                "item_id",
            )
        if content_index not in item.audio:
            raise BadParameter(
                "invalid_value",
                f"Invalid value: {content_index} for 'content_index': no audio content there.",
                "content_index",
            )
        pcm = item.audio[content_index]
        end = audio_end_ms * BYTES_PER_MS
        if end > len(pcm):
            raise BadParameter(
                "invalid_value",
                f"Audio content of {len(pcm) // BYTES_PER_MS}ms is already shorter than "
                f"{audio_end_ms}ms",
                "audio_end_ms",
            )
        del pcm[end:]
        item.content[content_index].pop("transcript", None)
