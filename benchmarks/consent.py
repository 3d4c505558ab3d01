"""Consent: how many sentences that are no plain yes are taken for one, and how many plain are read.

Thread: main.  It must never look at the recogniser's tables: what a sentence means is known from
how it was put together, here and in `tests/dialogue/plain_answers.toml`.

    python -m benchmarks.consent            # writes benchmarks/consent.md
"""

from __future__ import annotations

import random
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_agent.dialogue.calls.yes_no import Answer, read_answer

RESULT = Path(__file__).parent / "consent.md"
PLAIN = Path(__file__).parents[1] / "tests" / "dialogue" / "plain_answers.toml"
SENTENCES = 100_000
SEED = 20_260_101
PLAIN_AT_LEAST_PERCENT = 97.0
SIGNS = (
    "❌",
    "🚫",
    "👎",
    "🙄",
    "😂",
    "🤔",
    "👍",
    "✅",
    "→",
    "=",
    "$",
    "™",
    "\u202e",
    "\u200b",
    "\x07",
)

SPOILS = {
    "en": "but only the cheap one | if it isn't too expensive | tomorrow | later | I guess | maybe "
    "I think | as long as it stays cheap | unless Anna is home | and order wine too | he said "
    "said the television | I suppose | wait a moment | let me think | whatever | first ask Anna "
    "the other one | twice | for ten euros | my foot",
    "de": "aber nicht heute | wenn es nicht regnet | morgen | später | vielleicht | ich glaube "
    "solange es billig bleibt | außer Anna ist da | und bestell auch Wein | hat er gesagt | halt "
    "sagte der Fernseher | mal sehen | warte kurz | lass mich überlegen | von mir aus | frag Anna "
    "das andere | zweimal | für zehn Euro | denkste",
    "fr": "mais pas maintenant | si c'est gratuit | demain | plus tard | peut-être | je crois "
    "tant que ça reste bon marché | sauf si Anna est là | et commande du vin | a-t-il dit "
    "a dit la télévision | on verra | un instant | laisse-moi réfléchir | bof | demande à Anna "
    "l'autre | deux fois | pour dix euros | tu parles",
    "es": "pero mañana | si puedes | luego | más tarde | quizás | creo | mientras sea barato "
    "salvo que esté Ana | y pide también vino | dijo él | dijo la televisión | ya veremos "
    "un momento | déjame pensar | qué más da | pregunta a Ana | el otro | dos veces",
    "it": "ma non oggi | se non costa troppo | domani | più tardi | forse | credo "
    "a meno che ci sia Anna | e ordina anche il vino | ha detto lui | ha detto la televisione "
    "vediamo | aspetta | un momento | fammi pensare | fa lo stesso | chiedi ad Anna | l'altro "
    "due volte | per dieci euro",
}
"""Said beside a yes, each of these makes it none."""

HEDGES = {
    "en": "oh well | yeah, right | I guess so | maybe | why not | hm | not sure | probably",
    "de": "na ja | naja | ach ja | tja | jein | vielleicht | warum nicht | hm | na, ja | ach, ja",
    "fr": "bof | peut-être | pourquoi pas | je ne sais pas | hum | oui et non | mouais | oui, bof",
    "es": "quizás | tal vez | puede ser | por qué no | no sé | hum | sí y no | a lo mejor",
    "it": "forse | può darsi | perché no | non so | mah | sì e no | boh | magari | insomma",
}
"""By themselves they say neither."""

TALK = {
    "en": "what time is it | I can hear you | the dog is outside | turn right",
    "de": "wie spät ist es | ich höre dich | der Hund ist draußen | rechts abbiegen",
    "fr": "quelle heure est-il | je t'entends | le chien est dehors | tournez à droite",
    "es": "qué hora es | te oigo | han llamado al timbre | el perro está fuera | gire a la derecha",
    "it": "che ore sono | ti sento | hanno suonato | il cane è fuori | giri a destra",
}
"""About something else."""

Table = dict[str, dict[str, str]]
Maker = Callable[[random.Random, str, Table], str]


def phrases(text: str) -> list[str]:
    """What stands between the bars and line ends of a table."""
    pieces = (piece.strip() for line in text.splitlines() for piece in line.split("|"))
    return [piece for piece in pieces if piece]


def plain(kind: str) -> dict[str, list[str]]:
    """150 plain sentences of a language that say `yes`, or `no`."""
    out: dict[str, list[str]] = {}
    for language, table in tomllib.loads(PLAIN.read_text(encoding="utf-8")).items():
        before, after = phrases(table["before"]), phrases(table["after"])
        out[language] = [
            form
            for i, phrase in enumerate(phrases(table[kind]))
            for form in (
                f"{phrase[0].upper()}{phrase[1:]}.",
                f"{before[i % len(before)].capitalize()}, {phrase}",
                f"{phrase[0].upper()}{phrase[1:]}, {after[i % len(after)]}.",
            )
        ]
    return out


