"""Budget: what an answer costs, and when the day's money is spent.

Thread: event loop.  It must never read a clock (the day comes in as data), guess a price, or let a
cost that is unknown pass for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from edge_agent.contract.events import Usage

Money = int
"""Millionths of a US dollar: prices are dollars per million tokens, so tokens times price is
already in this unit, and sums stay exact."""

MICROUSD_PER_USD = 1_000_000
MS_PER_MINUTE = 60_000

CLOCK_SLIP = timedelta(days=1)
"""A clock set back by up to a day (time zone, summer time, network time after a boot) stays in
the day that it had reached."""
CLOCK_UNSET_BEFORE = date(2025, 1, 1)
"""Older than this program: a board without a clock of its own that has not asked the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """US dollars per million tokens, and per minute of sound; None is unknown, not free."""

    text_in: Decimal | None = None
    text_cached: Decimal | None = None
    text_out: Decimal | None = None
    audio_in: Decimal | None = None
    audio_cached: Decimal | None = None
    audio_out: Decimal | None = None
    image_in: Decimal | None = None
    image_cached: Decimal | None = None
    sound_minute: Decimal | None = None

    @property
    def is_free(self) -> bool:
        """Nobody sends a bill, whatever was used."""
        return all(getattr(self, price.name) == 0 for price in fields(self))


def cost_of(usage: Usage | None, prices: Prices | None) -> Money | None:
    """What a response cost (PROTOCOL section 10); None: tokens without a price, or no figures.

    Cached tokens are a part of those that went in; more of them than went in is the server's
    slip and is cut to what went in.
    """
    if prices is not None and prices.is_free:
        return 0
    if usage is None or prices is None:
        return None
    total = Decimal(0)
    for tokens_in, cached, price_in, price_cached in (
        (usage.text_in, usage.cached_text_in, prices.text_in, prices.text_cached),
        (usage.audio_in, usage.cached_audio_in, prices.audio_in, prices.audio_cached),
        (usage.image_in, usage.cached_image_in, prices.image_in, prices.image_cached),
    ):
        went_in = max(0, tokens_in)
        known_before = min(max(0, cached), went_in)
        for tokens, price in ((went_in - known_before, price_in), (known_before, price_cached)):
            if tokens and price is None:
                return None
            total += tokens * (price or 0)
    for tokens, price in ((usage.text_out, prices.text_out), (usage.audio_out, prices.audio_out)):
        if tokens > 0:
            if price is None:
                return None
            total += tokens * price
    if usage.sound_ms > 0:
        if prices.sound_minute is None:
            return None
        total += usage.sound_ms * prices.sound_minute * MICROUSD_PER_USD / MS_PER_MINUTE
    return int(total.to_integral_value(ROUND_HALF_EVEN))


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What a budget has to remember across a restart."""

    day: date | None = None
    """The local day that `spent` belongs to; None: nothing was ever spent."""
    spent: Money = 0
    unpriced: int = 0
    """Responses of that day whose cost is not known."""
    warned: bool = False


Verdict = Literal["", "budget_warning", "budget_spent"]
"""Nothing to say, or the sentence that the household should hear."""


class Budget:
    """The day's money.  `cap` 0: no limit, it only counts."""

    def __init__(self, cap: Money, *, warn_percent: int, state: BudgetState | None = None) -> None:
        self.limit(cap, warn_percent)
        self._state = state or BudgetState()

    def limit(self, cap: Money, warn_percent: int) -> None:
        """Other limits from now on; what was spent today stays spent."""
        self._cap = max(0, cap)
        self._warn_percent = warn_percent

    @property
    def state(self) -> BudgetState:
        """To be saved, and handed in again after a restart."""
        return self._state

    @property
    def cap(self) -> Money:
        """The day's limit, 0: none."""
        return self._cap

    @property
    def spent(self) -> Money:
        """Of this day, as far as prices are known."""
        return self._state.spent

    def add(self, cost: Money | None, day: date) -> Verdict:
        """Count one response.  `cost` as of `cost_of`; `day` is the local day.

        Answers `budget_warning` once a day, `budget_spent` at the moment the limit is reached.
        """
        self._turn_page(day)
        was = self._state
        now = BudgetState(
            was.day,
            was.spent + max(0, cost or 0),
            was.unpriced + (cost is None),
            was.warned,
        )
        verdict: Verdict = ""
        if self._cap:
            if now.spent >= self._cap:
                verdict = "budget_spent" if was.spent < self._cap else ""
            elif now.spent * 100 >= self._cap * self._warn_percent and not was.warned:
                verdict = "budget_warning"
        # Past the limit a warning would come too late, also after the cap was raised a little.
        self._state = BudgetState(now.day, now.spent, now.unpriced, was.warned or verdict != "")
        return verdict

    def may_start_turn(self, day: date, *, button_held: bool = False) -> bool:
        """Whether a turn may be sent.  Past the limit only while the button is held: that is a
        person who wants this one answer and knows what it costs."""
        self._turn_page(day)
        return button_held or not self._cap or self._state.spent < self._cap

    def _turn_page(self, day: date) -> None:
        """Begin a new day.  A clock that is set back does not give the money back."""
        mine = self._state.day
        if mine is None:
            self._state = BudgetState(
                day, self._state.spent, self._state.unpriced, self._state.warned
            )
        elif day > mine:
            # From an unset clock to the real time is one and the same day, as far as we know.
            same = mine < CLOCK_UNSET_BEFORE <= day
            self._state = (
                BudgetState(day, self._state.spent, self._state.unpriced, self._state.warned)
                if same
                else BudgetState(day)
            )
        elif mine - day > CLOCK_SLIP and day >= CLOCK_UNSET_BEFORE:
            # The clock had been ahead; waiting for that day again could mean for years.
            self._state = BudgetState(
                day, self._state.spent, self._state.unpriced, self._state.warned
            )
