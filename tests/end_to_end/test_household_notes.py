"""Notes by a text model over HTTP: what is sent is redacted, and whatever fails is told once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from speech_service import KEY
from text_service import TextService

from edge_agent.app.tools.summaries import Notes, TextSummarizer
from edge_agent.contract.commands import Summarise
from edge_agent.contract.errors import AgentError, LinkRefused
from edge_agent.contract.events import Event, SummaryMade
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings

WISH = Summarise("notes_1", "Take notes.", "Household: call Anna on 0171 555 1234.")


class House:
    """What notes are given, and what becomes of it."""

    def __init__(self, **sections: Any) -> None:
        self.settings = Settings(**sections)
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.faults: list[BaseException] = []
        self.posted: asyncio.Queue[SummaryMade] = asyncio.Queue()

    def note(self, code: str, /, **fields: object) -> None:
        self.notes.append((code, fields))

    def post(self, event: Event) -> None:
        assert isinstance(event, SummaryMade)
        self.posted.put_nowait(event)


def ask(house: House, summarizer: Any = None) -> SummaryMade | None:
    """One wish, to its end."""

    async def go() -> SummaryMade | None:
        io_pool = Worker("io", threads=True, on_fault=house.faults.append)
        notes = Notes(
            house.settings,
            io_pool=io_pool,
            post=house.post,
            note=house.note,
            fault=house.faults.append,
            time=asyncio.get_running_loop().time,
            summarizer=summarizer,
        )
        try:
            if not notes.want(WISH):
                return None
            async with asyncio.timeout(10):
                return await house.posted.get()
        finally:
            await notes.close()
            io_pool.close()

    return asyncio.run(go())


def supervised(text_service: TextService, key: str = KEY) -> dict[str, Any]:
    return {
        "supervisor": {"model": "gpt-5-mini", "url": text_service.base},
        "realtime": {"api_key": key, "url": text_service.base.replace("http", "ws") + "/realtime"},
        "privacy": {"redact_names": ["Anna"]},
    }


def test_a_shared_key_that_is_put_right_works_at_once(
    text_service: TextService, tmp_path: Path
) -> None:
    text_service.text = "- Tea."
    raw = supervised(text_service, "sk-wrong")
    file = tmp_path / "shared"
    file.write_text("sk-wrong")
    raw["realtime"]["api_key_file"] = str(file)
    summarizer = TextSummarizer(Settings(**raw), lambda _usage: None)
    with pytest.raises(LinkRefused, match="does not accept the key"):
        summarizer.summarise("Brief.", "Tea?")
    file.write_text(KEY)
    assert summarizer.summarise("Brief.", "Tea?") == "- Tea."


def test_words_are_redacted_before_they_leave(text_service: TextService) -> None:
    text_service.text = "- They want to call [name]."
    house = House(**supervised(text_service))
    made = ask(house)
    assert made is not None
    assert (made.tag, made.text, made.ok) == ("notes_1", text_service.text, True)
    [request] = text_service.requests
    assert request["json"]["instructions"] == "Take notes."
    sent = str(request["json"]["input"])
    assert "Anna" not in sent
    assert "1234" not in sent
    assert sent.startswith("Household: call")
    assert house.notes == []
    assert house.faults == []


def test_a_refusal_is_told_to_the_admin_and_to_the_dialogue(text_service: TextService) -> None:
    house = House(**supervised(text_service, key="sk-wrong"))
    made = ask(house)
    assert made is not None
    assert (made.text, made.ok) == ("", False)
    [(code, fields)] = house.notes
    assert code == "memory.no_text_model"
    assert "Anna" not in str(fields)
    assert "sk-wrong" not in str(fields)


def test_without_a_model_nobody_is_asked() -> None:
    assert ask(House()) is None


class Broken:
    def __init__(self, problem: Exception) -> None:
        self.problem = problem

    def summarise(self, instructions: str, text: str) -> str:
        raise self.problem


def test_whatever_goes_wrong_the_dialogue_hears_of_it() -> None:
    house = House()
    made = ask(house, Broken(ValueError("a bug")))
    assert made is not None
    assert not made.ok
    assert [str(fault) for fault in house.faults] == ["a bug"]
    house = House()
    made = ask(house, Broken(AgentError("No.", fix="Do.", code="link.lost")))
    assert made is not None
    assert not made.ok
    assert house.notes == [
        ("memory.no_text_model", {"code": "link.lost", "message": "No.", "fix": "Do."})
    ]
