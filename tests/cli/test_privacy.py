"""`edge-agent privacy`: everything that is there is told, nothing of its contents, and it goes."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.host.service import tool_units
from edge_agent.host.service.control import ControlServer
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.text import section_names
from edge_agent.host.stores.egress import egress
from edge_agent.host.stores.fact_store import FactStore
from edge_agent.host.stores.keepsakes import Keepsakes, KeepTerms
from edge_agent.host.stores.stored_data import stored_data
from edge_agent.host.stores.timer_store import SavedTimer, SavedTimers, TimerStore

NOW = datetime(2026, 11, 20, 18, 30, tzinfo=ZoneInfo("Europe/Berlin"))
SECRETS = ("Mia", "pasta", "half past", "Tom")
KINDS = {"facts", "transcripts", "audio", "timers", "messages", "usage"}


def quiet(_code: str, **_fields: object) -> None:
    return None


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with something of everything."""
    state = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    (tmp_path / "edge-agent.toml").write_text(
        f'[control]\npath = "{tmp_path / "control.sock"}"\n[facts]\nenabled = true\n'
        "[privacy]\nkeep_transcripts_days = 7\n"
    )
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(tmp_path / "edge-agent.toml"))
    FactStore(state / "facts.sqlite", quiet).add("The key is at Mia's", "2026-11-20", limit=9)
    (state / "facts.sqlite.unusable").write_text("Tom " * 100)
    TimerStore(state / "timers.json", quiet).save(
        SavedTimers((SavedTimer("pasta", "timer", 600.0, 1_800_000_000.5),))
    )
    kept = Keepsakes(state, KeepTerms(9, 9, 10**6), quiet)
    kept.words(NOW, "speaker", "half past")
    kept.sound(NOW, "speaker", bytes(48_000))
    (state / "messages.json").write_text('{"version": 1, "messages": [{"text": "Tom was here"}]}')
    (state / "usage.json").write_text("{}")
    (state / "state.json").write_text('{"muted": false}')
    (state / "something-else.txt").write_text("mine")
    return state


def invoke(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli.app, ["privacy", *arguments], input=answer)


def files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def lines(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line.strip() for line in result.stdout.splitlines()]


def test_what_is_kept_is_told_and_nothing_of_its_contents(home: Path) -> None:
    before = files(home)
    told = " ".join(" ".join(lines(invoke())).split())
    for words in (
        f"Kept on this machine, in {home}:",
        "Facts that somebody asked it to remember: 1 fact, ",
        f"until they are forgotten; 2 files in {home}",
        "Words of both sides: 1 day, 75 bytes for 7 days after that day; 2026-11-20.jsonl",
        "not kept (privacy.keep_audio_days); 18-30-00-000-speaker.wav",
        f"with their names: 1 timer, {(home / 'timers.json').stat().st_size} bytes",
        "Messages that people left for you: 1 message, ",
        "until you delete them, the last 100; messages.json",
    ):
        assert words in told
    assert not any(secret in told for secret in SECRETS)
    assert files(home) == before, "to look is not to tidy up"


def test_for_programs(home: Path) -> None:
    told = json.loads(invoke("--json").stdout)
    kept = {row["key"]: row for row in told["kept"] if row["key"]}
    assert set(kept) == KINDS
    assert kept["facts"]["count"] == 1
    assert kept["audio"]["bytes"] == 48_044
    assert kept["audio"]["files"] == [
        str(home / "recordings" / "2026-11-20" / "18-30-00-000-speaker.wav")
    ]
    assert told["leaves"][0]["to"] == "api.openai.com (openai)"


GOES = {
    "facts": {"facts.sqlite", "facts.sqlite.unusable"},
    "transcripts": {"transcripts/2026-11-20.jsonl"},
    "audio": {"recordings/2026-11-20/18-30-00-000-speaker.wav"},
    "timers": {"timers.json"},
    "messages": {"messages.json"},
    "usage": {"usage.json"},
}


@pytest.mark.parametrize("kind", [*GOES, "all"])
def test_what_is_to_go_goes_and_nothing_else(home: Path, kind: str) -> None:
    before = files(home)
    result = invoke("--delete", kind)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert files(home) == before
    told = lines(invoke("--delete", kind, "--yes"))
    gone = set().union(*GOES.values()) if kind == "all" else GOES[kind]
    assert before - files(home) == gone
    assert len(told) == (len(GOES) if kind == "all" else 1)
    assert all(line.startswith("Deleted: ") for line in told)
    assert lines(invoke("--delete", kind, "--yes")) == ["There is nothing to delete."]


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_a_person_is_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr("edge_agent.cli.outcome._is_terminal", lambda: True)
    result = invoke("--delete", "timers", answer=answer)
    assert result.exit_code == code
    assert "Delete for good: timers and alarms with their names (1 timer" in result.stdout
    assert (home / "timers.json").exists() is bool(code)


