"""Settings that are tables of sections (`[mcp.servers.NAME]`): found, merged, shown.

Thread: the main one, at start; pure.  It must never judge a value: the sections do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, get_args, get_origin

from pydantic import BaseModel


def row_type(annotation: Any) -> type[BaseModel] | None:
    """The section in each row of a table; None for any other kind of value."""
    if get_origin(annotation) is not dict:
        return None
    row = get_args(annotation)[1]
    return row if isinstance(row, type) and issubclass(row, BaseModel) else None


def cells(annotation: Any, value: Any) -> Any:
    """A layer's value, ready to be laid over a weaker one's.

    pydantic-settings merges dictionaries key by key.  That is right for a table's rows and their
    keys (a drop-in may switch a server off and leave the rest); what stands in a cell, or is no
    table of sections, replaces the weaker value as a whole, so it is no `dict`.
    """
    if row_type(annotation) is None or not isinstance(value, dict):
        return _whole(value)
    return {
        name: {key: _whole(cell) for key, cell in row.items()} if isinstance(row, dict) else row
        for name, row in value.items()
    }


def _whole(value: Any) -> Any:
    return MappingProxyType(value) if isinstance(value, dict) else value


def places(dotted: str, annotation: Any, value: Any) -> Iterator[str]:
    """The dotted names of all that a table holds: its rows, and their keys."""
    if row_type(annotation) is not None and isinstance(value, Mapping):
        for name, row in value.items():
            yield f"{dotted}.{name}"
            for key in row if isinstance(row, Mapping) else ():
                yield f"{dotted}.{name}.{key}"
