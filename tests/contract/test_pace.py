"""A pace: what is within the rate never waits, and nobody gets more than the rate for long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.pace import Pace

PER_S = 100


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 3)), min_size=1, max_size=60))
def test_no_more_than_the_rate_is_taken_on_average(takings: list[tuple[int, float]]) -> None:
    pace, now, taken = Pace(PER_S), 50.0, 0
    for count, later_s in takings:
        taken += count
        rest_s = pace.rest_s(count, now)
        now += rest_s + later_s
        # One second's burst, and the last taking of each second, come on top.
        assert taken <= PER_S * (now - 50.0 + 1) + count


@given(st.lists(st.integers(1, PER_S // 10), max_size=60))
def test_what_is_within_the_rate_never_waits(counts: list[int]) -> None:
    pace = Pace(PER_S)
    assert [pace.rest_s(count, n * 0.15) for n, count in enumerate(counts)] == [0.0] * len(counts)
    assert not pace.is_exceeded


def test_who_sends_more_is_known() -> None:
    pace = Pace(PER_S)
    assert pace.rest_s(PER_S + 50, 7.0) == 1.5
    assert pace.is_exceeded
