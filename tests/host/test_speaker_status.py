"""What the status remembers of what passes by: turns that nobody wrote down, and the line's
oddities."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from edge_agent.app.status import SpeakerStatus
from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.contract.commands import Note
from edge_agent.contract.events import Tick
from edge_agent.dialogue.state import Link, Microphone, Talk
from edge_agent.host.service.status import from_plain
from edge_agent.host.stores.usage_store import Spent


class Quiet(SimpleNamespace):
    """A part that has nothing to tell: whatever it is asked, but for what it was made with."""

    def __getattr__(self, name: str) -> int:
        return 0


def speaker(counts: dict[str, int]) -> SpeakerStatus:
    """With parts that have nothing to tell but the link's oddities."""
    sound = Quiet(
        counters=lambda: Quiet(echo=""),
        supervisor=Quiet(),
        playout=Quiet(),
        ears=Quiet(codes=()),
        drops={},
    )
    ledger = Quiet(store=Quiet(today=Spent()), spending=Quiet(budget=Quiet(cap=0)))
    parts: dict[str, Any] = {
        "talk": Quiet(talk=Talk.ASLEEP, microphone=Microphone.OPEN, link=Link.READY),
        "sound": sound,
        "ledger": ledger,
        "link": Quiet(counts=counts, pongs=Quiet(quantile_s=lambda _share: 0.0)),
        "watch": Quiet(sound_judge=Quiet(signs=())),
        "saved_state": Quiet(),
    }
    return SpeakerStatus(
        "p",
        "m",
        **parts,
        faults=lambda: 0,
        slips=lambda: 0,
        endings=list,
        tool_servers=dict,
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


def test_a_button_is_among_the_faulty_ones_until_it_works_again() -> None:
    status = speaker({})
    status.on_event(ButtonFaulty(at=1.0, button="talk", fault="stuck"), [], 1.0)
    status.on_event(ButtonFaulty(at=2.0, button="mute", fault="bounces"), [], 2.0)
    told = status.snapshot()
    assert told.faulty_buttons == ("talk: stuck", "mute: bounces")
    assert from_plain(json.loads(json.dumps(told.plain()))).faulty_buttons == told.faulty_buttons
    status.on_event(ButtonWorks(at=3.0, button="talk"), [], 3.0)
    assert status.snapshot().faulty_buttons == ("mute: bounces",)
