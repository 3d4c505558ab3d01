"""Providers: where to dial a service, and how to sign in.

`build_url` and `build_headers` are called for each dial.  What there is to know of a provider is a
record of `providers.toml`; the composition root makes a `Provider` of it.

It must never hold a key: it comes in as an argument and leaves only inside `SecretHeaders`, whose
repr hides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from edge_agent.contract.errors import ConfigError, LinkRefused
from edge_agent.contract.hosts import is_loopback
from edge_agent.contract.net_faults import BAD_KEY
from edge_agent.realtime.protocol.config import Capabilities, Dialect
from edge_agent.realtime.protocol.faults import NO_KEY

Auth = Literal["bearer", "api-key", "bearer-optional", "none"]


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of Realtime service, as the table of providers tells of it.

    `url_template` may hold `{resource}` (Azure's resource name).  `dialects`: most likely
    first; the next is tried when a server refuses even the plainest session.
    `max_session_s`: after that the provider ends a session; 0 means no known limit.
    `pong_active_s`: how long its servers may take to answer a ping during a turn; None: as long
    as `LinkTimings` says.
    `transcriber`: its model for transcripts where the session names none.
    """

    name: str
    url_template: str
    model_param: str
    auth: Auth
    dialects: tuple[Dialect, ...]
    transcriber: str
    capabilities: Capabilities
    max_session_s: float
    pong_active_s: float | None
    close_hints: Mapping[int, str]
    """What a close code without words means here: code → one of `net_faults.NAMED`."""


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
                fix="Put it into /etc/edge-agent/openai_api_key (root:edge-agent, mode 640); it is "
                "taken up within 10 s.",
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
