"""Providers and faults: where to dial, how to sign in, what a refusal means.

It must never need a network.
"""

from __future__ import annotations

import traceback

import pytest
from house_config import PROVIDERS, household_session
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import ConfigError, LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.realtime.protocol import faults
from edge_agent.realtime.providers import build_headers, build_url

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
        (3000, "server_error.internal_error", LinkLost, "link.closed"),
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


def test_a_close_code_without_words_means_what_the_provider_means() -> None:
    hints = PROVIDERS["openai"].close_hints
    assert faults.from_close(3000, "", hints).code == "link.bad_key"
    assert faults.from_close(4000, "", hints).code == "link.dialect"
    assert faults.from_close(4004, "", hints).code == "link.no_model"
    assert faults.from_close(3000, "invalid_request_error.odd", hints).code == "link.refused"
    assert faults.from_close(3000, "insufficient_quota", hints).code == "link.no_quota"
    assert faults.from_close(3000, "").code == "link.refused"
