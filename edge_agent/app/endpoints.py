"""The services of the settings: where they are, and the key for each dial.

Thread: event loop; reads one small file for a key.  It must never put a key into an error.
`endpoints` is also how `edge-agent config check` finds out that a service could not be dialled.
"""

from __future__ import annotations

from dataclasses import replace

from edge_agent.app.wiring import provider_of
from edge_agent.host.price_list import PriceList
from edge_agent.host.secret_files import KeySource
from edge_agent.host.settings.root import Fallback, Settings
from edge_agent.realtime.link.endpoints import Endpoint, endpoint_for
from edge_agent.realtime.providers import Provider


def endpoints(settings: Settings, table: PriceList) -> list[Endpoint]:
    """The services to talk to, the first one first.  Raises `ConfigError`."""
    realtime = settings.realtime
    is_chosen = "ping_timeout_active_s" in realtime.model_fields_set

    def provider(name: str) -> Provider:
        found = provider_of(name, table.record(name))
        return replace(found, pong_active_s=None) if is_chosen else found

    def fallback(other: Fallback) -> Endpoint:
        record = table.record(other.provider)
        # What the owner chose for the first service holds for another key of it, too.
        is_alike = other.provider == realtime.provider
        return endpoint_for(
            provider(other.provider),
            other.model,
            KeySource("", other.api_key_file),
            url=other.url,
            allow_insecure=realtime.allow_insecure_url,
            voice=other.voice or (None if is_alike else record.default_voice),
            transcriber=None if is_alike else record.transcription_model,
        )

    first = endpoint_for(
        provider(realtime.provider),
        realtime.model,
        KeySource.of(realtime),
        url=realtime.url,
        allow_insecure=realtime.allow_insecure_url,
    )
    return [first, *map(fallback, realtime.fallbacks)]
