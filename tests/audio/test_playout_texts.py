"""Texts of our own in the loudspeaker: their place, their end, their least volume."""

from __future__ import annotations

import numpy as np
from test_playout import BLOCK, Rig, tone

from edge_agent.audio.speaker.mixing import volume_gain
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.events import PlaybackDrained, TextDrained, TextStarted

SECOND = 100  # blocks


def test_a_text_is_told_when_it_begins_and_when_its_last_sample_has_sounded() -> None:
    rig = Rig(Playout())
    rig.playout.text("q", tone(1000, 10 * BLOCK))
    sound = rig.render(blocks=SECOND)
    assert np.count_nonzero(sound) == 10 * BLOCK
    [began], [drained] = rig.of(TextStarted), rig.of(TextDrained)
    assert (began.name, drained.name, drained.whole) == ("q", "q", True)
    assert abs(drained.at - began.at - 0.1) < 0.001


def test_a_text_waits_for_what_sounds() -> None:
    rig = Rig(Playout())
    rig.playout.voice("answer", tone(500, 10 * BLOCK))
    rig.playout.end_voice("answer")
    rig.playout.text("q", tone(1000, BLOCK))
    rig.render(blocks=SECOND)
    [drained], [began] = rig.of(PlaybackDrained), rig.of(TextStarted)
    assert began.at >= drained.at


def test_a_text_that_is_cut_is_not_whole() -> None:
    rig = Rig(Playout())
    rig.playout.text("q", tone(1000, 10 * BLOCK))
    rig.playout.text("next", tone(1000, 10 * BLOCK))
    rig.render(blocks=3)
    rig.playout.cut()
    rig.render(blocks=SECOND)
    assert [(event.name, event.whole) for event in rig.of(TextDrained)] == [
        ("q", False),
        ("next", False),
    ]


def test_a_text_is_never_softer_than_its_least_volume() -> None:
    levels = {}
    for volume in (0, 10, 100):
        rig = Rig(Playout(volume_percent=volume))
        rig.playout.text("q", tone(10_000, 40 * BLOCK), least_volume_percent=40)
        rig.render(blocks=SECOND)
        levels[volume] = max(int(np.abs(block).max()) for block in rig.out)
    assert levels[0] == levels[10] == round(10_000 * volume_gain(40))
    assert levels[100] == 10_000


def test_the_volume_holds_for_what_comes_after_a_text() -> None:
    rig = Rig(Playout(volume_percent=10))
    rig.playout.text("q", tone(10_000, 20 * BLOCK), least_volume_percent=40)
    rig.playout.sentence("s", tone(10_000, 40 * BLOCK))
    sound = rig.render(blocks=SECOND)
    assert int(np.abs(sound[50 * BLOCK :]).max()) == round(10_000 * volume_gain(10))
