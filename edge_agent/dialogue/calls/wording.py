"""Wording: the question that a call needs, in words of our own, with everything it would do.

`question` makes the text that is spoken.  A call's arguments are data: they are read out, whole,
and what cannot be read out is no question.

It never leaves anything out: what is not spoken is not approved.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass

TEXT_MAX_CHARS = 200
"""Nobody listens to a longer question, nor remembers its beginning at its end."""
SPOKEN_SIGNS = frozenset("$£€¥+=<>%°~|^")
"""Symbols that a voice says by their names; any other could pass unheard."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The question in one language; `{what}` is the call."""

    by_voice: str = "Shall I do this: {what}? Please say yes or no."
    by_button: str = "Shall I do this: {what}? If so, press my button."
    yes: str = "yes"
    no: str = "no"
    nothing: str = "nothing"


class Unspeakable(Exception):
    """There is no question that names the whole call; `why` as in `tool_calls.REFUSED`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def question(wording: Wording, name: str, arguments: str, *, by_button: bool) -> str:
    """The text to speak for a call of the tool of that speakable name.  Raises Unspeakable."""
    frame = wording.by_button if by_button else wording.by_voice
    what = ", ".join([_said(name, wording), *_details(arguments, wording)])
    text = frame.replace("{what}", what)
    if len(text) > TEXT_MAX_CHARS:
        raise Unspeakable("too long")
    return text


def canonical(arguments: str) -> str:
    """Arguments in one form: equal but for case, spaces, the order of names or the form of numbers
    means equal here.  What is no JSON stays as it is."""
    try:
        return json.dumps(_flat(json.loads(arguments or "{}")), sort_keys=True)
    except (ValueError, RecursionError, OverflowError):
        return " ".join(arguments.casefold().split())


def _flat(value: object) -> object:
    if isinstance(value, dict):
        return {str(_flat(key)): _flat(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_flat(one) for one in value]
    if isinstance(value, str):
        text = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
        try:
            return float(text)
        except ValueError:
            return text
    if isinstance(value, bool) or value is None:
        return value
    return float(value) if isinstance(value, int | float) else str(value)


def _details(arguments: str, wording: Wording) -> list[str]:
    try:
        pairs = json.loads(
            arguments or "{}",
            object_pairs_hook=_unique,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refused,
        )
    except (ValueError, RecursionError):
        raise Unspeakable("unspeakable") from None
    if not isinstance(pairs, dict):
        raise Unspeakable("unspeakable")
    return [f"{_said(name, wording)}: {_said(value, wording)}" for name, value in pairs.items()]


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({name for name, _value in pairs}) < len(pairs):
        raise ValueError  # which of the two holds is a matter of taste
    return dict(pairs)


def _refused(_constant: str) -> object:
    raise ValueError


def _said(value: object, wording: Wording) -> str:
    if value is True or value is False:
        return wording.yes if value else wording.no
    if value is None or value in ("", [], {}):
        return wording.nothing
    if isinstance(value, dict):
        inner = (f"{_said(name, wording)}: {_said(one, wording)}" for name, one in value.items())
        return ", ".join(inner)
    if isinstance(value, list):
        return ", ".join(_said(one, wording) for one in value)
    text = str(value)
    if not isinstance(value, _Number):
        text = " ".join(text.replace("_", " ").split())
    if not all(map(_is_heard, text)) or not any(map(str.isalnum, text)):
        raise Unspeakable("unspeakable")
    return text


def _is_heard(mark: str) -> bool:
    """May it stand in a spoken text without hiding anything?"""
    return unicodedata.category(mark)[0] in "LMNPZ" or mark in SPOKEN_SIGNS
