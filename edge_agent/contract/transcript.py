"""Transcript: what counts as words in one, and what helps whoever writes it down.

Call `words_in` on a transcript before it is kept or read; `Hints.fields` makes of the owner's
hints what a transcriber takes.  It never changes a transcript that has words.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

UNCLEAR = "[unclear]"
"""What stands in a transcript in place of what could not be made out."""

_LABEL = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|<[^<>]*>")

LISTLESS = ("whisper", "gpt-4o", "gpt-realtime-whisper", "grok")
"""How the names of models begin that take no lists of keywords and languages: the documentation
names gpt-transcribe and gpt-live-transcribe as those that do.  Of any other name (a deployment, a
server at home) nothing is known, and a refusal is healed."""
PROMPTLESS = ("gpt-realtime-whisper", "gpt-4o-transcribe-diarize", "grok")
"""The same for a prompt; of xAI's no session is recorded with one."""


def words_in(transcript: str) -> str:
    """The words of a transcript; "" where nothing but marks and labels ([unclear], (coughs),
    [BLANK_AUDIO]) and punctuation is in it: then nobody has said anything."""
    spoken = _LABEL.sub("", transcript)
    return transcript.strip() if any(char.isalnum() for char in spoken) else ""


@dataclass(frozen=True, slots=True)
class Hints:
    """What the owner knows of the speech: wishes in words, names and words that may occur, and the
    languages that are spoken (none: any)."""

    prompt: str
    keywords: tuple[str, ...]
    languages: tuple[str, ...]

    def fields(self, model: str, without: Container[str] = ()) -> dict[str, str | list[str]]:
        """`prompt`, `keywords` and `language` or `languages`, as this model takes them.

        `without`: names of fields that the service has refused (`language` stands for both).
        Keywords that it takes no list of are told in the prompt.
        """
        takes_lists, fields = not model.startswith(LISTLESS), dict[str, str | list[str]]()
        if "language" not in without:
            if len(self.languages) == 1:
                fields["language"] = self.languages[0]
            elif self.languages and takes_lists and "languages" not in without:
                fields["languages"] = list(self.languages)
        prompt = self.prompt
        if self.keywords and takes_lists and "keywords" not in without:
            fields["keywords"] = list(self.keywords)
        elif self.keywords:
            prompt = f"{prompt} {', '.join(self.keywords)}.".lstrip()
        if prompt and takes_prompt(model) and "prompt" not in without:
            fields["prompt"] = prompt
        return fields

    def lost_on(self, model: str) -> list[str]:
        """Which of the hints this model cannot be told in any way."""
        told = self.fields(model)
        kept = {
            "prompt": "prompt" in told,
            "keywords": "keywords" in told or "prompt" in told,
            "languages": "language" in told or "languages" in told,
        }
        return [hint for hint, is_told in kept.items() if getattr(self, hint) and not is_told]


def takes_prompt(model: str) -> bool:
    """Whether this model may be told something in words."""
    return not model.startswith(PROMPTLESS)
