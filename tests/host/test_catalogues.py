"""Catalogues: whatever the house says, notes or fails with is explained somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from edge_agent.contract.net_faults import WORDS
from edge_agent.host.journal.messages import MESSAGES
from edge_agent.host.journal.reasons import REASONS, reason_of
from edge_agent.host.settings.sources import all_keys
from edge_agent.host.voice.sentences import SENTENCE_FOR_CODE, Sentences, sentence_for
from edge_agent.panel.patterns import EARCONS, LIGHTS

SOURCE = Path(__file__).parents[2] / "edge_agent"
ROOMS = ("app", "audio", "cli", "contract", "dialogue", "host", "panel", "realtime", "tools")


def sources() -> str:
    files = [*SOURCE.glob("*.py"), *(f for room in ROOMS for f in (SOURCE / room).rglob("*.py"))]
    return "\n".join(file.read_text() for file in files)


def found(pattern: str) -> set[str]:
    names = set(re.findall(pattern, sources()))
    assert names, "the pattern finds nothing any more: change it with the code"
    return names


def test_every_note_has_its_message() -> None:
    codes = found(r'\b_?[nN]ote\(\s*"([a-z]+\.[a-z_]+)"')
    assert codes - set(MESSAGES) == set()


def test_every_link_and_device_code_has_its_sentence() -> None:
    codes = found(r'"((?:link|device)\.[a-z_]+)"') - set(MESSAGES) - set(all_keys())
    assert codes - set(SENTENCE_FOR_CODE) == set()


def test_every_link_and_device_code_is_explained() -> None:
    codes = found(r'"((?:link|device)\.[a-z_]+)"') - set(MESSAGES) - set(all_keys())
    assert codes - set(REASONS) == set()


def test_sentences_and_explanations_are_about_the_same_codes() -> None:
    explained = set(REASONS) | set(MESSAGES)
    assert set(SENTENCE_FOR_CODE) - explained == set()
    assert set(REASONS) - set(SENTENCE_FOR_CODE) == set()


def test_every_word_of_a_provider_that_we_know_has_a_sentence() -> None:
    for words in WORDS:
        for word in words[1]:
            if re.fullmatch(r"[a-z_]+", word):
                assert sentence_for(f"response.{word}") != "answer_failed", word
                assert reason_of("response.failed", {"code": word}) != "response.failed", word


def test_every_sentence_light_and_earcon_that_is_named_exists() -> None:
    names = found(r'(?:\.say|PlaySentence)\(\s*"([a-z_]+)"')
    assert {n for n in names if not Sentences().pcm24k(n)} == set()
    assert found(r'PlayEarcon\(\s*"([a-z_]+)"') - set(EARCONS) == set()
    assert found(r'panel\.show\(\s*"([a-z_]+)"') - set(LIGHTS) == set()
