"""`edge-agent listen`: what the running speaker hears, in a panel, in lines, for programs."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.cli.owner import listening
from edge_agent.host.service.control import ControlServer

HEARD: dict[str, Any] = {
    "microphone": "open",
    "device": True,
    "frames": 100,
    "level_dbfs": -41.6,
    "peak_dbfs": -23.2,
    "floor_dbfs": -58.9,
    "speech_percent": 35,
    "playing_percent": 0,
    "open_percent": 0,
    "clipped": 0,
    "wake": [{"word": "okay_nabu", "score": 0.12, "cutoff": 0.85}],
    "echo": "found",
    "echo_quieter_db": 23,
    "gate": "shut",
    "talk": "asleep",
    "light": "asleep",
}
MUTED = {"microphone": "muted"}


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file, path = tmp_path / "edge-agent.toml", tmp_path / "control.sock"
    file.write_text(f'[control]\npath = "{path}"\n')
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    monkeypatch.setattr(listening, "pause", lambda _seconds: None)
    return path


def invoke(*options: str) -> Result:
    return CliRunner().invoke(cli.app, ["listen", *options])


def heard(path: Path, answer: dict[str, Any], *options: str) -> tuple[Result, list[object]]:
    """What is shown of a speaker that answers this, and what it was asked."""
    asked: list[object] = []

    def hearing(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["do"])
        return answer

    async def evening() -> Result:
        server = ControlServer(path, {"hearing": hearing})
        assert await server.start()
        try:
            return await asyncio.to_thread(invoke, *options)
        finally:
            await server.stop()

    return asyncio.run(evening()), asked


def test_a_line_a_second_after_a_first_question_that_only_begins(control: Path) -> None:
    result, asked = heard(control, HEARD, "--seconds", "2")
    assert asked == ["hearing"] * 3
    first, second = result.output.splitlines()
    told = (
        "  level -42 dBFS (floor -59, peak -23); voice 35 % of the time; wake okay_nabu 0.12 of "
        "0.85; echo found, 23 dB quieter; gate shut: nothing leaves; talk asleep, light: asleep"
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d" + re.escape(told), first)
    assert second.endswith(told)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clipped": 12}, "peak -23); CLIPS (12 samples);"),
        ({"playing_percent": 80}, "35 % of the time, our own sounds 80 %;"),
        ({"wake": [{"word": "a", "score": 0.9, "cutoff": 0.8}]}, "wake a 0.90 of 0.80 WAKES;"),
        ({"wake": []}, "time; echo"),
        ({"echo": "searching"}, "echo not found yet;"),
        ({"echo": "none"}, "echo none: the loudspeaker is not heard here;"),
        ({"gate": "open"}, "gate open: what is heard leaves;"),
        ({"frames": 0}, "level The microphone gives no sound"),
        ({"frames": 0, "device": False}, "level The speaker has no sound device"),
        ({"light": "a\x1b[2J"}, "light: a[2J"),
    ],
)
def test_what_it_says_of_what_is_heard(changes: dict[str, Any], said: str) -> None:
    assert said in listening.line(HEARD | changes)


def test_muted_it_says_so_and_shows_nothing(control: Path) -> None:
    result, _ = heard(control, MUTED, "--seconds", "1")
    assert result.output[10:] == "The microphone is muted: nothing is heard.\n"
    assert listening.panel(MUTED) == "Muted  The microphone is muted: nothing is heard."


def test_for_programs(control: Path) -> None:
    result, _ = heard(control, HEARD, "--seconds", "2", "--json")
    assert [json.loads(line) for line in result.output.splitlines()] == [HEARD, HEARD]


def test_on_a_terminal_a_panel_that_is_drawn_five_times_a_second(
    control: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_is_terminal", lambda: True)
    result, asked = heard(control, HEARD, "--seconds", "2")
    assert len(asked) == 1 + 2 * 5
    assert result.exit_code == 0, result.output
    assert "Level  -42 dBFS (floor -59, peak -23)" in result.output
    meter = listening.meter(HEARD)
    assert meter in result.output
    assert (len(meter), meter.count("█"), meter.index("|")) == (30, 14, 21)
    assert listening.meter(HEARD | {"frames": 0}) == "░" * 30
    assert listening.meter(HEARD | {"peak_dbfs": 0.0, "level_dbfs": 0.0}) == "█" * 29 + "|"


@pytest.mark.usefixtures("control")
def test_of_a_speaker_that_does_not_run_it_says_that() -> None:
    result = invoke("--seconds", "1")
    assert result.exit_code == 69
    assert "The speaker is not running." in result.stderr
