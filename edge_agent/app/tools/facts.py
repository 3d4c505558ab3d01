"""Facts: from the tools to the file, through the redaction and aside of the loop.

Thread: event loop; the file is touched where `Worker` works.  It must never keep a fact in memory:
the owner may have changed the file in the meantime.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from edge_agent.contract.errors import ToolError
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.fact_store import Fact, FactStore, facts_path, one_line
from edge_agent.host.stores.json_file import NoteFunction
from edge_agent.host.stores.redaction import Redactor, without_marks
from edge_agent.tools.fact_tools import fact_tools
from edge_agent.tools.registry import Tool


def redactor(settings: Settings) -> Redactor:
    """What the owner wants left out of everything that is kept or sent on."""
    privacy = settings.privacy
    return Redactor(
        numbers=privacy.redact_numbers, emails=privacy.redact_emails, names=privacy.redact_names
    )


def tools_for_facts(
    settings: Settings, disk: Worker, note: NoteFunction, now: Callable[[], datetime]
) -> tuple[Tool, ...]:
    """remember, recall and forget."""
    return fact_tools(Facts(settings, disk, note, now))


class Facts:
    """What the tools know as `Memory`."""

    def __init__(
        self, settings: Settings, disk: Worker, note: NoteFunction, now: Callable[[], datetime]
    ) -> None:
        self._store = FactStore(facts_path(settings.state.path), note)
        self._redact = redactor(settings).redact
        self._limit = settings.facts.max_facts
        self._disk = disk
        self._now = now

    async def add(self, text: str) -> tuple[Fact, bool]:
        """Keep one, redacted; True if that took something out of it."""
        whole = one_line(text)
        left = self._redact(whole)
        if not any(letter.isalnum() for letter in without_marks(left)):
            raise ToolError(
                "Not remembered: the owner of this speaker wants no such numbers, addresses or "
                "names kept, and nothing else would be left.",
                code="facts.redacted",
            )
        day, limit = self._now().date().isoformat(), self._limit
        fact = await self._disk.run(lambda: self._store.add(left, day, limit=limit))
        if fact is None:
            raise ToolError(
                f"Not remembered: there are {limit} facts already, as many as the owner allows.",
                fix="Ask which one may be forgotten.",
                code="facts.too_many",
            )
        return fact, left != whole

    async def all(self) -> list[Fact]:
        """All of them, the oldest first."""
        return await self._disk.run(self._store.all)

    async def remove(self, number: int) -> Fact | None:
        """Forget one; None if there is no such fact."""
        return await self._disk.run(lambda: self._store.remove(number))
