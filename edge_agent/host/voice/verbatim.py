"""Verbatim: whether a recording that a model made can be of the sentence that it was given.

A model that talks may answer the sentence, add a word of its own, stop half way or say nothing.
`misread` is asked for each recording before that is kept.
"""

from __future__ import annotations

import array
import difflib
import sys

from edge_agent.contract.errors import AgentError
from edge_agent.contract.pcm import bytes_to_ms, whole_samples

CHARS_PER_S = (5.0, 30.0)
"""The slowest and the fastest at which a text is read: people read 12 to 20 characters a second;
our own recordings, 11 to 18."""

REST_S = 2.0
"""Silence before and after it that is no reason to read it again."""

AUDIBLE = 330
"""Largest sample of the softest recording, -40 dBFS: a voice that reads is ten times as loud."""

SAME_WORDS = 0.9
"""Least likeness of what was read to the text, letter by letter: "can not" for "can't" is no reason
to read it again."""

EDGE_LETTERS = 3
"""So many at the beginning and at the end are the text's own: "Sure:" changes little of a long
sentence."""

OTHER_WORDS = "other words were said"


class Misread(AgentError):
    """A sentence was not read as it stands."""

    code = "voice_pack.misread"


def misread(text: str, pcm24k: bytes, words: str, *, speed: float) -> str:
    """Why this is no recording of `text`, as half a sentence; "" if it can be one.

    `words`: what was said, by the model's own account; "": it gives none.  `speed`: that of the
    voice, 1 is its usual one.
    """
    samples = array.array("h", whole_samples(pcm24k))
    if sys.byteorder == "big":
        samples.byteswap()
    if not samples:
        return "no sound came"
    if max(samples) < AUDIBLE and min(samples) > -AUDIBLE:
        return "only silence came"
    seconds = bytes_to_ms(len(pcm24k)) / 1000
    slowest, fastest = (len(text) / rate / speed for rate in CHARS_PER_S)
    if seconds > slowest + REST_S:
        return f"{seconds:.1f} s of sound are too many"
    if seconds < fastest:
        return f"{seconds:.1f} s of sound are too few"
    return "" if not words or _are_alike(_letters(text), _letters(words)) else OTHER_WORDS


def _are_alike(text: str, said: str) -> bool:
    head, tail = text[:EDGE_LETTERS], text[-EDGE_LETTERS:]
    if not (said.startswith(head) and said.endswith(tail)):
        return False
    return difflib.SequenceMatcher(None, text, said, autojunk=False).ratio() >= SAME_WORDS


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
