"""What the status remembers of what passes by: turns that nobody wrote down, and the line's
oddities."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edge_agent.app.status import SpeakerStatus
from edge_agent.contract.commands import Note
from edge_agent.contract.events import Tick
from edge_agent.dialogue.state import Link, Microphone, Talk
from edge_agent.host.stores.usage_store import Spent


def speaker(counts: dict[str, int]) -> SpeakerStatus:
    """With parts that have nothing to tell but the link's oddities."""
    parts: dict[str, Any] = {
        "talk": SimpleNamespace(
            talk=Talk.ASLEEP, microphone=Microphone.OPEN, guest=False, link=Link.READY
        ),
        "sound": SimpleNamespace(
            counters=lambda: SimpleNamespace(echo="", erle_db=0.0, overflows=0, underflows=0),
            supervisor=SimpleNamespace(present=True, is_deaf=False),
            playout=SimpleNamespace(gaps=0),
            drops={},
        ),
        "ledger": SimpleNamespace(
            store=SimpleNamespace(today=Spent()),
            spending=SimpleNamespace(budget=SimpleNamespace(cap=0)),
        ),
        "link": SimpleNamespace(
            counts=counts,
            pong_limit_s=0.0,
            pongs=SimpleNamespace(count=0, quantile_s=lambda _share: 0.0, healthy_cuts=0),
        ),
        "watch": SimpleNamespace(sound_judge=SimpleNamespace(loud_looks=0)),
        "saved_state": SimpleNamespace(volume_percent=70, is_unsaved=False),
    }
    return SpeakerStatus(
        "p",
        "m",
        **parts,
        faults=lambda: 0,
        slips=lambda: 0,
        endings=list,
        time=lambda: 0.0,
        started_at=0.0,
    )


def test_turns_that_nobody_wrote_down_and_oddities_are_counted() -> None:
    status = speaker({"transcription_failed": 2})
    for at in (1.0, 2.0):
        failed, told = Note("transcript.failed", {}), Note("transcript.failing", {"count": 1})
        status.on_event(Tick(at=at), [failed, told], at)
    shown = status.snapshot()
    assert shown.unwritten == 2
    assert shown.oddities == {"transcription_failed": 2}
