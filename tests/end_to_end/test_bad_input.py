"""Whatever an owner, a machine or a server does wrong: a sentence, the right exit code or a
patient speaker, and never a traceback or a secret."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import COMMAND, environment, program, simulated_server
from whole_house import (
    PATIENCE_S,
    Answers,
    faults,
    first_sound,
    play,
    ready,
    said_sentence,
    silence,
    still_works,
    whole_turn,
)

from edge_agent.demo.stage import Stage
from edge_agent.demo.surroundings import MEMORY_URL

SECRET = "sk-this-must-never-be-seen"
NO_CARD = {"PULSE_SERVER": "unix:/nonexistent"}
CONFIG = 78
UNAVAILABLE = 69


def verb(*arguments: str, env: dict[str, str]) -> tuple[int, str]:
    """Exit code and everything that was written."""
    done = subprocess.run(
        [*COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    assert SECRET not in text
    return done.returncode, text


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[listen\n", "is not TOML"),
        ('[listen]\nmdoe = "wake"\n', "Did you mean listen.mode?"),
        ('[listne]\nmode = "wake"\n', "Did you mean listen?"),
        ('[device]\nvolume_percent = "loud"\n', "device.volume_percent"),
        ("[device]\nvolume_percent = 700\n", "at most 100"),
        ('[realtime]\nprovider = "acme"\n', "realtime.provider"),
        ('[realtime]\nprovider = "local"\n', "needs url"),
        ('[realtime]\nprovider = "local"\nurl = "http://x"\n', "wss://"),
        ('[realtime]\nprovider = "local"\nurl = "ws://example.com/v1"\n', "not encrypted"),
        (f'[realtime]\napi_key = "{SECRET}"\n', "api_key"),
        ("[panel]\nbutton_pin = 27\n", "pin 27 is used for two things"),
    ],
)
def test_wrong_settings_end_with_78(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    code, output = verb("run", "--config", str(file), env=environment(tmp_path))
    assert code == CONFIG
    assert str(file) in output
    assert says in output


def test_a_settings_file_that_is_not_there_or_not_to_be_read(tmp_path: Path) -> None:
    env = environment(tmp_path)
    code, output = verb("run", "--config", str(tmp_path / "none.toml"), env=env)
    assert (code, "there is no such file" in output) == (CONFIG, True)
    code, output = verb("run", "--config", str(tmp_path), env=env)  # a folder: root reads all else
    assert (code, "is a folder, not a file" in output) == (CONFIG, True)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    code, output = verb("run", "--config", str(tmp_path / "binary.toml"), env=env)
    assert (code, "is not UTF-8 text" in output) == (CONFIG, True)


def test_a_misspelt_variable_is_refused(tmp_path: Path) -> None:
    env = environment(tmp_path, {"EDGE_AGENT_REALTIME__ULR": "ws://127.0.0.1/"})
    code, output = verb("run", env=env)
    assert code == CONFIG
    assert "EDGE_AGENT_REALTIME__URL" in output or "realtime.url" in output


# --- the key ------------------------------------------------------------------------------------


def test_without_a_key_it_says_so_and_stays_up(tmp_path: Path) -> None:
    with program("run", env=environment(tmp_path, NO_CARD)) as daemon:
        line = daemon.wait_for("[link.refused]")
        assert "link.no_key" in line
        daemon.wait_for("[agent.ready]")
        assert daemon.lines[0].startswith('edge-agent: note: no key for provider "openai"')
        assert daemon.end() == 0
        assert daemon.count("[link.refused]") == 1


def test_without_a_key_the_household_is_told() -> None:
    async def talk() -> None:
        settings = {"realtime": {"provider": "openai", "url": MEMORY_URL}}
        async with Stage(settings=settings) as stage:
            begin = stage.now()
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.start_at)
            await silence(stage, first, hold_s=1.5)
            assert said_sentence(stage, "setup_needed", begin)
            assert stage.server.dials == 0

    play(talk())


def test_a_wrong_key_is_refused_without_being_shown(tmp_path: Path) -> None:
    env = environment(tmp_path, NO_CARD)
    with simulated_server(env, "--key", "right") as (_server, url):
        env |= {
            "EDGE_AGENT_REALTIME__PROVIDER": "local",
            "EDGE_AGENT_REALTIME__URL": url,
            "EDGE_AGENT_REALTIME__API_KEY": SECRET,
        }
        with program("run", env=env) as daemon:
            assert "link.bad_key" in daemon.wait_for("[link.refused]")
            assert daemon.end() == 0
            assert SECRET not in daemon.text
            assert "Traceback" not in daemon.text


# --- the machine --------------------------------------------------------------------------------


def test_no_sound_card(tmp_path: Path) -> None:
    env = environment(tmp_path, NO_CARD)
    code, output = verb("devices", env=env)
    assert code == UNAVAILABLE
    assert "no sound device was found" in output
    with program("run", env=env) as daemon:
        assert "device.no_microphone" in daemon.wait_for("[device.down]")
        daemon.wait_for("[agent.ready]")
        assert daemon.end() == 0


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("EDGE_AGENT_DEVICE__CAPTURE_DEVICE", "Nonesuch", "device.no_microphone"),
        ("EDGE_AGENT_DEVICE__RENDER_DEVICE", "Nonesuch", "device.no_speaker"),
        ("EDGE_AGENT_DEVICE__RATE_HZ", "12345", "device.format_refused"),
    ],
)
@pytest.mark.usefixtures("pulse")
def test_no_such_device_or_rate(name: str, value: str, says: str, tmp_path: Path) -> None:
    with program("run", env=environment(tmp_path, {name: value})) as daemon:
        assert says in daemon.wait_for("[device.down]")
        daemon.wait_for("[agent.ready]")
        assert daemon.end() == 0
        assert "Traceback" not in daemon.text


def test_a_broken_state_file_means_muted_not_a_crash_loop(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{ half a")
    for start in (1, 2):
        with program("run", env=environment(tmp_path, NO_CARD)) as daemon:
            daemon.wait_for("[agent.ready]")
            assert daemon.end() == 0
            assert daemon.count("[state.repaired]") == (1 if start == 1 else 0)
    assert (tmp_path / "state.json.unusable").exists()


def test_a_state_that_cannot_be_written_costs_a_line(tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to("nowhere")  # nothing to read there, and no place to write
    settings = {"state": {"path": str(tmp_path / "folder" / "state.json")}}

    async def talk() -> None:
        async with Stage(settings=settings) as stage:
            await ready(stage)
            stage.press("mute")
            stage.release("mute")
            await asyncio.sleep(0.1)
            stage.press("mute")
            stage.release("mute")
            await asyncio.sleep(0.5)
            assert len(stage.score.codes("state.unwritable")) == 1
            await still_works(stage)

    play(talk())


# --- the server ---------------------------------------------------------------------------------


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """A port that answers every connection with the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        connection.recv(4096)
                        connection.sendall(answer)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, name="raw server")
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}/v1/realtime"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def local(url: str, tmp_path: Path) -> dict[str, str]:
    more = {"EDGE_AGENT_REALTIME__PROVIDER": "local", "EDGE_AGENT_REALTIME__URL": url}
    return environment(tmp_path, NO_CARD | more)


