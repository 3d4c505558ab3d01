"""Message store: what people left for the owner, in a file beside the state.

Thread: the event loop; `save` may run in another, and the command line uses it while no speaker
runs.  It must never put a message, or who left it, into the journal or an error, lose one that was
not sent, or let anybody fill the disk.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from edge_agent.contract.errors import ToolError
from edge_agent.host.stores.json_file import JsonFile, NoteFunction, check_time, state_folder

VERSION = 1
"""Grows when an older program could misread the file."""
TEXT_MAX_CHARS = 1000
"""A minute of speech."""
SENDER_MAX_CHARS = 100
FILE_MAX_BYTES = 8_000_000
"""500 messages of 1000 letters, each written as its number at the worst."""
COUNT_MAX = 500
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Message:
    """One message.  Times are ISO 8601 with their zone."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    """Sent along, so that the other side knows a message that it gets twice."""
    at: str
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX_CHARS)]
    sender: Annotated[str, Meta(max_length=SENDER_MAX_CHARS)] = ""
    """As the person called themselves; nobody has checked it."""
    urgency: Annotated[str, Meta(pattern=r"^(normal|urgent)\Z")] = "normal"
    sent_at: str = ""
    """When the webhook took it, "" if it has not."""
    problem: Annotated[str, Meta(max_length=100)] = ""
    """Code of the error at the last attempt to send it."""


@dataclass(frozen=True, slots=True)
class _File:
    messages: Annotated[tuple[Message, ...], Meta(max_length=COUNT_MAX)]

    def __post_init__(self) -> None:
        for message in self.messages:
            check_time(message.at, zone=True)
            if message.sent_at:
                check_time(message.sent_at, zone=True)
        if len({message.id for message in self.messages}) != len(self.messages):
            raise ValueError("an id comes twice")


def messages_path(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "messages.json"


class MessageBox:
    """The messages in order of their coming, bounded.  Pure but for the id, which is random."""

    def __init__(self, messages: Iterable[Message] = (), *, keep: int, per_hour: int) -> None:
        self.messages = tuple(messages)
        self._keep = keep
        self._per_hour = per_hour

    @property
    def unsent(self) -> tuple[Message, ...]:
        """What still has to be sent, the oldest first."""
        return tuple(message for message in self.messages if not message.sent_at)

    def add(self, text: str, sender: str, urgency: str, now: datetime) -> Message:
        """Take one.  Raises ToolError, worded for the model, when there is no room or they come
        too fast."""
        lately = [
            message
            for message in self.messages
            if timedelta() <= now - datetime.fromisoformat(message.at) < HOUR
        ]
        if len(lately) >= self._per_hour:
            raise ToolError(
                f"Not stored: {len(lately)} messages were left within an hour, and it takes no "
                "more for now. Say so.",
                code="tool.too_many",
            )
        excess = len(self.messages) + 1 - self._keep
        old = [message.id for message in self.messages if message.sent_at][: max(0, excess)]
        if len(old) < excess:
            raise ToolError(
                "Not stored: there is no room for more messages until the owner has deleted some. "
                "Say so.",
                code="tool.too_many",
            )
        self.delete(old)
        message = Message(
            secrets.token_hex(8), now.isoformat(timespec="seconds"), text, sender, urgency
        )
        self.messages += (message,)
        return message

    def sent(self, message_id: str, now: datetime) -> None:
        """The webhook took it."""
        self._change(message_id, sent_at=now.isoformat(timespec="seconds"), problem="")

    def not_sent(self, message_id: str, code: str) -> None:
        """The webhook did not."""
        self._change(message_id, problem=code)

    def delete(self, ids: Collection[str]) -> int:
        """Forget these; how many there were."""
        kept = tuple(message for message in self.messages if message.id not in ids)
        count = len(self.messages) - len(kept)
        self.messages = kept
        return count

    def _change(self, message_id: str, **fields: str) -> None:
        self.messages = tuple(
            replace(message, **fields) if message.id == message_id else message
            for message in self.messages
        )


class MessageStore:
    """`load` once, `save` at every change.  `note` is `Journal.note`."""

    def __init__(self, path: Path, note: NoteFunction) -> None:
        self.path = path
        self._file = JsonFile(
            path,
            note,
            repaired="messages.repaired",
            unwritable="messages.unwritable",
            version=VERSION,
            max_bytes=FILE_MAX_BYTES,
        )

    def load(self) -> tuple[Message, ...]:
        """What was saved; nothing if the file is not there, broken or from a newer program (then
        it is moved aside, not thrown away)."""
        found = self._file.load(_File)
        return found.messages if found else ()

    def save(self, messages: Iterable[Message]) -> bool:
        """Write all of them or nothing.  False, and one note, if that cannot be done."""
        return self._file.save({"messages": [asdict(message) for message in messages]})
