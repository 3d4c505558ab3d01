"""Yes or no: what a person's words say to a question that needs consent.

It must never guess: whatever is not a plain yes is not a yes.  A yes is a text whose every word is
known here, and one of them says yes; a condition ("yes, but …"), a hedge ("na ja"), a question, a
symbol or one word that nobody foresaw makes it unclear, and unclear runs nothing.

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
    "definitely, by all means, affirmative, okay, ok, okey, alright, all right, confirm, "
    "confirmed, i confirm, approve, approved, i approve, agreed, i agree, that's right, "
    "that is right, that's correct, that is correct, correct, exactly, sounds good, that's fine, "
    "that is fine",
    "de": "ja, jawohl, jo, jep, klar, na klar, natürlich, selbstverständlich, sicher, gerne, gern, "
    "genau, einverstanden, auf jeden fall, in ordnung, das ist in ordnung, unbedingt, passt, "
    "das passt, passt so, das passt so, passt schon, bestätigt, bestätige, ich bestätige, "
    "ich bestätige das, genehmigt, ich stimme zu, stimmt, das stimmt, richtig, das ist richtig, "
    "alles klar, ich bin einverstanden",
    "fr": "oui, ouais, ouaip, si, bien sûr, bien sûr que oui, mais oui, d'accord, "
    "je suis d'accord, absolument, certainement, volontiers, tout à fait, évidemment, entendu, "
    "je veux bien, ça marche, ça me va, c'est bon, c'est ça, c'est exact, exact, exactement, "
    "c'est correct, confirme, je confirme, confirmé, j'approuve, approuvé, j'accepte, parfait, "
    "avec plaisir",
    "es": "sí, claro, claro que sí, por supuesto, por supuesto que sí, desde luego, "
    "desde luego que sí, vale, de acuerdo, estoy de acuerdo, cómo no, seguro, sin duda, "
    "adelante, dale, está bien, me parece bien, perfecto, correcto, es correcto, eso es, así es, "
    "exacto, exactamente, confirmo, lo confirmo, confirmado, apruebo, lo apruebo, aprobado, acepto",
    "it": "sì, certo, certamente, certo che sì, va bene, va benissimo, d'accordo, "
    "sono d'accordo, assolutamente, assolutamente sì, naturalmente, senz'altro, volentieri, "
    "come no, perfetto, esatto, esattamente, giusto, è giusto, corretto, è corretto, confermo, "
    "lo confermo, confermato, approvo, lo approvo, approvato, accetto",
}
"""Words and phrases that say yes by themselves."""

DEEDS = {
    "en": "do it, do that, do so, go ahead, go for it, please do, please do it, please do that, "
    "i do, you may, you can, make it so, proceed, let's do it",
    "de": "mach es, mach das, mach mal, mach es mal, mach das mal, mach's, tu es, tu das, nur zu, "
    "leg los, bitte schön",
    "fr": "fais le, fais ça, faites le, faites ça, vas y, allez y",
    "es": "hazlo, hágalo, hazlo ya, hacedlo, procede, proceda",
    "it": "fallo, lo faccia, fallo pure, procedi, proceda, vai, vai pure, fai pure",
}
"""What may be said for yes, but is said as well after "don't": a no beside it wins."""

NO = {
    "en": "no, nope, nah, nay, not, never, don't, do not, stop, cancel, negative, leave it, "
    "forget it, no way, rather not, won't, shouldn't, can't, cannot, certainly not, "
    "absolutely not, definitely not, of course not, by no means, deny, denied, refuse, i refuse, "
    "declined, abort, under no circumstances, i do not agree, i don't agree, not agreed, "
    "not approved, not okay, not sure, not confirmed, that's not right, that is not right",
    "de": "nein, nee, nö, ne, nicht, kein, keine, keinen, niemals, nie, lass es, lass das, "
    "lass mal, lieber nicht, auf keinen fall, auf gar keinen fall, vergiss es, stopp, abbrechen, "
    "brich ab, brich das ab, keinesfalls, abgelehnt, ich lehne ab, nicht einverstanden, "
    "ich bin nicht einverstanden, natürlich nicht, sicher nicht, klar nicht, "
    "selbstverständlich nicht, unbedingt nicht, stimmt nicht, passt nicht, mach das nicht, "
    "mach es nicht, tu das nicht, tu es nicht, nicht genehmigt, nicht bestätigt, nicht richtig, "
    "nicht in ordnung, gern nicht",
    "fr": "non, nan, pas, jamais, surtout pas, laisse, laisse tomber, laissez, annule, annulez, "
    "arrête, arrêtez, aucun, rien, je refuse, refusé, oublie, oubliez, pas d'accord, "
    "je ne suis pas d'accord, bien sûr que non, mais non, certainement pas, absolument pas, "
    "ça ne me va pas, ça ne marche pas, hors de question, pas tout à fait",
    "es": "no, nunca, jamás, nada, para nada, déjalo, déjelo, cancela, cancele, cancélalo, "
    "cancelar, olvídalo, olvídelo, tampoco, de ninguna manera, detente, para, ni hablar, "
    "ni pensarlo, en absoluto, rechazo, rechazado, negativo, claro que no, por supuesto que no, "
    "desde luego que no, no estoy de acuerdo, no acepto, no me parece bien, no está bien, "
    "no seguro, no vale",
    "it": "no, non, mai, niente, per niente, lascia stare, lasci stare, lascia perdere, annulla, "
    "annullalo, fermati, ferma, assolutamente no, certo che no, neanche, rifiuto, mi rifiuto, "
    "rifiutato, dimenticalo, negativo, non sono d'accordo, non va bene, non accetto, "
    "non procedere, non lo faccia, non è giusto, non è corretto",
}
"""Words and phrases that say no."""

POLITE = {
    "en": "please, thanks, thank you, very much, oh, ah, well, hey, dear, it is, that is, "
    "i would, okay nabu, ok nabu, hey jarvis, hey mycroft, alexa",
    "de": "bitte, bitte sehr, bitte mal, danke, vielen dank, sehr, dankeschön, oh, also, doch",
    "fr": "s'il te plaît, s'il vous plaît, merci, merci beaucoup, merci bien, oh, ah, bah, ben, "
    "eh, eh bien, bon, bien",
    "es": "por favor, gracias, muchas gracias, mil gracias, muy amable, oh, ah, pues, bueno, ay",
    "it": "per favore, per piacere, grazie, grazie mille, molte grazie, prego, oh, ah, eh, beh, "
    "allora",
}
"""Beside a yes these change nothing; alone they say nothing."""

HEDGES = {
    "en": "oh well, well well, yeah yeah, yeah right, yea right, sure sure, yes well, okay well, "
    "ok well, no problem",
    "de": "na ja, ach ja, ach so, ja ja, ja also, ja doch nicht, kein problem",
    "fr": "oui bon, oui bof, bon bon, pas de problème",
    "es": "sí bueno, bueno bueno, no hay problema",
    "it": "sì allora, sì beh, eh beh, nessun problema, non c'è problema",
}
"""They hold a yes, or a no, and mean neither: with one of them an answer is unclear."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'", "\u00b4": "'"})
_QUESTION = re.compile("[?\u00bf\u061f\uff1f]")
_BREAK = re.compile(r"[^\w\s'-]+|\s-+\s")
"""No phrase goes across it: "come no" agrees, "come, no" does not."""
_SIGNS = ("S", "C")
"""Unicode's symbols, and what is unseen or unassigned: nobody knows what "yes" beside one means."""


