"""Items: what the server holds of the talk, in its order, and what we remember of it.

Thread: event loop; pure.  It never guesses: an item is here from the server's word for it until we
or the server removed it, so that what is deleted or asked about exists.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from edge_agent.contract.commands import AddMessage, Command, DeleteItem
from edge_agent.contract.events import ItemAdded

KNOWN_MAX = 4096
"""Items of one session; a server without a limit may keep one for months."""

KINDS = {"function_call": "call", "function_call_output": "output", "message": "message", "": ""}
"""The server's names in ours; what else there may be (a tool server's lists) is not touched."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item; `kind`: user · assistant · system · call · output, "" for all others."""

    id: str
    kind: str
    call_id: str = ""


@dataclass(slots=True)
class Remembered:
    """One side's part of one turn, or a tool's call with its output."""

    role: str  # user · assistant · system · tool
    item: str = ""
    """Its item in the session in which it was said."""
    seed: str = ""
    """Its item in the present session, if that was told of it."""
    text: str = ""
    pcm24k: bytes = b""
    number: int = 0
    """Grows from entry to entry."""
    is_old: bool = False
    """The session in which it was said is over."""
    cut: bool = False
    """The household heard only this much of it."""
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | None = None

    @property
    def here(self) -> str:
        """Its item in the present session; "" if unknown or none."""
        return self.seed or ("" if self.is_old else self.item)


class ServerItems:
    """The conversation of the present session."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._after: dict[str, str] = {}
        """Items of ours under way → where they were put, if not at the end."""
        self._leaving: dict[str, None] = {}
        """Removed by us; the server may still announce them before it reads that."""

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return any(known.id == item for known in self._items)

    def ids(self) -> list[str]:
        """All of them, oldest first."""
        return [item.id for item in self._items]

    def sent(self, command: Command) -> None:
        """A command is on its way to the server."""
        if isinstance(command, AddMessage) and command.after:
            self._after[command.item] = command.after
        elif isinstance(command, DeleteItem):
            self._remove(command.item)
            self._leaving[command.item] = None
            if len(self._leaving) > KNOWN_MAX:
                del self._leaving[next(iter(self._leaving))]

    def added(self, event: ItemAdded) -> None:
        """The server has taken an item."""
        if event.item in self._leaving or event.item in self:
            return
        kind = KINDS.get(event.kind, "")
        if kind in ("message", "") and event.role in ("user", "assistant", "system"):
            kind = event.role
        elif kind == "message":
            kind = ""
        self._items.insert(self._place(event.item), Item(event.item, kind, event.call_id))
        del self._items[:-KNOWN_MAX]

    def deleted(self, item: str) -> None:
        """The server has removed an item, because we asked for it or by itself."""
        self._remove(item)
        self._leaving.pop(item, None)

    def session_over(self) -> None:
        """The conversation is gone."""
        self._items.clear()
        self._after.clear()
        self._leaving.clear()

    def before(self, item: str, count: int) -> tuple[str, ...]:
        """The last `count` things said before `item`, which may not be here yet, oldest first."""
        said = [known.id for known in self._items if known.kind in ("user", "assistant")]
        end = said.index(item) if item in said else len(said)
        return tuple(said[max(0, end - count) : end])

    def older_than(self, kept: Container[str], keep_turns: int) -> list[Item]:
        """What may go while `kept` and the last `keep_turns` turns stay, oldest first.

        A call and its output go together or not at all; a call without output stays, since it
        may still be answered.
        """
        starts = [i for i, item in enumerate(self._items) if item.kind == "user"]
        if len(starts) <= keep_turns:
            return []
        end = starts[-keep_turns] if keep_turns else len(self._items)
        first_kept = next((i for i, item in enumerate(self._items) if item.id in kept), end)
        end = min(end, first_kept)
        old = self._items[:end]
        calls = {item.call_id for item in old if item.kind == "call"}
        outputs = {item.call_id for item in old if item.kind == "output"}
        pairs = (calls & outputs) - {item.call_id for item in self._items[end:]}
        return [
            item
            for item in old
            if item.kind in ("user", "assistant", "system")
            or (item.kind in ("call", "output") and item.call_id in pairs)
        ]

    def _place(self, item: str) -> int:
        after = self._after.pop(item, "")
        if after == "root":
            return 0
        places = (i + 1 for i, known in enumerate(self._items) if known.id == after)
        return next(places, len(self._items))

    def _remove(self, item: str) -> None:
        self._items = [known for known in self._items if known.id != item]
