"""Providers: where a model lives, how to sign in and what it understands (purpose).

Owner thread: none, frozen records and pure functions.  Must never hold a key: it comes in as an
argument and leaves only inside `SecretHeaders`, whose repr hides it.  The facts are PROTOCOL
sections 1, 3 and 12.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from edge_agent.contract.errors import ConfigError, LinkRefused
from edge_agent.contract.hosts import is_loopback
from edge_agent.contract.net_faults import BAD_KEY, DIALECT, NAMED
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS, WIRE_RATE_HZ
from edge_agent.realtime.protocol.config import Capabilities, Dialect
from edge_agent.realtime.protocol.faults import NO_KEY

Auth = Literal["bearer", "api-key", "bearer-optional", "none"]

HOUR_S = 3600.0
APPEND_LEAST_BYTES = 10 * WIRE_BYTES_PER_MS
"""10 ms, one frame of ours: less would be more wrapping than sound."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of Realtime service.

    `url_template` may hold `{resource}` (Azure's resource name).  `dialects`: most likely
    first; the next is tried when a server refuses even the plainest session.
    `max_session_s`: after that the provider ends a session; 0 means no known limit.
    `pong_active_s`: how long its servers may take to answer a ping during a turn; None: as long
    as `LinkTimings` says.
    """

    name: str
    url_template: str
    model_param: str = "model"
    auth: Auth = "bearer"
    dialects: tuple[Dialect, ...] = ("ga",)
    capabilities: Capabilities = field(default_factory=Capabilities)
    max_session_s: float = HOUR_S
    pong_active_s: float | None = None
    close_hints: Mapping[int, str] = field(default_factory=dict)
    """What a close code without words means here: code → one of `net_faults.NAMED`."""


_REASONING_MODELS = ("gpt-realtime-2",)
"""Other models refuse an update that names `reasoning` (PROTOCOL section 4.1)."""

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            name="openai",
            url_template="wss://api.openai.com/v1/realtime",
            capabilities=Capabilities(reasoning_models=_REASONING_MODELS, probe=True),
            close_hints={3000: BAD_KEY.code, 4000: DIALECT.code},
        ),
        Provider(
            name="azure",
            url_template="wss://{resource}.openai.azure.com/openai/v1/realtime",
            auth="api-key",
            # A deployment may have any name, so it does not tell whether the model reasons.
            capabilities=Capabilities(reasoning_models=None, probe=True),
        ),
        Provider(
            name="local",
            url_template="",  # the owner's own
            auth="bearer-optional",
            dialects=("ga", "beta"),
            capabilities=Capabilities(reasoning_models=None),
            max_session_s=0.0,
        ),
        Provider(
            name="xai",
            url_template="wss://api.x.ai/v1/realtime",
            dialects=("xai",),
            capabilities=Capabilities(
                truncate=False,
                side_questions=False,
                noise_reduction=False,
                semantic_vad=False,
                transcription=False,
                truncation=False,
            ),
        ),
    )
}
"""The providers we know, by the name that settings use."""


def provider_named(name: str) -> Provider:
    """The provider of that name.  Raises `ConfigError` with the names there are."""
    try:
        return PROVIDERS[name]
    except KeyError:
        raise ConfigError(
            f"There is no provider {name!r}.", fix=f"Choose one of: {', '.join(PROVIDERS)}."
        ) from None


# --- from the owner's table ------------------------------------------------------------

_SWITCHES = (
    *("truncate", "side_questions", "noise_reduction", "semantic_vad"),
    *("transcription", "truncation", "greets", "probe"),
)
_PLAIN = Capabilities()


def provider_from(name: str, data: Mapping[str, Any]) -> Provider:
    """A provider from a plain mapping, as in `config/providers.toml`.

    Keys: `url`, `model_param`, `auth`, `dialects`, `session_max_s`, `append_max_bytes`,
    `pong_active_s`, `rate_hz`, `can` (switches as in `Capabilities`), `unknown_models_reason`,
    `models` (name → `{reasoning}`), `close_hints` (close code → `link.…`).
    What is missing has the default of `Provider`; keys about prices and the like are left to
    others.  Raises `ConfigError` naming the key.
    """
    read = _Reader(name, data)
    dialects = tuple(read.value("dialects", list, ["ga"]))
    known = get_args(Dialect)
    if not dialects or any(dialect not in known for dialect in dialects):
        raise read.refused("dialects", f"must be a list of {', '.join(known)}")
    auth = read.value("auth", str, "bearer")
    if auth not in get_args(Auth):
        raise read.refused("auth", f"must be one of {', '.join(get_args(Auth))}")
    session_max_s = read.value("session_max_s", (int, float), HOUR_S)
    if not 0 <= session_max_s < float("inf"):
        raise read.refused("session_max_s", "must be 0 (no known limit) or more")
    if read.value("rate_hz", int, WIRE_RATE_HZ) != WIRE_RATE_HZ:
        raise read.refused("rate_hz", f"must be {WIRE_RATE_HZ}")
    return Provider(
        name=name,
        url_template=read.value("url", str, ""),
        model_param=read.value("model_param", str, "model"),
        auth=auth,
        dialects=dialects,
        capabilities=_capabilities(read),
        max_session_s=float(session_max_s),
        pong_active_s=_pong_active_s(read),
        close_hints=_close_hints(read),
    )


def _pong_active_s(read: _Reader) -> float | None:
    seconds = read.value("pong_active_s", (int, float), None)
    if seconds is not None and not 0 < seconds < float("inf"):
        raise read.refused("pong_active_s", "must be more than 0")
    return None if seconds is None else float(seconds)


def _close_hints(read: _Reader) -> dict[int, str]:
    hints = {}
    for code, meaning in read.value("close_hints", Mapping, {}).items():
        if not str(code).isdecimal() or not 1000 <= int(code) <= 4999:
            raise read.refused("close_hints", f"holds {str(code)[:20]!r}, which is no close code")
        if not isinstance(meaning, str) or meaning not in NAMED:
            raise read.refused(f"close_hints.{code}", f"must be one of {', '.join(sorted(NAMED))}")
        hints[int(code)] = meaning
    return hints


def _capabilities(read: _Reader) -> Capabilities:
    can = read.part("can")
    reasons = {
        model: read.part("models").part(model).value("reasoning", bool, None)
        for model in read.value("models", Mapping, {})
    }
    every_other = read.value("unknown_models_reason", bool, False)
    append_max_bytes = read.value("append_max_bytes", int, _PLAIN.append_max_bytes)
    if append_max_bytes < APPEND_LEAST_BYTES:
        raise read.refused("append_max_bytes", f"must be {APPEND_LEAST_BYTES} or more")
    return Capabilities(
        **{key: can.value(key, bool, getattr(_PLAIN, key)) for key in _SWITCHES},
        reasoning_models=None if every_other else tuple(m for m, yes in reasons.items() if yes),
        plain_models=frozenset(m for m, yes in reasons.items() if yes is False),
        append_max_bytes=append_max_bytes,
    )


class _Reader:
    """Values of a mapping with their types checked; `place` is for the error text."""

    def __init__(self, place: str, data: object) -> None:
        self._place = place
        if not isinstance(data, Mapping):
            raise ConfigError(
                f"The provider table {place} is not a table.", fix="Write it as [section]."
            )
        self._data = data

    def part(self, key: str) -> _Reader:
        return _Reader(f"{self._place}.{key}", self._data.get(key, {}))

    def value(self, key: str, kind: Any, *default: Any) -> Any:
        found = self._data.get(key)
        if found is None:
            if default:
                return default[0]
            raise self.refused(key, "is missing")
        is_flag = isinstance(found, bool)  # which is an int as well
        if not isinstance(found, kind) or (is_flag and kind is not bool):
            # Tuples and lists are both lists to a person.
            if kind is list and isinstance(found, tuple):
                return list(found)
            raise self.refused(key, "has a value of the wrong type")
        return found

    def refused(self, key: str, why: str) -> ConfigError:
        return ConfigError(
            f"The provider setting {self._place}.{key} {why}.",
            fix="Correct it in providers.toml.",
        )


# --- where to dial ---------------------------------------------------------------------


def build_url(
    provider: Provider,
    model: str,
    *,
    url: str = "",
    resource: str = "",
    allow_insecure: bool = False,
) -> str:
    """The URL to dial.

    `url` replaces the provider's own; `http(s)` is read as `ws(s)`, a missing path becomes
    `/v1/realtime`, and a query is kept.  Raises `ConfigError` for what cannot be dialled and
    for an unencrypted connection that leaves this machine, unless `allow_insecure`.
    """
    text = (url or provider.url_template).strip()
    if not text:
        raise ConfigError(
            f"The provider {provider.name} has no address of its own.",
            fix="Set the URL of your server.",
        )
    if "{resource}" in text:
        if not resource.replace("-", "").isalnum():
            raise ConfigError(
                f"The provider {provider.name} needs the name of your resource.",
                fix="Set the resource, or the whole URL.",
            )
        text = text.replace("{resource}", resource)
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"The URL {_shown(text)!r} is not valid: {error}.") from None
    scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not host:
        raise ConfigError(
            f"The URL {_shown(text)!r} is not one of a WebSocket.",
            fix="It looks like wss://host/v1/realtime.",
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "The URL holds a user name or password.", fix="Keep secrets out of the URL."
        )
    if scheme == "ws" and not allow_insecure and not is_loopback(host):
        raise ConfigError(
            f"The URL {_shown(text)!r} would send the household's voice and the key unencrypted.",
            fix="Use wss://, or allow insecure connections if this network is yours alone.",
        )
    query = parse_qsl(parts.query, keep_blank_values=True)
    if provider.model_param not in dict(query):
        query.append((provider.model_param, model))
    path = parts.path if parts.path.strip("/") else "/v1/realtime"
    return urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))


def _shown(url: str) -> str:
    """A URL for an error text: no user info, no query, no end of a pasted key."""
    return url.split("?", 1)[0].rpartition("@")[2][:80]


class SecretHeaders(dict[str, str]):
    """HTTP headers that hold a key; neither repr nor str shows a value."""

    def __repr__(self) -> str:
        return f"SecretHeaders({', '.join(sorted(self))})"

    __str__ = __repr__


def build_headers(provider: Provider, key: str | None) -> SecretHeaders:
    """The headers that sign us in.  Never `OpenAI-Beta`: that dialect is switched off.

    Raises `LinkRefused`: `link.no_key` when the provider needs a key and there is none,
    `link.bad_key` when it could not be one.
    """
    key = (key or "").strip()
    if not key:
        if provider.auth in ("bearer", "api-key"):
            raise LinkRefused(
                f"There is no API key for the provider {provider.name}.",
                fix="Put it into /etc/edge-agent/openai_api_key (mode 600) and restart the "
                "service: sudo systemctl restart edge-agent",
                code=NO_KEY,
            )
        return SecretHeaders()
    if provider.auth == "none":
        return SecretHeaders()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise LinkRefused(
            "The API key holds a space, a line break or a character no key has.",
            fix="Store the key alone, on one line.",
            code=BAD_KEY.code,
        )
    if provider.auth == "api-key":
        return SecretHeaders({"api-key": key})
    return SecretHeaders({"Authorization": f"Bearer {key}"})
