"""Canaries: what was said in the room, by the model or a tool, in pieces that one knows again.

`private_texts` finds them in an event, `secrets` the keys in settings; the referee looks for them
in lines, files and statuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from edge_agent.contract import events as e
from edge_agent.host.journal.messages import MESSAGES
from edge_agent.simulation.sound import voices

CANARY_WORDS = 3
"""Spoken text is looked for in pieces of three words: so much of it is not there by chance."""
SHORT_MIN_CHARS = 8
"""Of a text of fewer words: a whole argument such as a name."""
CATALOGUE = "\n".join(message.text for message in MESSAGES.values()).casefold()


def canaries(text: str) -> set[str]:
    """Pieces of a text by which it is known again, without those of our own journal."""
    words = text.split()
    starts = range(len(words) - CANARY_WORDS + 1)
    pieces = {" ".join(words[at : at + CANARY_WORDS]) for at in starts}
    if not pieces and len(text) >= SHORT_MIN_CHARS:
        pieces = {text}
    return {piece for piece in pieces if piece.casefold() not in CATALOGUE}


def leaves(value: Any) -> Iterator[str]:
    """Texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)


def private_texts(event: e.Event) -> Iterator[str]:
    """What was said, written down, asked of a tool or told by one."""
    match event:
        case e.UserTranscript() | e.SideAnswer() | e.SummaryMade():
            yield event.text
        case e.ToolFinished(ok=True):  # why a call failed is told in words of ours
            yield event.output
        case e.ResponseEnded():
            for call in event.calls:
                try:
                    yield from leaves(json.loads(call.arguments or "{}"))
                except ValueError:
                    yield call.arguments


def secrets(value: Any) -> Iterator[str]:
    """Keys in settings."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from secrets(part)


CLIPS = frozenset().union(*(canaries(clip.text) for clip in voices.clips().values()))
