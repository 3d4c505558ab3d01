"""Manners: what holds for every persona, so that no file has to repeat it.

`prompt.parts` puts `house_rules` behind a persona's own rules and `language_lines` behind its tone;
what a persona says for itself is more particular and may add to it.  It must never read a setting:
the same arguments give the same lines, byte for byte.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Habits:
    """How people who speak a language say what is written in signs."""

    amounts: str
    """A time, a sum, a date and a measure."""
    groups: str
    """In which groups digits are said, with a telephone number of the country as an example."""
    spelling: str
    """How a letter is made clear."""


HABITS = {
    "en": Habits(
        "a quarter to seven, three dollars fifty, the third of May, half a litre",
        "in groups such as 4-1-5, 5-5-5, 0-1-3-2",
        "A as in Alpha",
    ),
    "de": Habits(
        "Viertel vor sieben, drei Euro fünfzig, am dritten Mai, ein halber Liter",
        "in groups such as 0-3-0, 1-2, 3-4, 5-6",
        "A wie Anton",
    ),
    "fr": Habits(
        "sept heures moins le quart, trois euros cinquante, le trois mai, un demi-litre",
        "in groups such as 4-1-5, telephone numbers in pairs (zéro six, douze, trente-quatre)",
        "A comme Anatole",
    ),
    "es": Habits(
        "las siete menos cuarto, tres euros con cincuenta, el tres de mayo, medio litro",
        "in groups such as 6-1-2, 3-4-5, 6-7-8",
        "A de Antonio",
    ),
    "it": Habits(
        "le sette meno un quarto, tre euro e cinquanta, il tre maggio, mezzo litro",
        "in groups such as 3-3-3, 1-2-3, 4-5-6-7",
        "A come Ancona",
    ),
}
"""By the code of the language."""
OTHERWISE = Habits(
    HABITS["en"].amounts, "in groups as is usual there, such as 4-1-5", HABITS["en"].spelling
)
"""Where the language is open, or not in the table."""

MESSAGE_TOOL = "leave_message"


def language_lines(code: str, name: str) -> list[str]:
    """The language to speak, whoever speaks; nothing where it is left open.  `name`: in English."""
    if not code:
        return []
    return [
        f"- Speak this language: {f'{name} ({code})' if name else code}, also for phrases that are "
        "given in another. An accent or a foreign word is no reason to change it.",
        "- Somebody speaks another language, or asks for it: say in a single sentence that you "
        f"speak {name or code} here; do not change.",
    ]


def house_rules(code: str, tools: Container[str]) -> list[str]:
    """What holds in every talk; `code`: the language, "" if it is open.

    `tools`: those that are told of, so that no message is offered which nobody can take.
    """
    habits = HABITS.get(code.partition("-")[0], OTHERWISE)
    message = "offer to take a message" if MESSAGE_TOOL in tools else "name who can help"
    return [
        "- Spoken aloud:",
        f"  - Numbers, money, dates, times and units as people say them: {habits.amounts}. "
        "Never read out a colon, a slash or a short form.",
        f"  - Codes, telephone numbers and spelled names digit by digit, {habits.groups}, with a "
        f"pause after each; letters as {habits.spelling}.",
        "  - Repeat them exactly as heard and ask whether that is right before you use them; after "
        "a correction, once more as a whole.",
        "  - Pacing changes the speed of the voice alone: do not modify the content for it.",
        "- When it does not work:",
        "  - A tool failed or was refused: say so plainly and offer what is possible. Failed "
        f"twice: stop trying and {message}.",
        "  - NEVER call something done, set, kept or sent before a tool has said so.",
        "  - Not understood three times in a row: say, please come closer or press the button; "
        "then ask no more.",
        f"  - Abuse: stay polite, say once that you cannot help like this, {message}; if it goes "
        "on, end the talk.",
        "- When the topic changes, name in a few words what still holds from before.",
        "- Tell results as your own, without a word of tools or other models.",
    ]
