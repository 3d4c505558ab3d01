"""Known breaks of the chaos judge: what a household would notice, and the judge does not (F20).

A speaker with a fault plays one schedule; whatever judges it has to find something.
"""

from __future__ import annotations

import pytest
from chaos_life import play_one
from known import given, known_break

from edge_agent.tools.runner import ToolRunner


@known_break("F20", "a tool that runs twice for one call is noticed")
def test_a_tool_that_runs_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ToolRunner.run
    ran: list[str] = []

    def run_twice(self: ToolRunner, call_id: str, name: str, arguments: str) -> None:
        for run_id in (call_id, f"{call_id}_again"):
            ran.append(name)
            real(self, run_id, name, arguments)

    monkeypatch.setattr(ToolRunner, "run", run_twice)
    outcome = play_one("reset", "tool pending")
    given(len(ran) >= 2, "a tool runs")
    given(outcome.recovered, "the schedule comes to its end")
    assert not outcome.verdict.is_good