def _flat(text: str) -> str:
    """Lower case without accents; apostrophes of all kinds are one."""
    text = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES).casefold())
    return "".join(mark for mark in text if not unicodedata.combining(mark))


def _plain(text: str) -> list[str]:
    return _WORD.findall(_flat(text))


def _has_signs(text: str) -> bool:
    """Does it hold anything but words, marks of writing and spaces?"""
    seen = (mark for mark in text.translate(_APOSTROPHES) if not mark.isspace())
    return any(unicodedata.category(mark).startswith(_SIGNS) for mark in seen)


def _phrases(table: dict[str, str]) -> frozenset[tuple[str, ...]]:
    spoken = (phrase for line in table.values() for phrase in line.split(","))
    return frozenset(tuple(_plain(phrase)) for phrase in spoken)


_KINDS = {"no": _phrases(NO), "yes": _phrases(YES), "deed": _phrases(DEEDS)}
_KINDS["polite"] = _phrases(POLITE) - _KINDS["no"] - _KINDS["yes"] - _KINDS["deed"]
_HEDGES = _phrases(HEDGES)
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


def _hedges(words: list[str]) -> bool:
    """Does a hedge stand anywhere in it, whatever punctuation is between its words?"""
    said = f" {' '.join(words)} "
    return any(f" {' '.join(phrase)} " in said for phrase in _HEDGES)


def read_answer(text: str) -> Answer:
    """What `text`, a person's words in any of the five languages, says to a yes-or-no question."""
    words = _plain(text)
    kinds = [k for clause in _BREAK.split(_flat(text)) for k in _kinds_in(_WORD.findall(clause))]
    agrees = "yes" in kinds
    doubtful = bool(_QUESTION.search(text)) or _has_signs(text)
    if "no" in kinds:
        return Answer.UNCLEAR if agrees or doubtful else Answer.NO
    if doubtful or len(words) > WORDS_MAX or "" in kinds or _hedges(words):
        return Answer.UNCLEAR
    return Answer.YES if agrees or "deed" in kinds else Answer.UNCLEAR
