"""The configuration that a household has, for tests of parts: made from the shipped settings.

`household_config()` gives the dialogue what the daemon would give it with nothing set; keyword
arguments change single fields.  `household_of` tells the referee what such a configuration
promises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from referee import Household

from edge_agent.app.wiring import dialogue_config
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.host.settings.root import Settings

RISKS = {"clock": Risk.LOW, "shop": Risk.MEDIUM, "unlock": Risk.HIGH}
"""A tool of each risk."""


def household_config(risks: Mapping[str, Risk] = RISKS, **changes: Any) -> DialogueConfig:
    """What the shipped settings make of the dialogue, with these tools."""
    return dataclasses.replace(dialogue_config(Settings(), risks), **changes)


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
