"""Providers and faults: where to dial, how to sign in, what a refusal means (purpose).

Owner thread: none.  Must never need a network.
"""

from __future__ import annotations

import contextlib
import tomllib
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from house_config import household_session
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import ConfigError, LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.realtime.protocol import config as cfg
from edge_agent.realtime.protocol import faults
from edge_agent.realtime.providers import (
    PROVIDERS,
    Provider,
    build_headers,
    build_url,
    provider_from,
    provider_named,
)

KEY = "sk-proj-abcdefghijklmnop"


@pytest.mark.parametrize(
    ("provider", "options", "url"),
    [
        ("openai", {}, "wss://api.openai.com/v1/realtime?model=m"),
        (
            "azure",
            {"resource": "my-house"},
            "wss://my-house.openai.azure.com/openai/v1/realtime?model=m",
        ),
        ("xai", {}, "wss://api.x.ai/v1/realtime?model=m"),
        ("local", {"url": "http://[::1]:9"}, "ws://[::1]:9/v1/realtime?model=m"),
        ("local", {"url": "https://nas.lan/rt?a=b"}, "wss://nas.lan/rt?a=b&model=m"),
        ("local", {"url": "wss://nas.lan/rt?model=x"}, "wss://nas.lan/rt?model=x"),
        (
            "local",
            {"url": "ws://192.168.1.2/rt", "allow_insecure": True},
            "ws://192.168.1.2/rt?model=m",
        ),
    ],
)
def test_urls(provider: str, options: dict[str, object], url: str) -> None:
    assert build_url(PROVIDERS[provider], "m", **options) == url  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "ws://192.168.1.2/v1/realtime",
        "ws://localhost.evil.example/",
        "http://api.openai.com/v1/realtime",
        "ftp://x/",
        "wss://",
        "api.openai.com",
        "",
        "wss://user:sk-secret@host/",
        "wss://host:notaport/",
        "wss://[::1/",
    ],
)
def test_bad_urls_are_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_url(PROVIDERS["local"], "m", url=url)
    assert str(caught.value).endswith(".")
    assert "sk-secret" not in str(caught.value)


def test_azure_needs_a_resource() -> None:
    for resource in ("", "a/b", "evil.example/"):
        with pytest.raises(ConfigError):
            build_url(PROVIDERS["azure"], "m", resource=resource)


def test_an_unknown_provider_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="openai"):
        provider_named("openay")


def test_headers_sign_in_and_never_ask_for_the_retired_dialect() -> None:
    assert build_headers(PROVIDERS["openai"], f" {KEY}\n") == {"Authorization": f"Bearer {KEY}"}
    assert build_headers(PROVIDERS["azure"], KEY) == {"api-key": KEY}
    assert build_headers(PROVIDERS["local"], None) == {}
    for provider in PROVIDERS.values():
        assert "openai-beta" not in map(str.lower, build_headers(provider, KEY))


def test_the_key_does_not_show() -> None:
    headers = build_headers(PROVIDERS["openai"], KEY)
    assert KEY not in f"{headers!r} {headers} {headers!s}"


@pytest.mark.parametrize("key", ["sk-a b", "sk-a\nb", "sk-ä", "sk-\x00"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(LinkRefused) as caught:
        build_headers(PROVIDERS["openai"], key)
    assert caught.value.code == "link.bad_key"
    assert key not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 2.0},
        {"model": " "},
        {"max_output_tokens": 0},
        {"noise_reduction": "loud"},
        {"reasoning_effort": "huge"},
        {"keep_ratio": 1.5},
    ],
)
def test_a_session_setting_out_of_range_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        household_session(**options)