def _pick(rng: random.Random, text: str) -> str:
    return rng.choice(phrases(text))


def _joined(rng: random.Random, *parts: str) -> str:
    mixed = list(parts)
    rng.shuffle(mixed)
    text = rng.choice((", ", " ", ". ", "… ", " - ", "; ")).join(mixed)
    return rng.choice(
        (text, text.capitalize(), text.upper(), text + ".", text + "!", f"  {text}\n")
    )


def _yes(rng: random.Random, language: str, table: Table) -> str:
    return _pick(rng, table[language]["yes"])


def _spoilt(rng: random.Random, language: str, table: Table) -> str:
    """A spoiler is often in another language: the tables are read all at once."""
    spoiler = _pick(rng, SPOILS[rng.choice((language, rng.choice(list(SPOILS))))])
    return _joined(rng, _yes(rng, language, table), spoiler)


def _contradicted(rng: random.Random, language: str, table: Table) -> str:
    return _joined(rng, _yes(rng, language, table), _pick(rng, table[language]["no"]))


def _signed(rng: random.Random, language: str, table: Table) -> str:
    return _joined(rng, _yes(rng, language, table), rng.choice(SIGNS))


def _asked(rng: random.Random, language: str, table: Table) -> str:
    return f"{_yes(rng, language, table)}{rng.choice(('?', '?!', ' ?', '¿'))}"


def _said_no(rng: random.Random, language: str, table: Table) -> str:
    return _joined(rng, _pick(rng, table[language]["no"]), _pick(rng, table[language]["after"]))


def _hedged(rng: random.Random, language: str, _table: Table) -> str:
    return _joined(rng, _pick(rng, HEDGES[language]))


def _courtesy(rng: random.Random, language: str, table: Table) -> str:
    return _joined(rng, _pick(rng, table[language]["before"]), _pick(rng, table[language]["after"]))


def _other_talk(rng: random.Random, language: str, table: Table) -> str:
    talk = _pick(rng, TALK[language])
    return _joined(rng, talk, _pick(rng, table[language]["after"]))


MAKERS: dict[str, Maker] = {
    "a yes with a condition, a hedge or more words": _spoilt,
    "a yes and a no": _contradicted,
    "a yes beside a sign": _signed,
    "a yes that asks": _asked,
    "a plain no": _said_no,
    "a hedge": _hedged,
    "courtesy only": _courtesy,
    "about something else": _other_talk,
}
"""Kind → how such a sentence is made; none of them is a plain yes."""


def made(count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """(kind, language, sentence), none of which is a plain yes."""
    rng = random.Random(seed)
    table: Table = tomllib.loads(PLAIN.read_text(encoding="utf-8"))
    kinds, languages = list(MAKERS), list(table)
    for i in range(count):
        kind, language = kinds[i % len(kinds)], rng.choice(languages)
        yield kind, language, MAKERS[kind](rng, language, table)


def wrong_yes(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Those that are taken for a yes."""
    return [one for one in made(count, seed) if read_answer(one[2]) is Answer.YES]


def understood_percent() -> dict[str, float]:
    """Language → share of its 300 plain sentences that are read as what they say."""
    read: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for kind, answer in (("yes", Answer.YES), ("no", Answer.NO)):
        for language, sentences in plain(kind).items():
            read[language] += sum(read_answer(text) is answer for text in sentences)
            total[language] += len(sentences)
    return {language: 100.0 * read[language] / total[language] for language in total}


def page() -> str:
    """The figures as Markdown."""
    mistakes = Counter(kind for kind, _language, _text in wrong_yes(SENTENCES, SEED))
    everything = [(kind, text) for kind, _language, text in made(SENTENCES, SEED)]
    count = Counter(kind for kind, _text in everything)
    distinct = Counter(kind for kind, _text in set(everything))
    rows = [f"| {kind} | {count[kind]} | {distinct[kind]} | {mistakes[kind]} |" for kind in MAKERS]
    shares = [f"| {language} | {share:.1f} |" for language, share in understood_percent().items()]
    return "\n".join(
        [
            "# Yes and no",
            "",
            f"{SENTENCES:,} sentences in five languages that are no plain yes, put together at "
            f"random (seed {SEED}; `python -m benchmarks.consent`), and how many were taken for "
            "one.",
            "",
            "| kind | sentences | of them different | wrong yes |",
            "|---|--:|--:|--:|",
            *rows,
            f"| all | {count.total()} | {distinct.total()} | {mistakes.total()} |",
            "",
            "Plain answers, 300 a language: 50 for yes and 50 for no, written down before the "
            "recogniser was changed for them, each as it stands, after an interjection and before "
            "a courtesy.",
            "",
            "| language | understood % |",
            "|---|--:|",
            *shares,
            "",
        ]
    )


if __name__ == "__main__":
    RESULT.write_text(page(), encoding="utf-8")
