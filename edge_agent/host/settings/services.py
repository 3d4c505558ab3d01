"""Settings, services: whether the providers that they name are in the table.

Thread: the main one, at start.  It must never judge what is no name at all (the settings' own check
does), and never show an address, which may carry a secret.

Which providers there are is data (`price_list`), so the settings cannot know their names: they
are looked up here, as long as it is known in which file and line each one stood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.host.price_list import (
    PriceList,
    ProviderRecord,
    ProvidersError,
    load_providers,
    owners_path,
)

SHOWN_MAX_CHARS = 50
"""Enough of a wrong name to find it again."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake; `file`: the table it stands in, empty for the settings' own `key`."""

    key: str
    reason: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Services:
    """What the table says about the services that were chosen."""

    findings: tuple[Finding, ...] = ()
    model: str = ""
    """The first provider's usual model, if its record names one."""
    voice: str | None = None
    """Its usual voice, if its record names one; "": the server's own."""
    needs_key: bool = True
    """Whether the first provider refuses everybody without a key."""


def look_up(realtime: Mapping[str, Any]) -> Services:
    """Check the raw section `realtime`, before its types are known to be right."""
    setting = realtime.get("providers_file")
    path = owners_path(setting if isinstance(setting, str) else "")
    if setting and not path.exists():
        return Services((Finding("realtime.providers_file", f"there is no file {path}"),))
    try:
        table = load_providers(path)
    except ProvidersError as broken:
        return Services(tuple(Finding("", problem, str(path)) for problem in broken.problems))
    first, findings = _chosen(table, "realtime", {"provider": "openai", **realtime})
    others = realtime.get("fallbacks")
    for index, other in enumerate(others if isinstance(others, (list, tuple)) else ()):
        if isinstance(other, Mapping):
            findings += _chosen(table, f"realtime.fallbacks[{index}]", other)[1]
    if first is None:
        return Services(tuple(findings))
    return Services(tuple(findings), first.default_model, first.default_voice, first.needs_key)


def _chosen(
    table: PriceList, section: str, service: Mapping[str, Any]
) -> tuple[ProviderRecord | None, list[Finding]]:
    name = service.get("provider")
    if not isinstance(name, str):
        return None, []
    record = table.providers.get(name)
    if record is None:
        reason = f"there is no provider {name[:SHOWN_MAX_CHARS]!r}. {table.nearest(name)}"
        return None, [Finding(f"{section}.provider", reason)]
    if record.needs_url and not service.get("url"):
        return record, [Finding(f"{section}.url", f'provider = "{name}" needs url')]
    return record, []
