"""Every file that a daemon with all its features writes is one that `privacy` lists.

A new store fails here until `host.stores.stored_data` knows it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tool_servers import MemoryServer, described
from typer.testing import CliRunner
from whole_house import (
    PATIENCE_S,
    Answers,
    faults,
    first_sound,
    play,
    ready,
    silence,
)

from edge_agent.app.daemon import World
from edge_agent.cli import main as cli
from edge_agent.demo import stage as stage_module
from edge_agent.demo.stage import Stage
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.stored_data import Kept, stored_data
from edge_agent.host.voice.pack_store import Pack, Recipe, cache_root
from edge_agent.simulation.brains import Call
from edge_agent.simulation.traits import TRAITS

FOLDERS = ("STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "RUNTIME_DIRECTORY", "HOME")
"""What systemd and the account give a daemon to write in."""
CALLS = (
    Call("set_timer", json.dumps({"seconds": 3000, "name": "pasta"})),
    Call("remember", json.dumps({"fact": "The spare key is at Mia's"})),
    Call("leave_message", json.dumps({"text": "Grandma called", "sender": "Tom"})),
)
WORDS = ("pasta", "Mia", "Grandma", "Tom")


class Dictated(Answers):
    """Writes down the same words in every turn."""

    def transcribe(self, pcm24k: bytes) -> str:
        del pcm24k
        return "Where is Tom?"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FOLDERS:
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def everything(home: Path) -> dict[str, dict[str, object]]:
    return {
        "state": {"path": str(home / "state_directory" / "state.json")},
        "facts": {"enabled": True},
        "privacy": {"keep_transcripts_days": 3, "keep_audio_days": 3},
        "realtime": {"transcription_model": "whisper-1"},
        "mcp": {"servers": {"home": {"command": ("home",), "tools": {"lamp": "low"}}}},
    }


class Writes:
    """Where this process opened a file to write, made, moved or linked one."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.is_on = False

    def __call__(self, event: str, given: tuple[object, ...]) -> None:
        if not self.is_on:
            return
        found: tuple[object, ...] = ()
        if event == "open" and isinstance(given[2], int) and given[2] & os.O_ACCMODE:
            found = given[:1]
        elif event in ("os.rename", "os.link", "os.symlink"):
            found = given[1:2]
        elif event in ("os.mkdir", "sqlite3.connect"):
            found = given[:1]
        self.paths |= {
            Path(os.fsdecode(one)).absolute()
            for one in found
            if isinstance(one, (str, bytes, Path))
        }


WRITES = Writes()
sys.addaudithook(WRITES)  # for good: Python has no way to take one out


@contextmanager
def watched() -> Iterator[set[Path]]:
    WRITES.paths, WRITES.is_on = set(), True
    try:
        yield WRITES.paths
    finally:
        WRITES.is_on = False


def files(home: Path) -> set[Path]:
    return {path for path in home.rglob("*") if path.is_file()}


def listed(settings: Settings) -> set[Path]:
    return {path for one in stored_data(settings) for path in one.files}


async def evening(stage: Stage) -> None:
    """Everything is used that is kept: a timer, a fact, a message, words, sound, mute, guest."""
    await ready(stage)
    said = await stage.say("wake_what_time")
    await silence(stage, await first_sound(stage, said.offset_at))
    await stage.until_talk("asleep", PATIENCE_S)
    await stage.push(button="mute")
    assert not faults(stage)


def spent(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, set[Path]]:
    """The settings of an evening with everything, and the paths that were written to."""
    found: list[Settings] = []

    async def life() -> None:
        brain = Dictated(CALLS, "answer_tea")
        lamp = MemoryServer(tools=described("lamp"))
        world = partial(World, tool_servers=lambda _plan: lamp.wire)
        monkeypatch.setattr(stage_module, "World", world)
        pings: dict[str, Any] = {"traits": [TRAITS["slow-pong"]]}
        async with Stage(brain=brain, settings=everything(home), server=pings) as stage:
            found.append(stage.settings)
            await evening(stage)

    with watched() as paths:
        play(life())
        pack = Pack(cache_root(), "de")  # as the daemon has espeak-ng fill it
        pack.build({"unmuted": "Hallo"}, Recipe("espeak", "de"), lambda _text: bytes(480))
    return found[0], {path for path in paths if path.is_file()}


def test_what_a_daemon_with_everything_writes_is_listed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, written = spent(home, monkeypatch)
    keys = {one.key for one in stored_data(settings) if one.files}
    assert keys == {one.key for one in stored_data(settings)}, (
        "the evening leaves some of each kind"
    )
    assert "pongs.json" in {path.name for path in files(home)}
    assert files(home) == listed(settings)
    assert {path for path in written if home not in path.parents} == set()


def test_a_file_that_nobody_lists_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the facts forgotten in the inventory, the test above would fail."""
    settings, _ = spent(home, monkeypatch)
    whole: Callable[[Settings], list[Kept]] = stored_data
    monkeypatch.setattr(
        sys.modules[__name__],
        "stored_data",
        lambda s: [one for one in whole(s) if one.key != "facts"],
    )
    assert {path.name for path in files(home) - listed(settings)} == {"facts.sqlite"}


def test_what_can_be_deleted_is_gone_and_no_word_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent(home, monkeypatch)
    overlay: Mapping[str, Mapping[str, object]] = everything(home)
    (home / "edge-agent.toml").write_text(
        f'[state]\npath = "{overlay["state"]["path"]}"\n[control]\npath = "{home}/no.sock"\n'
    )
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(home / "edge-agent.toml"))
    before = b"".join(path.read_bytes() for path in files(home))
    assert all(word.encode() in before for word in WORDS)
    result = CliRunner().invoke(cli.app, ["privacy", "--delete", "all", "--yes"])
    assert result.exit_code == 0, result.output
    left = files(home) - {home / "edge-agent.toml"}
    assert {path.name for path in left} >= {"state.json"}
    kinds = {path.relative_to(home / "state_directory").parts[0] for path in left}
    assert kinds == {
        "state.json",
        "state.json.known",
        "echo.json",
        "pongs.json",
        "tools.json",
        "voice-cache",
    }
    after = b"".join(path.read_bytes() for path in left)
    assert not any(word.encode() in after for word in WORDS)
