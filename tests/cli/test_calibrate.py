"""`edge-agent calibrate`: through the running speaker, or with its card while that does not run."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edge_agent.app.sound.check import QUIET_S, calibrated, echo_path, sweep, swept
from edge_agent.audio.resample import array_to_pcm, pcm_to_array, to_int16
from edge_agent.audio.sound_check import Recording, for_device
from edge_agent.cli import main as cli
from edge_agent.cli.doctor import calibrate, speaker
from edge_agent.contract.errors import DeviceError
from edge_agent.contract.ports import EchoPath, SoundDeviceInfo
from edge_agent.host.service import account
from edge_agent.host.service.control import ControlError, NotRunning
from edge_agent.host.stores.echo_store import EchoStore

RATE_HZ, BLOCK = 48_000, 480
LATE_S, STRENGTH = 0.040, 0.25
PAIR = "box → USB"


def recording(*, late_s: float = LATE_S, strength: float = STRENGTH) -> Recording:
    """A sweep in a room whose only echo comes so late, and so loud."""
    played = pcm_to_array(for_device(sweep(), RATE_HZ, quiet_s=QUIET_S, gain=1.0))
    played = np.pad(played, (0, RATE_HZ))
    late = round(late_s * RATE_HZ)
    noise = np.random.default_rng(7).standard_normal(played.size) * 20
    heard = to_int16(np.pad(played * strength, (late, 0))[: played.size] + noise)
    made = Recording()
    for at in range(0, played.size - BLOCK, BLOCK):
        made.played(array_to_pcm(played[at : at + BLOCK]), at / RATE_HZ)
        made.heard(array_to_pcm(heard[at : at + BLOCK]), at / RATE_HZ)
    return made


@pytest.fixture(scope="module")
def sweeps() -> list[dict[str, Any]]:
    """Two good ones, and one that came later."""
    good = swept(recording(), RATE_HZ, RATE_HZ)
    other = swept(recording(late_s=0.045), RATE_HZ, RATE_HZ)
    return [good, other, good]


@pytest.fixture
def found(sweeps: list[dict[str, Any]]) -> dict[str, Any]:
    return {**calibrated(sweeps, series=True), "cards": PAIR}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a speaker of this test's; it does not run."""
    settings = tmp_path / "edge-agent.toml"
    settings.write_text(
        f'[state]\npath = "{tmp_path}/state.json"\n[control]\npath = "{tmp_path}/c.sock"\n'
    )
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(settings))
    monkeypatch.setattr(speaker, "ASK_EVERY_S", 0.0)
    return settings


def invoke(*options: str) -> Result:
    return CliRunner().invoke(cli.app, ["calibrate", *options])


def said(result: Result) -> dict[str, str]:
    """What each line is about: its state."""
    rows = json.loads(result.stdout)["findings"]
    return {row["about"]: row["state"] for row in rows}


# --- what sweeps show -------------------------------------------------------------------------


def test_delay_strength_and_response_of_a_room(found: dict[str, Any]) -> None:
    assert (found["heard"], found["sweeps_heard"], found["spread_ms"]) == (True, 3, 5.0)
    assert found["delay_ms"] == pytest.approx(LATE_S * 1000, abs=0.3), "the median"
    assert found["echo_db"] == pytest.approx(20 * np.log10(STRENGTH), abs=0.5)
    peak = int(np.argmax(found["impulse_db"]))
    assert found["impulse_from_ms"] + peak == pytest.approx(LATE_S * 1000, abs=1.5)
    assert max(found["impulse_db"]) == pytest.approx(20 * np.log10(STRENGTH), abs=1.5)
    assert np.median(found["impulse_db"]) < max(found["impulse_db"]) - 30
    assert found["thirds_db"] == pytest.approx([20 * np.log10(STRENGTH)] * 11, abs=1.5)
    path = echo_path(found)
    assert path == EchoPath(found["delay_ms"] / 1000, found["echo_db"])


def test_what_most_sweeps_do_not_hear_is_not_there(sweeps: list[dict[str, Any]]) -> None:
    deaf = swept(recording(strength=0.0), RATE_HZ, RATE_HZ)
    assert not deaf["heard"]
    told = calibrated([sweeps[0], deaf, deaf], series=True)
    assert (told["heard"], told["sweeps_heard"], told["kept"]) == (False, 1, False)
    assert "impulse_db" not in told
    assert echo_path(told) is None
    assert calibrated([sweeps[0], sweeps[0], deaf], series=False)["delay_ms"] > 0


@pytest.mark.parametrize(
    ("changes", "about", "state", "words"),
    [
        ({}, "Delay", "ok", "heard in 3 of 3 sweeps, 5.0 ms apart"),
        ({"spread_ms": 25.0}, "Delay", "warn", "it jumps"),
        ({"level_dbfs": -30.0, "noise_dbfs": -62.0}, "Loudness", "ok", "32 dB over the room"),
        ({"level_dbfs": -50.0, "noise_dbfs": -55.0}, "Loudness", "warn", "volume +20"),
        ({"level_dbfs": -3.0}, "Loudness", "warn", "gain down"),
        ({"clipped": 500}, "Level", "warn", "Turn the gain down"),
        ({"delay_ms": 500.0}, "Echo", "warn", "later than the echo canceller can follow"),
        ({"kept": True}, "Kept", "ok", PAIR),
        ({"kept": False}, "Kept", "fail", "could not be saved"),
        ({"heard": False}, "Kept", "-", "nothing"),
        ({"heard": False}, "Echo", "warn", "does not hear the loudspeaker"),
    ],
)
def test_what_it_means(
    found: dict[str, Any], changes: dict[str, Any], about: str, state: str, words: str
) -> None:
    rows = {one.about: one for one in calibrate.findings({**found, **changes})}
    assert rows[about].state == state
    assert words in f"{rows[about].said} {rows[about].fix}"


