"""Secrets: what looks like a key, and how it is hidden in a text.

Call `hide_keys` on every text from outside before it is written anywhere, and `holds_a_key` where
such a text is better left out.  Owner thread: any, pure.  Must never be the only guard: a key may
look like anything, so a text that may hold one is best not taken at all.
"""

from __future__ import annotations

import re

HIDDEN = "[key]"
"""What stands in a text in place of a key."""

_KEY_LIKE = re.compile(
    # The prefixes of the services that we know, with a dash (sk-…) or an underscore (ek_…).  Four
    # characters are enough, and stars belong to it: services repeat a wrong key half masked.
    r"\b(?:sk|ek|xai|pk|rk)[-_][\w*.\-]{4,}"
    r"|(?i:\bbearer\s+\S+)"
)


def hide_keys(text: str) -> str:
    """`text` with `HIDDEN` in place of each thing that looks like a key."""
    return _KEY_LIKE.sub(HIDDEN, text)


def holds_a_key(text: str) -> bool:
    """Whether something in `text` looks like a key."""
    return _KEY_LIKE.search(text) is not None
