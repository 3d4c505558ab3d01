"""Price list: the shipped table, the owner's over it, and every mistake as a sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from house_config import household_session

from edge_agent.app.wiring import provider_of
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.events import Usage
from edge_agent.dialogue.money.budget import Prices, cost_of
from edge_agent.host.price_list import (
    BUILT_IN,
    FREE,
    MISSING,
    Can,
    ProvidersError,
    Source,
    load_providers,
)
from edge_agent.host.voice.sentences import SENTENCE_FOR_CODE
from edge_agent.realtime.protocol.config import wanted_options

REPO = Path(__file__).parents[2]
TODAY = date(2026, 11, 20)
NOWHERE = Path("/nowhere/providers.toml")


def owners(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "providers.toml"
    path.write_text(text)
    return path


def test_the_shipped_file_is_the_built_in_one() -> None:
    assert BUILT_IN.read_text() == (REPO / "config" / "providers.toml").read_text()


def test_the_default_model_costs_what_the_provider_says() -> None:
    table = load_providers(NOWHERE)
    prices = table.prices("openai", "gpt-realtime-2.1")
    assert prices is not None
    assert [prices.audio_in, prices.audio_cached, prices.audio_out] == [32, Decimal("0.40"), 64]
    assert table.prices("openai", "gpt-realtime-2") == prices
    assert table.prices("openai", "gpt-realtime-2.1-2026-10-01") == prices
    mini = table.prices("openai", "gpt-realtime-2.1-mini")
    assert mini is not None
    assert mini.audio_in == 10
    assert table.prices("local", "anything") == FREE


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-realtime-9"),
        ("openai", "gpt-realtime-2.1-nano"),
        ("openai", "gpt-realtime"),
        ("azure", "my-deployment"),
        ("xai", "grok-voice-latest"),
        ("nobody", "x"),
    ],
)
def test_an_unknown_price_is_unknown_and_said_so(provider: str, model: str) -> None:
    table = load_providers(NOWHERE)
    assert table.prices(provider, model) is None
    [hint] = table.unpriced(provider, model)
    assert f"add it to {NOWHERE}" in hint


def test_a_model_that_ends_is_told_of() -> None:
    table = load_providers(NOWHERE)
    assert "ends on 2027-01-20" in table.endings("openai", ["gpt-realtime"], date(2026, 11, 21))[0]
    assert table.endings("openai", ["gpt-realtime"], TODAY) == []
    assert "has ended on" in table.endings("openai", ["gpt-realtime"], date(2027, 2, 1))[0]
    assert table.endings("openai", ["gpt-realtime-2.1"], TODAY) == []
    assert table.unpriced("openai", "gpt-realtime-2.1") == []
    told = table.endings("openai", ["gpt-4o-mini-tts", "whisper-1", "unheard-of"], TODAY)
    assert told == ["the model gpt-4o-mini-tts ends on 2027-01-06: choose another one"]
    assert table.endings("nobody", ["gpt-4o-mini-tts"], TODAY) == []


def leaves(tree: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """The dotted key of every value."""
    for key, value in tree.items():
        dotted = f"{place}.{key}" if place else key
        yield from leaves(value, dotted) if isinstance(value, dict) else (dotted,)


def source_of(key: str, sources: Sequence[Source]) -> Source | None:
    """The one whose beginning of `key` is the longest."""
    fits = [
        (len(begin), source)
        for source in sources
        for begin in source.of
        if key == begin or key.startswith(f"{begin}.")
    ]
    return max(fits, key=lambda fit: fit[0])[1] if fits else None


@pytest.mark.parametrize("name", load_providers(NOWHERE).providers)
def test_every_value_of_the_shipped_table_has_a_source_and_a_day(name: str) -> None:
    raw = tomllib.loads(BUILT_IN.read_text())["providers"][name]
    del raw["sources"]
    record = load_providers(NOWHERE).record(name)
    values = list(leaves(raw))
    told = {key: source_of(key, record.sources) for key in values}
    assert [key for key, source in told.items() if source is None] == []
    assert all(source and source.checked <= TODAY for source in told.values())
    # No source speaks of nothing, and no key is spoken of twice.
    begins = [begin for source in record.sources for begin in source.of]
    assert len(begins) == len(set(begins))
    fits = {b for b in begins for key in values if key == b or key.startswith(f"{b}.")}
    assert set(begins) == fits


def test_a_value_without_a_source_is_found() -> None:
    record = load_providers(NOWHERE).record("openai")
    assert source_of("can.probe", record.sources) is not None
    assert source_of("can", record.sources) is not None
    assert source_of("can_do", record.sources) is None
    assert source_of("brand_new", record.sources) is None


def test_every_capability_of_a_shipped_record_is_said() -> None:
    for name in load_providers(NOWHERE).providers:
        raw = tomllib.loads(BUILT_IN.read_text())["providers"][name]
        assert set(raw["can"]) == set(Can.model_fields), name


@pytest.mark.parametrize(
    ("provider", "lacks"),
    [
        ("openai", []),
        ("azure", []),
        ("speech-to-speech", []),
        ("local", ["side_questions"]),
        ("localai", ["side_questions"]),
        ("xai", ["truncate", "side_questions", "noise_reduction", "semantic_vad", "speed"]),
        ("speaches", list(MISSING)),
        ("nobody", []),
    ],
)
def test_what_does_not_work_is_told(provider: str, lacks: list[str]) -> None:
    told = load_providers(NOWHERE).missing(provider)
    assert told == [f"{provider}: {MISSING[name]}" for name in lacks]


def test_only_reasoning_models_reason() -> None:
    providers = load_providers(NOWHERE).providers
    openai = providers["openai"]
    assert [m for m in openai.models if openai.reasons(m)] == [
        "gpt-realtime-2.1",
        "gpt-realtime-2",
        "gpt-realtime-2.1-mini",
    ]
    assert not openai.reasons("gpt-unknown")
    assert providers["azure"].reasons("my-deployment")


def test_the_link_reads_the_table_and_knows_the_same() -> None:
    for name, record in load_providers(NOWHERE).providers.items():
        provider = provider_of(name, record)
        told = {field.name: getattr(provider, field.name) for field in fields(provider)}
        can = told.pop("capabilities")
        assert told == {
            "name": name,
            "url_template": record.url,
            "model_param": record.model_param,
            "auth": record.auth,
            "dialects": record.dialects,
            "transcriber": record.transcription_model,
            "max_session_s": record.session_max_s,
            "pong_active_s": record.pong_active_s,
            "close_hints": record.close_hints,
        }
        for field, value in record.can.model_dump().items():
            assert getattr(can, field) is value, (name, field)
        assert can.append_max_bytes == record.append_max_bytes
        assert set(record.close_hints.values()) <= set(SENTENCE_FOR_CODE)


@pytest.mark.parametrize("name", ["openai", "azure", "local", "xai"])
@pytest.mark.parametrize(
    "model", ["gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-1.5", "gpt-realtime", "x"]
)
def test_a_model_is_asked_to_reason_as_its_record_says(name: str, model: str) -> None:
    record = load_providers(NOWHERE).record(name)
    config = household_session(model=model, reasoning_effort="low")
    wanted = wanted_options(config, provider_of(name, record).capabilities)
    assert ("reasoning" in wanted) is record.reasons(model)


def test_a_model_that_does_not_reason_among_those_that_do(tmp_path: Path) -> None:
    path = owners(
        tmp_path,
        "[providers.x]\nunknown_models_reason = true\nmodels.plain.reasoning = false\n",
    )
    can = provider_of("x", load_providers(path).record("x")).capabilities
    for model, reasons in (("plain", False), ("plain-2", True)):
        config = household_session(model=model, reasoning_effort="low")
        assert ("reasoning" in wanted_options(config, can)) is reasons


def test_the_dialogue_takes_the_prices_as_they_are() -> None:
    found = load_providers(NOWHERE).prices("openai", "gpt-realtime-2.1")
    assert found is not None
    prices = Prices(**found.model_dump())
    assert cost_of(Usage(audio_in=600, audio_out=1200), prices) == 96_000


def test_the_owner_changes_a_price_and_keeps_the_rest(tmp_path: Path) -> None:
    path = owners(
        tmp_path,
        '[providers.openai.models."gpt-realtime-2.1".usd_per_million]\naudio_in = 1.25\n'
        '[providers.azure.models.kitchen]\nprice_of = "openai/gpt-realtime-2.1"\n'
        "[providers.openai.models.new.usd_per_million]\ntext_in = 2\n",
    )
    table = load_providers(path)
    prices = table.prices("openai", "gpt-realtime-2.1")
    assert prices is not None
    assert [prices.audio_in, prices.audio_out] == [Decimal("1.25"), 64]
    assert table.prices("azure", "kitchen") == prices
    holes = table.prices("openai", "new")
    assert holes is not None
    assert [holes.text_in, holes.audio_in] == [2, None]


PRICE = '[providers.openai.models."gpt-realtime-2.1".usd_per_million]\naudio_in = '


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PRICE + "-1", r"audio_in: must not be negative"),
        (PRICE + "-0.01", r"audio_in: must not be negative"),
        (PRICE + "nan", r"audio_in: must be a number; leave the line out"),
        (PRICE + "inf", r"audio_in: must be a number"),
        (PRICE + '"32"', r"audio_in: must be a number, without quotes"),
        (PRICE + "true", r"audio_in: must be a number, without quotes"),
        (PRICE + "1e9", r"audio_in: .*less than or equal to 100000"),
        ("[providers.openai]\nurl = 'https://x/y'", r"openai\.url: must look like wss://"),
        ("[providers.openai]\nurl = 'wss://me:pw@x/y'", r"must not carry a name"),
        ("[providers.openai]\nulr = 'wss://x/y'", r"openai\.ulr: there is no such key"),
        ("[providers.mine]\nmodels.a.ends = 'soon'", r"mine\.models\.a\.ends: "),
        ("[providers.'My Box']\nurl = 'wss://x/y'", r"My Box.*: does not have the right form"),
        ("[providers.mine]\nrate_hz = 16000", r"mine\.rate_hz: must be 24000"),
        ("[providers.mine]\nappend_max_bytes = 100", r"mine\.append_max_bytes: "),
        ("[providers.mine]\npong_active_s = 0", r"mine\.pong_active_s: "),
        ("[providers.mine]\napi_key = 'me:pw'", r"mine\.api_key: a secret must not stand"),
        ("[providers.mine]\nurl = 'wss://x/y?key=me:pw'", r"anything after a question mark"),
        ("[providers.openai.close_hints]\n9 = 'link.busy'", r"close_hints\.9"),
        ("[providers.openai.close_hints]\nsoon = 'link.busy'", r"close_hints\.soon"),
        (
            "[providers.openai.close_hints]\n3000 = 'link.unheard_of'",
            r"close_hints\.3000: must be one of link\.bad_key, ",
        ),
        ("[providers.mine]\nurl = 7", r"mine\.url: "),
        ("[providers.mine]\nauth = 'basic'", r"mine\.auth: "),
        ("[providers.mine]\ndialects = []", r"mine\.dialects: "),
        ("[providers.mine]\ndialects = ['old']", r"mine\.dialects"),
        ("[providers.mine]\ndialects = 'ga'", r"mine\.dialects: "),
        ("[providers.mine]\nsession_max_s = -1", r"mine\.session_max_s: "),
        ("[providers.mine]\nsession_max_s = nan", r"mine\.session_max_s: "),
        ("[providers.mine]\npong_active_s = inf", r"mine\.pong_active_s: "),
        ("[providers.mine]\nunknown_models_reason = 'maybe'", r"mine\.unknown_models_reason: "),
        ("[providers.mine]\ncan = [1]", r"mine\.can: "),
        ("[providers.mine]\ncan.teleport = true", r"mine\.can\.teleport: there is no such key"),
        ("[providers.mine]\ncan.truncate = 'often'", r"mine\.can\.truncate: "),
        (
            "[[providers.mine.sources]]\nof = ['url']\nsource = ''\nchecked = 2026-11-20",
            r"mine\.sources\.0\.source: ",
        ),
        ("[[providers.mine.sources]]\nof = ['url']\nsource = 'a page'", r"checked: is missing"),
        (
            "[[providers.mine.sources]]\nof = []\nsource = 'a page'\nchecked = 2026-11-20",
            r"mine\.sources\.0\.of: ",
        ),
        (
            "[[providers.mine.sources]]\nof = ['url']\nsource = 'a page'\nchecked = 'lately'",
            r"mine\.sources\.0\.checked: ",
        ),
        ("[providers.mine]\nmodels = 3", r"mine\.models: "),
        ("[providers.mine]\nmodels.m = 3", r"mine\.models\.m: "),
        ("[providers.azure.models.a]\nprice_of = 'openai/x'", r"there is no openai/x"),
        ("[providers.azure.models.a]\nprice_of = 'x'", r"there is no x"),
        (
            "[providers.azure.models.a]\nprice_of = 'openai/gpt-realtime-2'",
            r"has no prices of its own either",
        ),
        ("version = 2", r"this program reads version 1"),
        ("[providers", r"is not TOML"),
        ("providers = 3", r"providers: "),
    ],
)
def test_every_mistake_is_a_sentence_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = owners(tmp_path, text)
    with pytest.raises(ProvidersError, match=words) as caught:
        load_providers(path)
    assert str(path) in caught.value.message
    assert "me:pw" not in str(caught.value)


def test_a_name_that_is_in_no_record_is_answered_with_the_nearest(tmp_path: Path) -> None:
    table = load_providers(owners(tmp_path, "[providers.kitchen]\nauth = 'none'\n"))
    assert table.record("kitchen").auth == "none"
    for name, words in (
        ("kitchn", "Did you mean kitchen?"),
        (
            "qqq",
            "There are: openai, azure, local, speech-to-speech, localai, speaches, xai, kitchen.",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            table.record(name)
        assert caught.value.fix == words


def test_who_has_no_whole_address_needs_one_from_the_settings(tmp_path: Path) -> None:
    path = owners(tmp_path, "[providers.local]\nurl = 'ws://127.0.0.1:9/'\n[providers.mine]\n")
    providers = load_providers(path).providers
    ours = ("localai", "speaches", "speech-to-speech")
    assert {name for name, record in providers.items() if record.needs_url} == {
        "azure",
        "mine",
        *ours,
    }
    assert load_providers(NOWHERE).providers["local"].needs_url


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = owners(tmp_path, "[providers.openai]\nulr = 1\nauth = 'x'\n")
    with pytest.raises(ProvidersError) as caught:
        load_providers(path)
    assert len(caught.value.problems) == 2


def test_files_that_are_no_text_are_sentences(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ProvidersError, match="UTF-8"):
        load_providers(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ProvidersError, match="is a folder, not a file"):
        load_providers(path)