# --- beside the speaker -----------------------------------------------------------------------


@pytest.fixture
def service(found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What a running speaker is asked; the card is its own."""
    asked: list[dict[str, object]] = []

    def ask(request: Mapping[str, object], _paths: object) -> dict[str, Any]:
        asked.append(dict(request))
        begun = {"ok": True, "done": False}
        return begun if request.get("start") else {"ok": True, "done": True, **found, "kept": True}

    def forbidden(*_arguments: object, **_more: object) -> None:
        raise AssertionError("the card is the speaker's, and so is the store")

    monkeypatch.setattr("edge_agent.host.service.control.ask", ask)
    monkeypatch.setattr("edge_agent.audio.device.portaudio.PortAudioDevice.open", forbidden)
    monkeypatch.setattr(EchoStore, "save", forbidden)
    return asked


@pytest.mark.usefixtures("file")
def test_beside_the_speaker_it_asks_the_speaker_and_opens_nothing(
    service: list[dict[str, object]],
) -> None:
    result = invoke()
    assert result.exit_code == 0, result.output
    assert service == [
        {"do": "calibrate", "start": True, "keep": True, "series": True},
        {"do": "calibrate"},
    ]
    assert "ok    Echo         the loudspeaker is heard 40 ms late, -12 dB" in result.output
    assert f"ok    Kept         for {PAIR}: the echo canceller starts from it" in result.output
    told = json.loads(invoke("--json").stdout)
    assert told["delay_ms"] == pytest.approx(40, abs=0.3)
    assert "done" not in told


@pytest.mark.usefixtures("file")
def test_what_the_speaker_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_request: Mapping[str, object], _paths: object) -> dict[str, Any]:
        raise ControlError("The speaker is in use.", fix="Try again when it is quiet.")

    monkeypatch.setattr("edge_agent.host.service.control.ask", ask)
    result = invoke()
    assert result.exit_code == 69
    assert result.stderr.splitlines()[0] == "edge-agent: The speaker is in use."


@pytest.mark.usefixtures("file", "service")
def test_the_picture_is_drawn_or_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "room.png"
    assert said(invoke("--picture", str(picture), "--json"))["Picture"] == "ok"
    assert picture.read_bytes().startswith(b"\x89PNG")
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    result = invoke("--picture", str(tmp_path / "other.png"))
    assert result.exit_code == 0
    assert "edge-agent[demo]" in result.output
    assert not (tmp_path / "other.png").exists()


# --- alone ------------------------------------------------------------------------------------


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A card that gives the recording of a room; what is done in which order."""
    done: list[str] = []
    info = SoundDeviceInfo("USB", "box", RATE_HZ, RATE_HZ, BLOCK, 0.0, 0.0)

    def listen(_device: object, _render: object, _seconds: float) -> tuple[Recording, Any]:
        done.append("listen")
        return recording(), info

    monkeypatch.setattr("edge_agent.cli.doctor.sound.listen", listen)
    monkeypatch.setattr(
        account, "become_owner", lambda folder, **_more: done.append(f"account of {folder.name}")
    )
    real = EchoStore.save

    def save(store: EchoStore, known: Mapping[str, EchoPath]) -> bool:
        done.append("save")
        return real(store, known)

    monkeypatch.setattr(EchoStore, "save", save)
    return done


def test_alone_it_measures_itself_and_writes_as_the_speakers_account(
    file: Path, card: list[str]
) -> None:
    store = EchoStore(file.parent / "echo.json", lambda *_a, **_f: None)
    EchoStore.save(store, {PAIR: EchoPath(0.5, 0.0), "jack → USB": EchoPath(0.1, -3.0)})
    card.clear()
    result = invoke("--json")
    assert result.exit_code == 0, result.output
    assert card == ["listen"] * 3 + [f"account of {file.parent.name}", "save"]
    told = json.loads(result.stdout)
    known = store.load()
    assert list(known) == ["jack → USB", PAIR]
    assert known["jack → USB"] == EchoPath(0.1, -3.0), "another pair's stays what it was"
    assert known[PAIR] == EchoPath(round(told["delay_ms"] / 1000, 4), told["echo_db"])
    assert told["kept"] is True


def test_muted_the_card_stays_shut(file: Path, card: list[str]) -> None:
    (file.parent / "state.json").write_text('{"version": 1, "muted": true}')
    result = invoke()
    assert (result.exit_code, card) == (69, [])
    assert "muted" in result.stderr


@pytest.mark.usefixtures("card")
def test_a_card_in_use_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_arguments: object) -> None:
        raise DeviceError("It is in use by aplay.", fix="End it.")

    monkeypatch.setattr("edge_agent.cli.doctor.sound.listen", busy)
    result = invoke()
    assert result.exit_code == 69
    assert "It is in use by aplay." in result.stderr
    assert not (file.parent / "echo.json").exists()


def test_a_disk_that_refuses_is_a_failure(file: Path, card: list[str]) -> None:
    assert file.exists()
    (file.parent / "echo.json").mkdir()
    result = invoke()
    assert result.exit_code == 1
    assert card[-1] == "save"
    assert "fail  Kept         it could not be saved" in result.output


def test_nobody_who_does_not_run_is_waited_for(
    file: Path, card: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def nobody(request: Mapping[str, object], _paths: object) -> dict[str, Any]:
        asked.append(request["do"])
        raise NotRunning("The speaker is not running.")

    monkeypatch.setattr("edge_agent.host.service.control.ask", nobody)
    assert invoke().exit_code == 0
    assert asked == ["calibrate", "status"], f"once each ({file.name})"
    assert card.count("listen") == 3
