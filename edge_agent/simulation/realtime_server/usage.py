"""Token counts as the service bills them.

It must never guess from time: audio is counted by its samples.  User audio is 1 token per 100 ms,
assistant audio 1 per 50 ms (the provider's cost guide); the whole conversation is input of every
response, and what it shares with one of the last few responses, from the beginning on, is cached
for some minutes.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.simulation.realtime_server.conversation import Item
from edge_agent.simulation.realtime_server.schemas import Json

USER_MS_PER_TOKEN = 100
ASSISTANT_MS_PER_TOKEN = 50
CHARS_PER_TEXT_TOKEN = 4  # the usual rule of thumb for English
CACHE_IDLE_S = 300.0  # the provider tells of five to ten minutes without use
CACHED_CONTEXTS = 8  # the talk's and those of its side questions
TOKENS_PER_IMAGE = 765  # one high-detail picture; only its order of magnitude matters here


def text_tokens(text: str) -> int:
    """Tokens of a text, by rule of thumb; 0 only for the empty text."""
    return math.ceil(len(text) / CHARS_PER_TEXT_TOKEN)


def audio_tokens(milliseconds: float, ms_per_token: int) -> int:
    """Tokens of that much audio, a started one counts."""
    return math.ceil(milliseconds / ms_per_token)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a response's context: who it is, and its tokens by kind."""

    key: str
    text: int = 0
    audio: int = 0
    image: int = 0


def item_piece(item: Item) -> Piece:
    """The context cost of one item."""
    text = text_tokens(item.text) if item.role else 0
    image = 0
    for part in item.content:
        image += TOKENS_PER_IMAGE if part["type"] == "input_image" else 0
        if part["type"] in ("input_audio", "output_audio"):
            # The words of an audio part are for people; the model is given the sound.
            text -= text_tokens(str(part.get("transcript") or ""))
    per = ASSISTANT_MS_PER_TOKEN if item.role == "assistant" else USER_MS_PER_TOKEN
    audio = sum(audio_tokens(item.audio_ms(index), per) for index in item.audio)
    if not item.role:
        fields = ("name", "arguments", "output")
        text = text_tokens("".join(str(item.body.get(key, "")) for key in fields))
    return Piece(f"{item.id}:{audio}", max(0, text), audio, image)


def context_pieces(instructions: str, tools: object, items: Iterable[Item]) -> list[Piece]:
    """Everything a response is given, in the order in which it is cached."""
    head = instructions + (json.dumps(tools) if tools else "")
    return [Piece(head, text_tokens(head)), *(item_piece(item) for item in items)]


class PromptCache:
    """The contexts that were read lately."""

    def __init__(self) -> None:
        self._lately: deque[tuple[float, list[Piece]]] = deque(maxlen=CACHED_CONTEXTS)

    def read(self, context: list[Piece], now: float) -> list[Piece]:
        """A context is read at loop time `now`; what of its beginning need not be read anew."""
        fresh = (before for at, before in self._lately if now - at <= CACHE_IDLE_S)
        shared = max((_shared(context, before) for before in fresh), key=len, default=[])
        self._lately.append((now, context))
        return shared


def _shared(context: list[Piece], before: list[Piece]) -> list[Piece]:
    """The beginning that two contexts have in common."""
    shared: list[Piece] = []
    for piece, old in zip(context, before, strict=False):
        if piece != old:
            break
        shared.append(piece)
    return shared


def usage(context: list[Piece], seen_before: list[Piece], text_out: int, audio_out: int) -> Json:
    """The `usage` object of a response; `seen_before` is a context that is in the cache."""
    cached = _shared(context, seen_before)

    def counts(pieces: list[Piece]) -> dict[str, int]:
        return {
            "text_tokens": sum(p.text for p in pieces),
            "audio_tokens": sum(p.audio for p in pieces),
            "image_tokens": sum(p.image for p in pieces),
        }

    given, reused = counts(context), counts(cached)
    total_in = sum(given.values())
    return {
        "total_tokens": total_in + text_out + audio_out,
        "input_tokens": total_in,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            **given,
            "cached_tokens": sum(reused.values()),
            "cached_tokens_details": reused,
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }
