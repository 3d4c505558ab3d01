"""The command line: quick, honest exit codes, no tracebacks, no secrets."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from edge_agent.audio.device.cards import Cards, Kind, Side
from edge_agent.audio.device.devices import DeviceEntry
from edge_agent.cli import main as cli
from edge_agent.cli.outcome import debugging
from edge_agent.contract.errors import DeviceMissing, ToolError
from edge_agent.host.service import place
from edge_agent.host.settings.load import Loaded
from edge_agent.host.settings.root import Settings
from edge_agent.version import this_build

HEAVY = ["numpy", "pyaudio", "websockets", "pydantic", "gpiozero", "rich", "asyncio", "msgspec"]
COMMAND = [sys.executable, "-m", "edge_agent.cli.main"]
SECRET = "sk-never-to-be-seen-1"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Whatever this machine has in /etc is none of the tests' business.
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(empty))


def invoke(*arguments: str) -> Result:
    try:
        return CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "100"})
    finally:
        debugging(False)


# --- quick and documented --------------------------------------------------------------


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from edge_agent.cli import main; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.decode().strip() == "[]"


def test_help_names_every_verb_and_exit_code() -> None:
    text = " ".join(invoke("--help").output.split())
    for verb in (
        "run",
        "demo",
        "status",
        "mute",
        "devices",
        "config",
        "prompt",
        "simulate-server",
        "version",
    ):
        assert verb in text
    for code in (0, 1, 2, 69, 70, 78, 130):
        assert re.search(rf"\b{code}\b", text.partition("Exit codes")[2])


@pytest.mark.parametrize("how", ["version", "--version"])
def test_version(how: str) -> None:
    result = invoke(how)
    assert result.exit_code == 0
    assert result.output.startswith(f"edge-agent {this_build()} (Python 3.")


@pytest.mark.parametrize(
    "arguments", [["rnu"], ["run", "--nonsense"], ["demo", "--fast", "--live"]]
)
def test_a_wrong_command_line_is_2(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


def test_a_key_that_only_the_service_gets_is_not_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edge_agent.cli.voice.speech.CREDENTIAL_FOLDER", tmp_path)
    assert "no key for provider" in invoke("config", "check").output
    (tmp_path / "openai_api_key").write_text(SECRET)
    told = invoke("config", "check")
    assert told.exit_code == 0
    assert "no key" not in told.output
    assert SECRET not in told.output


# --- settings --------------------------------------------------------------------------


def test_check_tells_all_mistakes_and_ends_with_78(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(f'[listen]\nmdoe = "wake"\n[realtime]\napi_key = "{SECRET}"\nspeed = 9\n')
    for verb in (("config", "check"), ("config", "show"), ("run",)):
        result = invoke(*verb, "--config", str(file))
        assert result.exit_code == 78
        assert result.output.startswith("edge-agent: The settings have 3 mistakes:")
        assert "Did you mean listen.mode?" in result.output
        assert "must be at most 1.5 (it is 9)" in result.output
        assert SECRET not in result.output
        assert "Traceback" not in result.output


def test_check_looks_at_the_file_of_authorities(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text(f'[realtime]\nca_file = "{tmp_path}/ca.pem"\n')
    result = invoke("config", "check", "-c", str(file))
    assert result.exit_code == 78
    assert f"{tmp_path}/ca.pem cannot be used: No such file or directory." in result.output
    assert "Correct realtime.ca_file" in result.output


def test_check_of_good_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    result = invoke("config", "check")
    assert result.exit_code == 0
    assert "The settings are right" in result.output
    assert "note" not in result.output


def test_check_tells_that_nobody_could_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setattr("edge_agent.host.voice.espeak.is_installed", lambda: False)
    assert "apt-get install -y espeak-ng" in invoke("config", "check").output
    monkeypatch.setenv("EDGE_AGENT_SPEECH__SENTENCES", "false")
    told = invoke("config", "check").output
    assert "espeak-ng" not in told
    assert "speech.sentences = false: nobody can be asked aloud" in told


@pytest.mark.parametrize(("there", "heard"), [(True, "by espeak-ng"), (False, "in English")])
def test_nobody_hears_english_by_surprise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool, heard: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("EDGE_AGENT_STATE__PATH", str(tmp_path / "state.json"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr("edge_agent.host.voice.espeak.is_installed", lambda: there)
    for language in ("de", "es", "fr", "it"):
        monkeypatch.setenv("EDGE_AGENT_SPEECH__LANGUAGE", language)
        told = invoke("config", "check").output
        assert (f"there is no voice for {language} on this machine" in told) is not there
        [line] = [
            line
            for line in invoke("voice-pack", "list").output.splitlines()
            if line.startswith(f"* {language}")
        ]
        assert heard in line


def test_check_tells_of_a_chosen_model_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("EDGE_AGENT_SPEECH__TTS_MODEL", "tts-1")
    result = invoke("config", "check")
    assert result.exit_code == 0
    assert "the model tts-1" in result.output
    assert "2027-01-06" in result.output


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("speaches", ["its voice is its own choice", "cannot be tuned", "no transcriber"]),
        ("xai", ["it is not told where an answer was cut", "no noise filter"]),
        ("azure", ["nothing is transcribed before realtime.transcription_model"]),
    ],
)
def test_check_tells_what_does_not_work_with_the_chosen_service(
    monkeypatch: pytest.MonkeyPatch, provider: str, told: list[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("EDGE_AGENT_REALTIME__PROVIDER", provider)
    monkeypatch.setenv("EDGE_AGENT_REALTIME__URL", "wss://nas.lan/v1/realtime")
    monkeypatch.setenv("EDGE_AGENT_REALTIME__TRANSCRIPTION", "builtin")
    result = invoke("config", "check")
    assert result.exit_code == 0
    for words in told:
        assert words in result.output
    monkeypatch.setenv("EDGE_AGENT_REALTIME__PROVIDER", "openai")
    monkeypatch.setenv(
        "EDGE_AGENT_REALTIME__FALLBACKS",
        f'[{{"provider": "{provider}", "model": "m", "url": "wss://nas.lan/v1/realtime"}}]',
    )
    result = invoke("config", "check")
    assert (told[0] in result.output) is (provider != "azure")


@pytest.mark.parametrize(
    ("model", "hint", "lost"),
    [
        ("gpt-transcribe", "prompt", False),
        ("gpt-realtime-whisper", "prompt", True),
        ("gpt-realtime-whisper", "keywords", True),
        ("whisper-1", "keywords", False),
        ("whisper-1", "languages", True),
    ],
)
def test_check_tells_which_hints_a_transcriber_does_not_take(
    monkeypatch: pytest.MonkeyPatch, model: str, hint: str, lost: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("EDGE_AGENT_REALTIME__TRANSCRIPTION_MODEL", model)
    value = {"prompt": "At home.", "keywords": '["Anna"]', "languages": '["de", "en"]'}[hint]
    monkeypatch.setenv(f"EDGE_AGENT_TRANSCRIPTION__{hint.upper()}", value)
    result = invoke("config", "check")
    assert result.exit_code == 0
    assert (f"{model} is not told transcription.{hint}" in result.output) is lost


def test_check_tells_what_would_keep_the_desk_from_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    file = tmp_path / "edge-agent.toml"
    file.write_text(
        f'[supervisor]\nmodel = "gpt-5"\nurl = "https://example.org/v1"\n'
        f'api_key_file = "{tmp_path}/none"\n[messages]\nwebhook_token_file = "{tmp_path}/no"\n'
    )
    result = invoke("config", "check", "-c", str(file))
    assert result.exit_code == 0  # the speaker works without either
    assert f"note: supervisor.api_key_file: {tmp_path}/none cannot be read" in result.output
    assert f"note: messages.webhook_token_file: {tmp_path}/no cannot be read" in result.output
    file.write_text('[supervisor]\nmodel = "a-model"\n')
    assert "note" not in invoke("config", "check", "-c", str(file)).output


def test_show_masks_the_key_and_tells_origins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text("[device]\nvolume_percent = 55\n")
    monkeypatch.setenv("EDGE_AGENT_REALTIME__API_KEY", SECRET)
    result = invoke("config", "show", "-c", str(file))
    assert SECRET not in result.output
    assert f"# {file} line 2" in result.output
    assert 'realtime.api_key = "********"' in result.output
    assert "# environment EDGE_AGENT_REALTIME__API_KEY" in result.output
    rows = json.loads(invoke("config", "show", "-c", str(file), "--json").output)
    assert rows["device.volume_percent"] == {"value": 55, "from": f"{file} line 2"}
    assert rows["realtime.api_key"]["value"] == "********"
    assert rows["listen.wake_words"] == {"value": ["okay_nabu"], "from": "default"}
    changed = json.loads(invoke("config", "show", "-c", str(file), "--json", "--changed").output)
    assert set(changed) == {"device.volume_percent", "realtime.api_key"}


def test_show_is_itself_a_settings_file() -> None:
    lines = [line.partition("  # ")[0] for line in invoke("config", "show").output.splitlines()]
    tree = tomllib.loads("\n".join(line for line in lines if "api_key =" not in line))
    assert Settings.model_validate(tree) == Settings()


def test_template_is_the_shipped_file() -> None:
    shipped = Path(__file__).parents[2] / "config" / "edge-agent.toml"
    assert invoke("config", "template").output == shipped.read_text()


# --- run and demo ----------------------------------------------------------------------


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **functions: object) -> None:
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(**functions))


def test_run_hands_over_the_settings_and_its_result_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings] = []

    def run(loaded: Loaded, *, reload: Callable[[], Settings]) -> int:
        assert reload() == loaded.settings
        seen.append(loaded.settings)
        return 5

    stand_in(monkeypatch, "edge_agent.app.process", run=run)
    file = tmp_path / "edge-agent.toml"
    file.write_text("[device]\nvolume_percent = 55\n")
    assert invoke("run", "--config", str(file)).exit_code == 5
    assert [settings.device.volume_percent for settings in seen] == [55]
    once = ("--set", "device.volume_percent=44", "--set", "realtime.voice=cedar")
    assert invoke("run", "--config", str(file), *once).exit_code == 5
    assert (seen[-1].device.volume_percent, seen[-1].realtime.voice) == (44, "cedar")


def test_what_the_command_line_sets_can_be_looked_at() -> None:
    rows = json.loads(invoke("config", "show", "--json", "--set", "barge_in.enabled=off").output)
    assert rows["barge_in.enabled"] == {"value": False, "from": "command line --set"}
    assert invoke("config", "check", "--set", "barge_in.enabled=off").exit_code == 0
    result = invoke("config", "check", "--set", "barge_in.enabeld=off")
    assert result.exit_code == 78
    assert "command line --set: barge_in.enabeld" in result.output
    assert "Did you mean barge_in.enabled?" in result.output


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DeviceMissing("No microphone.", fix="Plug one in."), 69, "No microphone.\nPlug one in.\n"),
        (ToolError("It failed."), 1, "It failed.\n"),
    ],
)
def test_errors_of_ours_are_two_lines(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, text: str
) -> None:
    def run(_loaded: Loaded, **_more: object) -> int:
        raise error

    stand_in(monkeypatch, "edge_agent.app.process", run=run, refused=lambda _problem: False)
    result = invoke("run")
    assert result.exit_code == code
    assert result.output.endswith(f"edge-agent: {text}")
    assert "Traceback" not in result.output


def test_a_fault_shows_kind_and_place_and_more_only_on_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(_loaded: Loaded, **_more: object) -> int:
        raise RuntimeError(SECRET)

    stand_in(monkeypatch, "edge_agent.app.process", run=run)
    result = invoke("run")
    assert result.exit_code == 70
    assert "RuntimeError at test_cli.py:" in result.output
    assert "Traceback" not in result.output
    assert SECRET not in result.output
    assert "Traceback" in invoke("--debug", "run").output


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(28, "No space left on device", "/x/report.html"), "The disk is full: /x/report"),
        (PermissionError(13, "Permission denied", "/x"), "This account has no right to it: /x."),
        (OSError(30, "Read-only file system", "/x"), "It is mounted read-only: /x."),
        (FileNotFoundError(2, "No such file or directory", "/x"), "no such file or folder: /x."),
        (OSError(5, "Input/output error"), "The system refuses: Input/output error"),
        (OSError(SECRET), "The system refuses: OSError"),
    ],
)
def test_what_the_system_refuses_is_a_sentence_and_no_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch, problem: OSError, words: str
) -> None:
    def run(_loaded: Loaded, **_more: object) -> int:
        raise problem

    stand_in(monkeypatch, "edge_agent.app.process", run=run)
    result = invoke("run")
    assert result.exit_code == 1
    assert words in result.stderr
    assert "fault in the program" not in result.stderr
    assert SECRET not in result.output


def test_a_full_disk_under_the_output_is_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [*COMMAND, "config", "template"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert answer.returncode == 1
    assert answer.stderr.startswith("edge-agent: The disk is full")


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    answer = subprocess.run(
        [*COMMAND, "config", "template"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_check_and_show_count_alike(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    # One key that is set to its default, and one that is not.
    file.write_text('[listen]\nmode = "wake"\n[device]\nvolume_percent = 55\n')
    shown = invoke("config", "show", "--changed", "--config", str(file)).output.splitlines()
    assert len(shown) == 1
    told = invoke("config", "check", "--config", str(file))
    assert "; 1 differ from their default)" in told.output


def test_what_does_not_start_is_told_to_the_service_manager_and_to_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[tuple[str, dict[str, object]]] = []
    quiet = SimpleNamespace(note=lambda code, **fields: notes.append((code, fields)))
    monkeypatch.setattr("edge_agent.app.process.open_journal", lambda _level: quiet)
    monkeypatch.setattr("edge_agent.app.process.leads_to_journald", lambda *_: True)
    file = tmp_path / "edge-agent.toml"
    file.write_text("[listen]\nmdoe = 1\npre_roll_ms = 1\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        result = invoke("run", "--config", str(file))
        told = manager.recv(4096).decode()
        assert result.exit_code == 78
        assert told.startswith(f"STATUS=not started: {file} line 2: listen.mdoe: there is no such")
        assert [(code, fields["setting"]) for code, fields in notes] == [
            ("settings.wrong", "listen.mdoe"),
            ("settings.wrong", "listen.pre_roll_ms"),
        ]
        assert result.stderr == "", "said once, not again at a lower priority"
        file.write_text("")
        notes.clear()
        with place.taken_place({}) or pytest.fail("it was free"):
            assert invoke("run", "--config", str(file)).exit_code == 69
            assert [code for code, _ in notes] == ["agent.not_started"]
            assert "A speaker runs on this machine already" in manager.recv(4096).decode()


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_loaded: Loaded, **_more: object) -> int:
        raise KeyboardInterrupt

    stand_in(monkeypatch, "edge_agent.app.process", run=run)
    assert invoke("run").exit_code == 130


def test_demo_hands_over_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []

    def demo(**options: object) -> int:
        seen.append(options)
        return 0

    stand_in(monkeypatch, "edge_agent.demo", main=demo)
    assert invoke("demo", "--fast", "--out", str(tmp_path)).exit_code == 0
    assert seen == [{"fast": True, "live": False, "out": tmp_path, "turns": 0, "settings": None}]


# --- devices ---------------------------------------------------------------------------


def devices_are(monkeypatch: pytest.MonkeyPatch, *entries: DeviceEntry, holder: str = "") -> None:
    """These devices, and to the kernel one card: a USB microphone that `holder` has open."""
    library = "edge_agent.audio.device.portaudio_library"
    stand_in(monkeypatch, library, list_devices=lambda: list(entries))
    mic = Side(1, 0, True, "Mic", "USB Mic", Kind.USB, holder=holder)
    known = Cards((mic,) if entries or holder else ())
    monkeypatch.setattr("edge_agent.audio.device.cards.read_cards", lambda: known)


def test_devices_are_listed_by_name_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    devices_are(
        monkeypatch,
        DeviceEntry('USB "Mic" (hw:CARD=Mic,DEV=0)', "ALSA", 2, 0, 16_000, index=7, pcm=(1, 0)),
        DeviceEntry("default", "ALSA", 32, 32, 48_000, False, True, index=9),
    )
    output = invoke("devices").output
    assert "index" not in output
    assert ' * USB "Mic" (hw:CARD=Mic,DEV=0)  2 ch  16000 Hz  ALSA  (USB)\n' in output
    assert "   default                        32 ch  48000 Hz  ALSA\n" in output
    assert " * default  32 ch  48000 Hz  ALSA  (the sound system's default)\n" in output
    settings = output.partition("write into the settings:")[2]
    assert tomllib.loads(settings)["device"] == {
        "capture_device": 'USB "Mic" (hw:CARD=Mic,DEV=0)',
        "render_device": "default",
    }
    rows = json.loads(invoke("devices", "--json").output)
    assert [row["name"] for row in rows] == ['USB "Mic" (hw:CARD=Mic,DEV=0)', "default"]
    assert "index" not in rows[0]
    assert [row["chosen_capture"] for row in rows] == ["USB", ""]
    assert [row["chosen_render"] for row in rows] == ["", "the sound system's default"]


def test_a_card_in_use_elsewhere_is_named_with_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    devices_are(monkeypatch, holder="pipewire (process 812)")
    result = invoke("devices")
    assert result.exit_code == 69
    assert "The microphone of 'USB Mic' is in use by pipewire (process 812). End" in result.output
    assert "Plug one in" not in result.output


def test_no_device_is_69_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    devices_are(monkeypatch)
    result = invoke("devices")
    assert result.exit_code == 69
    assert "Plug one in" in result.output
    assert invoke("devices", "--json").exit_code == 69


# --- the simulated server --------------------------------------------------------------


def test_the_server_serves_until_it_is_told_to_stop() -> None:
    from websockets.asyncio.client import connect

    async def talk(url: str) -> str:
        async with connect(url, proxy=None) as wire:
            return str(json.loads(await wire.recv())["type"])

    with subprocess.Popen(
        [*COMMAND, "simulate-server", "--port", "0", "--events"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"Serving (ws://\S+)", process.stdout.readline())
            assert found
            assert asyncio.run(talk(found[1] + "?model=x")) == "session.created"
        finally:
            process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(10) == 0
    assert "← session.created" in rest


def test_server_mistakes_are_sentences(tmp_path: Path) -> None:
    result = invoke("simulate-server", "--faults", "nonsense=1")
    assert result.exit_code == 2
    result = invoke("simulate-server", "--play", str(tmp_path / "none.toml"))
    assert result.exit_code == 78
    assert "none.toml" in result.output
    result = invoke("simulate-server", "--host", "192.0.2.1", "--port", "0")
    assert result.exit_code == 69
    assert "Choose another one with --port" in result.output


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    answer = subprocess.run(
        f"{sys.executable} -m edge_agent.cli.main config template | head -1",
        shell=True,
        capture_output=True,
        check=True,
        text=True,
    )
    assert answer.stdout.startswith("# edge-agent settings.")
    assert answer.stderr == ""
