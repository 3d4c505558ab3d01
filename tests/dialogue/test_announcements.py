"""What the owner wants spoken is spoken at once or not at all, and over nobody."""

from __future__ import annotations

import pytest
from driver import House
from house_config import household_config

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.wishes import SayRequested
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Talk

TEXT = "The washing machine is done."


def wish(at: float, name: str = "say_1") -> SayRequested:
    return SayRequested(at=at, name=name, text=TEXT, uid=1000)


def wake(at: float) -> e.HeardFrame:
    return e.HeardFrame(
        at=at, pcm24k=bytes(480), speech=True, over_playback=False, wake="okay_nabu"
    )


def house() -> DialogueManager:
    dialogue = DialogueManager(household_config(), strict=True)
    dialogue.handle(e.DeviceReady(at=0.0))
    dialogue.handle(e.LinkReady(at=0.1, model="m"))
    return dialogue


def notes(out: list[c.Command]) -> dict[str, dict[str, object]]:
    return {x.code: dict(x.fields) for x in out if isinstance(x, c.Note)}


def said(out: list[c.Command]) -> list[str]:
    return [x.text for x in out if isinstance(x, c.SayText)]


@pytest.mark.parametrize("muted", [False, True])
def test_a_quiet_house_hears_it_muted_or_not(muted: bool) -> None:
    dialogue = DialogueManager(household_config(), muted=muted, strict=True)
    dialogue.handle(e.DeviceReady(at=0.0, capture=not muted))
    out = dialogue.handle(wish(1.0))
    assert said(out) == [TEXT]
    assert notes(out) == {"say.begun": {"chars": len(TEXT), "uid": 1000}}
    assert dialogue.handle(e.TextStarted(at=2.0, name="say_1")) == []
    dialogue.handle(e.TextDrained(at=4.0, name="say_1"))
    assert dialogue.talk is Talk.ASLEEP
    assert said(dialogue.handle(wish(5.0, "say_2"))) == [TEXT]


def test_it_is_refused_while_somebody_talks_with_the_speaker() -> None:
    dialogue = house()
    dialogue.handle(wake(1.0))
    assert dialogue.talk is Talk.LISTENING
    out = dialogue.handle(wish(1.1))
    assert said(out) == []
    assert notes(out) == {"say.refused": {"why": "a talk", "chars": len(TEXT), "uid": 1000}}


def test_it_is_refused_over_another_sentence_a_bell_and_without_a_device() -> None:
    dialogue = house()
    dialogue.handle(wish(1.0))
    assert notes(dialogue.handle(wish(1.1)))["say.refused"]["why"] == "another sentence"
    dialogue.handle(e.TextDrained(at=3.0, name="say_1"))
    dialogue.handle(e.AlarmDue(at=4.0, name="pasta"))
    assert notes(dialogue.handle(wish(4.1)))["say.refused"]["why"] == "an alarm"
    dialogue.handle(e.AlarmStopRequested(at=5.0))
    dialogue.handle(e.DeviceDown(at=6.0, code="device.lost", message="Gone.", fix=""))
    dialogue.handle(e.PlaybackCut(at=6.1, item=None, played_ms=0.0))
    assert notes(dialogue.handle(wish(7.0)))["say.refused"]["why"] == "no sound device"


@pytest.mark.parametrize("has_begun", [False, True])
def test_whoever_calls_cuts_it_and_is_listened_to(has_begun: bool) -> None:
    dialogue = house()
    dialogue.handle(wish(1.0))
    if has_begun:
        dialogue.handle(e.TextStarted(at=1.5, name="say_1"))
    out = dialogue.handle(wake(2.0))
    assert [type(x) for x in out if isinstance(x, c.CutPlayback)] == [c.CutPlayback]
    dialogue.handle(e.PlaybackCut(at=2.0, item=None, played_ms=0.0))
    dialogue.handle(e.TextDrained(at=2.0, name="say_1", whole=False))
    assert dialogue.talk is Talk.LISTENING


def test_a_text_that_cannot_be_rendered_is_noted_without_its_words() -> None:
    dialogue = house()
    dialogue.handle(wish(1.0))
    out = dialogue.handle(e.TextFailed(at=1.2, name="say_1", code="text.no_voice"))
    assert notes(out) == {"say.failed": {"code": "text.no_voice"}}
    assert "say.failed" not in notes(
        dialogue.handle(e.TextFailed(at=1.3, name="consent_1", code="text.failed"))
    )


def test_the_text_stands_in_no_note() -> None:
    played = House()
    played.send(wish(played.now))
    assert TEXT in [command.text for command in played.did(c.SayText)]
    assert TEXT not in str(played.did(c.Note))
