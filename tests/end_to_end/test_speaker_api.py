"""What tools and the owner's commands may do to the speaker: each part with plain arguments."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edge_agent.app.calendar import Calendar
from edge_agent.app.speaker_api import SAVE_AGAIN_MAX_S, SavedState, SpeakerApi, owner_commands
from edge_agent.app.status import StatusLine
from edge_agent.contract.events import (
    DayBegan,
    Event,
    GuestRequested,
    MuteRequested,
    ResponseEnded,
    StateUnsaved,
)
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


class CountedWorker(Worker):
    """Does all at once, and says when it is asked."""

    def __init__(
        self, asked: Callable[[], None], *, on_fault: Callable[[BaseException], None]
    ) -> None:
        super().__init__("disk", threads=False, on_fault=on_fault)
        self._asked = asked

    def put(self, work: Callable[[], object]) -> None:
        self._asked()
        super().put(work)


class Speaker:
    """A speaker's api over a state file."""

    def __init__(self, folder: Path, **device: int) -> None:
        self.posted: list[Event] = []
        self.loudness: list[float] = []
        self.notes: list[str] = []
        self.dialogue = Dialogue()
        settings = Settings.model_validate(
            {"state": {"path": str(folder / "state.json")}, "device": device}
        )
        self.tried: list[float] = []
        """When the disk was asked."""
        disk = CountedWorker(
            lambda: self.tried.append(self.now), on_fault=lambda problem: pytest.fail(str(problem))
        )
        self.now = 7.0
        self.state = SavedState(
            settings,
            disk,
            lambda code, /, **_fields: self.notes.append(code),
            post=self.posted.append,
            time=lambda: self.now,
        )
        self.api = SpeakerApi(
            self.state,
            set_loudness=self.loudness.append,
            status=lambda: Status(provider="local", guest=self.dialogue.guest),
            post=self._post,
            time=lambda: self.now,
        )
        self.commands = owner_commands(self.api, self.dialogue, lambda _request: {"deleted": 3})

    def asked(self, name: str, to: object) -> dict[str, Any]:
        """What the owner is answered."""

        async def answer() -> dict[str, Any]:
            said = self.commands[name]({"to": to})
            return await said if inspect.isawaitable(said) else said

        return asyncio.run(answer())

    def looks(self, until: float) -> None:
        """Look every second until then."""
        while self.now < until:
            self.now += 1.0
            self.state.look()

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


def test_no_start_no_wish_and_no_saved_volume_is_louder_than_the_limit(tmp_path: Path) -> None:
    limited = Speaker(tmp_path, volume_max_percent=60)
    assert (limited.api.volume(), limited.api.volume_max()) == (60, 60)
    limited.api.set_volume(61)
    limited.api.set_volume(40)
    limited.api.set_volume(100)
    assert (limited.api.volume(), limited.loudness) == (60, [60, 40, 60])
    free = Speaker(tmp_path)
    assert free.api.volume() == 60
    free.api.set_volume(90)
    assert Speaker(tmp_path, volume_max_percent=50).api.volume() == 50
    assert Speaker(tmp_path).api.volume() == 90, "a limit changes nothing that was saved"


def test_a_tool_can_mute_and_nothing_more(tmp_path: Path) -> None:
    speaker = Speaker(tmp_path)
    speaker.api.mute()
    assert speaker.posted == [MuteRequested(at=7.0, muted=True)]


def test_the_owner_switches_and_toggles_and_is_told_what_came_of_it(tmp_path: Path) -> None:
    speaker = Speaker(tmp_path)
    wishes = [("on", True), ("toggle", False), ("toggle", True), ("off", False)]
    for name, what in (("mute", "muted"), ("guest", "guest")):
        answers = [speaker.asked(name, to) for to, _ in wishes]
        assert answers == [{what: is_on, "saved": True} for _, is_on in wishes]
    assert speaker.commands["forget_messages"]({}) == {"deleted": 3}
    status = speaker.commands["status"]({})
    assert isinstance(status, dict)
    assert status["provider"] == "local"
    asked = len(speaker.posted)
    for name in ("mute", "guest"):
        for wrong in (None, "perhaps", True):
            with pytest.raises(ControlError, match="no such state"):
                speaker.asked(name, wrong)
    assert len(speaker.posted) == asked


