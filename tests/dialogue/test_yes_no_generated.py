"""Sentences put together at random, and plain ones: what `benchmarks/consent.py` measures."""

from __future__ import annotations

import pytest

from benchmarks import consent
from edge_agent.dialogue.calls.yes_no import Answer, read_answer

SAMPLE = 4000


def test_no_sentence_that_is_no_plain_yes_is_taken_for_one() -> None:
    assert consent.wrong_yes(SAMPLE, seed=7) == []


def test_every_kind_and_language_is_in_the_sample() -> None:
    seen = {(kind, language) for kind, language, _text in consent.made(SAMPLE, seed=7)}
    assert len(seen) == len(consent.MAKERS) * len(consent.SPOILS)


@pytest.mark.parametrize("language", list(consent.SPOILS))
def test_plain_answers_are_understood(language: str) -> None:
    assert len(consent.plain("yes")[language] + consent.plain("no")[language]) == 300
    assert consent.understood_percent()[language] >= consent.PLAIN_AT_LEAST_PERCENT


@pytest.mark.parametrize(
    "text", ["Na ja.", "Ach ja.", "Ach, ja.", "Oh well.", "Oh, well, yes.", "Ja, ja.", "Come, no."]
)
def test_what_only_sounds_like_a_yes_is_none(text: str) -> None:
    assert read_answer(text) is not Answer.YES


@pytest.mark.parametrize("sign", consent.SIGNS)
def test_a_sign_beside_a_yes_makes_it_unclear(sign: str) -> None:
    assert read_answer(f"Yes {sign}") is Answer.UNCLEAR
    assert read_answer(f"{sign}Ja.") is Answer.UNCLEAR


@pytest.mark.parametrize(
    "text", ["Confirm.", "I approve.", "Passt.", "That's right.", "Je confirme.", "Confermo."]
)
def test_other_words_of_agreement(text: str) -> None:
    assert read_answer(text) is Answer.YES
