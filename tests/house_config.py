"""The configurations that a household has, for tests of parts: made from the shipped settings.

Each `household_…` gives a room what the daemon would give it with nothing set; keyword arguments
change single fields.  `household_of` tells the referee what such a configuration promises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from referee import Household

from edge_agent.app.session_start import SessionStart
from edge_agent.app.wiring import (
    dialogue_config,
    link_timings,
    panel_config,
    provider_of,
    session_config,
    summary_terms,
)
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.recall.summaries import SummaryTerms
from edge_agent.host.price_list import BUILT_IN, load_providers
from edge_agent.host.settings.root import Settings
from edge_agent.panel.gpio import PanelConfig
from edge_agent.realtime.link.dialer import DialTimings, WebSocketDialer
from edge_agent.realtime.link.liveness import LinkTimings
from edge_agent.realtime.protocol.config import Capabilities, ServerVad, SessionConfig
from edge_agent.realtime.providers import Provider

SETTINGS = Settings()
PROVIDERS = {
    name: provider_of(name, record) for name, record in load_providers(BUILT_IN).providers.items()
}
"""The shipped table of providers, in the link's words."""
RISKS = {"clock": Risk.LOW, "shop": Risk.MEDIUM, "unlock": Risk.HIGH}
"""A tool of each risk."""


def household_config(risks: Mapping[str, Risk] = RISKS, **changes: Any) -> DialogueConfig:
    """What the shipped settings make of the dialogue, with these tools."""
    return dataclasses.replace(dialogue_config(SETTINGS, risks, has_button=True), **changes)


def household_summaries(how: str, **changes: Any) -> SummaryTerms:
    """When the old part of a talk is summed up, by whom of `session`, `text`, `off`."""
    return dataclasses.replace(summary_terms(SETTINGS), how=how, **changes)


def household_session(**changes: Any) -> SessionConfig:
    """What the model is told when a session opens, without instructions and tools."""
    return dataclasses.replace(session_config(SETTINGS, SessionStart("", ())), **changes)


def household_vad() -> ServerVad:
    """How the server ends turns by silence."""
    found = household_session().turn_detection
    assert isinstance(found, ServerVad)
    return found


def household_timings(**changes: Any) -> LinkTimings:
    """How patient the link is."""
    return dataclasses.replace(link_timings(SETTINGS), **changes)


def household_dialer(*, ca_file: str = "", **changes: Any) -> WebSocketDialer:
    """Real sockets; `changes` of `DialTimings`."""
    realtime = SETTINGS.realtime
    timings = DialTimings(open_s=realtime.dial_timeout_s, close_s=realtime.close_timeout_s)
    return WebSocketDialer(timings=dataclasses.replace(timings, **changes), ca_file=ca_file)


def household_provider(name: str = "openai", **changes: Any) -> Provider:
    """A provider of the shipped table."""
    return dataclasses.replace(PROVIDERS[name], **changes)


def household_can(**changes: Any) -> Capabilities:
    """What OpenAI's servers understand."""
    return dataclasses.replace(PROVIDERS["openai"].capabilities, **changes)


def household_panel(**changes: Any) -> PanelConfig:
    """Pins and wiring."""
    return dataclasses.replace(panel_config(SETTINGS), **changes)


def household_of(config: DialogueConfig, *, muted: bool = False, guest: bool = False) -> Household:
    """What this configuration promises a household."""
    return Household(
        mode=config.mode,
        risks={name: risk.value for name, risk in config.tool_risks.items()},
        muted=muted,
        guest=guest,
        follow_up_s=config.follow_up_s,
        quiet_end_s=config.quiet_end_s,
        confirm_s=config.confirm_s,
        long_press_s=config.long_press_s,
    )
