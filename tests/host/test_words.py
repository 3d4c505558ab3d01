"""Words and sound on their way: whole, redacted, bounded, and only where the owner wants it."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_agent.app.keepsakes import SOUND_MAX_BYTES, WAITING_MAX, Recorder, TurnSound, observers
from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS
from edge_agent.host.journal.journal import Journal, TextSink
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings

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
    e.SideAnswer(at=8.3, tag="transcript_6", text="[unclear]"),
    e.UserTranscript(at=8.4, item="e", text="(coughs) [BLANK_AUDIO]"),
)


def written(tmp_path: Path, **sections: Any) -> list[str]:
    state = {"path": str(tmp_path / "state.json")}
    settings = Settings.model_validate({"state": state, **sections})
    paper = io.StringIO()
    journal = Journal(TextSink(paper), transcripts=settings.journal.transcripts)
    disk = Worker("disk", threads=False, on_fault=lambda problem: pytest.fail(str(problem)))
    recorder = Recorder(settings, disk, journal.note, lambda: NOW)
    for see in observers(settings, recorder, journal):
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


# --- a slow disk, an open microphone -------------------------------------------------------------


class SlowDisk(Worker):
    """Does nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__("disk", threads=False, on_fault=lambda _: None)
        self.waiting: list[Callable[[], object]] = []

    def put(self, work: Callable[[], object]) -> None:
        self.waiting.append(work)

    def catch_up(self) -> None:
        for work in self.waiting:
            work()
        self.waiting.clear()


def test_a_disk_that_is_too_slow_does_not_fill_the_memory(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"state": {"path": str(tmp_path / "state.json")}, "privacy": {"keep_transcripts_days": 1}}
    )
    notes: list[tuple[str, object]] = []
    disk = SlowDisk()
    recorder = Recorder(settings, disk, lambda code, **f: notes.append((code, f)), lambda: NOW)

    def say(text: str) -> None:
        recorder.on_event(e.UserTranscript(at=0.0, item="a", text=text), [], 0.0)

    for number in range(WAITING_MAX + 5):
        say(f"turn {number}")
    assert len(disk.waiting) == WAITING_MAX
    disk.catch_up()
    say("later")
    disk.catch_up()
    assert notes == [("keepsakes.dropped", {"count": 5})]
    [file] = (tmp_path / "transcripts").iterdir()
    assert len(file.read_text().splitlines()) == WAITING_MAX + 1


def test_an_open_microphone_is_kept_from_the_turn_on() -> None:
    kept: list[bytes] = []
    turns = TurnSound(lambda _who, sound: kept.append(sound))
    silence = bytes(1000 * WIRE_BYTES_PER_MS)
    for _ in range(200):
        turns.on_event(e.Tick(at=0.0), [c.SendAudio(silence)])
    turns.on_event(e.UserSpeechStarted(at=0.0, item="a"), [])
    words = b"\x01\x02" * 24_000
    turns.on_event(e.Tick(at=0.0), [c.SendAudio(words)])
    turns.on_event(e.UserTurnCommitted(at=0.0, item="a"), [c.Note("talk.turn_sent", {"ms": 1000})])
    assert kept == [2 * silence + words]
    for _ in range(200):
        turns.on_event(e.Tick(at=0.0), [c.SendAudio(words)])
    turns.on_event(e.Tick(at=0.0), [c.Note("talk.turn_sent", {})])
    assert len(kept[1]) == SOUND_MAX_BYTES


def test_what_nobody_said_into_a_talk_is_not_kept() -> None:
    kept: list[bytes] = []
    turns = TurnSound(lambda _who, sound: kept.append(sound))
    turns.on_event(e.Tick(at=0.0), [c.SendAudio(b"ab"), c.Note("talk.asleep", {})])
    turns.on_event(e.Tick(at=0.0), [c.SendAudio(b"cd")])
    turns.on_event(e.LinkDown(at=0.0, code="link.lost", message="Lost."), [])
    turns.on_event(e.Tick(at=0.0), [c.Note("talk.turn_sent", {})])
    assert kept == []
