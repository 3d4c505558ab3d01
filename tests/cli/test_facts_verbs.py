"""`edge-agent facts`: the owner looks, corrects and has forgotten, while the speaker may run."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.host.stores.fact_store import FactStore


@pytest.fixture(autouse=True)
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FactStore:
    """A speaker's memory with two facts, one of them nasty."""
    file = tmp_path / "edge-agent.toml"
    state = tmp_path / "state" / "state.json"
    file.write_text(f'[state]\npath = "{state}"\n[facts]\nenabled = true\n')
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    store = FactStore(state.with_name("facts.sqlite"), lambda *_, **__: None)
    store.add("The spare key is at Mia's", "2026-11-20", limit=9)
    store.add("Bins\x1b[2J on Tuesday", "2026-11-21", limit=9)
    return store


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["facts", *arguments])


def test_list_shows_them_and_obeys_none(facts: FactStore) -> None:
    result = invoke("list")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "1. 2026-11-20  The spare key is at Mia's",
        "2. 2026-11-21  Bins[2J on Tuesday",
    ]
    rows = json.loads(invoke("list", "--json").stdout)
    assert rows[0] == {"id": 1, "text": "The spare key is at Mia's", "day": "2026-11-20"}
    facts.remove_all()
    assert invoke("list").stdout == "Nothing has been remembered.\n"


def test_edit_keeps_the_owners_words(facts: FactStore) -> None:
    result = invoke("edit", "1", " Mia: 0171\n2345678 ")
    assert (result.exit_code, result.stdout) == (0, "1. Mia: 0171 2345678\n")
    assert facts.all()[0].text == "Mia: 0171 2345678"
    result = invoke("edit", "7", "x")
    assert result.exit_code == 1
    assert "There is no fact 7." in result.stderr
    assert invoke("edit", "1", " ").exit_code == 2
    assert invoke("edit", "1", "x" * 301).exit_code == 2


def test_forget_wants_a_yes(facts: FactStore) -> None:
    result = invoke("forget", "1")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert len(facts.all()) == 2
    result = invoke("forget", "1", "--yes")
    assert (result.exit_code, result.stdout) == (0, "Forgotten: one fact.\n")
    assert [fact.id for fact in facts.all()] == [2]
    assert invoke("forget", "1", "--yes").exit_code == 1
    assert invoke("forget", "--yes").exit_code == 2
    assert invoke("forget", "2", "--all", "--yes").exit_code == 2
    assert invoke("forget", "--all", "--yes").stdout == "Forgotten: one fact.\n"
    assert invoke("forget", "--all", "--yes").stdout == "There was nothing to forget.\n"


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, 2), ("y\n", 0, 0)])
def test_a_person_is_asked(
    facts: FactStore, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
) -> None:
    monkeypatch.setattr("edge_agent.cli.outcome._is_terminal", lambda: True)
    result = CliRunner().invoke(cli.app, ["facts", "forget", "--all"], input=answer)
    assert result.exit_code == code
    assert "Forget 2 facts for good?" in result.stdout
    assert len(facts.all()) == left


def test_where_there_is_no_file_none_is_made(facts: FactStore) -> None:
    facts.path.unlink()
    for arguments in (("list",), ("forget", "--all", "--yes")):
        assert invoke(*arguments).exit_code == 0
    assert invoke("edit", "1", "x").exit_code == 1
    assert not facts.path.exists()


def test_trouble_is_told_in_a_sentence(facts: FactStore) -> None:
    other = sqlite3.connect(facts.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    result = invoke("list")
    assert result.exit_code == 1
    assert "Another program holds the facts" in result.stderr
    other.close()
    facts.path.write_bytes(b"no database" * 99)
    result = invoke("list")
    assert result.exit_code == 1
    assert "damaged" in result.stderr
    assert f"{facts.path}.unusable" in result.stderr.replace("\n", "")
