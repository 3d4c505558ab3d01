"""The services of the settings: where they are, and the key for each dial.

Thread: event loop; reads one small file for a key.  It must never put a key into an error.
`endpoints` is also how `edge-agent config check` finds out that a service could not be dialled.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_agent.app.wiring import provider_of
from edge_agent.host.price_list import PriceList
from edge_agent.host.secret_files import read_text
from edge_agent.host.settings.root import Fallback, Settings
from edge_agent.realtime.link.endpoints import Endpoint, endpoint_for
from edge_agent.realtime.providers import Provider

NOT_A_KEY = "\N{REPLACEMENT CHARACTER}"
"""Stands for what is no text: it is refused as a key, with the sentence for a bad one."""


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
        KeySource(realtime.api_key.get_secret_value(), realtime.api_key_file),
        url=realtime.url,
        allow_insecure=realtime.allow_insecure_url,
    )
    return [first, *map(fallback, realtime.fallbacks)]


class KeySource:
    """The key for the next dial.  One that came from `realtime.api_key_file` is read anew every
    time, so that a key put in place later is found without a restart."""

    def __init__(self, key: str, file: str) -> None:
        self._key = key
        self._file = Path(file) if file else None
        # Environment and credential are stronger than the file: then it is not followed.
        if self._file is not None and key and self._try_read() != key:
            self._file = None

    @property
    def file(self) -> Path | None:
        """The file that is followed; None: the key is the one of the start."""
        return self._file

    def __call__(self) -> str | None:
        """The key, None without one.  Raises `OSError` if its file cannot be read now."""
        try:
            return (self._read(self._file) if self._file is not None else self._key) or None
        except FileNotFoundError:
            return None

    def _try_read(self) -> str:
        try:
            return self._read(self._file) if self._file is not None else ""
        except OSError:
            return ""

    @staticmethod
    def _read(path: Path) -> str:
        try:
            return read_text(path)
        except ValueError:
            return NOT_A_KEY
