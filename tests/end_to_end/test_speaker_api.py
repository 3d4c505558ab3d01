"""What tools and the owner's commands may do to the speaker: each part with plain arguments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge_agent.app.calendar import Calendar
from edge_agent.app.speaker_api import SavedState, SpeakerApi, owner_commands
from edge_agent.app.status import StatusLine
from edge_agent.contract.events import DayBegan, Event, GuestRequested, MuteRequested
from edge_agent.dialogue.state import Link, Microphone, Talk
from edge_agent.host.service.control import ControlError
from edge_agent.host.service.status import Status
from edge_agent.host.service.systemd import Notifier
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings


@dataclass
class Dialogue:
    """A dialogue that does at once what it is asked for."""

    talk: Talk = Talk.ASLEEP
    microphone: Microphone = Microphone.OPEN
    link: Link = Link.READY
    guest: bool = False

    def take(self, event: Event) -> None:
        match event:
            case MuteRequested():
                self.microphone = Microphone.MUTED if event.muted else Microphone.OPEN
            case GuestRequested():
                self.guest = event.on


class Speaker:
    """A speaker's api over a state file."""

    def __init__(self, folder: Path) -> None:
        self.posted: list[Event] = []
        self.loudness: list[float] = []
        self.notes: list[str] = []
        self.dialogue = Dialogue()
        settings = Settings.model_validate({"state": {"path": str(folder / "state.json")}})
        disk = Worker("disk", threads=False, on_fault=lambda problem: pytest.fail(str(problem)))
        self.state = SavedState(settings, disk, lambda code, /, **_fields: self.notes.append(code))
        self.api = SpeakerApi(
            self.state,
            set_loudness=self.loudness.append,
            status=lambda: Status(provider="local", guest=self.dialogue.guest),
            post=self._post,
            time=lambda: 7.0,
        )
        self.commands = owner_commands(self.api, self.dialogue, lambda _request: {"deleted": 3})

    def _post(self, event: Event) -> None:
        self.posted.append(event)
        self.dialogue.take(event)


def test_the_volume_is_heard_at_once_and_survives(tmp_path: Path) -> None:
    speaker = Speaker(tmp_path)
    assert speaker.api.volume() == Settings().device.volume_percent
    speaker.api.set_volume(35)
    assert (speaker.api.volume(), speaker.loudness) == (35, [35])
    speaker.state.save(muted=True, guest=True)
    again = Speaker(tmp_path)
    assert again.api.volume() == 35
    assert (again.state.saved.muted, again.state.saved.guest) == (True, True)


def test_a_tool_can_mute_and_nothing_more(tmp_path: Path) -> None:
    speaker = Speaker(tmp_path)
    speaker.api.mute()
    assert speaker.posted == [MuteRequested(at=7.0, muted=True)]


def test_the_owner_switches_and_toggles_and_is_told_what_came_of_it(tmp_path: Path) -> None:
    speaker = Speaker(tmp_path)
    mute, guest = speaker.commands["mute"], speaker.commands["guest"]
    wishes = [("on", True), ("toggle", False), ("toggle", True), ("off", False)]
    assert [mute({"to": to}) for to, _ in wishes] == [{"muted": is_on} for _, is_on in wishes]
    assert [guest({"to": to}) for to, _ in wishes] == [{"guest": is_on} for _, is_on in wishes]
    assert speaker.commands["forget_messages"]({}) == {"deleted": 3}
    assert speaker.commands["status"]({})["provider"] == "local"
    asked = len(speaker.posted)
    for command in (mute, guest):
        for wrong in ({}, {"to": "perhaps"}, {"to": True}):
            with pytest.raises(ControlError, match="no such state"):
                command(wrong)
    assert len(speaker.posted) == asked


def test_a_day_begins_once() -> None:
    now, posted = datetime(2026, 5, 1, 23, 0, tzinfo=timezone(timedelta(hours=2))), list[Event]()
    calendar = Calendar(now=lambda: now, time=lambda: 1.0, post=posted.append)
    calendar.look()
    calendar.look()
    assert posted == [DayBegan(at=1.0, day=date(2026, 5, 1))]
    now += timedelta(hours=2)
    calendar.look()
    calendar.look()
    assert posted[1:] == [DayBegan(at=1.0, day=date(2026, 5, 2))]


class Unit(Notifier):
    """A service manager that remembers the line."""

    def __init__(self) -> None:
        super().__init__({})
        self.lines: list[str] = []

    def status(self, text: str) -> bool:
        self.lines.append(text)
        return True


def test_the_line_of_the_unit_says_that_there_is_no_sound() -> None:
    unit, present = Unit(), True
    line = StatusLine(unit, lambda: present)
    line.show()
    line.show("asleep")
    present = False
    line.show()
    line.show("listening")
    assert unit.lines == ["", "asleep", "asleep; no sound device", "listening; no sound device"]
