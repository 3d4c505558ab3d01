"""The values that an explanation lists for a field of its line: `CAUSE is a, b or c`.

It must never list a value itself: the catalogue does.  Call `unlisted` with every note that a test
sees.
"""

from __future__ import annotations

import re

from edge_agent.contract.commands import Note
from edge_agent.host.journal.messages import MESSAGES

LISTS = re.compile(r"\b([A-Z][A-Z_]+) is ((?:[a-z ]+, )*[a-z ]+?),? or ([a-z ]+)")


def values_told(code: str) -> dict[str, set[str]]:
    """Field (in capitals) → its values."""
    found = LISTS.findall(MESSAGES[code].explanation)
    return {name: {*first.split(", "), last} for name, first, last in found}


def unlisted(note: Note) -> list[str]:
    """Fields of a note whose value its explanation does not list, though it lists some."""
    told = values_told(note.code)
    given = {name.upper(): value for name, value in note.fields.items()}
    return [f"{note.code}: {n} is {given[n]}" for n in told if given[n] not in told[n]]
