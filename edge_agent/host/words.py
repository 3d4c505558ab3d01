"""Words: what was said, for the journal of an owner who asked for it (purpose).

Owner thread: the event loop.  Must never be attached unless `journal.transcripts` is on, and never
keep a word longer than the answer that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.contract.events import (
    Event,
    LinkDown,
    ResponseEnded,
    UserTranscript,
    VoiceText,
)

HOUSEHOLD = "household"
SPEAKER = "speaker"


class Words:
    """Call `see` with every event; `note` is `Journal.note`."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note
        self._pieces: list[str] = []

    def see(self, event: Event) -> None:
        """One line per turn of the household and per answer, as far as it was made."""
        match event:
            case UserTranscript():
                self._tell(HOUSEHOLD, event.text)
            case VoiceText():
                self._pieces.append(event.text)
            case ResponseEnded() | LinkDown():
                said, self._pieces = "".join(self._pieces), []
                self._tell(SPEAKER, said)
            case _:
                pass

    def _tell(self, who: str, text: str) -> None:
        if text.strip():
            self._note("talk.words", who=who, text=text.strip())
