"""Settings of transcription: what helps whoever writes down what the household says.

It must never read a file, the environment or the clock.  The string under each field is its
documentation, as in `settings`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from edge_agent.host.settings.base import Section

KEYWORDS_MAX_CHARS = 2000
"""Of all keywords together: out of band they are read, and paid for, with every turn."""

Keyword = Annotated[str, Field(min_length=1, max_length=60)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Transcription(Section):
    """What helps whoever writes down what you say (who that is: realtime.transcription)."""

    prompt: str = Field(default="", max_length=2000)
    """Your wishes in your own words: what is talked about, how numbers are written.  Out of band
    they stand behind the program's own rules, and go before them.  What a service refuses of this
    section is left out, and the journal says so."""
    keywords: Annotated[tuple[Keyword, ...], Field(max_length=100)] = ()
    """Names and words that may be said and that nobody can guess, e.g. `["Käthe", "Wattwurm"]`.
    A transcriber without such a list is told them in the prompt."""
    languages: Annotated[tuple[Language, ...], Field(max_length=8)] = ()
    """Languages that are spoken, besides realtime.transcription_language, e.g. `["de", "en"]`.
    None: it guesses.  One: it is held to that."""
    context_items: int = Field(default=0, ge=0, le=4)
    """Out of band: so many earlier turns and answers are sent along, so that a name is recognised
    again.  Each is paid for once more; an answer to a question for consent is always read alone."""

    @field_validator("prompt")
    @classmethod
    def _is_readable(cls, value: str) -> str:
        if any(not char.isprintable() and char != "\n" for char in value):
            raise ValueError("holds a control character")
        return value.strip()

    @field_validator("keywords")
    @classmethod
    def _are_words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            if not word.isprintable() or not any(char.isalnum() for char in word):
                raise ValueError("holds a keyword without a letter, or with a control character")
        if sum(map(len, value)) > KEYWORDS_MAX_CHARS:
            raise ValueError(f"has more than {KEYWORDS_MAX_CHARS} characters in all its keywords")
        return value
