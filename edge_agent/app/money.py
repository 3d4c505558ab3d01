"""Money: the prices, the day's budget, and the file that keeps both honest over a restart.

Thread: event loop; the file is written where `disk` puts it.  It must never decide whether an
answer may be bought: that is the dialogue's.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from edge_agent.contract.commands import RecordUsage
from edge_agent.contract.details import TEXT_MODEL
from edge_agent.contract.errors import AgentError
from edge_agent.contract.hosts import is_loopback
from edge_agent.dialogue.money.budget import MICROUSD_PER_USD, Budget, BudgetState, Prices
from edge_agent.dialogue.money.spending import Spending
from edge_agent.host.journal.journal import Journal
from edge_agent.host.price_list import PriceList, load_providers, owners_path
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

        def prices(provider: str, model: str) -> Prices | None:
            found = self.table.prices(provider, model)
            return Prices(**found.model_dump()) if found is not None else None

        def of_the_talk(model: str) -> Prices | None:
            return prices(self.provider(), model or realtime.model)

        def beside(who: str) -> tuple[str, Prices | None]:
            if who == TEXT_MODEL:
                model = settings.supervisor.model
                return model, prices(text_provider(settings, self.table), model)
            model = transcriber(settings, self.table, self.provider())
            return model, prices(self.provider(), model)

        self.spending = Spending(
            Budget(cap, warn_percent=budget.warn_percent, state=state),
            of_the_talk,
            beside,
        )

    def check_text_model(self) -> None:
        """Raises AgentError where the day's money is spent.  A press of the button buys a turn,
        not a second model in it."""
        if not self.spending.may_start_turn(by_button=False):
            raise AgentError(
                "The day's limit is reached.",
                fix="Raise budget.daily_cap_usd, or wait until midnight.",
                code="budget.spent",
            )

    def record(self, command: RecordUsage) -> None:
        """Write down one response."""
        state = self.spending.budget.state
        kept = Kept(state.day, state.spent, state.unpriced, state.warned)
        spent = spent_by(command.usage, command.cost_microusd, beside=command.beside)
        self.store.add(spent, kept)
        if not self._is_save_due:  # one holds for all that come before it is written
            self._is_save_due = True
            self._disk.put(self._save)

    def _save(self) -> bool:
        self._is_save_due = False  # first: what comes from here on may miss this one
        return self.store.save()


def text_provider(settings: Settings, table: PriceList) -> str:
    """Whose prices hold for the model of `[supervisor]`: the record of its host, `local` for this
    machine; "" where no record names it."""
    realtime = settings.realtime
    host = urlsplit(settings.supervisor.url).hostname or ""
    if not host or host == urlsplit(realtime.url).hostname:
        return realtime.provider
    names = (name for name, record in table.providers.items() if host == _host_of(record.url))
    return next(names, "local" if is_loopback(host) else "")


def transcriber(settings: Settings, table: PriceList, provider: str) -> str:
    """The provider's transcriber that this house asks for."""
    realtime = settings.realtime
    own = realtime.transcription_model if provider == realtime.provider else ""
    return own or table.record(provider).transcription_model


def unpriced_beside(settings: Settings, table: PriceList) -> list[str]:
    """Which models beside the talk a daily limit cannot count, as `PriceList.unpriced`."""
    if not settings.budget.daily_cap_usd:
        return []
    found, provider = list[str](), settings.realtime.provider
    if settings.supervisor.model:
        found += table.unpriced(text_provider(settings, table), settings.supervisor.model)
    model = transcriber(settings, table, provider)
    if settings.realtime.transcription == "builtin" and model:
        found += table.unpriced(provider, model)
    return found


def _host_of(url: str) -> str:
    return urlsplit(url.replace("{resource}", "resource")).hostname or ""
