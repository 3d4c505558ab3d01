"""Spending: what every response cost, told and held against the day's limit.

Thread: event loop.  It must never read a clock: the day comes with `DayBegan`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from edge_agent.contract import commands as c
from edge_agent.contract.events import Usage
from edge_agent.dialogue.money.budget import MICROUSD_PER_USD, Budget, Prices, cost_of

ASIDE = "question beside the talk"
"""Who is told to have cost something, where it was the model that talks."""
Counted = tuple[str, list[c.Command]]

DAY_UNKNOWN = date(1970, 1, 1)
"""Before the first `DayBegan`; `budget` takes so old a day for a clock that was never set."""


def _unpriced(who: str) -> tuple[str, Prices | None]:
    return who, None


class Spending:
    """The budget, the prices of the models, and what is said and written about both.

    `prices`: of the model that talks, by its name.  `beside`: name and prices of a model that
    works beside it, by who it is (`contract.details`).
    """

    def __init__(
        self,
        budget: Budget | None = None,
        prices: Callable[[str], Prices | None] = lambda _model: None,
        beside: Callable[[str], tuple[str, Prices | None]] = _unpriced,
    ) -> None:
        self.budget = budget or Budget(0, warn_percent=100)  # no limit: nothing to warn of
        self.day = DAY_UNKNOWN
        self.model = ""
        """The model that answers now: its prices hold."""
        self._prices = prices
        self._beside = beside
        self._unpriced_told: set[str] = set()

    def may_start_turn(self, *, by_button: bool) -> bool:
        """Past the limit only a press of the button buys one more turn."""
        return self.budget.may_start_turn(self.day, button_held=by_button)

    @property
    def is_spent(self) -> bool:
        """The day's limit is reached."""
        return not self.may_start_turn(by_button=False)

    def count(self, usage: Usage | None, *, beside: bool = False) -> Counted:
        """Count one response of the model that talks, in the talk or `beside` it; a sentence for
        the household ("" if none), and the commands."""
        return self._count(usage, self.model, self._prices(self.model), "" if not beside else ASIDE)

    def count_beside(self, who: str, usage: Usage | None) -> Counted:
        """Count what another model was used for, as `count` does."""
        model, prices = self._beside(who)
        return self._count(usage, model, prices, who)

    def _count(self, usage: Usage | None, model: str, prices: Prices | None, who: str) -> Counted:
        """`who` "": it was an answer."""
        cost = cost_of(usage, prices)
        out: list[c.Command] = [c.RecordUsage(usage, cost, beside=bool(who))]
        verdict = self.budget.add(cost, self.day)
        if cost is None:
            if model not in self._unpriced_told:
                self._unpriced_told.add(model)
                out.append(c.Note("usage.unpriced", {"model": model}))
            return verdict, out
        today = {"today_usd": _usd(self.budget.spent)}
        if cost == 0 and not verdict:
            return verdict, out  # a server in the house: nothing to tell
        cap = {"cap_usd": _usd(self.budget.cap)} if self.budget.cap else {}
        fields = {"usd": _usd(cost), **today, **cap}
        if who:
            out.append(c.Note("usage.beside", {"who": who, **fields}))
        else:
            out.append(c.Note("usage.cost", fields))
        if verdict:
            percent = round(100 * self.budget.spent / self.budget.cap)
            told = {"percent": percent, **today, "cap_usd": _usd(self.budget.cap)}
            code = "budget.warning" if verdict == "budget_warning" else "budget.spent"
            out.append(c.Note(code, told))
        return verdict, out


def _usd(microusd: int) -> float:
    return round(microusd / MICROUSD_PER_USD, 4)
