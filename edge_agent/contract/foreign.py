"""Foreign: what the other side of a wire says, made fit to be kept, shown or logged.

Call `code_of` on a code, `id_of` on an identifier, `text_of_others` on a sentence.  It never lets
through a key in use, a control character, or one that turns the direction of a line around.
"""

from __future__ import annotations

import re

from edge_agent.contract.secrets import hide_keys

OTHER = "other"
"""What stands in place of a code that is none: such a text may hold anything."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODE = re.compile(r"[a-z0-9_.]{1,64}")
_UNPRINTED = re.compile(
    # C0, DEL and C1, line and paragraph separators; marks, embeddings, overrides and isolates of
    # direction; what has no width and hides in a word.
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
)


def code_of(value: object) -> str:
    """A code as services write them; `OTHER` for a text that is none, "" for no text at all."""
    if not isinstance(value, str) or not value:
        return ""
    return value if _CODE.fullmatch(value) else OTHER


def id_of(value: str) -> str:
    """An identifier as services make them; `OTHER` for a text that is none."""
    return value if _ID.fullmatch(value) else OTHER


def printable(text: str) -> str:
    """`text` on one line, with a space for what is not meant to be seen."""
    return _UNPRINTED.sub(" ", text)


def text_of_others(text: str, max_chars: int) -> str:
    """A sentence of somebody else's: one line, no keys, cut to `max_chars`."""
    # A key is looked for in the text as it came and as it will be seen: either may hide it.
    clean = hide_keys(printable(hide_keys(text)))
    return clean if len(clean) <= max_chars else clean[: max_chars - 1] + "…"
