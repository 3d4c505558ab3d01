"""What the tools, the control socket and the calendar can reach of the running speaker (purpose).

Owner thread: event loop; files are written where `Worker` puts them.  Must never decide: it
counts, remembers, and hands wishes to the dialogue as events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge_agent import __version__
from edge_agent.contract.commands import Command, Note, RecordUsage
from edge_agent.contract.events import (
    DayBegan,
    DeviceDown,
    DeviceReady,
    Event,
    GuestRequested,
    LinkDown,
    LinkReady,
    MuteRequested,
    ResponseEnded,
)
from edge_agent.dialogue.money.budget import MICROUSD_PER_USD, Budget, Prices, Purse
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.state import Microphone
from edge_agent.host.journal.journal import Journal, filled
from edge_agent.host.journal.messages import MESSAGES
from edge_agent.host.price_list import load_providers, owners_path
from edge_agent.host.service.control import ControlError
from edge_agent.host.service.status import Failure, Status, in_words
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.usage_store import Kept, UsageStore, spent_by, usage_path

if TYPE_CHECKING:
    from edge_agent.app.daemon import Daemon

UNANSWERED = ("talk.no_answer", "talk.dropped_old")
"""What leaves somebody without an answer and is no failure of a response, the line or a device."""


class Ledger:
    """Money: the prices, the day's budget, and the file that keeps both honest over a restart."""

    def __init__(self, settings: Settings, journal: Journal, disk: Worker) -> None:
        self.store = UsageStore(usage_path(settings.state.path), journal.note)
        self._disk = disk
        kept = self.store.load()
        purse = Purse(kept.day, kept.spent_microusd, kept.unpriced, kept.warned)
        budget = settings.budget
        cap = round(budget.daily_cap_usd * MICROUSD_PER_USD)
        realtime = settings.realtime
        self.table = load_providers(owners_path(realtime.providers_file))
        self.provider: Callable[[], str] = lambda: realtime.provider
        """Whose session it is; its prices hold."""

        def prices(model: str) -> Prices | None:
            found = self.table.prices(self.provider(), model or realtime.model)
            return Prices(**found.model_dump()) if found is not None else None

        self.spending = Spending(Budget(cap, warn_percent=budget.warn_percent, purse=purse), prices)

    def record(self, command: RecordUsage) -> None:
        """Write down one response."""
        purse = self.spending.budget.purse
        kept = Kept(purse.day, purse.spent, purse.unpriced, purse.warned)
        self.store.add(spent_by(command.usage, command.cost_microusd), kept)
        self._disk.put(self.store.save)


class House:
    """The speaker as its tools (`tools.builtin.Home`) and its owner's commands see it."""

    def __init__(self, daemon: Daemon, now: Callable[[], datetime]) -> None:
        self._daemon = daemon
        self._now = now
        self._status = Status(
            version=__version__,
            provider=daemon.settings.realtime.provider,
            model=daemon.settings.realtime.model,
        )
        self._failure_at = 0.0
        self._day = now().date()

    # --- for the tools ------------------------------------------------------------------

    def volume(self) -> int:
        """The volume in percent."""
        return self._daemon.volume_percent

    def set_volume(self, percent: int) -> None:
        """Set the volume; it survives a reboot."""
        self._daemon.set_volume(percent)

    def mute(self) -> None:
        """Mute the microphone, as the button does."""
        self._want_mute(True)

    def status(self) -> str:
        """Everything in plain words."""
        return ". ".join(f"{what}: {how}" for what, how in in_words(self.snapshot()))

    # --- for the owner's commands -------------------------------------------------------

    @property
    def handlers(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        """What the control socket answers."""
        return {
            "status": lambda _request: self.snapshot().plain(),
            "mute": self._mute_command,
            "guest": self._guest_command,
            "forget_messages": self._daemon.toolbox.desk.forget,
        }

    def _mute_command(self, request: dict[str, Any]) -> dict[str, Any]:
        muted = self._daemon.dialogue.microphone is Microphone.MUTED
        wishes = {"on": True, "off": False, "toggle": not muted}
        wish = wishes.get(str(request.get("to")))
        if wish is None:
            raise ControlError("There is no such state of the microphone.", fix="on, off, toggle.")
        self._want_mute(wish)
        return {"muted": self._daemon.dialogue.microphone is Microphone.MUTED}

    def _guest_command(self, request: dict[str, Any]) -> dict[str, Any]:
        dialogue = self._daemon.dialogue
        wishes = {"on": True, "off": False, "toggle": not dialogue.guest}
        wish = wishes.get(str(request.get("to")))
        if wish is None:
            raise ControlError("There is no such state of guest mode.", fix="on, off, toggle.")
        self._daemon.post(GuestRequested(at=self._daemon.time(), on=wish))
        return {"guest": dialogue.guest}

    def _want_mute(self, muted: bool) -> None:
        self._daemon.post(MuteRequested(at=self._daemon.time(), muted=muted))

    # --- looking on ---------------------------------------------------------------------

    def see(self, event: Event, commands: list[Command], at: float) -> None:
        """An observer of the pump: keeps what `status` will be asked for."""
        for command in commands:
            if isinstance(command, Note) and command.code in UNANSWERED:
                text = filled(MESSAGES[command.code].text, {})
                self._failed(Failure(code=command.code, message=text), at)
        match event:
            case LinkReady():
                self._note(link_code="", link_refused=False, model=event.model)
            case LinkDown():
                self._note(
                    link_code=event.code,
                    link_refused=event.refused,
                    link_retry_in_s=event.retry_in_s,
                )
                self._failed(Failure(code=event.code, message=event.message, fix=event.fix), at)
            case DeviceReady():
                self._note(capture_name=event.capture_name, render_name=event.render_name)
            case DeviceDown():
                self._failed(Failure(code=event.code, message=event.message, fix=event.fix), at)
            case ResponseEnded(status="failed"):
                self._failed(Failure(code=f"response.{event.code}", message=event.message), at)

    def turn_page(self, *, first: bool = False) -> None:
        """Tell the dialogue of a new day; call now and then."""
        day = self._now().date()
        if first or day != self._day:
            self._day = day
            self._daemon.post(DayBegan(at=self._daemon.time(), day=day))

    def snapshot(self) -> Status:
        """How things stand."""
        daemon, today = self._daemon, self._daemon.ledger.store.today
        failure, now = self._status.failure, daemon.time()
        sound = daemon.watch.sound_counters()
        return replace(
            self._status,
            talk=daemon.dialogue.talk.value,
            microphone=daemon.dialogue.microphone.value,
            guest=daemon.dialogue.guest,
            link=daemon.dialogue.link.value,
            device_present=daemon.keeper.present,
            volume_percent=daemon.volume_percent,
            failure=replace(failure, ago_s=now - self._failure_at) if failure else None,
            uptime_s=now - daemon.started_at,
            answers=today.answers,
            tokens_in=today.tokens_in,
            tokens_cached=today.cached,
            tokens_out=today.tokens_out,
            cost_microusd=today.cost_microusd,
            unpriced=today.unpriced,
            cap_microusd=daemon.ledger.spending.budget.cap,
            underruns=daemon.playout.gaps,
            echo=sound.echo,
            echo_quieter_db=round(sound.erle_db),
            mic_clipped=daemon.watch.sound.loud_looks,
            mic_lost=sound.overflows,
            underflows=sound.underflows,
            drops=daemon.drops,
        )

    def _note(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)

    def _failed(self, failure: Failure, at: float) -> None:
        self._note(failure=failure)
        self._failure_at = at
