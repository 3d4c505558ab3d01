"""Complaints: what an `error` event says, read by its code, its words and what was sent before it.

`read` the event's body, then ask the `Complaint`.  Services differ: some send no code, some no id
of the event at fault, so words that are known count as well.

It never decides what follows: `session` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.contract import net_faults
from edge_agent.contract.error_codes import COMMIT_EMPTY, CROSSED, SERVER_ERROR
from edge_agent.contract.errors import LinkBusy
from edge_agent.contract.events import ServerComplained
from edge_agent.contract.foreign import code_of
from edge_agent.realtime.protocol import faults
from edge_agent.realtime.protocol.shapes import ErrorBody
from edge_agent.realtime.protocol.tracking import text_of

BENIGN_CODES = frozenset(
    {
        "response_cancel_not_active",
        COMMIT_EMPTY,
        "item_create_duplicate_item_id",
        "item_retrieve_invalid_item_id",
        "item_delete_invalid_item_id",
        "item_truncate_invalid_item_id",
        "invalid_item_id",  # LocalAI's word for the three above
        "unsupported_content_type",
    }
)
"""Races that both sides may lose without harm: counted, not reported."""

CODES_BY_WORDS: tuple[tuple[str, str], ...] = (
    ("buffer too small", COMMIT_EMPTY),
    ("already has an active response", CROSSED),
    ("no active response", "response_cancel_not_active"),
    ("error deleting item", "item_delete_invalid_item_id"),
    ("error retrieving item", "item_retrieve_invalid_item_id"),
    ("error truncating item", "item_truncate_invalid_item_id"),
    ("is already shorter than", "item_truncate_invalid_item_id"),
)
"""Words of messages that come without a code of their own (Speaches, DashScope, older servers)."""

_VAGUE_CODES = frozenset({"", "invalid_value", "invalid_request_error", SERVER_ERROR})
"""Codes that leave open what is wrong: the words may tell."""

_SCHEMA_CODES = frozenset(
    {
        *("unknown_parameter", "invalid_value", "invalid_type", "missing_required_parameter"),
        *("invalid_function_parameters", "invalid_parameter", "cannot_update_voice"),
    }
)
_SCHEMA_FAMILIES = ("unsupported_", "integer_", "decimal_", "string_", "array_", "object_")

ASIDE_FIELDS = ("conversation", "metadata", "input")
"""Fields of a request that only a side question has: a server without those names them."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One `error` event."""

    kind: str
    """Its type: `invalid_request_error`, `server_error` …"""
    code: str
    """What is wrong, by code or words; else its type."""
    text: str
    """The server's sentence, short and fit to be passed on."""
    param: str
    about: str
    """Id of the client event at fault, if told."""

    @property
    def is_benign(self) -> bool:
        """Whether it only tells that the server was faster."""
        return self.code in BENIGN_CODES

    @property
    def is_too_much(self) -> bool:
        """Whether too much was asked in a short time, so that the same again may be taken soon."""
        return self.kind in ("requests", "tokens") or (
            net_faults.of_word(self.code) is net_faults.TOO_MUCH
        )

    @property
    def is_busy(self) -> bool:
        """Whether the server only has no room or time now."""
        found = net_faults.of_word(self.code)
        return self.is_too_much or (found is not None and found.kind is LinkBusy)

    def event(self, at: float, about: str) -> ServerComplained:
        """What the dialogue is told of it; `about` is the client event at fault."""
        code = SERVER_ERROR if self.is_servers_own else code_of(self.code)
        if self.is_too_much:
            code = net_faults.word_for(net_faults.TOO_MUCH)
        again_s = faults.again_in_s(self.text)
        return ServerComplained(
            at=at, code=code, message=self.text, about=about, retry_in_s=again_s
        )

    @property
    def is_servers_own(self) -> bool:
        """Whether the server failed, rather than that we asked for something odd."""
        return SERVER_ERROR in (self.kind, self.code) and "not implemented" not in self.text

    @property
    def is_of_schema(self) -> bool:
        """Whether it refuses what we wrote, so that the same again would be refused again."""
        if self.is_busy or self.kind not in ("", "invalid_request_error"):
            return False
        return (
            self.param.startswith("session")
            or self.code in _SCHEMA_CODES
            or self.code.startswith(_SCHEMA_FAMILIES)
            or (self.code in ("", self.kind, "unknown") and _names_a_field(self.text))
        )

    @property
    def names_aside_field(self) -> bool:
        """Whether it is about a field that only a side question has."""
        words = self.param or self.text.partition(":")[0]
        return any(word in ASIDE_FIELDS for word in words.replace(".", " ").split())


def read(error: ErrorBody) -> Complaint:
    """The body of an `error` event, whatever a server put there."""
    kind, code, text = text_of(error.type), text_of(error.code), faults.in_short(error.message)
    if code in _VAGUE_CODES:
        small = text.lower()
        code = next((found for words, found in CODES_BY_WORDS if words in small), code)
    return Complaint(
        kind, code or kind or "unknown", text, text_of(error.param), text_of(error.event_id)
    )


def _names_a_field(text: str) -> bool:
    return "session." in text or "parameter" in text.lower()
