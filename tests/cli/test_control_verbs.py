"""`status`, `mute` and `guest`: against a speaker that runs, and one that does not."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.demo.live import LiveResult
from edge_agent.host.service.control import ControlServer, Handler
from edge_agent.host.service.status import Failure, Status


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that names a socket of this test."""
    file = tmp_path / "edge-agent.toml"
    file.write_text(f'[control]\npath = "{tmp_path / "control.sock"}"\n')
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    return file


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def invoke_while_running(
    path: Path,
    *arguments: str,
    saved: bool = True,
    muted: bool = False,
    well: bool = False,
    failure: Failure = Failure(code="link.dns", message="No name.", fix="See the router."),  # noqa: B008
) -> Result:
    ill = Status(
        microphone="muted" if muted else "open",
        link="down",
        link_code="link.dns",
        failure=failure,
        unsaved=not saved,
    )
    status = Status(link="ready", device_present=True, unsaved=not saved) if well else ill

    async def mute(request: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)  # the disk
        return {"muted": request["to"] != "off", "saved": saved}

    async def guest(request: dict[str, Any]) -> dict[str, Any]:
        return {"guest": request["to"] != "off", "saved": saved}

    async def evening() -> Result:
        doors: dict[str, Handler] = {"mute": mute, "guest": guest}
        doors["status"] = lambda _: status.plain()
        server = ControlServer(path, doors)
        assert await server.start()
        try:
            return await asyncio.to_thread(invoke, *arguments)
        finally:
            await server.stop()

    return asyncio.run(evening())


def test_status_in_words_and_for_programs(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    result = invoke_while_running(path, "status")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("Doing:         asleep; it waits")
    assert "What to do:    See the router." in lines
    assert len({re.match(r"[^:]+: +", line).end() for line in lines}) == 1  # type: ignore[union-attr]
    as_json = json.loads(invoke_while_running(path, "status", "--json").output)
    assert as_json["link_code"] == "link.dns"
    assert "ok" not in as_json
    assert as_json["running"] is True
    assert [trouble["code"] for trouble in as_json["troubles"]] == ["device.missing", "link.dns"]


def test_a_holder_that_the_service_could_not_name_is_named(tmp_path: Path) -> None:
    path, process = tmp_path / "control.sock", os.getpid()
    busy = f"It is in use by another program (process {process})."
    failure = Failure(code="device.busy", message=busy, fix="End it.")
    name = Path(f"/proc/{process}/comm").read_text(encoding="utf-8").strip()
    told = invoke_while_running(path, "status", failure=failure).output
    assert f"in use by {name} (process {process})." in told
    assert "another program" not in told
    rows = json.loads(invoke_while_running(path, "status", "--json", failure=failure).output)
    assert name in rows["troubles"][0]["said"]


def test_a_monitor_gets_an_exit_code_and_only_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    result = invoke_while_running(path, "status", "--check")
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.output.splitlines()] == ["Trouble"] * 2
    assert set(json.loads(invoke_while_running(path, "status", "--check", "--json").output)) == {
        "troubles"
    }
    well = invoke_while_running(path, "status", "--check", well=True)
    assert (well.exit_code, well.output) == (0, "Trouble:  none\n")
    flawed = invoke_while_running(path, "status", "--check", well=True, saved=False)
    assert flawed.exit_code == 0
    assert flawed.output.startswith("Trouble:  Mute, guest mode and volume cannot be saved.")
    assert invoke("status", "--check").exit_code == 69, "nobody is there to be asked"


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("on", "The microphone is off (muted).\n"),
        ("toggle", "The microphone is off (muted).\n"),
        ("off", "The microphone is on.\n"),
    ],
)
def test_mute_says_what_holds_now(tmp_path: Path, to: str, words: str) -> None:
    result = invoke_while_running(tmp_path / "control.sock", "mute", to)
    assert (result.exit_code, result.output) == (0, words)


@pytest.mark.parametrize(("to", "word"), [("on", "on"), ("toggle", "on"), ("off", "off")])
def test_guest_says_what_holds_now(tmp_path: Path, to: str, word: str) -> None:
    result = invoke_while_running(tmp_path / "control.sock", "guest", to)
    assert (result.exit_code, result.output) == (0, f"Guest mode is {word}.\n")


@pytest.mark.parametrize(
    ("verb", "words"),
    [("mute", "The microphone is off (muted).\n"), ("guest", "Guest mode is on.\n")],
)
def test_what_a_restart_would_forget_is_1_and_a_sentence(
    tmp_path: Path, verb: str, words: str
) -> None:
    result = invoke_while_running(tmp_path / "control.sock", verb, "on", saved=False)
    assert result.exit_code == 1
    assert result.output.startswith(words + "edge-agent: That could not be saved: ")
    status = invoke_while_running(tmp_path / "control.sock", "status", saved=False)
    assert "Trouble:       Mute, guest mode and volume cannot be saved." in status.output


