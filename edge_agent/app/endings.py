"""Endings: which of the models that the settings name their provider switches off, and when.

`edge-agent config check` and the running speaker's `status` ask here.  The dates are in the table
of providers; one that is not there must never be guessed.
"""

from __future__ import annotations

from datetime import date

from edge_agent.host.price_list import PriceList
from edge_agent.host.settings.root import Settings


def endings(settings: Settings, table: PriceList, today: date) -> list[str]:
    """Which of them have ended or end soon, in sentences without a full stop."""
    realtime = settings.realtime
    found = table.endings(realtime.provider, [realtime.model], today)
    for other in realtime.fallbacks:
        found += table.endings(other.provider, [other.model], today)
    found += table.endings(realtime.provider, _beside_the_talk(settings), today)
    return list(dict.fromkeys(found))


def _beside_the_talk(settings: Settings) -> list[str]:
    """Models for other things than the talk which the owner has chosen."""
    chosen = (
        (settings.realtime, "transcription_model"),
        (settings.speech, "tts_model"),
        (settings.speech, "transcription_model"),
        (settings.supervisor, "model"),
    )
    named = (getattr(at, key) for at, key in chosen if key in at.model_fields_set)
    return [model for model in dict.fromkeys(named) if model]
