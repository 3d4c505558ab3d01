"""Settings of the talk: how much of a long conversation is carried on, and what needs no answer.

It must never read a file, the environment or the clock.  The string under each field is its
documentation, as in `settings`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edge_agent.host.settings.base import Section


class Conversation(Section):
    """What is remembered of a long talk.  It is kept in memory only, never on the disk."""

    summarise: Literal["session", "text", "off"] = "session"
    """Who sums up the older part of a long talk, so that each answer stays cheap and quick.
    `session`: the voice model itself, beside the talk.  `text`: the text model of [supervisor],
    which is sent the words, redacted; needs transcripts.  `off`: nobody; the model re-reads all
    of it for every answer, and after a reconnect only the last twelve turns."""
    summarise_after_turns: int = Field(default=30, ge=2, le=500)
    """Turns (what somebody says, and the answer) after which that is done; fewer do when nobody
    has spoken for four minutes, where it costs least."""
    summarise_after_tokens: int = Field(default=12_000, ge=1000, le=100_000)
    """It is also done when one answer has read so many tokens."""
    keep_turns: int = Field(default=4, ge=1, le=100)
    """The newest turns that always stay word by word."""
    summary_language: str = Field(default="", pattern=r"^([a-z]{2,3}(-[A-Z]{2})?)?$")
    """Language of the notes, as a code like en, de, fr or pt-BR.  Empty: the one that is spoken."""
    summary_wish: str = Field(default="", max_length=4000)
    """What the notes shall hold, in your own words.  Empty: a synopsis and a fact sheet.  That they
    carry over what still holds and leave out passwords is said in any case."""
    forget_after_h: float = Field(default=12.0, ge=0, le=720)
    """Hours of sleep after which a talk is closed and forgotten, notes and all: who comes then
    begins a new one.  0: never."""

    stay_silent: bool = True
    """The model may choose to say nothing (tool `stay_silent`) to what was not meant for it, such
    as talk among people or a television.  false: it is not offered that."""

    @model_validator(mode="after")
    def _keeps_less_than_all(self) -> Conversation:
        if self.keep_turns >= self.summarise_after_turns:
            raise ValueError("keep_turns must be less than summarise_after_turns")
        return self
