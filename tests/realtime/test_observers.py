"""Whoever looks on at the pump is never felt by the talk, nor by the link that posts into it."""

from __future__ import annotations

import pytest
from household import ANSWER_MS, Evening, one_turn

from edge_agent.contract import events as ev
from edge_agent.dialogue.manager import DialogueManager


class _Blind(Exception):
    """An observer's own fault."""


def falls(event: ev.Event, _commands: object, _at: float) -> None:
    raise _Blind(type(event).__name__)


class _Rumour(ev.Event):
    """Of a version to come."""


def is_whole(evening: Evening) -> None:
    """One session, one answer, heard to its end."""
    assert evening.brain.asked == ["answer"]
    assert evening.heard_ms == ANSWER_MS
    assert evening.speaker.sentences == []
    assert [type(event) for event in evening.events].count(ev.LinkReady) == 1
    assert not any(isinstance(event, ev.LinkDown) for event in evening.events[:-1])
    assert "link.internal_error" not in evening.notes


def test_an_observer_that_falls_over_each_event_ends_no_session() -> None:
    faults: list[BaseException] = []
    evening = one_turn(lambda e: e.agent.observers.append(falls), at_s=0.0, faults=faults)
    is_whole(evening)
    assert [type(fault) for fault in faults] == [_Blind]
    assert evening.agent.faults > len(evening.events)  # each event was counted


def test_a_dialogue_that_falls_over_one_event_ends_no_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle = DialogueManager.handle

    def forgetful(self: DialogueManager, event: ev.Event) -> object:
        if isinstance(event, ev.VoiceText):
            raise _Blind
        return handle(self, event)

    monkeypatch.setattr(DialogueManager, "handle", forgetful)
    faults: list[BaseException] = []
    evening = one_turn(lambda _evening: None, at_s=0.0, faults=faults)
    is_whole(evening)
    assert [type(fault) for fault in faults] == [_Blind]


@pytest.mark.parametrize("at_s", [0.5, 1.5, 4.0])
def test_an_event_of_a_future_version_is_noted_and_the_talk_goes_on(at_s: float) -> None:
    evening = one_turn(
        lambda evening: evening.agent.post(_Rumour(at=evening.agent._loop.time())), at_s=at_s
    )
    is_whole(evening)
    assert evening.notes.count("dialogue.unknown_event") == 1
