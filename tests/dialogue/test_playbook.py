"""The playbook: what it lets pass, and what it says of what it does not."""

from __future__ import annotations

import pytest
from playbook import ANY, SOUND, Playbook, frames, on, playbook, wake

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.state import Link, Talk


def ringing() -> Playbook:
    return playbook() << on(e.DeviceReady) << on(e.AlarmDue, name="pasta")


@pytest.mark.parametrize(
    "wanted",
    [
        [c.RingAlarm("pasta")],
        [c.RingAlarm(ANY)],
        [...],
        [..., c.RingAlarm("pasta"), ...],
    ],
)
def test_what_was_wanted_passes(wanted: list[c.Command]) -> None:
    assert ringing() >> wanted >> Talk.ASLEEP >> Link.DOWN


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ([], "+ RingAlarm(name='pasta')"),
        ([c.RingAlarm("tea")], "- RingAlarm(name='tea')"),
        ([c.RingAlarm(ANY), c.StopAlarm(("pasta",))], "  RingAlarm(name='pasta')\n- StopAlarm"),
        ([..., c.StopAlarm(ANY)], "- StopAlarm(names=<ANY>)"),
    ],
)
def test_what_was_not_wanted_is_shown(wanted: list[c.Command], told: str) -> None:
    with pytest.raises(AssertionError, match="after 0 s: DeviceReady, 0 s: AlarmDue") as caught:
        _ = ringing() >> wanted
    assert told in str(caught.value)


def test_a_state_that_does_not_hold_is_shown() -> None:
    with pytest.raises(AssertionError, match=r"it is Talk\.ASLEEP, .*, not Talk\.SPEAKING"):
        _ = ringing() >> Talk.SPEAKING


def test_a_command_that_nobody_read_is_shown_at_the_end() -> None:
    with pytest.raises(AssertionError, match="RingAlarm"):
        bool(ringing())


def test_the_referee_looks_on() -> None:
    table = ringing() >> [...]
    table.referee.observe(e.Tick(at=1.0), [c.CutPlayback()], 1.0)
    with pytest.raises(AssertionError, match=r"nobody\.cut"):
        bool(table)


def test_sound_in_a_row_is_one() -> None:
    assert (
        playbook()
        << on(e.LinkReady)
        << [0.5, wake(), frames(1.0, speech=True)]
        >> [SOUND]
        >> Talk.LISTENING
    )
