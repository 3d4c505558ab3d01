"""Complaints about settings: what is wrong, where it stands, and what would be right.

`Problem` is one mistake; the functions put a finding into words, and `load` collects them.

It must never show the value of a key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic_core import ErrorDetails

from edge_agent.contract.secrets import holds_a_key

SHOWN_MAX_CHARS = 60
"""Enough of a wrong value to find it again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands, which key, what is wrong, what would be right."""

    where: str
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.reason) if part)


def unknown(name: str, valid: Sequence[str], what: str) -> str:
    """There is no such `what`; the nearest of the `valid` names."""
    key = name.partition(".")[2]
    same_key = [v for v in valid if what == "key" and v.partition(".")[2] == key]
    loose = name.replace("__", "_")
    respelt = [v for v in valid if v.replace("__", "_") == loose]
    near = same_key or respelt or difflib.get_close_matches(name, valid, n=1, cutoff=0.65)
    if near:
        return f"there is no such {what}. Did you mean {near[0]}?"
    if what == "section":
        return f"there is no such section. There are: {', '.join(valid)}"
    return f"there is no such {what}"


def reason(error: ErrorDetails) -> str:
    """pydantic's finding in the words of this project."""
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        near = difflib.get_close_matches(str(error["input"]), allowed, n=1)
        hint = f". Did you mean {near[0]}?" if near else ""
        return "must be one of " + ", ".join(a or '""' for a in allowed) + hint
    words = {
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "string_pattern_mismatch": "does not have the right form",
        "string_too_short": "must not be empty",
        "string_too_long": "is longer than {max_length} letters",
        "string_type": "must be text in quotes",
        "too_long": "must not have more than {max_length} entries",
        "int_from_float": "must be a whole number",
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "finite_number": "must be a number",
        "tuple_type": 'must be a list, like ["a", "b"]',
        "dict_type": "must be a table, like {{ okay_nabu = 0.8 }}",
        "model_type": "must be a section",
    }
    return words[kind].format(**context) if kind in words else error["msg"]


def shown(dotted: str, value: object) -> str:
    """The wrong value, as far as it may be seen."""
    text = repr(dict(value) if isinstance(value, MappingProxyType) else value)
    # People paste keys into the wrong line; addresses may carry one in their query.
    told = dotted in ("realtime.api_key", "realtime.url") or dotted.startswith("mcp.")
    if told or holds_a_key(text):
        return "value not shown"
    return "it is " + (text if len(text) <= SHOWN_MAX_CHARS else text[:SHOWN_MAX_CHARS] + "…")
