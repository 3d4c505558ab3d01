"""`say`, `volume` and `timers`: what is sent to the speaker that runs, and what is told of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.cli.owner.timers import next_at
from edge_agent.host.service.control import ASKED_BY, ControlError, ControlServer, Handler
from edge_agent.host.stores.timer_store import SavedTimer, SavedTimers, TimerStore

PASTA = {"name": "pasta", "kind": "timer", "left_s": 95.2, "at": "", "repeat": "once"}
PASTA["ringing"] = False
SCHOOL = {**PASTA, "name": "school", "kind": "alarm", "at": "2026-11-30T06:45:00", "left_s": 9e4}
SCHOOL["repeat"] = "weekdays"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "edge-agent.toml"
    file.write_text(
        f'[control]\npath = "{tmp_path / "control.sock"}"\n'
        f'[state]\npath = "{tmp_path / "state.json"}"\n'
    )
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    return tmp_path


def invoke(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli.app, arguments, input=typed)


class Speaker:
    """One that answers each request with what it is given, and keeps what it was asked."""

    def __init__(self, folder: Path, answer: dict[str, Any] | ControlError) -> None:
        self._path = folder / "control.sock"
        self._answer = answer
        self.asked: list[dict[str, Any]] = []

    def run(self, *arguments: str, typed: str = "") -> Result:
        def take(request: dict[str, Any]) -> dict[str, Any]:
            assert request.pop(ASKED_BY) == os.getuid()
            self.asked.append(request)
            if isinstance(self._answer, ControlError):
                raise self._answer
            return self._answer

        names = ("say", "volume", "timers", "set_timer", "set_alarm", "cancel_timer")
        doors: dict[str, Handler] = dict.fromkeys(names, take)

        async def evening() -> Result:
            server = ControlServer(self._path, doors)
            assert await server.start()
            try:
                return await asyncio.to_thread(invoke, *arguments, typed=typed)
            finally:
                await server.stop()

        return asyncio.run(evening())


# --- say -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [(("Tea is ready.",), ""), (("Tea", "is", "ready."), ""), (("-",), "Tea is\nready.\n")],
)
def test_a_text_is_asked_for_in_one_line(
    folder: Path, arguments: tuple[str, ...], typed: str
) -> None:
    speaker = Speaker(folder, {"begun": True})
    result = speaker.run("say", *arguments, typed=typed)
    assert (result.exit_code, result.output) == (0, "It is being said.\n")
    assert speaker.asked == [{"do": "say", "text": "Tea is ready."}]
    slow = Speaker(folder, {"begun": False}).run("say", "x")
    assert slow.output == "It is being prepared, and said when it is ready.\n"


def test_a_refusal_is_69_with_its_words(folder: Path) -> None:
    busy = ControlError("Somebody is talking with the speaker.", fix="Try again later.")
    result = Speaker(folder, busy).run("say", "Tea.")
    assert result.exit_code == 69
    assert result.output == (
        "edge-agent: Somebody is talking with the speaker.\nTry again later.\n"
    )


def test_nothing_and_too_much_are_not_sent(folder: Path) -> None:
    speaker = Speaker(folder, {"begun": True})
    for text, words in (("  ", "There is nothing to say."), ("a" * 301, "301 characters")):
        result = speaker.run("say", text)
        assert result.exit_code == 69
        assert words in result.output
    assert speaker.asked == []


def test_the_longest_text_fits_into_one_request_in_any_script(folder: Path) -> None:
    speaker = Speaker(folder, {"begun": True})
    text = "a" + "\U0001d552" * 299
    assert speaker.run("say", text).exit_code == 0
    assert speaker.asked[0]["text"] == text


# --- volume ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        ((), {}),
        (("40",), {"to": 40}),
        (("40%",), {"to": 40}),
        (("+10",), {"by": 10}),
        (("-10",), {"by": -10}),
    ],
)
def test_a_volume_is_told_set_or_stepped(
    folder: Path, arguments: tuple[str, ...], request_: dict[str, int]
) -> None:
    speaker = Speaker(folder, {"volume_percent": 40})
    result = speaker.run("volume", *arguments)
    assert (result.exit_code, result.output) == (0, "The volume is 40 %.\n")
    assert speaker.asked == [{"do": "volume", **request_}]


def test_what_was_not_done_is_told(folder: Path) -> None:
    capped = {"volume_percent": 60, "asked_percent": 90, "saved": True}
    result = Speaker(folder, capped).run("volume", "90")
    assert result.exit_code == 0
    assert "The volume is 60 %." in result.stdout
    assert "asked for were 90 %" in result.stderr
    lost = Speaker(folder, {"volume_percent": 9, "asked_percent": 9, "saved": False})
    assert lost.run("volume", "9").exit_code == 1


@pytest.mark.parametrize("wrong", ["loud", "101", "1.5", "--5", "+"])
def test_what_is_no_volume_is_2(wrong: str) -> None:
    assert invoke("volume", wrong).exit_code == 2


# --- timers ----------------------------------------------------------------------------------


def test_timers_are_listed_the_next_one_first(folder: Path) -> None:
    bad = {**PASTA, "name": "e\x1b[2Jgg", "left_s": 0.0, "ringing": True}
    speaker = Speaker(folder, {"timers": [SCHOOL, PASTA, bad]})
    assert speaker.run("timers", "list").output.splitlines() == [
        "e[2Jgg: timer, is ringing",
        "pasta: timer, 1 min 35 s left",
        "school: alarm, 2026-11-30 06:45 (weekdays)",
    ]
    assert json.loads(speaker.run("timers", "list", "--json").stdout)[1] == PASTA
    assert Speaker(folder, {"timers": []}).run("timers", "list").output == "Nothing is set.\n"


@pytest.mark.parametrize(
    ("when", "seconds"), [("10m", 600), ("1h30m", 5400), ("90s", 90), ("1H0m5s", 3605)]
)
def test_a_length_sets_a_timer(folder: Path, when: str, seconds: int) -> None:
    speaker = Speaker(folder, {"timer": PASTA})
    result = speaker.run("timers", "add", when, "pasta")
    assert result.output == "pasta: timer, 1 min 35 s left\n"
    assert speaker.asked == [{"do": "set_timer", "seconds": seconds, "name": "pasta"}]


def test_a_time_of_day_sets_an_alarm(folder: Path) -> None:
    speaker = Speaker(folder, {"timer": SCHOOL})
    assert speaker.run("timers", "add", "6:45", "--repeat", "weekdays").exit_code == 0
    [asked] = speaker.asked
    assert (asked["do"], asked["repeat"], asked["name"]) == ("set_alarm", "weekdays", "")
    assert asked["wall"].endswith("T06:45:00")
    now = dt.datetime.fromisoformat("2026-11-29T06:45:10")
    assert next_at(6, 45, now).isoformat() == "2026-11-30T06:45:00"
    assert next_at(6, 46, now).isoformat() == "2026-11-29T06:46:00"


@pytest.mark.parametrize(
    "arguments", [("soon",), ("0m",), ("25:00",), ("10m", "--repeat", "daily"), ("m",)]
)
def test_what_is_no_time_is_2(arguments: tuple[str, ...]) -> None:
    assert invoke("timers", "add", *arguments).exit_code == 2


def test_cancel_names_what_is_gone(folder: Path) -> None:
    speaker = Speaker(folder, {"cancelled": ["pasta", "school"]})
    assert speaker.run("timers", "cancel", "all").output == "Cancelled: pasta, school.\n"
    assert speaker.asked == [{"do": "cancel_timer", "name": "all"}]


@pytest.mark.parametrize(
    "arguments", [("say", "x"), ("volume",), ("timers", "add", "5m"), ("timers", "cancel", "all")]
)
def test_without_a_speaker_nothing_is_changed(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 69
    assert result.output.startswith("edge-agent: The speaker is not running.\n")


def test_a_speaker_that_is_off_has_its_timers_read_and_left_alone(folder: Path) -> None:
    file = folder / "timers.json"
    assert invoke("timers", "list").stdout == "Nothing is set.\n"
    now = dt.datetime.now().astimezone()
    wall = (now + dt.timedelta(days=2)).replace(tzinfo=None, microsecond=0).isoformat()
    kept = (
        SavedTimer("school", "alarm", due_wall=wall, repeat="daily"),
        SavedTimer("pasta", "timer", length_s=9e5, due_unix_s=now.timestamp() + 7_205.5),
        SavedTimer("egg", "timer", length_s=60.0, due_unix_s=1.0),
    )
    assert TimerStore(file, lambda *_, **__: None).save(SavedTimers(kept))
    before = file.read_bytes()
    result = invoke("timers", "list")
    assert result.stdout.splitlines()[0] == "egg: timer, 0 s left"
    assert result.stdout.splitlines()[1].startswith("pasta: timer, 2 h")
    assert result.stdout.splitlines()[2].startswith("school: alarm, ")
    assert "not running" in result.stderr
    assert file.read_bytes() == before
    file.write_bytes(b"{")
    assert invoke("timers", "list").exit_code == 1
    assert file.read_bytes() == b"{"
