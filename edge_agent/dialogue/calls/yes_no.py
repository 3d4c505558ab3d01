"""Yes or no: what a person's words say to a question that needs consent (purpose).

Owner thread: none, pure.  Must never guess: whatever is not a plain yes is not a yes.  A yes is a
text whose every word is known here, and one of them says yes; a condition ("yes, but …"), a hedge,
a question or one word that nobody foresaw makes it unclear, and unclear runs nothing.

All languages are read at once: which of them was spoken is not known for certain, and no word of
one says the opposite in another (a test holds the tables to that).
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

WORDS_MAX = 12
"""A plain yes is short; whoever says more than this has something else to say as well."""


class Answer(Enum):
    """What the words amount to."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


YES = {
    "en": "yes, yeah, yep, yup, yea, aye, sure, sure thing, of course, certainly, absolutely, "
    "definitely, by all means, affirmative, okay, ok, okey, alright, all right",
    "de": "ja, jawohl, jo, jep, klar, na klar, natürlich, selbstverständlich, sicher, gerne, gern, "
    "genau, einverstanden, auf jeden fall, in ordnung, unbedingt",
    "fr": "oui, ouais, ouaip, si, bien sûr, d'accord, absolument, certainement, volontiers, "
    "tout à fait, évidemment, entendu",
    "es": "sí, claro, claro que sí, por supuesto, desde luego, vale, de acuerdo, cómo no, "
    "seguro, adelante, dale",
    "it": "sì, certo, certamente, certo che sì, va bene, d'accordo, assolutamente, naturalmente, "
    "senz'altro, volentieri",
}
"""Words and phrases that say yes by themselves."""

DEEDS = {
    "en": "do it, do that, do so, go ahead, go for it, please do, please do it, please do that, "
    "i do, you may, you can, make it so",
    "de": "mach es, mach das, mach mal, mach's, tu es, tu das, nur zu, leg los, bitte schön",
    "fr": "fais le, fais ça, faites le, faites ça, vas y, allez y",
    "es": "hazlo, hágalo, hazlo ya, hacedlo",
    "it": "fallo, lo faccia, fallo pure, procedi, vai, vai pure, fai pure",
}
"""What may be said for yes, but is said as well after "don't": a no beside it wins."""

NO = {
    "en": "no, nope, nah, nay, not, never, don't, do not, stop, cancel, negative, leave it, "
    "forget it, no way, rather not, won't, shouldn't, can't, cannot",
    "de": "nein, nee, nö, ne, nicht, kein, keine, keinen, niemals, nie, lass es, lass das, "
    "lass mal, lieber nicht, auf keinen fall, vergiss es, stopp, abbrechen, keinesfalls",
    "fr": "non, nan, pas, jamais, surtout pas, laisse, laisse tomber, laissez, annule, annulez, "
    "arrête, arrêtez, aucun, rien",
    "es": "no, nunca, jamás, nada, para nada, déjalo, cancela, cancelar, olvídalo, tampoco, "
    "de ninguna manera",
    "it": "no, non, mai, niente, per niente, lascia stare, lascia perdere, annulla, fermati, "
    "ferma, assolutamente no, neanche",
}
"""Words and phrases that say no."""

POLITE = {
    "en": "please, thanks, thank you, very much, oh, well, hey, dear, that's fine, it is, "
    "that is, i would, exactly, correct, okay nabu, ok nabu, hey jarvis, hey mycroft, alexa",
    "de": "bitte, danke, vielen dank, sehr, dankeschön, oh, ach, na, doch, mal",
    "fr": "s'il te plaît, s'il vous plaît, merci, merci beaucoup, oh, ah, bah, ben, eh, bien",
    "es": "por favor, gracias, muchas gracias, oh, ah, pues, ay",
    "it": "per favore, per piacere, grazie, grazie mille, prego, oh, ah, eh, beh",
}
"""Beside a yes these change nothing; alone they say nothing."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'", "\u00b4": "'"})
_QUESTION = re.compile("[?\u00bf\u061f\uff1f]")


def _plain(text: str) -> list[str]:
    """Lower-case words without accents; apostrophes of all kinds are one."""
    text = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES).casefold())
    return _WORD.findall("".join(mark for mark in text if not unicodedata.combining(mark)))


def _phrases(table: dict[str, str]) -> frozenset[tuple[str, ...]]:
    spoken = (phrase for line in table.values() for phrase in line.split(","))
    return frozenset(tuple(_plain(phrase)) for phrase in spoken)


_KINDS = {"no": _phrases(NO), "yes": _phrases(YES), "deed": _phrases(DEEDS)}
_KINDS["polite"] = _phrases(POLITE) - _KINDS["no"] - _KINDS["yes"] - _KINDS["deed"]
_LONGEST = max(len(phrase) for kind in _KINDS.values() for phrase in kind)


def _kinds_in(words: list[str]) -> list[str]:
    """The kind of each word or phrase, the longest phrase first; "" for what is not known."""
    kinds, at = [], 0
    while at < len(words):
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            phrase = tuple(words[at : at + length])
            kind = next((kind for kind, known in _KINDS.items() if phrase in known), "")
            if kind:
                break
        kinds.append(kind)
        at += length
    return kinds


def read_answer(text: str) -> Answer:
    """What `text`, a person's words in any of the five languages, says to a yes-or-no question."""
    words = _plain(text)
    kinds = _kinds_in(words)
    agrees = "yes" in kinds
    if "no" in kinds:
        contradicts = agrees or bool(_QUESTION.search(text))
        return Answer.UNCLEAR if contradicts else Answer.NO
    if _QUESTION.search(text) or len(words) > WORDS_MAX or "" in kinds:
        return Answer.UNCLEAR
    return Answer.YES if agrees or "deed" in kinds else Answer.UNCLEAR
