"""The tape: events written to a file and read back, so that a failing run can be played again.

One line of JSON for each event, in order.  Contents are left out: sound becomes its length, and a
text becomes a dot per letter (the spaces stay: a cut ends at a word), unless it is one of the
plain words by which our tests say yes or no.  Names of items, tools, codes and sentences are no
contents.

    tape.write(path, referee.events)
    for event in tape.read(path):
        manager.handle(event)
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterable, Iterator
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.contract import button_faults, wishes
from edge_agent.contract import events as e
from referee.rules_consent import is_yes

TEXTS = frozenset({"text", "message", "output", "fix"})
"""Fields that hold what somebody said or wrote."""
NO = frozenset({"no", "nein", "non"})
SOUND = "bytes"


def kinds() -> dict[str, type[e.Event]]:
    """Every kind of event that the contract has, by name: read from it, so none is forgotten."""
    found = [
        value
        for room in (e, wishes, button_faults)
        for value in vars(room).values()
        if inspect.isclass(value)
    ]
    return {
        kind.__name__: kind for kind in found if issubclass(kind, e.Event) and kind is not e.Event
    }


def write(path: Path, events: Iterable[e.Event]) -> None:
    """Write events, one a line."""
    path.write_text("".join(line(event) + "\n" for event in events), encoding="utf-8")


def read(path: Path) -> list[e.Event]:
    """Read them back.  Raises `ValueError` with the line that cannot be read."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> list[e.Event]:
    """The events of a tape's text.  Raises `ValueError` with the line that cannot be read."""
    return list(_events(text.splitlines()))


def line(event: e.Event) -> str:
    """One event as JSON, without contents."""
    return json.dumps({"event": type(event).__name__, **_fields(event)}, ensure_ascii=False)


def _fields(thing: Any) -> dict[str, object]:
    fields = dataclasses.fields(thing)
    return {f.name: _bare(f.name, getattr(thing, f.name)) for f in fields}


def _bare(name: str, value: Any) -> object:
    if isinstance(value, bytes):
        return {SOUND: len(value)}
    if isinstance(value, str) and name in TEXTS:
        is_plain = is_yes(value) or value.strip(".!").casefold() in NO
        return value if is_plain else "".join(c if c.isspace() else "." for c in value)
    if name == "arguments":  # of a call: what it is about, not what it does
        return value if len(value) <= 2 else json.dumps({"n": len(value)})
    if name == "schemas":
        return [{"name": str(schema.get("name", ""))} for schema in value]
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, tuple | list):
        return [_bare("", item) for item in value]
    if isinstance(value, dict):
        return {key: _bare("", item) for key, item in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def _events(lines: Iterable[str]) -> Iterator[e.Event]:
    known = kinds()
    for number, text in enumerate(lines, 1):
        try:
            fields = json.loads(text)
            kind = known[fields.pop("event")]
            event = msgspec.convert(_whole(fields), kind)
        except (ValueError, KeyError, msgspec.ValidationError) as problem:
            raise ValueError(f"line {number} is no event: {problem}") from problem
        yield event


def _whole(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: bytes(value[SOUND]) if isinstance(value, dict) and set(value) == {SOUND} else value
        for name, value in fields.items()
    }
