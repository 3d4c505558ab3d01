"""Questions for consent in the languages of our own sentences.

`wording_in` a language gives what the dialogue needs.

It never names a tool: the dialogue puts in what would be done.
"""

from __future__ import annotations

from edge_agent.dialogue.calls.wording import Wording
from edge_agent.host.voice.sentences import find_language

WORDINGS = {
    "en": Wording(),
    "de": Wording(
        by_voice="Soll ich das tun: {what}? Bitte sag ja oder nein.",
        by_button="Soll ich das tun: {what}? Wenn ja, drück meine Taste.",
        yes="ja",
        no="nein",
        nothing="nichts",
    ),
    "fr": Wording(
        by_voice="Est-ce que je dois le faire : {what} ? Dites oui ou non.",
        by_button="Est-ce que je dois le faire : {what} ? Si oui, appuyez sur mon bouton.",
        yes="oui",
        no="non",
        nothing="rien",
    ),
    "es": Wording(
        by_voice="¿Quieres que haga esto: {what}? Di sí o no, por favor.",
        by_button="¿Quieres que haga esto: {what}? Si es así, pulsa mi botón.",
        yes="sí",
        no="no",
        nothing="nada",
    ),
    "it": Wording(
        by_voice="Devo fare questo: {what}? Rispondi sì o no, per favore.",
        by_button="Devo fare questo: {what}? Se sì, premi il mio pulsante.",
        yes="sì",
        no="no",
        nothing="niente",
    ),
}


def wording_in(language: str) -> Wording:
    """The words for a language; English where there are none, as with our other sentences."""
    return WORDINGS.get(find_language(language), WORDINGS["en"])
