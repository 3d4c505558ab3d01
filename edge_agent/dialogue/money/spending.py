"""Spending: what every response cost, told and held against the day's limit.

Thread: event loop.  It must never read a clock: the day comes with `DayBegan`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from edge_agent.contract import commands as c
from edge_agent.contract.events import Usage
from edge_agent.dialogue.money.budget import MICROUSD_PER_USD, Budget, Prices, cost_of

DAY_UNKNOWN = date(1970, 1, 1)
"""Before the first `DayBegan`; `budget` takes so old a day for a clock that was never set."""


class Spending:
    """The budget, the prices of the models, and what is said and written about both."""

    def __init__(
        self,
        budget: Budget | None = None,
        prices: Callable[[str], Prices | None] = lambda _model: None,
    ) -> None:
        self.budget = budget or Budget(0, warn_percent=100)  # no limit: nothing to warn of
        self.day = DAY_UNKNOWN
        self.model = ""
        """The model that answers now: its prices hold."""
        self._prices = prices
        self._unpriced_told: set[str] = set()

    def may_start_turn(self, *, by_button: bool) -> bool:
        """Past the limit only a press of the button buys one more turn."""
        return self.budget.may_start_turn(self.day, button_held=by_button)

    def count(self, usage: Usage | None) -> tuple[str, list[c.Command]]:
        """Count one response; a sentence for the household ("" if none), and the commands."""
        cost = cost_of(usage, self._prices(self.model))
        out: list[c.Command] = [c.RecordUsage(usage, cost)]
        verdict = self.budget.add(cost, self.day)
        if cost is None:
            if self.model not in self._unpriced_told:
                self._unpriced_told.add(self.model)
                out.append(c.Note("usage.unpriced", {"model": self.model}))
            return verdict, out
        today = {"today_usd": _usd(self.budget.spent)}
        if cost == 0 and not verdict:
            return verdict, out  # a server in the house: nothing to tell
        cap = {"cap_usd": _usd(self.budget.cap)} if self.budget.cap else {}
        out.append(c.Note("usage.cost", {"usd": _usd(cost), **today, **cap}))
        if verdict:
            percent = round(100 * self.budget.spent / self.budget.cap)
            fields = {"percent": percent, **today, "cap_usd": _usd(self.budget.cap)}
            code = "budget.warning" if verdict == "budget_warning" else "budget.spent"
            out.append(c.Note(code, fields))
        return verdict, out


def _usd(microusd: int) -> float:
    return round(microusd / MICROUSD_PER_USD, 4)
