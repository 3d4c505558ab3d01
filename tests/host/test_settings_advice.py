"""Advice: what is allowed and worth a second thought is said once, and the rest is left alone."""

from __future__ import annotations

import pytest

from edge_agent.host.settings.advice import NO_KEY, advice
from edge_agent.host.settings.root import Settings


def hints(**sections: object) -> list[str]:
    return advice(Settings.model_validate(sections), needs_key=False)


def test_the_defaults_need_none_but_a_key() -> None:
    assert hints() == []
    [hint] = advice(Settings())
    assert hint.startswith(NO_KEY)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"listen": {"mode": "always"}}, "everything said near it leaves the house"),
        ({"speech": {"sentences": False}}, "medium and high risk are refused"),
        ({"echo": {"mode": "off"}}, "the speaker will interrupt itself"),
        ({"journal": {"transcripts": True}}, "written into the journal"),
        ({"conversation": {"summarise": "text"}}, "supervisor.model is empty: nobody takes notes"),
        (
            {"conversation": {"summarise": "text"}, "supervisor": {"model": "gpt-5"}},
            "leaves it no words to sum up",
        ),
        ({"privacy": {"keep_audio_days": 1}}, "the sound of every turn is kept"),
        ({"privacy": {"keep_transcripts_days": 1}}, "only the speaker's own words are kept"),
    ],
)
def test_what_deserves_a_second_thought_is_said(sections: dict[str, object], words: str) -> None:
    [hint] = hints(**sections)
    assert words in hint


def test_transcripts_with_a_transcription_are_what_was_wanted() -> None:
    wish = {"keep_transcripts_days": 1}
    assert hints(privacy=wish, realtime={"transcription": "builtin"}) == []
