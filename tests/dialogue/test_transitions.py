"""The talk's moves: only those of the table, and what happens at any other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from driver import frame_pcm
from house_config import household_config

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import TRANSITIONS, Cause, Deadline, IllegalMove, Talk


@pytest.fixture
def no_waking() -> Iterator[None]:
    """A table without the move that a press of the button makes."""
    whole = dict(TRANSITIONS)
    del TRANSITIONS[Talk.ASLEEP, Cause.WOKEN]
    yield
    TRANSITIONS.clear()
    TRANSITIONS.update(whole)  # in its old order, which is that of the picture


def pressed(manager: DialogueManager, at: float) -> list[c.Command]:
    out = manager.handle(e.ButtonPressed(at=at))
    return out + manager.handle(e.ButtonReleased(at=at + 0.1))


@pytest.mark.usefixtures("no_waking")
def test_a_strict_dialogue_raises_at_an_illegal_move() -> None:
    with pytest.raises(IllegalMove, match="asleep: woken"):
        pressed(DialogueManager(household_config(), strict=True), 0.0)


@pytest.mark.usefixtures("no_waking")
def test_in_service_an_illegal_move_is_noted_once_and_counted_and_the_state_stays() -> None:
    manager = DialogueManager(household_config())
    out = [command for at in (0.0, 10.0, 20.0) for command in pressed(manager, at)]
    notes = [n for n in out if isinstance(n, c.Note) and n.code == "dialogue.illegal_move"]
    assert [n.fields for n in notes] == [{"state": "asleep", "cause": "woken"}]
    assert manager.state.slips == {("dialogue.illegal_move", "asleep", "woken"): 3}
    assert manager.talk is Talk.ASLEEP


def frame(at: float, wake: str | None = None) -> e.Event:
    return e.HeardFrame(at=at, pcm24k=frame_pcm(1), speech=True, over_playback=False, wake=wake)


def test_a_talk_that_ends_between_the_cut_and_its_report_stays_asleep() -> None:
    """Somebody goes on speaking in the very moment in which an answer is given up."""
    manager = DialogueManager(household_config(), strict=True)
    manager.handle(e.LinkReady(at=0.0))
    manager.handle(e.DeviceReady(at=0.0))
    for number in range(100):
        manager.handle(frame(1.0 + number / 100, "okay_nabu" if number == 0 else None))
    manager.handle(e.UserSpeechStarted(at=2.0, item="1"))
    manager.handle(e.UserTurnCommitted(at=2.0, item="1"))
    manager.handle(e.Tick(at=manager.next_deadline() or 0.0))  # asked in vain, once more
    assert manager.talk.value == "thinking"
    over_at = manager.state.deadlines.due_at(Deadline.THINKING)
    assert over_at is not None
    for number in range(5, 0, -1):  # too little for our own decision
        out = manager.handle(frame(over_at - number / 5))
    out = manager.handle(e.UserSpeechStarted(at=over_at - 0.001, item="2"))
    assert out == [c.CutPlayback()]
    manager.handle(e.PlaybackCut(at=over_at + 0.001, item=None, played_ms=0.0))
    assert manager.talk.value == "asleep"
    out = manager.handle(frame(over_at + 0.01))
    assert not any(isinstance(command, c.SendAudio) for command in out)