def test_a_speaker_that_runs_has_to_be_restarted(home: Path) -> None:
    async def evening(kind: str) -> Result:
        server = ControlServer(home.parent / "control.sock", {"status": lambda _: {}})
        assert await server.start()
        try:
            return await asyncio.to_thread(invoke, "--delete", kind, "--yes")
        finally:
            await server.stop()

    result = asyncio.run(evening("timers"))
    assert "still has timers in mind" in result.stderr
    assert "systemctl restart edge-agent" in result.stderr
    assert asyncio.run(evening("facts")).stderr == "", "those it never holds"


def test_facts_in_trouble_go_all_the_same(home: Path) -> None:
    (home / "facts.sqlite").write_bytes(b"no database, but Mia's" * 99)
    assert lines(invoke("--delete", "facts", "--yes"))
    assert not list(home.glob("facts*"))


def test_what_cannot_be_deleted_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_path: Path, *_args: object, **_named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    result = invoke("--delete", "usage", "--yes")
    assert result.exit_code == 1
    assert f"{home / 'usage.json'} cannot be deleted" in result.stderr
    assert "sudo" in result.stderr


def test_an_account_that_may_not_look_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    result = invoke()
    assert result.exit_code == 1
    assert "may not read" in result.stderr
    assert "sudo" in result.stderr


# --- what leaves the house -----------------------------------------------------------------------


def leaves(**sections: object) -> str:
    settings = Settings.model_validate(sections)
    return "\n".join(f"{one.what}: {one.to}: {one.when}" for one in egress(settings))


def test_by_itself_only_the_talk_leaves() -> None:
    told = leaves()
    assert "The sound of what is said: api.openai.com (openai): after the wake word" in told
    assert {line.split(": ")[1] for line in told.splitlines()} == {"api.openai.com (openai)"}
    assert "that one turn" in told, "a yes in words is read"
    assert "believed as it is written there" in told
    assert "believed" not in leaves(consent={"by_voice": False})
    assert "Facts" not in told


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("listen", {"mode": "always"}, "always: the microphone is open"),
        ("listen", {"mode": "button"}, "after a press"),
        (
            "realtime",
            {"provider": "local", "url": "ws://127.0.0.1:8765/v1/realtime"},
            "local on this machine",
        ),
        (
            "realtime",
            {"fallbacks": [{"provider": "xai", "model": "m"}]},
            "(xai): when the services before it",
        ),
        (
            "realtime",
            {"transcription": "builtin"},
            "a transcriber beside the model; a yes to a tool",
        ),
        ("realtime", {"transcription": "out_of_band"}, "by the model itself"),
        ("transcription", {"keywords": ["Käthe"]}, "Your prompt and keywords"),
        ("transcription", {"prompt": "At home."}, "Your prompt and keywords"),
        ("facts", {"enabled": True}, "Facts: api.openai.com"),
        ("supervisor", {"model": "gpt-5", "url": "https://big.example/v1"}, "big.example (gpt-5)"),
        ("conversation", {"summarise": "session"}, "The talk so far"),
        (
            "messages",
            {"webhook_url": "https://home.example/x?y=z"},
            "as they were said: home.example (your webhook)",
        ),
        (
            "mcp",
            {"servers": {"ha": {"url": "https://ha.example/api/mcp"}}},
            "ha.example (ha): when it uses a tool of the server ha",
        ),
        ("mcp", {"servers": {"time": {"command": ["uvx", "x"]}}}, "the program uvx here"),
    ],
)
def test_what_is_switched_on_is_told(section: str, values: dict[str, object], words: str) -> None:
    assert words in leaves(**{section: values})
    assert "y=z" not in leaves(**{section: values})


def test_a_program_that_nobody_confines_is_told_as_one_that_may_read_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = {"servers": {"time": {"command": ["uvx", "x"]}}}
    assert "may read all that is kept" in leaves(mcp=servers)
    monkeypatch.setattr(tool_units, "SOCKET_FOLDER", tmp_path)
    (tmp_path / "time.sock").touch()  # systemd runs it
    assert "may read all that is kept" not in leaves(mcp=servers)


def test_what_is_switched_off_is_not_told() -> None:
    off = {"servers": {"ha": {"url": "https://ha.example/api/mcp", "enabled": False}}}
    told = leaves(mcp=off, consent={"by_voice": False}, conversation={"summarise": "off"})
    assert len(told.splitlines()) == 2


def test_no_section_of_the_settings_is_forgotten() -> None:
    """A new one may keep or send something: tell it in `host.stores.stored_data` or
    `host.stores.egress`, and then name it here."""
    assert set(section_names()) == {
        *("device", "listen", "barge_in", "echo", "realtime", "consent", "panel", "conversation"),
        *("speech", "supervisor", "messages", "mcp", "journal", "state", "budget", "control"),
        *("health", "facts", "privacy", "guest", "transcription"),
    }
    keys = {one.key for one in stored_data(Settings())}
    assert keys - {""} == KINDS
