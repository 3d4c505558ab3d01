"""Words: what was said, for an owner who asked to have it written down.

Thread: the event loop.  It must never be attached unless the owner asked for it, tell a word that
the redaction has not seen, or keep one longer than the answer that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.contract.events import (
    TRANSCRIPT,
    Event,
    LinkDown,
    ResponseEnded,
    SideAnswer,
    UserTranscript,
    VoiceText,
)
from edge_agent.contract.transcript import words_in

HOUSEHOLD = "household"
SPEAKER = "speaker"

WORDS_MAX_CHARS = 50_000
"""Of what was said since an answer ended last: an hour of speech."""


class Words:
    """Call `on_event` with every event; `tell` gets who spoke and what `redact` leaves of it."""

    def __init__(self, tell: Callable[[str, str], None], redact: Callable[[str], str]) -> None:
        self._tell = tell
        self._redact = redact
        self._pieces: list[str] = []
        self._chars = 0

    def on_event(self, event: Event) -> None:
        """One text per turn of the household and per answer, as far as it was made."""
        match event:
            case UserTranscript():
                self._said(HOUSEHOLD, words_in(event.text))
            case SideAnswer(ok=True) if event.tag.startswith(TRANSCRIPT):
                self._said(HOUSEHOLD, words_in(event.text))
            case VoiceText():
                self._chars += len(event.text)
                if self._chars <= WORDS_MAX_CHARS:
                    self._pieces.append(event.text)
            case ResponseEnded() | LinkDown():
                whole, self._pieces, self._chars = "".join(self._pieces), [], 0
                self._said(SPEAKER, whole)
            case _:
                pass

    def _said(self, who: str, text: str) -> None:
        if text.strip():
            self._tell(who, self._redact(text.strip()))
