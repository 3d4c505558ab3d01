"""Money: the prices, the day's budget, and the file that keeps both honest over a restart.

Thread: event loop; the file is written where `disk` puts it.  It must never decide whether an
answer may be bought: that is the dialogue's.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.contract.commands import RecordUsage
from edge_agent.dialogue.money.budget import MICROUSD_PER_USD, Budget, BudgetState, Prices
from edge_agent.dialogue.money.spending import Spending
from edge_agent.host.journal.journal import Journal
from edge_agent.host.price_list import load_providers, owners_path
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.usage_store import Kept, UsageStore, spent_by, usage_path


class Ledger:
    """What answers cost today, and what they may."""

    def __init__(self, settings: Settings, journal: Journal, disk: Worker) -> None:
        self.store = UsageStore(usage_path(settings.state.path), journal.note)
        self._disk = disk
        self._is_save_due = False
        kept = self.store.load()
        state = BudgetState(kept.day, kept.spent_microusd, kept.unpriced, kept.warned)
        budget = settings.budget
        cap = round(budget.daily_cap_usd * MICROUSD_PER_USD)
        realtime = settings.realtime
        self.table = load_providers(owners_path(realtime.providers_file))
        self.provider: Callable[[], str] = lambda: realtime.provider
        """Whose session it is; its prices hold."""

        def prices(model: str) -> Prices | None:
            found = self.table.prices(self.provider(), model or realtime.model)
            return Prices(**found.model_dump()) if found is not None else None

        self.spending = Spending(Budget(cap, warn_percent=budget.warn_percent, state=state), prices)

    def record(self, command: RecordUsage) -> None:
        """Write down one response."""
        state = self.spending.budget.state
        kept = Kept(state.day, state.spent, state.unpriced, state.warned)
        self.store.add(spent_by(command.usage, command.cost_microusd), kept)
        if not self._is_save_due:  # one holds for all that come before it is written
            self._is_save_due = True
            self._disk.put(self._save)

    def _save(self) -> bool:
        self._is_save_due = False  # first: what comes from here on may miss this one
        return self.store.save()
