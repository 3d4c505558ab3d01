"""Whose prices hold for the models beside the talk, and what the day's limit means for them."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app.money import Ledger, text_provider, transcriber, unpriced_beside
from edge_agent.contract.details import TEXT_MODEL, TRANSCRIBER
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import Usage
from edge_agent.host.journal.journal import Journal, TextSink
from edge_agent.host.price_list import load_providers
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings

NOWHERE = Path("/nowhere/providers.toml")


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


@pytest.mark.parametrize(
    ("realtime", "url", "provider"),
    [
        ({}, "", "openai"),
        ({"provider": "xai"}, "", "xai"),
        ({"provider": "xai"}, "https://api.openai.com/v1", "openai"),
        ({"provider": "local", "url": "ws://box.lan:8000/v1/realtime"}, "", "local"),
        ({"provider": "local", "url": "ws://10.0.0.2/v1"}, "http://10.0.0.2:9/v1", "local"),
        ({}, "http://127.0.0.1:11434/v1", "local"),
        ({}, "https://elsewhere.example/v1", ""),
    ],
)
def test_the_text_model_has_the_prices_of_its_host(
    realtime: dict[str, object], url: str, provider: str
) -> None:
    chosen = settings(
        realtime={"allow_insecure_url": True, **realtime}, supervisor={"model": "m", "url": url}
    )
    assert text_provider(chosen, load_providers(NOWHERE)) == provider


def test_the_transcriber_is_the_one_that_the_session_asks_for() -> None:
    table = load_providers(NOWHERE)
    assert transcriber(settings(), table, "openai") == "gpt-transcribe"
    own = settings(realtime={"transcription_model": "gpt-realtime-whisper"})
    assert transcriber(own, table, "openai") == "gpt-realtime-whisper"
    assert transcriber(own, table, "xai") == "grok-transcribe"  # a fallback has its own


def test_what_a_limit_cannot_count_is_told_before() -> None:
    table = load_providers(NOWHERE)
    builtin = {"transcription": "builtin", "transcription_model": "gpt-4o-transcribe"}
    desk = {"model": "m", "url": "https://elsewhere.example/v1"}
    assert unpriced_beside(settings(realtime=builtin, supervisor=desk), table) == []
    cap = {"daily_cap_usd": 1.0}
    told = unpriced_beside(settings(realtime=builtin, supervisor=desk, budget=cap), table)
    assert [line.split(" is not known")[0] for line in told] == [
        "the price of /m",
        "the price of openai/gpt-4o-transcribe",
    ]
    assert unpriced_beside(settings(budget=cap, realtime={"transcription": "builtin"}), table) == []


def test_past_the_days_limit_no_text_model_is_asked(tmp_path: Path) -> None:
    providers = tmp_path / "providers.toml"
    providers.write_text(
        "[providers.openai.models.thinker.usd_per_million]\ntext_in = 2.0\ntext_out = 8.0\n"
    )
    disk = Worker("disk", threads=False, on_fault=lambda _problem: None)
    ledger = Ledger(
        settings(
            state={"path": str(tmp_path / "state.json")},
            supervisor={"model": "thinker"},
            realtime={"providers_file": str(providers)},
            budget={"daily_cap_usd": 0.01},
        ),
        Journal(TextSink(io.StringIO())),
        disk,
    )
    ledger.spending.day = date(2026, 11, 20)
    ledger.check_text_model()
    ledger.spending.count_beside(TRANSCRIBER, Usage(sound_ms=60_000))
    ledger.spending.count_beside(TEXT_MODEL, Usage(text_in=1000, text_out=400))
    assert ledger.spending.budget.spent == 4_500 + 2_000 + 3_200
    ledger.check_text_model()
    ledger.spending.count_beside(TEXT_MODEL, Usage(text_out=40))
    with pytest.raises(AgentError) as caught:
        ledger.check_text_model()
    assert caught.value.code == "budget.spent"
    assert "daily_cap_usd" in caught.value.fix
    ledger.spending.day = date(2026, 11, 21)
    ledger.check_text_model()
