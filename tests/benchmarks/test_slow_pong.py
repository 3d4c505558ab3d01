"""The benchmark of slow pongs: it loses nothing with what was learnt, and it can tell if not."""

from __future__ import annotations

from benchmarks.slow_pong import Case, measure, row

TURNS = 60


def test_nothing_is_lost_after_the_first_lesson_and_real_deaths_are_found() -> None:
    learning = measure(Case("first", TURNS))
    assert learning.turns == TURNS
    assert learning.lessons <= 1
    assert (learning.cuts, learning.lost) == (0, 0)
    assert learning.known
    again = Case("again", TURNS, deaths=20, is_taught=True)
    taught = measure(again, known=learning.known)
    assert (taught.cuts, taught.lost, taught.deaths) == (0, 0, 3)
    assert len(taught.noticed_s) == 3
    assert max(taught.noticed_s) <= 16.0
    assert row(again, taught).count("|") == 13


def test_the_rule_before_is_found_out() -> None:
    before = measure(Case("before", 20, is_impatient=True))
    assert before.lessons + before.cuts > 2