def test_what_cannot_be_saved_is_told_and_tried_again_until_it_is(tmp_path: Path) -> None:
    (tmp_path / "away").symlink_to(tmp_path / "nowhere")  # a disk that is not there any more
    speaker = Speaker(tmp_path / "away")
    assert speaker.state.is_unsaved
    speaker.state.save(volume_percent=30)
    assert speaker.posted == []  # a volume is no promise
    speaker.state.save(muted=True)
    assert speaker.posted == [StateUnsaved(at=7.0)]
    assert speaker.asked("mute", "on")["saved"] is False

    speaker.tried.clear()
    speaker.looks(until=600.0)
    pauses = [later - sooner for sooner, later in pairwise(speaker.tried)]
    assert pauses[0] < pauses[-1] <= SAVE_AGAIN_MAX_S + 1.0
    assert [event for event in speaker.posted if isinstance(event, StateUnsaved)] == [
        StateUnsaved(at=7.0)
    ]  # told once

    (tmp_path / "nowhere").mkdir()
    speaker.looks(until=speaker.now + SAVE_AGAIN_MAX_S + 2.0)
    assert not speaker.state.is_unsaved
    assert speaker.notes == ["state.unwritable", "state.saved"]
    again = Speaker(tmp_path / "away").state.saved
    assert (again.muted, again.volume_percent) == (True, 30)
    assert speaker.asked("mute", "on")["saved"] is True


def test_the_owner_is_not_kept_waiting_by_a_disk_that_hangs(tmp_path: Path) -> None:
    free = threading.Event()
    disk = Worker("disk", threads=True, on_fault=lambda problem: pytest.fail(str(problem)))
    state = SavedState(
        Settings.model_validate({"state": {"path": str(tmp_path / "state.json")}}),
        disk,
        lambda _code, **_fields: None,
        post=lambda _event: None,
        time=lambda: 0.0,
    )
    disk.put(free.wait)
    try:
        assert asyncio.run(state.settled()) is False
    finally:
        free.set()
    assert asyncio.run(state.settled()) is True
    disk.close()


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
    line = StatusLine(unit, {"no sound device": lambda: not present})
    line.show()
    line.show("asleep")
    present = False
    line.show()
    line.show("listening")
    assert unit.lines == ["", "asleep", "asleep; no sound device", "listening; no sound device"]
    line.show("asleep; link down", "link.bad_key")
    assert unit.lines[-1] == "asleep; link down; wrong key; no sound device"
    present = True
    line.show()
    assert unit.lines[-1] == "asleep; link down; wrong key"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("link.bad_key", "wrong key"),
        ("link.no_key", "no key"),
        ("link.key_unreadable", "key unreadable"),
        ("link.no_quota", "no quota"),
        ("link.dns", "no network (name not found)"),
        ("link.unreachable", "no network"),
        ("link.timeout", "no network (no answer)"),
    ],
)
def test_each_trouble_has_a_name_of_its_own_in_that_line(code: str, words: str) -> None:
    unit = Unit()
    StatusLine(unit, {}).show("asleep; link down; microphone open", code)
    assert unit.lines == [f"asleep; link down; microphone open; {words}"]


def test_answers_that_are_not_paid_for_are_named_though_there_is_a_session() -> None:
    unit = Unit()
    line = StatusLine(unit, {})
    line.show("asleep; link ready")

    def ended(status: str, code: str = "") -> str:
        line.on_event(ResponseEnded(at=1.0, response="r", status=status, code=code), [], 1.0)
        return unit.lines[-1]

    assert ended("failed", "insufficient_quota") == "asleep; link ready; no quota"
    assert ended("failed", "invalid_api_key") == "asleep; link ready; wrong key"
    assert ended("completed") == "asleep; link ready"
    assert ended("failed", "server_error") == "asleep; link ready"


def test_what_has_come_to_be_lacking_is_shown_at_the_next_look_and_once() -> None:
    unit, lacking = Unit(), set[str]()
    line = StatusLine(
        unit, {"sound": lambda: "sound" in lacking, "money": lambda: "money" in lacking}
    )
    line.show("asleep")
    line.look()
    lacking |= {"money", "sound"}
    line.look()
    line.look()
    lacking.clear()
    line.look()
    assert unit.lines == ["asleep", "asleep; sound; money", "asleep"]
