"""Budget: money is counted exactly, unknown is not zero, and no clock gives it back."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.events import Usage
from edge_agent.dialogue.money.budget import (
    MICROUSD_PER_USD,
    Budget,
    BudgetState,
    Prices,
    cost_of,
)

DAY = date(2026, 11, 20)
REALTIME = Prices(
    text_in=Decimal(4),
    text_cached=Decimal("0.40"),
    text_out=Decimal(24),
    audio_in=Decimal(32),
    audio_cached=Decimal("0.40"),
    audio_out=Decimal(64),
    image_in=Decimal(5),
    image_cached=Decimal("0.50"),
)

TOKENS = st.integers(-5, 200_000)
USAGES = st.builds(Usage, **{field.name: TOKENS for field in fields(Usage)})
PRICE = st.decimals(0, 1000, places=3)
PRICES = st.builds(Prices, **{field.name: PRICE for field in fields(Prices)})
COSTS = st.one_of(st.none(), st.integers(0, 2 * MICROUSD_PER_USD))
DAYS = st.dates(date(2026, 1, 1), date(2026, 3, 1))


# --- what an answer costs ------------------------------------------------------------------


def test_a_minute_of_each_side_costs_what_the_provider_says() -> None:
    # 600 tokens a minute of listening, 1200 a minute of speaking.
    assert cost_of(Usage(audio_in=600), REALTIME) == 19_200
    assert cost_of(Usage(audio_out=1200), REALTIME) == 76_800


def test_cached_tokens_are_a_part_of_those_that_went_in() -> None:
    assert cost_of(Usage(audio_in=1000, cached_audio_in=900), REALTIME) == 100 * 32 + 360
    assert cost_of(Usage(text_in=100, cached_text_in=500), REALTIME) == 40


def test_every_kind_of_token_has_its_price() -> None:
    for field in fields(Usage):
        usage = replace(Usage(text_in=100, audio_in=100, image_in=100), **{field.name: 50})
        assert cost_of(usage, REALTIME) != cost_of(
            Usage(text_in=100, audio_in=100, image_in=100), REALTIME
        ), field.name


def test_a_minute_written_down_costs_what_the_provider_says() -> None:
    by_time = Prices(sound_minute=Decimal("0.0045"))
    assert cost_of(Usage(sound_ms=60_000), by_time) == 4_500
    assert cost_of(Usage(sound_ms=1_000), by_time) == 75
    assert cost_of(Usage(sound_ms=1_000, text_in=1), by_time) is None
    assert cost_of(Usage(sound_ms=1_000), REALTIME) is None


def test_where_nobody_sends_a_bill_no_figures_are_needed() -> None:
    free = Prices(**{field.name: Decimal(0) for field in fields(Prices)})
    assert cost_of(None, free) == 0
    assert cost_of(None, replace(free, sound_minute=None)) is None


def test_unknown_is_not_zero() -> None:
    assert cost_of(None, REALTIME) is None
    assert cost_of(Usage(text_in=1), None) is None
    assert cost_of(Usage(text_in=1), Prices()) is None
    assert cost_of(Usage(audio_out=1), replace(REALTIME, audio_out=None)) is None
    assert cost_of(Usage(text_in=1, cached_text_in=1), replace(REALTIME, text_cached=None)) is None
    # A hole where no token fell costs nothing.
    assert cost_of(Usage(text_in=1000), replace(REALTIME, image_in=None)) == 4000


@given(USAGES, PRICES)
def test_a_cost_is_whole_and_never_negative(usage: Usage, prices: Prices) -> None:
    cost = cost_of(usage, prices)
    assert isinstance(cost, int)
    assert cost >= 0


@given(USAGES, PRICES, st.sampled_from([f.name for f in fields(Usage)]), st.integers(0, 1000))
def test_more_tokens_never_cost_less(usage: Usage, prices: Prices, name: str, more: int) -> None:
    # Cached ones are cheaper than others, as long as the list says so.
    for kind in ("text", "audio", "image"):
        low, high = sorted((getattr(prices, f"{kind}_in"), getattr(prices, f"{kind}_cached")))
        prices = replace(prices, **{f"{kind}_cached": low, f"{kind}_in": high})
    before, after = (
        cost_of(usage, prices),
        cost_of(replace(usage, **{name: getattr(usage, name) + more}), prices),
    )
    assert before is not None
    assert after is not None
    assert after <= before if name.startswith("cached") else after >= before


# --- the day's money -----------------------------------------------------------------------


def test_it_warns_once_and_then_says_that_it_is_spent() -> None:
    budget = Budget(100, warn_percent=80)
    said = [budget.add(cost, DAY) for cost in (79, 1, 5, 14, 1, 50)]
    assert said == ["", "budget_warning", "", "", "budget_spent", ""]
    assert budget.spent == 150


def test_one_dear_answer_may_pass_the_warning() -> None:
    budget = Budget(100, warn_percent=80)
    assert budget.add(500, DAY) == "budget_spent"
    assert budget.add(1, DAY) == ""


def test_a_spent_day_takes_a_held_button() -> None:
    budget = Budget(100, warn_percent=80)
    assert budget.may_start_turn(DAY)
    budget.add(99, DAY)
    assert budget.may_start_turn(DAY)
    budget.add(1, DAY)
    assert not budget.may_start_turn(DAY)
    assert budget.may_start_turn(DAY, button_held=True)
    assert not budget.may_start_turn(DAY)


def test_midnight_brings_new_money_and_a_new_warning() -> None:
    budget = Budget(100, warn_percent=80)
    budget.add(100, DAY)
    tomorrow = DAY + timedelta(days=1)
    assert budget.may_start_turn(tomorrow)
    assert (budget.spent, budget.state.day) == (0, tomorrow)
    assert budget.add(85, tomorrow) == "budget_warning"


def test_without_a_cap_it_only_counts() -> None:
    budget = Budget(0, warn_percent=80)
    assert budget.add(10**12, DAY) == ""
    assert budget.may_start_turn(DAY)
    assert budget.spent == 10**12


def test_what_a_cap_cannot_count_is_remembered_for_the_day() -> None:
    budget = Budget(100, warn_percent=80)
    assert budget.add(None, DAY) == ""
    assert (budget.spent, budget.state.unpriced) == (0, 1)
    budget.may_start_turn(DAY + timedelta(days=1))
    assert budget.state.unpriced == 0


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (DAY, DAY + timedelta(days=1), 0),  # midnight
        (DAY, DAY - timedelta(days=1), 90),  # a flight to the west
        (DAY, date(1970, 1, 1), 90),  # a board that lost its clock
        (date(1970, 1, 1), DAY, 90),  # and found it again
        (date(2099, 1, 1), DAY, 90),  # a clock that had been ahead
    ],
)
def test_a_clock_that_is_set_does_not_give_money_back(before: date, after: date, kept: int) -> None:
    budget = Budget(100, warn_percent=80, state=BudgetState(before, 90, 0, True))
    budget.may_start_turn(after)
    assert budget.spent == kept


def test_back_and_forth_over_midnight_is_one_day() -> None:
    budget = Budget(100, warn_percent=80)
    late, early = DAY, DAY - timedelta(days=1)
    for day in (early, late, early, late, early, late):
        budget.add(30, day)
    # The first belongs to the day before; all the rest to the one that had begun.
    assert budget.spent == 150


def test_a_clock_from_the_future_is_left_behind() -> None:
    budget = Budget(100, warn_percent=80, state=BudgetState(date(2099, 1, 1), 100, 0, True))
    assert not budget.may_start_turn(DAY)
    assert budget.may_start_turn(DAY + timedelta(days=1))


@given(st.lists(st.tuples(COSTS, DAYS), max_size=30), st.integers(1, 5 * MICROUSD_PER_USD))
def test_the_books_are_right_whatever_the_clock_does(
    turns: list[tuple[int | None, date]], cap: int
) -> None:
    budget = Budget(cap, warn_percent=80)
    for cost, day in turns:
        before = budget.state
        said = budget.add(cost, day)
        after = budget.state
        assert after.spent >= (cost or 0)
        if after.day == before.day or (before.day and after.day and after.day < before.day):
            assert after.spent == before.spent + (cost or 0)
            assert after.unpriced == before.unpriced + (cost is None)
        assert (said == "budget_spent") <= (after.spent >= cap)
        assert (said == "budget_warning") <= (cap * 0.8 <= after.spent < cap)
        assert budget.may_start_turn(after.day or day) == (after.spent < cap)
        # A restart in between changes nothing.
        budget = Budget(cap, warn_percent=80, state=after)


@given(st.lists(st.integers(0, 100), max_size=50), st.integers(1, 1000))
def test_a_day_has_one_warning_and_one_refusal(costs: list[int], cap: int) -> None:
    budget = Budget(cap, warn_percent=80)
    said = [budget.add(cost, DAY) for cost in costs]
    assert said.count("budget_warning") <= 1
    assert said.count("budget_spent") == (sum(costs) >= cap)
    loud = [word for word in said if word]
    assert loud == sorted(loud, reverse=True)  # the warning, if any, comes first
