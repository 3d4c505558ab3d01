"""The speech service of the settings, for the verbs that need it.

Thread: main.  It must never print the key.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edge_agent.cli.outcome import note

if TYPE_CHECKING:
    from edge_agent.host.price_list import ProviderRecord
    from edge_agent.host.settings.root import Settings
    from edge_agent.host.web.speech_http import SpeechApi

CREDENTIAL_FOLDER = Path("/etc/edge-agent")
"""From where the unit file hands the key to the daemon."""


def service_has_key() -> bool:
    """Whether there is a key where the service is handed it from, readable for us or not."""
    from edge_agent.host.settings.sources import CREDENTIAL_NAME

    try:
        return (CREDENTIAL_FOLDER / CREDENTIAL_NAME).stat().st_size > 0
    except OSError:
        return False


def read_settings(config_file: Path | None) -> Settings:
    """The settings with the key from the same places as the daemon's.  Raises ConfigError."""
    from edge_agent.host.settings.load import load
    from edge_agent.host.settings.sources import CREDENTIAL_NAME

    loaded = load(config_file)
    if not loaded.settings.realtime.api_key.get_secret_value() and os.access(
        CREDENTIAL_FOLDER / CREDENTIAL_NAME, os.R_OK
    ):
        here = {**os.environ, "CREDENTIALS_DIRECTORY": str(CREDENTIAL_FOLDER)}
        loaded = load(config_file, environ=here)
    return loaded.settings


def require_key(settings: Settings, record: ProviderRecord) -> None:
    """Raises LinkRefused where the provider of the settings asks for a key that is not here."""
    from edge_agent.contract.errors import LinkRefused
    from edge_agent.host.settings.sources import CREDENTIAL_NAME

    if settings.realtime.api_key.get_secret_value() or not record.needs_key:
        return
    file = CREDENTIAL_FOLDER / CREDENTIAL_NAME
    raise LinkRefused(
        "There is no key for the voice service.",
        fix=f"Start it with sudo: this account may not read {file}."
        if file.exists()
        else f"Put it into {file} (root:edge-agent, mode 640), or into OPENAI_API_KEY.",
        code="link.no_key",
    )


def speech_api(settings: Settings, **options: Any) -> SpeechApi:
    """`options` as in `HttpApi`.  Raises ConfigError for an address that will not do, LinkRefused
    without a key."""
    from edge_agent.host.price_list import load_providers, owners_path
    from edge_agent.host.web.http_api import api_base
    from edge_agent.host.web.speech_http import SpeechApi

    realtime = settings.realtime
    record = load_providers(owners_path(realtime.providers_file)).record(realtime.provider)
    realtime_url = realtime.url or record.url
    base = api_base(
        realtime_url, settings.speech.api_url, allow_insecure=realtime.allow_insecure_url
    )
    # Another house than the Realtime service's speaks the usual way.
    elsewhere = urlsplit(base).hostname != urlsplit(realtime_url).hostname
    auth = "bearer" if elsewhere else record.auth
    key = realtime.api_key.get_secret_value()
    if not elsewhere:
        require_key(settings, record)
    if elsewhere and key:
        note(f"the key of {realtime.provider} is shown to {urlsplit(base).hostname}")
    return SpeechApi(base, key, auth=auth, ca_file=realtime.ca_file, **options)