@pytest.mark.parametrize(
    "arguments", [("status",), ("status", "--json"), ("mute", "on"), ("guest", "on")]
)
def test_a_speaker_that_does_not_run_is_69_and_a_sentence(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 69
    assert result.stderr.startswith("edge-agent: The speaker is not running.\nStart it: ")
    if "--json" in arguments:
        told = json.loads(result.stdout)
        assert (told["running"], told["code"]) == (False, "control.not_running")
    else:
        assert result.stdout == ""


def test_a_wrong_mute_is_2() -> None:
    assert invoke("mute", "maybe").exit_code == 2


def test_wrong_settings_do_not_keep_from_asking(
    tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.write_text("[listen]\nmdoe = 1\n")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    result = invoke_while_running(tmp_path / "control.sock", "status")
    assert result.exit_code == 0
    assert "the settings have a mistake" in result.output
    assert "Doing:" in result.output


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("muted", [True, False])
def test_the_live_demo_does_not_open_a_muted_microphone(
    runs: bool, muted: bool, tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[bool] = []

    def play(**wishes: Any) -> int:
        played.append(wishes["live"])
        return 0

    monkeypatch.setattr("edge_agent.demo.main", play)
    state = tmp_path / "state.json"
    settings.write_text(settings.read_text() + f'[state]\npath = "{state}"\n')
    # Whoever runs is believed, not the file.
    state.write_text(json.dumps({"version": 1, "muted": muted if not runs else not muted}))
    if runs:
        done = invoke_while_running(tmp_path / "control.sock", "demo", "--live", muted=muted)
    else:
        done = invoke("demo", "--live")
    assert played == ([] if muted else [True])
    assert done.exit_code == (69 if muted else 0)
    assert ("muted" in done.stderr) is muted


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"muted": 1}', b"\xff" * 99])
def test_what_is_not_known_is_muted_for_the_live_demo_too(
    raw: bytes, tmp_path: Path, settings: Path
) -> None:
    state = tmp_path / "state.json"
    settings.write_text(settings.read_text() + f'[state]\npath = "{state}"\n')
    state.write_bytes(raw)
    assert invoke("demo", "--live").exit_code == 69
    assert state.read_bytes() == raw


def test_the_live_demo_without_a_microphone_ends_as_the_table_says(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(*_arguments: object, **_more: object) -> LiveResult:
        return LiveResult(0, -99.0, "There is no microphone.")

    monkeypatch.setattr("edge_agent.demo.live.live_check", check)
    settings.write_text(settings.read_text() + f'[state]\npath = "{settings.parent}/state.json"\n')
    result = invoke("demo", "--live")
    assert result.exit_code == 69
    assert "There is no microphone." in result.output


REPORTS: list[tuple[dict[str, Any], int, str]] = [
    (
        {"live": ["listen.chime", "journal.level"], "later": ["realtime.persona"]},
        0,
        "In force: listen.chime, journal.level.\n"
        "In force as soon as nobody talks: realtime.persona.\n",
    ),
    (
        {"restart": ["device.block_ms"]},
        0,
        "After a restart (sudo systemctl restart edge-agent): device.block_ms.\n",
    ),
    ({}, 0, "No setting has changed.\n"),
    (
        {"problems": ["/etc/x.toml line 3: listen.mdoe: there is no such key."]},
        78,
        "edge-agent: The settings were not read anew; the running ones stay:\n"
        "  /etc/x.toml line 3: listen.mdoe: there is no such key.\n",
    ),
]


@pytest.mark.parametrize(("report", "code", "words"), REPORTS)
def test_a_reload_says_what_came_of_it(
    tmp_path: Path, report: dict[str, Any], code: int, words: str
) -> None:
    result = invoke_while_answering(tmp_path, "reload", lambda _request: report, "reload")
    assert (result.exit_code, result.output) == (code, words)


def test_a_log_level_is_told_or_asked_for_with_its_time(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def level(request: dict[str, Any]) -> dict[str, Any]:
        asked.append({key: request.get(key) for key in ("to", "seconds")})
        return {"level": "debug", "left_s": 600}

    for verb in (("log-level", "debug", "--for", "10m"), ("log-level",)):
        result = invoke_while_answering(tmp_path, "log_level", level, *verb)
        assert (result.exit_code, result.output) == (0, "The log level is debug, for 10 min.\n")
    assert asked == [{"to": "debug", "seconds": 600}, {"to": None, "seconds": None}]
    assert invoke("log-level", "--for", "10m").exit_code == 2


def invoke_while_answering(tmp_path: Path, name: str, door: Handler, *verb: str) -> Result:
    async def evening() -> Result:
        server = ControlServer(tmp_path / "control.sock", {name: door})
        assert await server.start()
        try:
            return await asyncio.to_thread(invoke, *verb)
        finally:
            await server.stop()

    return asyncio.run(evening())
