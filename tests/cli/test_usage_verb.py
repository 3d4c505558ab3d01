"""`edge-agent usage`: the days that are kept, as a table and for programs."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.contract.events import Usage
from edge_agent.host.stores.usage_store import Kept, UsageStore, spent_by

FIRST, SECOND = date(2026, 11, 28), date(2026, 11, 29)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the speaker keeps its figures."""
    config = tmp_path / "edge-agent.toml"
    config.write_text(f'[state]\npath = "{tmp_path / "state.json"}"\n')
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(config))
    return tmp_path / "usage.json"


def used(file: Path) -> None:
    store = UsageStore(file, lambda *_, **__: None)
    answer = spent_by(Usage(text_in=10, audio_in=600, cached_audio_in=100, audio_out=90), 95_000)
    store.add(answer, Kept(FIRST, 95_000))
    store.add(answer, Kept(SECOND, 95_000))
    store.add(spent_by(Usage(text_in=36, text_out=87), 1_250, beside=True), Kept(SECOND, 96_250))
    store.add(spent_by(None, None), Kept(SECOND, 96_250, 1))
    assert store.save()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["usage", *arguments])


def test_days_are_a_table_with_a_sum(file: Path) -> None:
    used(file)
    before = file.read_bytes()
    result = run()
    assert result.exit_code == 0, result.output
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head[:2] == ["Day", "Answers"]
    assert rows == [
        ["2026-11-28", "1", "610", "100", "90", "0", "0.0950", "0.0000"],
        ["2026-11-29", "2", "646", "100", "177", "1", "0.0963+?", "0.0013"],
        ["in", "all", "3", "1256", "200", "267", "1", "0.1913+?", "0.0013"],
    ]
    assert len({len(line) for line in result.stdout.splitlines()}) == 1
    assert "1 of them are of unknown cost" in result.stderr
    assert "limit" not in result.stderr
    assert file.read_bytes() == before
    assert [found.name for found in file.parent.iterdir() if "usage" in found.name] == [file.name]


def test_programs_get_every_figure(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used(file)
    monkeypatch.setenv("EDGE_AGENT_BUDGET__DAILY_CAP_USD", "2.5")
    told = json.loads(run("--json").stdout)
    assert list(told["days"]) == ["2026-11-28", "2026-11-29"]
    today = told["days"]["2026-11-29"]
    assert (today["answers"], today["beside"], today["unpriced"]) == (2, 1, 1)
    assert (today["tokens_in"], today["cost_microusd"]) == (646, 96_250)
    assert told["in_all"]["tokens_out"] == 267
    assert len(told["last_answers"]) == 3
    assert told["daily_cap_usd"] == 2.5
    assert "2.50 USD" in run().stderr


def test_nothing_and_nonsense_are_told(file: Path) -> None:
    assert run().stdout == "Nothing has been used yet.\n"
    file.write_text('{"version": 1, "days": "?"}')
    result = run()
    assert result.exit_code == 1
    assert "cannot be read: it is broken" in result.stderr
    assert file.read_text() == '{"version": 1, "days": "?"}'
