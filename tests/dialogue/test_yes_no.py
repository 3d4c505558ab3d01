"""Yes or no in five languages: plain words only, and whatever is added makes it no yes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.dialogue.calls import yes_no
from edge_agent.dialogue.calls.yes_no import Answer, read_answer

PLAIN_YES = """
Yes. | yes | YES! | Yeah, sure. | Yep | Of course. | Go ahead. | Please do it. | Okay. | OK, do it
Yes, please go ahead, thank you. | Sure, that's fine. | Yes I do. | Okay Nabu, yes. | Yes yes yes
Ja. | Ja, bitte. | Ja klar, mach das. | Na klar! | Natürlich | Jawohl, gerne. | Mach mal bitte
Oui. | Oui, s'il vous plaît. | Bien sûr ! | D'accord, vas-y. | Oui oui, merci
Sí. | Sí, por favor. | Claro que sí. | Vale, hazlo. | ¡Por supuesto! | De acuerdo, gracias.
Sì. | Sì, grazie. | Certo che sì! | Va bene, fallo pure. | D\u2019accordo. | Certamente | si
"""
PLAIN_NO = """
No. | No, thanks. | Nope | No, not now. | Don't do it. | Don\u2019t! | No way. | Stop. | Cancel that
I'd rather not. | Never mind, leave it | Nein. | Nein danke. | Nee, lass mal. | Bitte nicht.
Auf keinen Fall! | Mach das nicht. | Nein, nein, nein. | Non. | Non merci. | Surtout pas !
Ne le fais pas. | Laisse tomber. | No, gracias. | De ninguna manera. | Déjalo. | No lo hagas
No, grazie. | Non farlo. | Lascia stare. | Assolutamente no | No, I want the cheap one instead
"""
NEITHER = """
| Yes, but only the cheap one. | Yes… no. | No, yes. | Yes, if it's cheap. | Maybe. | I guess so.
Yes? | Why not? | What would it cost? | Do what? | Hm. | I think so. | Yes and order wine too.
Probably yes. | yes tomorrow | Thank you. | Please. | Okay Nabu | okay, wait | Sure, whatever
Ja, aber nicht heute. | Ja, wenn es nicht regnet. | Jein | Vielleicht. | Ja, morgen. | Wie bitte?
Oui, mais pas maintenant. | Peut-être. | Oui si c'est gratuit | Sí, pero mañana. | Quizás
Si puedes | Sì, ma non oggi. | Forse. | Certo, però aspetta | [unclear] | 好 | yes 2 | 1 | ...
The television said yes. | He said yes | yes or no | Ist das ein Ja?
"""


def each(table: str) -> list[str]:
    return [text.strip() for line in table.strip("\n").splitlines() for text in line.split("|")]


@pytest.mark.parametrize("text", each(PLAIN_YES))
def test_a_plain_yes(text: str) -> None:
    assert read_answer(text) is Answer.YES


@pytest.mark.parametrize("text", each(PLAIN_NO))
def test_a_plain_no(text: str) -> None:
    assert read_answer(text) is Answer.NO


@pytest.mark.parametrize("text", each(NEITHER))
def test_everything_else_is_neither(text: str) -> None:
    assert read_answer(text) is Answer.UNCLEAR


def test_no_word_says_the_opposite_in_another_language() -> None:
    kinds = yes_no._KINDS
    assert not kinds["no"] & (kinds["yes"] | kinds["deed"])
    # "no" never hides inside a phrase that agrees, but where the phrase is a fixed one.
    single = {phrase[0] for phrase in kinds["no"] if len(phrase) == 1}
    hidden = {p for p in kinds["yes"] | kinds["deed"] | kinds["polite"] if single & set(p)}
    assert hidden == {("como", "no"), ("come", "no")}


def test_all_five_languages_know_all_kinds() -> None:
    for table in (yes_no.YES, yes_no.DEEDS, yes_no.NO, yes_no.POLITE):
        assert list(table) == ["en", "de", "fr", "es", "it"]
        assert all(words.strip() for words in table.values())


YES_TEXTS = st.sampled_from(each(PLAIN_YES))
KNOWN = {word for kind in yes_no._KINDS.values() for phrase in kind for word in phrase}
STRANGE = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12).filter(
    lambda word: bool(yes_no._plain(word)) and not set(yes_no._plain(word)) & KNOWN
)


@given(YES_TEXTS, STRANGE, st.booleans())
def test_one_unforeseen_word_is_enough_to_make_a_yes_unclear(
    yes: str, strange: str, before: bool
) -> None:
    text = f"{strange} {yes}" if before else f"{yes} {strange}"
    assert read_answer(text) is Answer.UNCLEAR


@given(YES_TEXTS, st.sampled_from(sorted(yes_no._KINDS["no"])), st.booleans())
def test_a_no_beside_a_yes_is_never_a_yes(yes: str, no: tuple[str, ...], before: bool) -> None:
    pair = (" ".join(no), yes) if before else (yes, " ".join(no))
    assert read_answer(". ".join(pair)) is not Answer.YES


@given(YES_TEXTS, st.sampled_from("?\u00bf\u061f\uff1f"))
def test_a_question_is_never_a_yes(yes: str, mark: str) -> None:
    assert read_answer(yes + mark) is Answer.UNCLEAR


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    assert read_answer(text) in Answer


@given(YES_TEXTS)
def test_case_accents_and_spaces_do_not_matter(yes: str) -> None:
    assert read_answer(f"  {yes.upper()}\n") is Answer.YES


def test_a_speech_is_no_yes() -> None:
    assert read_answer("yes " * yes_no.WORDS_MAX) is Answer.YES
    assert read_answer("yes " * (yes_no.WORDS_MAX + 1)) is Answer.UNCLEAR
