"""A server that ends thousands of responses does not fill the disk's queue with their bills."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import cast

from edge_agent.app.money import Ledger
from edge_agent.contract.commands import RecordUsage
from edge_agent.contract.events import Usage
from edge_agent.host.journal.journal import Journal, TextSink
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings


class Disk:
    """A worker that has not got round to anything yet."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def put(self, work: Callable[[], object]) -> None:
        self.waiting.append(work)


def test_one_save_waits_for_the_disk_however_many_answers_come(tmp_path: Path) -> None:
    settings = Settings.model_validate({"state": {"path": str(tmp_path / "state.json")}})
    disk = Disk()
    ledger = Ledger(settings, Journal(TextSink(io.StringIO())), cast("Worker", disk))
    answer = RecordUsage(usage=Usage(text_in=1), cost_microusd=1)
    for _ in range(1000):
        ledger.record(answer)
    assert len(disk.waiting) == 1
    disk.waiting.pop()()
    ledger.record(answer)
    assert len(disk.waiting) == 1
