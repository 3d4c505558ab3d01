"""A model that remembers only what its conversation holds, and takes notes when asked.

Thread: the event loop that serves the session.  It must never know more than the items that a
response was given: whether a fact survives a summary is judged by what this brain can answer.

It understands statements ("My sister is Odile.") and questions for them in English and German
("What is my sister?", "Was ist meine Schwester?"), and looks things up ("Look up the tide.").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from edge_agent.simulation.brains import BYTES_PER_MS, Brain, Call, Reply, Speech, Text, Turn

NOTES_WISH = re.compile(r"\bnotes\b", re.I)
"""What marks the question for notes among the side questions."""

_STATEMENT = {
    "en": re.compile(r"\b[Mm]y (\w+) is ([^.?!\n]+)\."),
    "de": re.compile(r"\b[Mm]eine? (\w+) ist ([^.?!\n]+)\."),
}
_QUESTION = {
    "en": re.compile(r"\bwhat is my (\w+)\?", re.I),
    "de": re.compile(r"\bwas ist meine? (\w+)\?", re.I),
}
_SAID = {
    "en": ("My {what} is {value}.", "I do not know."),
    "de": ("Mein {what} ist {value}.", "Das weiß ich nicht."),
}
_SYNOPSIS = {
    "en": "Talked about this and that; {turns} turns.",
    "de": "Gesprochen wurde über dies und das; {turns} Runden.",
}
_LOOK_UP = re.compile(r"\bLook up ([^.?!]+)\.")
_GERMAN = re.compile(r"\b(ist|mein|meine|was|wie|und|der|die|das|erzähl)\b", re.I)


def language_of(words: str) -> str:
    """`de` or `en`."""
    return "de" if len(_GERMAN.findall(words)) >= 2 else "en"


def facts_in(words: str) -> dict[str, tuple[str, str]]:
    """What is stated: thing → (value, language); the last word on it counts."""
    return {
        found[1].lower(): (found[2].strip(), language)
        for language, pattern in _STATEMENT.items()
        for found in pattern.finditer(words)
    }


class NoteTaker(Brain):
    """`words` tells what was said in an utterance; answers take `answer_ms` of sound.

    `takes_notes` False: a server that refuses side questions.  `notes_chars`: notes are at least so
    long, as a real model's are.
    """

    def __init__(
        self,
        words: Callable[[bytes], str],
        *,
        answer_ms: int = 4000,
        takes_notes: bool = True,
        notes_chars: int = 0,
    ) -> None:
        self._words = words
        self.answer_ms = answer_ms
        self.takes_notes = takes_notes
        self.notes_chars = notes_chars
        self.notes: list[str] = []
        """All that were taken, oldest first."""
        self.told: list[tuple[tuple[str, str], ...]] = []
        """What each of them was made from: (role, words) of the items."""
        self.answers: list[str] = []

    def transcribe(self, pcm24k: bytes) -> str:
        return self._words(pcm24k)

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            return self._aside(turn)
        said = " ".join(turn.texts) or " ".join(self._words(pcm) for pcm in turn.heard)
        asked = _LOOK_UP.search(said)
        if asked is not None and not turn.outputs:
            return Reply((Call("look_up", json.dumps({"about": asked[1]})),))
        words = self._answer(said, "\n".join(text for _role, text in self._known(turn)))
        self.answers.append(words)
        # Something of that length; nobody listens to it.
        return Reply((Speech(bytes(self.answer_ms * BYTES_PER_MS), words),))

    def _known(self, turn: Turn) -> tuple[tuple[str, str], ...]:
        """The context in words: a sound is understood though the server has no transcript."""
        return tuple(entry for entry in turn.transcript if entry[1])

    def _aside(self, turn: Turn) -> Reply:
        if not self.takes_notes:
            raise RuntimeError("no side answers here")
        if not turn.texts and not turn.transcript:
            return Reply((Text("nothing"),))
        *talk, (_role, wish) = self._known(turn)
        if not NOTES_WISH.search(wish):
            return Reply((Text("nothing"),))
        self.told.append(tuple(talk))
        self.notes.append(self._condensed(talk))
        return Reply((Text(self.notes[-1]),))

    def _condensed(self, talk: list[tuple[str, str]]) -> str:
        """Every statement of the household and of older notes, nothing else."""
        facts: dict[str, tuple[str, str]] = {}
        last = "en"
        for role, words in talk:
            if role == "assistant":
                continue
            facts |= facts_in(words)
            last = language_of(words) if role == "user" else last
        turns = sum(role == "user" for role, _words in talk)
        synopsis = _SYNOPSIS[last].format(turns=turns)
        lines = [synopsis.ljust(self.notes_chars, ".")]
        for what, (value, language) in facts.items():
            lines.append("- " + _SAID[language][0].format(what=what.capitalize(), value=value))
        return "\n".join(lines)

    def _answer(self, said: str, known: str) -> str:
        for language, pattern in _QUESTION.items():
            asked = pattern.search(said)
            if asked is None:
                continue
            value, _language = facts_in(known).get(asked[1].lower(), ("", ""))
            line = f"It is {value}." if language == "en" else f"Das ist {value}."
            return line if value else _SAID[language][1]
        return "All right, and so it goes on with one thing and another."
