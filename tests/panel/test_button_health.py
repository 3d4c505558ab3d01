"""Button health: tables of edges, and what the dialogue is told of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.contract.events import ButtonPressed, ButtonReleased, Event
from edge_agent.panel.button_health import (
    BURST_CLOSINGS,
    BURST_PRESSES,
    SETTLED_S,
    STUCK_S,
    ButtonJudge,
)

WORDS = {ButtonPressed: "down", ButtonReleased: "up", ButtonWorks: "works"}


@dataclass(frozen=True)
class Case:
    """Edges `(at, is_down)`, and what is told of them, each with its time."""

    edges: tuple[tuple[float, bool], ...]
    told: tuple[tuple[float, str], ...]
    is_down: bool = False


def presses(count: int, every_s: float, first_at: float = 1.0) -> tuple[tuple[float, bool], ...]:
    starts = [first_at + number * every_s for number in range(count)]
    return tuple(edge for at in starts for edge in ((at, True), (at + every_s / 2, False)))


def word(event: Event) -> str:
    if isinstance(event, ButtonFaulty):
        return event.fault
    return WORDS[type(event)]


def play(case: Case, until: float = 200.0) -> list[tuple[float, str]]:
    """The edges, and a look whenever one is due."""
    judge = ButtonJudge("talk", 0.0, is_down=case.is_down)
    told: list[tuple[float, str]] = []
    for at, is_down in (*case.edges, (until, None)):
        while judge.due is not None and judge.due < at:
            now = judge.due
            told += [(round(now, 3), word(event)) for event in judge.look(now)]
            assert judge.due != now, "it would be looked at for ever"
        if is_down is not None:
            told += [(at, word(event)) for event in judge.edge(at, is_down=is_down)]
    return told


CASES = {
    "a press": Case(((1.0, True), (1.2, False)), ((1.0, "down"), (1.2, "up"))),
    "a long press": Case(((1.0, True), (11.0, False)), ((1.0, "down"), (11.0, "up"))),
    "a sleepy hand": Case(((1.0, True), (30.9, False)), ((1.0, "down"), (30.9, "up"))),
    "stuck, and freed": Case(
        ((1.0, True), (100.0, False), (106.0, True)),
        (
            *((1.0, "down"), (31.0, "up"), (31.0, "stuck"), (105.0, "works")),
            *((106.0, "down"), (136.0, "up"), (136.0, "stuck")),
        ),
    ),
    "stuck, and up for a moment": Case(
        ((1.0, True), (100.0, False), (104.0, True)),
        ((1.0, "down"), (31.0, "up"), (31.0, "stuck")),
    ),
    "closed at rest, and touched": Case(
        ((20.0, False), (20.3, True), (25.0, False), (27.0, True)),
        ((5.0, "closed at the start"),),
        is_down=True,
    ),
    "a hand on it while it starts": Case(
        ((3.0, False), (9.0, True), (9.2, False)), ((9.0, "down"), (9.2, "up")), is_down=True
    ),
    "jammed at the start, and freed": Case(
        ((50.0, False), (60.0, True), (60.2, False)),
        ((5.0, "closed at the start"), (55.0, "works"), (60.0, "down"), (60.2, "up")),
        is_down=True,
    ),
    "a level read twice": Case(
        ((0.5, False), (1.0, True), (1.1, True), (1.2, False), (1.3, False)),
        ((1.0, "down"), (1.2, "up")),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_told_of_a_button(name: str) -> None:
    assert play(CASES[name]) == list(CASES[name].told)


def test_a_child_that_hammers_is_no_fault() -> None:
    told = play(Case(presses(40, 1 / 7), ()))
    assert [what for _, what in told] == ["down", "up"] * 40


def test_a_double_press_of_an_old_microswitch_is_no_fault() -> None:
    chatter = [edge for at in (1.0, 1.3, 1.5, 1.8) for edge in presses(3, 0.02, at)]
    told = play(Case(tuple(chatter), ()))
    assert [what for _, what in told] == ["down", "up"] * 12


@pytest.mark.parametrize(
    ("every_s", "taken"), [(0.01, BURST_CLOSINGS), (0.07, BURST_PRESSES), (0.1, BURST_PRESSES)]
)
def test_a_loose_wire_is_told_once_and_counts_again_when_it_is_quiet(
    every_s: float, taken: int
) -> None:
    edges = presses(80, every_s)
    told = play(Case((*edges, (150.0, True), (150.2, False)), ()))
    words = [what for _, what in told]
    before = ["down", "up"] * (taken - 1)
    assert words == [*before, "bounces", "works", "down", "up"]
    at = dict(zip(words, (at for at, _ in told), strict=True))
    assert at["works"] == pytest.approx(edges[-1][0] + SETTLED_S, abs=0.001)


def test_a_wire_that_bounces_and_stays_down_is_one_fault_until_it_has_been_up() -> None:
    told = play(Case((*presses(12, 0.07)[:-1], (90.0, False)), ()))
    assert [what for _, what in told][-2:] == ["bounces", "works"]
    assert told[-1][0] == 95.0


def test_nothing_is_due_for_a_button_at_rest() -> None:
    judge = ButtonJudge("talk", 0.0, is_down=False)
    assert judge.due is None
    judge.edge(1.0, is_down=True)
    assert judge.due == 1.0 + STUCK_S
    assert judge.look(1.5) == []
