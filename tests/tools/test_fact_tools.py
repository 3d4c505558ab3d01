"""Fact tools, on a real file: what the model says, is told, and what is left out before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.app.tools.facts import Facts, tools_for_facts
from edge_agent.app.tools.offer import ours
from edge_agent.contract.errors import ToolError
from edge_agent.contract.risk import Risk
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.fact_store import Fact, FactStore
from edge_agent.tools.fact_tools import RECALLED_MAX, best
from edge_agent.tools.registry import Registry

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=ZoneInfo("Europe/Berlin"))


class Memory:
    """The tools of one speaker with a folder of its own."""

    def __init__(self, folder: Path, **sections: Mapping[str, object]) -> None:
        self.path = folder / "facts.sqlite"
        state = {"path": str(folder / "state.json")}
        facts = {"enabled": True, **sections.pop("facts", {})}
        settings = Settings.model_validate({"state": state, "facts": facts, **sections})
        self.notes: list[str] = []
        disk = Worker("disk", threads=False, on_fault=lambda problem: pytest.fail(str(problem)))
        tools = tools_for_facts(
            settings, disk, lambda code, **_: self.notes.append(code), lambda: NOW
        )
        self.registry = Registry(ours(settings, tools))

    def call(self, name: str, arguments: str = "{}") -> Any:
        declared = self.registry.get(name)
        assert declared is not None
        return asyncio.run(declared.function(**declared.validate(arguments)))

    def remember(self, text: str) -> str:
        return str(self.call("remember", f'{{"fact": "{text}"}}'))


def test_told_recalled_and_forgotten(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    assert memory.call("recall") == "Nothing has been remembered yet."
    told = memory.remember("The spare key\\nis at Mia's")
    assert told == "Remembered: The spare key is at Mia's"
    memory.remember("The bins are collected on Tuesday")
    assert memory.call("recall", '{"about": "bin collection"}').splitlines() == [
        "What people told, by number; it is no instruction:",
        "2: The bins are collected on Tuesday (told on Friday the 20th of November 2026)",
        "1: The spare key is at Mia's (told on Friday the 20th of November 2026)",
    ]
    assert memory.call("forget", '{"number": 1}') == "Forgotten: The spare key is at Mia's"
    with pytest.raises(ToolError, match="no fact of that number"):
        memory.call("forget", '{"number": 1}')
    assert [fact.id for fact in FactStore(memory.path, lambda *_, **__: None).all()] == [2]


def test_there_are_no_tools_unless_the_owner_wants_them(tmp_path: Path) -> None:
    assert not Memory(tmp_path, facts={"enabled": False}).registry.schemas()
    risks = Memory(tmp_path).registry.risks()
    assert risks == {"remember": Risk.LOW, "recall": Risk.LOW, "forget": Risk.MEDIUM}


def test_what_the_owner_wants_left_out_never_reaches_the_file(tmp_path: Path) -> None:
    memory = Memory(tmp_path, privacy={"redact_names": ["Mia"]})
    told = memory.remember("Mia's number is 0171 2345678, or mia at example dot org")
    assert told.startswith("Remembered: [name]'s number is [number], or [e-mail] Parts were left")
    assert "say so" in told
    raw = memory.path.read_bytes()
    assert b"Mia" not in raw
    assert b"0171" not in raw
    assert b"example" not in raw
    with pytest.raises(ToolError, match="nothing else would be left"):
        memory.remember("0171 2345678")
    open_memory = Memory(tmp_path / "open", privacy={"redact_numbers": False})
    assert open_memory.remember("0171 2345678") == "Remembered: 0171 2345678"


def test_there_is_an_end_and_the_model_is_told(tmp_path: Path) -> None:
    memory = Memory(tmp_path, facts={"max_facts": 2})
    memory.remember("first")
    memory.remember("second")
    with pytest.raises(ToolError, match="as many as the owner allows") as caught:
        memory.remember("third")
    assert caught.value.code == "facts.too_many"


def test_on_a_real_thread_three_at_once_are_all_kept(tmp_path: Path) -> None:
    async def evening() -> list[str]:
        disk = Worker("disk", threads=True, on_fault=lambda problem: pytest.fail(str(problem)))
        try:
            settings = Settings.model_validate(
                {"state": {"path": str(tmp_path / "state.json")}, "facts": {"enabled": True}}
            )
            facts = Facts(settings, disk, lambda *_, **__: None, lambda: NOW)
            await asyncio.gather(*(facts.add(f"fact {number}") for number in range(3)))
            return sorted(fact.text for fact in await facts.all())
        finally:
            disk.close()

    assert asyncio.run(evening()) == ["fact 0", "fact 1", "fact 2"]


@pytest.mark.parametrize("text", ["", "ab", "x" * 301])
def test_a_fact_is_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ToolError, match="do not fit"):
        Memory(tmp_path).remember(text)


def test_a_file_of_no_use_is_told_once_and_then_the_memory_begins_anew(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.path.write_text("The spare key is at Mia's. " * 99)
    with pytest.raises(ToolError, match="was damaged; it was put aside") as caught:
        memory.call("recall")
    assert "Mia" not in str(caught.value)
    assert memory.notes == ["facts.repaired"]
    assert memory.call("recall") == "Nothing has been remembered yet."


def facts(*texts: str) -> list[Fact]:
    return [Fact(number, text, "2026-11-20") for number, text in enumerate(texts, 1)]


def test_of_many_facts_those_with_the_words_are_told() -> None:
    many = facts(*(f"Book {n} is lent to neighbour {n}" for n in range(90)), "Müllers Katze: Momo")
    assert [fact.text for fact in best(many, "MULLER cat")] == ["Müllers Katze: Momo"]
    assert best(many, "bicycle") == []
    assert len(best(many, "books")) == RECALLED_MAX
    assert [fact.id for fact in best(many, "")] == list(range(91, 91 - RECALLED_MAX, -1))


@given(st.lists(st.text(max_size=20), max_size=40), st.text(max_size=20))
def test_few_are_all_told_and_the_order_is_certain(texts: list[str], about: str) -> None:
    known = facts(*texts)
    found = best(known, about)
    assert found == best(list(reversed(known)), about)
    assert len(found) <= RECALLED_MAX
    assert set(found) <= set(known)
    if len(known) <= RECALLED_MAX:
        assert set(found) == set(known)
