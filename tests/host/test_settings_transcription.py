"""Hints for whoever writes down the household's words: bounded, and told to both ways."""

from __future__ import annotations

from typing import Any

import pytest
from house_config import household_can, household_session
from pydantic import ValidationError

from edge_agent.app.session_start import SessionStart
from edge_agent.app.wiring import dialogue_config, session_config
from edge_agent.contract.transcript import Hints
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.transcription import Transcription
from edge_agent.realtime.protocol.config import Dialect, session_object, wanted_options


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("prompt", "x" * 2001, "at most 2000"),
        ("prompt", "a\x1b[2J", "control character"),
        ("keywords", ["x"] * 101, "at most 100"),
        ("keywords", ["x" * 61], "at most 60"),
        ("keywords", ["…"], "without a letter"),
        ("keywords", ["Käthe\x07"], "control character"),
        ("keywords", ["x" * 60] * 34, "more than 2000 characters"),
        ("languages", ["German"], "should match"),
        ("languages", ["de"] * 9, "at most 8"),
        ("context_items", 5, "less than or equal to 4"),
        ("context_items", -1, "greater than or equal to 0"),
    ],
)
def test_hints_are_bounded(key: str, value: object, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Transcription.model_validate({key: value})


def test_both_ways_are_told_the_same() -> None:
    settings = Settings.model_validate(
        {
            "realtime": {"transcription": "builtin", "transcription_language": "de"},
            "transcription": {
                "prompt": " At home. ",
                "keywords": ["Käthe"],
                "languages": ["en", "de"],
                "context_items": 1,
            },
        }
    )
    hints = Hints("At home.", ("Käthe",), ("de", "en"))
    assert session_config(settings, SessionStart("", ())).transcription_hints == hints
    config = dialogue_config(settings, {}, has_button=True)
    assert (config.transcription_hints, config.transcription_context) == (hints, 1)


HINTS = Hints("At home.", ("Käthe", "Wattwurm"), ("de", "en"))
IN_PROMPT = "At home. Käthe, Wattwurm."


@pytest.mark.parametrize(
    ("dialect", "model", "hints", "told"),
    [
        (
            "ga",
            "gpt-transcribe",
            HINTS,
            {"prompt": "At home.", "keywords": ["Käthe", "Wattwurm"], "languages": ["de", "en"]},
        ),
        ("ga", "whisper-1", HINTS, {"prompt": IN_PROMPT}),
        ("ga", "gpt-realtime-whisper", HINTS, {}),
        ("ga", "gpt-transcribe", Hints("", (), ("de",)), {"language": "de"}),
        ("beta", "gpt-transcribe", HINTS, {"prompt": IN_PROMPT}),
        ("beta", "whisper-1", Hints("", (), ("de",)), {"language": "de"}),
        ("xai", "grok-transcribe", HINTS, {}),
        ("xai", "another", HINTS, {}),
        ("xai", "grok-transcribe", Hints("", (), ("de",)), {"language": "de"}),
    ],
)
def test_each_dialect_is_told_in_its_own_way(
    dialect: Dialect, model: str, hints: Hints, told: dict[str, Any]
) -> None:
    config = household_session(transcription_model=model, transcription_hints=hints)
    session = session_object(config, wanted_options(config, household_can()), dialect)
    found = session.get("input_audio_transcription")
    if dialect != "beta":
        found = session["audio"]["input"]["transcription"]
    assert found == {"model": model, **told}


def test_refused_hints_go_one_by_one_and_keywords_into_the_prompt_first() -> None:
    config = household_session(transcription_model="gpt-transcribe", transcription_hints=HINTS)
    wanted = wanted_options(config, household_can())

    def told(*refused: str) -> dict[str, Any]:
        use = wanted - {f"transcription_{name}" for name in refused}
        fields: dict[str, Any] = session_object(config, use, "ga")["audio"]["input"]
        return dict(fields["transcription"])

    assert told("keywords")["prompt"] == IN_PROMPT
    assert told("keywords", "prompt") == {"model": "gpt-transcribe", "languages": ["de", "en"]}
    assert told("keywords", "prompt", "language") == {"model": "gpt-transcribe"}


def test_without_a_transcriber_nobody_is_told() -> None:
    config = household_session(transcription_model=None, transcription_hints=HINTS)
    assert not [name for name in wanted_options(config, household_can()) if "transcri" in name]
