"""Words: what was said reaches the journal whole, redacted, and only where the owner wants it."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_agent.app_keepsakes import observers
from edge_agent.contract import events as e
from edge_agent.host.journal import Journal, TextSink
from edge_agent.host.settings import Settings
from edge_agent.host.worker import Worker

NOW = datetime(2026, 11, 20, 18, 30, tzinfo=ZoneInfo("Europe/Berlin"))

TALK = (
    e.UserTranscript(at=1.0, item="a", text=" It's Anna, 0171 2345678. "),
    e.VoiceText(at=2.0, response="r", item="b", text="Hello An"),
    e.VoiceText(at=2.1, response="r", item="b", text="na."),
    e.ResponseEnded(at=3.0, response="r", status="completed"),
    e.UserTranscript(at=4.0, item="c", text="  "),
    e.VoiceText(at=5.0, response="s", item="d", text="I was"),
    e.LinkDown(at=6.0, code="link.lost", message="Lost."),
    e.ResponseEnded(at=7.0, response="s", status="cancelled"),
    e.SideAnswer(at=8.0, tag="transcript_3", text="And Anna?"),
    e.SideAnswer(at=8.1, tag="transcript_4", text="", ok=False),
    e.SideAnswer(at=8.2, tag="consent_5", text="Yes, please."),
)


def written(tmp_path: Path, **sections: Any) -> list[str]:
    state = {"path": str(tmp_path / "state.json")}
    settings = Settings.model_validate({"state": state, **sections})
    paper = io.StringIO()
    journal = Journal(TextSink(paper), transcripts=settings.journal.transcripts)
    disk = Worker("disk", threads=False, on_fault=lambda problem: pytest.fail(str(problem)))
    for see in observers(settings, disk, journal, lambda: NOW):
        for event in TALK:
            see(event, [], event.at)
    return [line.partition("  ")[2] for line in paper.getvalue().splitlines()]


def test_the_journal_gets_each_turn_and_each_answer_redacted(tmp_path: Path) -> None:
    lines = written(tmp_path, journal={"transcripts": True}, privacy={"redact_names": ["anna"]})
    assert lines == [
        "household: It's [name], [number].  [talk.words]",
        "speaker: Hello [name].  [talk.words]",
        "speaker: I was  [talk.words]",
        "household: And [name]?  [talk.words]",
    ]


def test_the_owner_may_want_all_of_it(tmp_path: Path) -> None:
    lines = written(tmp_path, journal={"transcripts": True}, privacy={"redact_numbers": False})
    assert lines[0] == "household: It's Anna, 0171 2345678.  [talk.words]"


def test_without_a_wish_nothing_is_written(tmp_path: Path) -> None:
    assert written(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
