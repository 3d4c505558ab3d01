"""Shortening what a tool server sends, before anybody parses it.

Thread: event loop; pure.  It must never hold up the loop, whatever it is fed: parsing 5 MB of JSON
takes most of a second, in which nobody could interrupt the speaker, and its sound would stop.

Only strings can be cut without knowing what they mean; so long strings are cut, and a message
that is still too long is refused.  Equal in, equal out for anything of a usual length.
"""

from __future__ import annotations

import re

LINE_MAX_BYTES = 8_000_000
"""What one message may measure on the wire; more is given up unread."""
MESSAGE_MAX_BYTES = 256_000
"""What may be parsed: 35 ms at worst on the machine where it was measured, 4 ms of plain text."""
STRING_MAX_BYTES = 20_000
"""Of a longer string the model is told the beginning; it is given 16 kB of a result at most."""

STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
WHOLE_ESCAPES = re.compile(rb"(?:[^\\]|\\[^u]|\\u[0-9a-fA-F]{4})*+", re.DOTALL)
HALF_OF_A_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
CUT_MARK = re.compile(r" \[cut here: (\d+) bytes more\]\Z")


class TooMuch(Exception):
    """A message that cannot be made short enough to be parsed."""


def shorten(message: bytes) -> bytes:
    """A JSON text whose long strings are cut; each says so at its end.

    Raises `TooMuch` if it is still longer than `MESSAGE_MAX_BYTES`.
    """
    if len(message) <= MESSAGE_MAX_BYTES:
        return message
    kept: list[bytes] = []
    kept_bytes = end = 0
    for found in STRING.finditer(message):
        if kept_bytes + found.start(1) - end > MESSAGE_MAX_BYTES:
            raise TooMuch  # not one string more is looked at
        if found.end() - found.start() > STRING_MAX_BYTES:
            kept += [message[end : found.start(1)], _beginning(found[1]), b'"']
            kept_bytes += len(kept[-3]) + len(kept[-2]) + 1
            end = found.end()
    if kept_bytes + len(message) - end > MESSAGE_MAX_BYTES:
        raise TooMuch
    return b"".join((*kept, message[end:]))


def cut_bytes(text: str) -> int:
    """By how much a string was cut; 0 if it was not."""
    mark = CUT_MARK.search(text)
    return int(mark[1]) - len(mark[0]) if mark else 0


def _beginning(inside: bytes) -> bytes:
    """The beginning of a string's inside, neither a character nor an escape broken."""
    whole = WHOLE_ESCAPES.match(inside[:STRING_MAX_BYTES])
    assert whole is not None, "the pattern also matches nothing"
    begin = HALF_OF_A_PAIR.sub(b"", whole[0]).decode("utf-8", "ignore").encode()
    return begin + f" [cut here: {len(inside) - len(begin)} bytes more]".encode()
