"""Details that events carry: a call of a tool, what a response cost, the terms of a tool.

They are read as `events.ToolCall`, `events.Usage` and `events.ToolTerms`; frozen, no behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass

TRANSCRIBER = "transcriber"
TEXT_MODEL = "text model"
"""Models that cost money beside the one that talks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model wants a tool run; `arguments` is the JSON text exactly as it came."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one response (PROTOCOL section 10); what the server left out is 0.  `sound_ms`:
    what a transcriber wrote down of, where that is billed and not tokens."""

    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    cached_text_in: int = 0
    cached_audio_in: int = 0
    cached_image_in: int = 0
    text_out: int = 0
    audio_out: int = 0
    sound_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTerms:
    """What the dialogue has to know of a tool besides its risk."""

    cancellable: bool = False
    """It may be stopped half-way without harm."""
    speakable: str = ""
    """Its name in a spoken sentence; "" is made of the name."""
    risk_because: str = ""
    """Where its risk comes from."""