def test_a_closed_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}/v1/realtime"
        with program("run", env=local(url, tmp_path)) as daemon:
            assert "link.unreachable" in daemon.wait_for("[link.down]")
            daemon.wait_for("[link.down]", times=3)  # it keeps trying
            assert daemon.end() == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nlogin",
        b"\x00\xff" * 2000,
        b"",
    ],
)
def test_a_server_that_does_not_speak_our_language(answer: bytes, tmp_path: Path) -> None:
    with raw_server(answer) as url, program("run", env=local(url, tmp_path)) as daemon:
        daemon.wait_for("[link.")
        daemon.wait_for("[agent.ready]")
        assert daemon.end() == 0
        assert daemon.count("[link.ready]") == 0
        assert "Traceback" not in daemon.text
        assert "[agent.fault]" not in daemon.text


@pytest.mark.parametrize("fault", ["huge_frame_bytes=20000000", "garbage_frames=50"])
def test_a_server_that_goes_mad_and_calms_down(fault: str, tmp_path: Path) -> None:
    with (
        simulated_server(environment(tmp_path), "--faults", fault) as (_server, url),
        program("run", env=local(url, tmp_path)) as daemon,
    ):
        daemon.wait_for("[link.ready]")  # over a second session, if the first was left
        assert daemon.end() == 0
        assert "Traceback" not in daemon.text
        assert "[agent.fault]" not in daemon.text


@pytest.mark.parametrize(
    "fault",
    [
        "odd_audio_deltas=20",
        "unknown_every=3",
        "duplicate_every=7",
        "binary_frames=3",
        "garbage_frames=3",
        "no_usage,no_rate_limits",
        "legacy_names",
        "burst_ms=1500",
        "late_deltas=5,late_deltas_after_done=5",
    ],
)
def test_a_sloppy_server_is_understood(fault: str) -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_tea", "answer_weather")) as stage:
            await ready(stage)
            stage.server.faults.set_from(fault)
            said = await stage.say("wake_what_time")
            if fault.startswith("duplicate"):  # a delta that came twice is heard twice
                await first_sound(stage, said.offset_at)
                await stage.until_talk("asleep", PATIENCE_S)
            else:
                await whole_turn(stage, said, "answer_tea")
            assert [f for f in faults(stage) if f.startswith(("agent", "link"))] == []
            await still_works(stage)

    play(talk())


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, output = verb("simulate-server", "--port", port, env=environment(tmp_path))
    assert code == UNAVAILABLE
    assert "--port" in output


# --- being stopped ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_polite_signal_is_an_orderly_end(number: signal.Signals, tmp_path: Path) -> None:
    with program("run", env=local("ws://127.0.0.1:9/v1/realtime", tmp_path)) as daemon:
        daemon.wait_for("[agent.ready]")
        assert daemon.end(number) == 0
        assert daemon.lines[-1].endswith("[agent.stopped]")
