"""Settings that are tables of sections (`[mcp.servers.NAME]`): found, merged, shown (purpose).

Owner thread: the main one, at start; pure.  Must never judge a value: the sections do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel


def row_type(annotation: Any) -> type[BaseModel] | None:
    """The section in each row of a table; None for any other kind of value."""
    if get_origin(annotation) is not dict:
        return None
    row = get_args(annotation)[1]
    return row if isinstance(row, type) and issubclass(row, BaseModel) else None


def merged(annotation: Any, weaker: Any, stronger: Any) -> Any:
    """A stronger layer's value over a weaker one's.

    Of a table only the keys that it names: a drop-in may switch a server off and leave the rest.
    """
    if row_type(annotation) is None or not _are_tables(weaker, stronger):
        return stronger
    rows = dict(weaker)
    for name, row in stronger.items():
        rows[name] = {**rows[name], **row} if _are_tables(rows.get(name), row) else row
    return rows


def places(dotted: str, annotation: Any, value: Any) -> Iterator[str]:
    """The dotted names of all that a table holds: its rows, and their keys."""
    if row_type(annotation) is not None and isinstance(value, Mapping):
        for name, row in value.items():
            yield f"{dotted}.{name}"
            for key in row if isinstance(row, Mapping) else ():
                yield f"{dotted}.{name}.{key}"


def _are_tables(*values: Any) -> bool:
    return all(isinstance(value, Mapping) for value in values)
