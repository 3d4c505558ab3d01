"""Patterns: each signal has one meaning and can be told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.panel.patterns import DARK, EARCONS, LIGHTS, STEADY_S, LightPlayer

NAMES = (
    "boot asleep listening thinking speaking confirming muted offline refused device_down off alarm"
)


def test_every_light_that_the_house_speaks_of_is_there() -> None:
    assert set(LIGHTS) == set(NAMES.split())
    names = "woken woken_soft heard sleep muted unmuted timer error"
    assert set(EARCONS) == set(names.split())


def test_lights_can_be_told_apart_even_in_one_colour() -> None:
    seen = [
        tuple((colour != DARK, seconds) for colour, seconds in LIGHTS[name])
        for name in LIGHTS
        if name not in ("off", "asleep")
    ]
    assert len(set(seen)) == len(seen)
    assert LIGHTS["asleep"] == LIGHTS["off"] == ((DARK, STEADY_S),)


def test_mute_is_lit_nearly_always() -> None:
    lit = sum(seconds for colour, seconds in LIGHTS["muted"] if colour != DARK)
    assert lit / sum(seconds for _, seconds in LIGHTS["muted"]) > 0.9


def test_steady_steps_stand_alone_and_blinking_is_slower_than_seizures() -> None:
    for steps in LIGHTS.values():
        if any(seconds == STEADY_S for _, seconds in steps):
            assert len(steps) == 1
        else:
            # WCAG 2.3.1: not more than three flashes in any second.
            cycle_s = sum(seconds for _, seconds in steps)
            assert sum(colour != DARK for colour, _ in steps) / cycle_s <= 3


def test_earcons_are_short_and_differ() -> None:
    for notes in EARCONS.values():
        assert 30 <= sum(ms for _, ms, _ in notes) <= 350
        assert all(0 <= gain <= 1 for _, _, gain in notes)
    assert len(set(EARCONS.values())) == len(EARCONS)


def test_a_pattern_plays_step_by_step_and_repeats() -> None:
    player = LightPlayer()
    colour, at = player.show("confirming", 100.0)
    shown = [(100.0, colour != DARK)]
    for _ in range(5):
        assert at is not None
        when = at
        colour, at = player.step(when)
        shown.append((round(when, 3), colour != DARK))
    assert shown == [
        (100.0, True),
        (100.25, False),
        (100.5, True),
        (100.75, False),
        (101.5, True),
        (101.75, False),
    ]


def test_an_unknown_light_is_dark() -> None:
    assert LightPlayer().show("disco", 5.0) == (DARK, None)


@given(
    st.sampled_from(sorted(LIGHTS)),
    st.lists(st.floats(0, 100), max_size=30),
)
def test_a_deadline_is_never_in_the_past(name: str, waits_s: list[float]) -> None:
    player = LightPlayer()
    at = 1000.0
    colour, deadline = player.show(name, at)
    for wait_s in waits_s:
        at += wait_s
        colour, deadline = player.step(at)
        assert colour in {c for c, _ in LIGHTS[name]}
        assert deadline is None or deadline > at
        assert (deadline is None) == (LIGHTS[name][0][1] == STEADY_S)


@pytest.mark.parametrize("name", sorted(LIGHTS))
def test_the_shown_time_is_the_pattern_time(name: str) -> None:
    player = LightPlayer()
    at = 0.0
    colour, deadline = player.show(name, at)
    lit_s = 0.0
    while deadline is not None and at < 60:
        lit_s += (deadline - at) * (colour != DARK)
        at = deadline
        colour, deadline = player.step(at)
    cycle_s = sum(seconds for _, seconds in LIGHTS[name])
    wanted = sum(seconds for colour, seconds in LIGHTS[name] if colour != DARK)
    if cycle_s:
        assert lit_s / at == pytest.approx(wanted / cycle_s, abs=0.05)
