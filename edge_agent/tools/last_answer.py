"""Last answer: what the household was told before its present turn, and how far.

Thread: event loop, as an observer of the pump.  It must never log or store a word: it lives and
dies with the process.

The wire knows no "how much of it was heard" for text: a transcript runs ahead of its sound.  So
the text is cut in the same share as the sound, at a word (as `dialogue.recall.memory` does it).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS

PARTS_MAX = 20
"""Spoken items of one turn; a tool call divides an answer in two."""
TEXT_MAX_CHARS = 4000
"""Four minutes of speech; what is longer is not said again."""


@dataclass(slots=True)
class _Part:
    """One spoken item; `heard_share`: None until it was cut."""

    text: str = ""
    received_bytes: int = 0
    heard_share: float | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: its words as far as they were heard, and the rest."""

    heard: str
    unheard: str = ""


class LastAnswer:
    """`on_event` everything that the pump does; `said` is what was said before the present turn."""

    def __init__(self) -> None:
        self.said: Said | None = None
        self._parts: dict[str, _Part] = {}

    def on_event(self, event: e.Event, commands: Iterable[c.Command], _at: float) -> None:
        """An observer of the pump."""
        match event:
            case e.UserTurnCommitted():
                self._turn_the_page()
            case e.VoiceText():
                part = self._part(event.item)
                part.text = (part.text + event.text)[:TEXT_MAX_CHARS]
            case e.PlaybackCut():
                self._cut(event)
        for command in commands:
            if isinstance(command, c.PlayVoice):
                self._part(command.item).received_bytes += len(command.pcm24k)

    def _part(self, item: str) -> _Part:
        part = self._parts.setdefault(item, _Part())
        if len(self._parts) > PARTS_MAX:
            del self._parts[next(iter(self._parts))]
        return part

    def _cut(self, event: e.PlaybackCut) -> None:
        for item, part in self._parts.items():
            if part.heard_share is not None:
                continue
            if item == event.item and part.received_bytes:
                received_ms = part.received_bytes / WIRE_BYTES_PER_MS
                part.heard_share = min(1.0, max(0.0, event.played_ms / received_ms))
            elif item in event.never_started:
                part.heard_share = 0.0

    def _turn_the_page(self) -> None:
        """What has been said since the last turn is the last answer now, if it was anything."""
        heard, unheard = [], []
        for part in self._parts.values():
            if not part.received_bytes or not part.text.strip():
                continue  # never played: a response that nobody wanted any more
            kept = part.text
            if part.heard_share is not None and part.heard_share < 1.0:
                kept = part.text[: round(len(part.text) * part.heard_share)].rpartition(" ")[0]
            heard.append(kept)
            unheard.append(part.text[len(kept) :])
        self._parts.clear()
        if heard:
            self.said = Said(_plain(heard), _plain(unheard))


def _plain(texts: Iterable[str]) -> str:
    return " ".join(" ".join(texts).split())