@pytest.mark.parametrize(
    ("code", "reason", "kind", "name"),
    [
        (1000, "", LinkLost, "link.closed"),
        (1001, "", LinkLost, "link.closed"),
        (1001, "Your session hit the maximum duration", LinkLost, "link.session_expired"),
        (1006, "", LinkLost, "link.closed"),
        (1009, "", LinkLost, "link.frame_too_big"),
        (1013, "", LinkBusy, "link.busy"),
        (1008, "policy", LinkRefused, "link.refused"),
        (3000, "invalid_request_error.invalid_api_key", LinkRefused, "link.bad_key"),
        (4000, "invalid_request_error.beta_api_shape_disabled", LinkRefused, "link.dialect"),
        (4001, "insufficient_quota", LinkRefused, "link.no_quota"),
        (4002, "", LinkRefused, "link.refused"),
    ],
)
def test_what_a_close_means(code: int, reason: str, kind: type, name: str) -> None:
    fault = faults.from_close(code, reason)
    assert type(fault) is kind
    assert fault.code == name


@given(st.integers(-1, 6000), st.text())
def test_every_close_means_something(code: int, reason: str) -> None:
    assert isinstance(faults.from_close(code, f"{reason} {KEY}"), LinkError)
    assert KEY not in str(faults.from_close(code, f"{reason} {KEY}"))


# --- from the owner's table ----------------------------------------------------------------

TABLE = tomllib.loads((Path(__file__).parents[2] / "config" / "providers.toml").read_text())


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_the_shipped_table_makes_the_providers_that_are_built_in(name: str) -> None:
    made, known = provider_from(name, TABLE["providers"][name]), PROVIDERS[name]
    models = ["gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-1.5", "gpt-realtime"]
    for model in models:
        config = household_session(model=model, reasoning_effort="low")
        told = [cfg.wanted_options(config, p.capabilities) for p in (made, known)]
        assert told[0] == told[1]
    one, other = (
        replace(
            provider,
            capabilities=replace(
                provider.capabilities, reasoning_models=(), plain_models=frozenset()
            ),
        )
        for provider in (made, known)
    )
    assert one == other


def test_a_model_that_does_not_reason_among_those_that_do() -> None:
    provider = provider_from(
        "x",
        {
            "url": "wss://x/",
            "unknown_models_reason": True,
            "models": {"plain": {"reasoning": False}},
        },
    )
    for model, reasons in (("plain", False), ("plain-2", True)):
        config = household_session(model=model, reasoning_effort="low")
        assert ("reasoning" in cfg.wanted_options(config, provider.capabilities)) is reasons


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", 7),
        ("append_max_bytes", 0),
        ("append_max_bytes", 1e6),
        ("pong_active_s", 0),
        ("pong_active_s", float("inf")),
        ("auth", "basic"),
        ("dialects", []),
        ("dialects", ["old"]),
        ("dialects", "ga"),
        ("session_max_s", -1),
        ("session_max_s", "60"),
        ("session_max_s", True),
        ("session_max_s", float("nan")),
        ("rate_hz", 16000),
        ("can", {"truncate": 1}),
        ("can", [1]),
        ("models", {"m": 3}),
        ("models", 3),
        ("unknown_models_reason", "yes"),
        ("close_hints", {"soon": "link.bad_key"}),
        ("close_hints", {"7": "link.bad_key"}),
        ("close_hints", {"3000": "link.unheard_of"}),
        ("close_hints", {"3000": ["link.bad_key"]}),
    ],
)
def test_a_wrong_value_in_the_table_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        provider_from("mine", {"url": "wss://x/", key: value})
    assert f"mine.{key}" in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("url", "auth", "can", "models", "dialects", "session_max_s", "rate_hz"),
                *("append_max_bytes", "pong_active_s"),
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_any_table_makes_a_provider_or_a_sentence(data: dict[str, object]) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(provider_from("mine", data), Provider)


def test_what_a_table_does_not_say_has_the_default() -> None:
    assert provider_from("mine", {"url": "wss://x/"}) == Provider("mine", "wss://x/")


def test_a_close_code_without_words_means_what_the_provider_means() -> None:
    hints = PROVIDERS["openai"].close_hints
    assert faults.from_close(3000, "", hints).code == "link.bad_key"
    assert faults.from_close(4000, "", hints).code == "link.dialect"
    assert faults.from_close(3000, "insufficient_quota", hints).code == "link.no_quota"
    assert faults.from_close(3000, "").code == "link.refused"
