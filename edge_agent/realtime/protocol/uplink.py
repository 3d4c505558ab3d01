"""Uplink: the dialogue's commands as client messages.

Thread: the event loop's, but pure.  It must never decide whether a command makes sense now
(`session` does); it raises `LocalProtocolError` when an argument breaks a limit of the protocol.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from functools import singledispatchmethod
from typing import Any

from edge_agent.contract import commands as cmd
from edge_agent.contract.error_codes import ABOUT_COMMIT, ABOUT_REQUEST
from edge_agent.contract.errors import LocalProtocolError
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS, whole_samples
from edge_agent.realtime.protocol import messages
from edge_agent.realtime.protocol.config import Dialect, session_patch
from edge_agent.realtime.protocol.tracking import TAG_KEY

COMMIT, REQUEST, ASIDE = ABOUT_COMMIT, ABOUT_REQUEST, "side"
"""Types of client events that an error may be about; a side question is no request of the talk."""

APPEND_LIMIT_BYTES = 1000 * WIRE_BYTES_PER_MS
"""At most one second per append, or less where the provider takes less: a ping or a control
message never waits long behind one frame."""

ITEM_ID_LIMIT_CHARS = 32
"""PROTOCOL section 3; longer ids are refused by the server."""

CALL_ID_LIMIT_CHARS = 32
"""Longer ids of calls are refused in what a client adds; xAI's own have 44, vLLM's 46."""

METADATA_LIMIT_CHARS = 512
"""PROTOCOL section 3, for the tag of a side question."""

REMEMBERED_EVENTS = 256
"""Client events kept to explain an error about them: it comes within a few events."""

REMEMBERED_CALLS = 1024
"""Calls with a shortened id: more than memory tells a fresh session."""


def _shortened(call_id: str) -> str:
    """The same id for the same call in every session, short enough for every server."""
    return f"call_{hashlib.sha256(call_id.encode(errors='replace')).hexdigest()[:24]}"


class Uplink:
    """Writes commands in one dialect and remembers which client event was which.

    No append carries more than `append_max_bytes` of PCM (at least one sample).
    """

    def __init__(
        self,
        dialect: Dialect,
        new_id: Callable[[], str],
        append_max_bytes: int = APPEND_LIMIT_BYTES,
    ) -> None:
        self._dialect = dialect
        self._new_id = new_id
        # Whole samples: half of one in each of two appends is noise to a server that decodes each.
        self._append_bytes = min(APPEND_LIMIT_BYTES, append_max_bytes) // 2 * 2
        self._sent: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._short: dict[str, str] = {}
        """Short id → call of an earlier session, whose own id may be too long for this server."""

    def call_of(self, call_id: str) -> str:
        """The call that the server knows as `call_id`, as the dialogue names it."""
        return self._short.get(call_id, call_id)

    def _told_as(self, call_id: str) -> str:
        """What the server is told for the id of a call."""
        if len(call_id) <= CALL_ID_LIMIT_CHARS:
            return call_id
        short = _shortened(call_id)
        return short if short in self._short else call_id  # this server's own calls keep theirs

    def recall(self, event_id: str) -> tuple[str, str]:
        """`(client event type, item, response or tag)` of an event sent lately, else blanks.

        A side question has the type `ASIDE`.  Each event is recalled once.
        """
        return self._sent.pop(event_id, ("", ""))

    def outstanding(self, kind: str) -> str:
        """Id of the latest event of that type which nothing has answered yet; "" without one."""
        latest = (sent for sent, (its, _) in reversed(self._sent.items()) if its == kind)
        return next(latest, "")

    def answered(self, kind: str, subject: str = "") -> None:
        """The server did what the oldest event of that type asked for."""
        asked = (sent for sent, what in self._sent.items() if what == (kind, subject))
        self._sent.pop(next(asked, ""), None)

    def _id(self, kind: str, subject: str = "") -> str:
        event_id = self._new_id()
        self._sent[event_id] = (kind, subject)
        while len(self._sent) > REMEMBERED_EVENTS:
            self._sent.popitem(last=False)
        return event_id

    @singledispatchmethod
    def write(self, command: cmd.WireCommand) -> list[str]:
        """The texts that carry out `command`, in order."""
        raise LocalProtocolError(f"No way to send a {type(command).__name__}.")

    @write.register
    def _(self, command: cmd.SendAudio) -> list[str]:
        pcm = whole_samples(command.pcm24k)
        step = self._append_bytes
        # Not remembered by `_id`: fifty a second would push out what errors refer to.
        return [
            messages.append_audio(self._new_id(), pcm[start : start + step])
            for start in range(0, len(pcm), step)
        ]

    @write.register
    def _(self, _command: cmd.CommitAudio) -> list[str]:
        return [messages.commit_audio(self._id(COMMIT))]

    @write.register
    def _(self, _command: cmd.ClearAudio) -> list[str]:
        return [messages.clear_audio(self._id("input_audio_buffer.clear"))]

    @write.register
    def _(self, command: cmd.RequestResponse) -> list[str]:
        response = {} if command.may_call else {"tool_choice": "none"}
        return [messages.create_response(self._id(REQUEST), response)]

    @write.register
    def _(self, command: cmd.AskSideQuestion) -> list[str]:
        if len(command.tag) > METADATA_LIMIT_CHARS:
            raise LocalProtocolError(f"A side question's tag of {len(command.tag)} characters.")
        response: dict[str, Any] = {
            "conversation": "none",
            "output_modalities" if self._dialect != "beta" else "modalities": ["text"],
            "metadata": {TAG_KEY: command.tag},
        }
        if command.instructions:
            response["instructions"] = command.instructions
            response["tools"] = []  # nothing to call, and nobody pays for reading them
        if command.items is not None:
            response["input"] = messages.item_references(command.items)
        if command.question:
            if command.items is None:
                raise LocalProtocolError("A question behind items, without items.")
            response["input"].append(messages.message_item("", "system", command.question, b""))
            response["tool_choice"] = "none"  # the tools stay in view, as in the talk
        return [messages.create_response(self._id(ASIDE, command.tag), response)]

    @write.register
    def _(self, command: cmd.CancelResponse) -> list[str]:
        event_id = self._id("response.cancel", command.response)
        return [messages.cancel_response(event_id, command.response)]

    @write.register
    def _(self, command: cmd.TruncateItem) -> list[str]:
        if not command.item or command.audio_end_ms < 0:
            raise LocalProtocolError(f"Truncation of an item at {command.audio_end_ms} ms.")
        event_id = self._id("conversation.item.truncate", command.item)
        return [messages.truncate_item(event_id, command.item, int(command.audio_end_ms))]

    @write.register
    def _(self, command: cmd.DeleteItem) -> list[str]:
        if not command.item:
            raise LocalProtocolError("Deletion of an item without id.")
        return [
            messages.delete_item(self._id("conversation.item.delete", command.item), command.item)
        ]

    @write.register
    def _(self, command: cmd.AddMessage) -> list[str]:
        if len(command.item) > ITEM_ID_LIMIT_CHARS:
            raise LocalProtocolError(f"An item id of {len(command.item)} characters.")
        if command.role not in ("user", "assistant", "system"):
            raise LocalProtocolError(f"A message with the role {command.role!r}.")
        pcm = whole_samples(command.pcm24k)
        if pcm and command.role != "user":
            raise LocalProtocolError(f"Audio in a message with the role {command.role!r}.")
        item = messages.message_item(command.item, command.role, command.text, pcm)
        event_id = self._id("conversation.item.create", command.item)
        return [messages.create_item(event_id, item, command.after)]

    @write.register
    def _(self, command: cmd.AddToolCall) -> list[str]:
        if len(command.item) > ITEM_ID_LIMIT_CHARS:
            raise LocalProtocolError(f"An item id of {len(command.item)} characters.")
        # A call that is added was made in another session, perhaps with another provider.
        if len(command.call_id) > CALL_ID_LIMIT_CHARS:
            self._short[_shortened(command.call_id)] = command.call_id
            while len(self._short) > REMEMBERED_CALLS:
                del self._short[next(iter(self._short))]
        call_id = self._told_as(command.call_id)
        item = messages.tool_call_item(command.item, call_id, command.name, command.arguments)
        return [messages.create_item(self._id("conversation.item.create", command.item), item)]

    @write.register
    def _(self, command: cmd.AddToolOutput) -> list[str]:
        item = messages.tool_output_item(self._told_as(command.call_id), command.output)
        return [messages.create_item(self._id("conversation.item.create", command.call_id), item)]

    @write.register
    def _(self, command: cmd.UpdateSession) -> list[str]:
        patch = session_patch(command.instructions, command.tools, self._dialect)
        return [messages.update_session(self._id("session.update"), patch)]
