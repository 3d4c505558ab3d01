"""Secrets: the keys in use and what looks like one, and how both are hidden in a text.

Call `in_use` with every key that is read, `hide_keys` on every text from outside before it is
written anywhere, and `holds_a_key` where such a text is better left out.  Thread: any thread; one
table of the keys in use for the whole process, since they are to be hidden wherever a text is
written.  It is never the only guard: a key of somebody else's may look like anything, so a text
that may hold one is best not taken at all.
"""

from __future__ import annotations

import re

IN_USE_MIN_CHARS = 6
"""A shorter one is a word, and would be cut out of every line."""
IN_USE_MAX = 64
"""Keys that are remembered, the latest ones; a household has a handful."""

HIDDEN = "[key]"
"""What stands in a text in place of a key."""

_KEY_LIKE = re.compile(
    # The prefixes of the services that we know, with a dash (sk-…) or an underscore (ek_…).  Four
    # characters are enough, and stars belong to it: services repeat a wrong key half masked.
    r"\b(?:sk|ek|xai|pk|rk)[-_][\w*.\-]{4,}"
    r"|(?i:\bbearer\s+\S+)"
)


_in_use: dict[str, None] = {}


def in_use(key: str) -> str:
    """Remember this key as one to hide wherever it turns up; returns it."""
    if len(key) >= IN_USE_MIN_CHARS and key not in _in_use:
        _in_use[key] = None
        if len(_in_use) > IN_USE_MAX:
            del _in_use[next(iter(_in_use))]
    return key


def hide_keys(text: str) -> str:
    """`text` with `HIDDEN` in place of each key in use and each thing that looks like a key."""
    # `sorted` copies first: another thread may be adding one.  The longest first, since one key
    # may begin like another.
    for key in sorted(_in_use, key=len, reverse=True):
        text = text.replace(key, HIDDEN)
    return _KEY_LIKE.sub(HIDDEN, text)


def holds_a_key(text: str) -> bool:
    """Whether something in `text` looks like a key."""
    return _KEY_LIKE.search(text) is not None
