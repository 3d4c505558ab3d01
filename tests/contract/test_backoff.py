"""Pauses between tries double up to a limit, and chance only shortens them.

It must never need a clock or chance of its own.
"""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.backoff import Backoff


def test_pauses_double_to_the_limit_and_start_over() -> None:
    backoff = Backoff(0.5, 8.0)
    assert [backoff.next_s() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert backoff.failures == 6
    backoff.reset()
    assert backoff.next_s() == 0.5


@given(
    first_s=st.floats(0.01, 100),
    times=st.floats(1, 1000),
    least=st.floats(0, 1),
    floor_s=st.floats(0, 1),
    failures=st.integers(1, 60),
    seed=st.integers(),
)
def test_chance_stays_between_its_least_part_and_the_ceiling(
    first_s: float, times: float, least: float, floor_s: float, failures: int, seed: int
) -> None:
    max_s = first_s * times
    longest = Backoff(first_s, max_s, floor_s=floor_s)
    chance = Backoff(
        first_s, max_s, uniform=random.Random(seed).uniform, least=least, floor_s=floor_s
    )
    for _ in range(failures):
        ceiling_s, pause_s = longest.next_s(), chance.next_s()
        assert max(floor_s, least * ceiling_s) * 0.999 <= pause_s <= ceiling_s * 1.001
        assert ceiling_s <= max(floor_s, max_s)


def test_full_jitter_really_spreads() -> None:
    backoff = Backoff(1.0, 1.0, uniform=random.Random(1).uniform)
    pauses = [backoff.next_s() for _ in range(1000)]
    assert min(pauses) < 0.05
    assert max(pauses) > 0.95


def test_a_thousand_years_of_failures_do_no_harm() -> None:
    backoff = Backoff(0.1, 60.0)
    assert [backoff.next_s() for _ in range(5000)][-1] == 60.0


def test_a_known_ceiling_is_bounded_too() -> None:
    backoff = Backoff(1.0, 30.0, floor_s=0.05)
    assert backoff.below(2.0) == 2.0
    assert backoff.below(1000.0) == 30.0
    assert backoff.below(0.0) == 0.05
    assert backoff.failures == 0
