"""Consent and transcription: what the settings mean, also the older way to say it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edge_agent.app.session_start import SessionStart
from edge_agent.app.wiring import dialogue_config, session_config
from edge_agent.contract.events import ToolTerms
from edge_agent.host.settings.consent import Consent, Guest
from edge_agent.host.settings.root import Realtime, Settings


@pytest.mark.parametrize(
    ("given", "transcription", "model"),
    [
        ({}, "off", None),
        ({"transcription_model": ""}, "off", None),
        ({"transcription_model": "whisper-1"}, "builtin", "whisper-1"),
        ({"transcription": "off", "transcription_model": "whisper-1"}, "off", None),
        ({"transcription": "builtin"}, "builtin", ""),  # the service's own
        ({"transcription": "builtin", "transcription_model": "mine"}, "builtin", "mine"),
        ({"transcription": "out_of_band"}, "out_of_band", None),
        ({"transcription": "out_of_band", "transcription_model": "mine"}, "out_of_band", None),
    ],
)
def test_who_writes_down_what_is_said(
    given: dict[str, str], transcription: str, model: str | None
) -> None:
    settings = Settings(realtime=Realtime.model_validate(given))
    assert dialogue_config(settings, {}, has_button=True).transcription == transcription
    assert session_config(settings, SessionStart("", ())).transcription_model == model


def test_another_way_to_transcribe_is_refused() -> None:
    with pytest.raises(ValidationError, match="out_of_band"):
        Realtime.model_validate({"transcription": "on"})


def test_the_dialogue_is_told_how_consent_is_given() -> None:
    settings = Settings(consent=Consent(by_voice=False, window_s=7.0))
    terms = {"clock": ToolTerms(cancellable=True, speakable="the clock")}
    config = dialogue_config(settings, {}, None, terms, has_button=True)
    assert (config.consent_by_voice, config.confirm_s) == (False, 7.0)
    assert config.tool_terms == terms


@pytest.mark.parametrize("by_button", [True, False])
def test_the_dialogue_is_told_who_ends_guest_mode(by_button: bool) -> None:
    settings = Settings(guest=Guest(end_by_button=by_button))
    assert dialogue_config(settings, {}, has_button=True).guest_end_by_button is by_button
