"""Transcripts: what is a word and what a label, and which model is told what."""

from __future__ import annotations

import pytest

from edge_agent.contract.transcript import Hints, words_in

EVERYTHING = Hints(
    prompt="A German household.", keywords=("Wattwurm", "Käthe"), languages=("de", "en")
)


@pytest.mark.parametrize(
    "text",
    ["", " \n", "[unclear]", " [Unclear].", "[unclear] … [unclear]", "[BLANK_AUDIO]", "(coughs)"],
)
@pytest.mark.parametrize("behind", ["", " <noise>", " ♪ …", "-", " (applause)"])
def test_marks_and_labels_alone_are_no_words(text: str, behind: str) -> None:
    assert words_in(text + behind) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" Yes. ", "Yes."),
        ("[unclear] tomorrow at 4?", "[unclear] tomorrow at 4?"),
        ("4", "4"),
        ("好", "好"),
        ("Turn it on [unclear", "Turn it on [unclear"),
        ("(" * 20_000 + "no", "(" * 20_000 + "no"),
    ],
)
def test_a_transcript_with_words_is_left_as_it_is(text: str, words: str) -> None:
    assert words_in(text) == words


@pytest.mark.parametrize("model", ["gpt-transcribe", "gpt-live-transcribe", "my-deployment"])
def test_a_model_that_takes_lists_is_given_lists(model: str) -> None:
    assert EVERYTHING.fields(model) == {
        "prompt": "A German household.",
        "keywords": ["Wattwurm", "Käthe"],
        "languages": ["de", "en"],
    }


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"])
def test_another_is_told_the_words_in_its_prompt(model: str) -> None:
    assert EVERYTHING.fields(model) == {"prompt": "A German household. Wattwurm, Käthe."}


@pytest.mark.parametrize(
    "model", ["gpt-realtime-whisper", "gpt-4o-transcribe-diarize", "grok-transcribe"]
)
def test_a_model_without_prompt_is_given_none(model: str) -> None:
    assert EVERYTHING.fields(model) == {}
    assert Hints("", (), ("de",)).fields(model) == {"language": "de"}


@pytest.mark.parametrize(
    ("without", "fields"),
    [
        ({"keywords"}, {"prompt": "A German household. Wattwurm, Käthe.", "language": "de"}),
        ({"keywords", "prompt"}, {"language": "de"}),
        ({"prompt"}, {"keywords": ["Wattwurm", "Käthe"], "language": "de"}),
        (
            {"language"},
            {"prompt": "A German household.", "keywords": ["Wattwurm", "Käthe"]},
        ),
    ],
)
def test_what_is_refused_is_left_out_or_told_otherwise(
    without: set[str], fields: dict[str, object]
) -> None:
    one = Hints(EVERYTHING.prompt, EVERYTHING.keywords, ("de",))
    assert one.fields("gpt-transcribe", without) == fields


def test_nothing_to_say() -> None:
    assert Hints("", (), ()).fields("gpt-transcribe") == {}
