"""The doctor: what each thing it may see means, and that it touches nothing it should not."""

from __future__ import annotations

import array
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from machines import LAYOUTS, Machine
from typer.testing import CliRunner

from edge_agent.audio.device.cards import Cards, Kind, Side
from edge_agent.audio.device.devices import DeviceEntry, pcm_of
from edge_agent.cli import main as cli
from edge_agent.cli.doctor import before, network, speaker, verb
from edge_agent.cli.doctor import machine as machine_room
from edge_agent.cli.doctor.findings import Finding, State, fail, has_failed, ok, shown, warn
from edge_agent.cli.doctor.machine import THROTTLED, machine
from edge_agent.cli.doctor.rights import rights
from edge_agent.contract.errors import DeviceError, DeviceFormatRefused, LinkRefused, WireClosed
from edge_agent.contract.ports import SoundDeviceInfo, Wire
from edge_agent.host.service.control import ControlError
from edge_agent.host.service.status import Failure, Status
from edge_agent.host.settings.root import Settings
from edge_agent.realtime.link.endpoints import Endpoint

REPO = Path(__file__).parents[2]
SHARED = "; shared with other programs"
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MEMORY = "MemTotal: 1000000 kB\nMemFree: 1 kB\nMemAvailable: {free} kB\nSwapFree: {swap} kB\n"


# --- the machine -----------------------------------------------------------------------------


def seen(root: Path, now: datetime = NOW) -> dict[str, Finding]:
    found = [*machine(root, root / "state", now), *rights(root, root / "state")]
    return {finding.about: finding for finding in found}


def put(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


def test_a_machine_that_tells_nothing_of_itself_has_only_what_is_known(tmp_path: Path) -> None:
    assert set(seen(tmp_path)) == {"Python", "Clock", "Disk", "Rights"}
    assert all(finding.state is not State.FAIL for finding in seen(tmp_path).values())


@pytest.mark.parametrize(
    ("file", "text", "about", "state", "said"),
    [
        (machine_room.TEMPERATURE, "48312\n", "Heat", State.OK, "48 °C"),
        (machine_room.TEMPERATURE, "77000\n", "Heat", State.WARN, "77 °C"),
        (machine_room.TEMPERATURE, "84000\n", "Heat", State.FAIL, "slowed down"),
        (THROTTLED, "0\n", "Power", State.OK, "enough"),
        (THROTTLED, "50000\n", "Power", State.WARN, "since the start"),
        (THROTTLED, "50005\n", "Power", State.FAIL, "now"),
        ("sys/class/net/wlan0/phy80211", "", "Wi-Fi", State.NOT_SEEN, "iw dev wlan0 link"),
        ("run/systemd/timesync/synchronized", "", "Clock", State.OK, "set by the network"),
        ("run/systemd/timesync/clock", "", "Clock", State.WARN, "not set"),
        (
            "proc/net/wireless",
            "Inter-| sta-|   Quality\n face | tus | link level\n"
            " wlan0: 0000   54.  -56.  -256        0\n",
            "Wi-Fi",
            State.OK,
            "wlan0 hears its access point with -56 dBm",
        ),
        ("proc/net/wireless", " wlan0: 0000   31.  -79.  -256 0\n", "Wi-Fi", State.WARN, "-79"),
        ("run/chrony/chronyd.pid", "7\n", "Clock", State.OK, "set by chrony"),
        ("run/systemd/container", "lxc\n", "Clock", State.OK, "set by the host"),
        ("proc/meminfo", MEMORY.format(free=900_000, swap=0), "Memory", State.OK, "no swap"),
        ("proc/meminfo", MEMORY.format(free=90_000, swap=0), "Memory", State.WARN, "90 of 1000"),
        ("proc/meminfo", MEMORY.format(free=40_000, swap=0), "Memory", State.FAIL, "40 of 1000"),
        ("proc/meminfo", MEMORY.format(free=40_000, swap=99_000), "Memory", State.WARN, "99 MB of"),
        ("proc/mounts", "/dev/mmcblk0p2 / ext4 ro,noatime 0 0\n", "Disk", State.FAIL, "read-only"),
        ("proc/mounts", "overlay / overlay rw,lowerdir=a 0 0\n", "Disk", State.WARN, "in memory"),
        ("proc/mounts", "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n", "Disk", State.OK, "MB free"),
    ],
)
def test_what_a_file_of_the_machine_means(
    tmp_path: Path, file: str, text: str, about: str, state: State, said: str
) -> None:
    put(tmp_path, file, text)
    finding = seen(tmp_path)[about]
    assert finding.state is state
    assert said in finding.said
    assert bool(finding.fix) is (state in (State.WARN, State.FAIL))


@pytest.mark.parametrize(("alarm", "state"), [("0", State.OK), ("1", State.FAIL)])
def test_voltage_by_the_kernels_driver(tmp_path: Path, alarm: str, state: State) -> None:
    put(tmp_path, "sys/class/hwmon/hwmon2/name", "rpi_volt\n")
    put(tmp_path, "sys/class/hwmon/hwmon2/in0_lcrit_alarm", f"{alarm}\n")
    assert seen(tmp_path)["Power"].state is state


def test_a_clock_of_1970_is_told_before_certificates_are(tmp_path: Path) -> None:
    put(tmp_path, "run/systemd/timesync/synchronized", "")
    finding = seen(tmp_path, datetime(1970, 1, 1, tzinfo=UTC))["Clock"]
    assert finding.state is State.FAIL
    assert finding.fix.startswith("timedatectl")


@pytest.mark.parametrize(
    ("free_mb", "state"), [(71_000, State.OK), (150, State.WARN), (5, State.FAIL)]
)
def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, state: State
) -> None:
    usage = type("Usage", (), {"free": free_mb * 1_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    (disk,) = (f for f in machine(tmp_path, tmp_path / "not/there/yet", NOW) if f.about == "Disk")
    assert disk.state is state
    assert f"{free_mb} MB free for {tmp_path}/not/there/yet" in disk.said


# --- the speaker -----------------------------------------------------------------------------


def test_what_the_running_speaker_tells() -> None:
    well = Status(link="ready", device_present=True, capture_name="USB", render_name="box")
    lines = list(speaker.running(well))
    assert [(line.about, line.state) for line in lines] == [
        ("Speaker", State.OK),
        ("Microphone", State.OK),
        ("Loudspeaker", State.OK),
    ]
    failure = Failure(code="link.bad_key", message="No.", fix="Put another one.")
    ill = replace(well, link="down", link_refused=True, link_code="link.bad_key", failure=failure)
    (line, *_rest) = speaker.running(replace(ill, mic_clipped=3))
    assert (line.state, line.fix) == (State.FAIL, "Put another one.")
    assert has_failed(speaker.running(ill))
    muted = replace(well, microphone="muted", capture_closed=True)
    said = {line.about: line.said for line in speaker.running(muted)}
    assert said["Microphone"] == "closed: nothing records"
    assert said["Loudspeaker"] == "box"


# --- the service -----------------------------------------------------------------------------


class Server:
    """A service that says these frames, then nothing; `None` closes."""

    def __init__(self, *frames: str | None) -> None:
        self.frames = list(frames)
        self.sent: list[str] = []
        self.is_closed = False

    async def send(self, text: str) -> None:
        self.sent.append(text)

    async def receive(self) -> str:
        if not self.frames:
            await asyncio.Event().wait()
        frame = self.frames.pop(0)
        if frame is None:
            raise WireClosed(1011, "bye")
        return frame

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.is_closed = True

    async def ping(self) -> None:
        """At once."""

    def quiet_s(self) -> float | None:
        return None


CREATED = json.dumps({"type": "session.created", "session": {}})
KEY = "sk-test-4c3b2a"


def look(server: Server | LinkRefused, key: Callable[[], str | None] = lambda: KEY) -> Finding:
    from edge_agent.app.endpoints import endpoints
    from edge_agent.host.price_list import load_providers

    async def dial(url: str, headers: Mapping[str, str]) -> Wire:
        assert url.startswith("wss://api.openai.com/")
        assert headers["Authorization"] == f"Bearer {KEY}"
        if isinstance(server, LinkRefused):
            raise server
        return server

    (first,) = endpoints(Settings(), load_providers(Path("/nowhere")))
    endpoint: Endpoint = replace(first, key=key)
    step, finding = network.services([endpoint], dial, go=lambda goal, **_: [ok("Name", goal.host)])
    assert step.said == "api.openai.com"
    assert KEY not in finding.said + finding.fix
    return finding


def test_a_session_is_opened_and_nothing_is_said_in_it() -> None:
    server = Server(CREATED)
    finding = look(server)
    assert finding.state is State.OK
    assert finding.said.startswith("openai at api.openai.com, gpt-realtime-2.1: a session after")
    assert server.sent == []
    assert server.is_closed


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Server(None), "closed the session"),
        (Server("<html>"), "refuses the session (no JSON)"),
        (Server(json.dumps({"type": "error", "error": {"code": "model_not_found"}})), "model_not"),
        (Server(json.dumps({"type": "error", "error": {"code": KEY + " no"}})), "refuses"),
        (Server(*['{"type": "x"}'] * 5), "refuses the session (no session)"),
        (LinkRefused("The service does not accept the key.", fix="Put one.", code="link.bad_key"),
         "does not accept the key. [link.bad_key]"),
    ],
)  # fmt: skip
def test_a_service_that_gives_no_session(server: Server | LinkRefused, said: str) -> None:
    finding = look(server)
    assert finding.state is State.FAIL
    assert said in finding.said
    assert finding.fix
    assert not isinstance(server, Server) or server.is_closed


def test_a_service_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "WAIT_S", 0.01)
    assert "answered nothing" in look(Server()).said


def refused(key: Callable[[], str | None]) -> Finding:
    server = Server(CREATED)
    finding = look(server, key)
    assert server.frames, "nobody was dialled"
    return finding


def test_a_key_that_cannot_be_read_or_is_not_there() -> None:
    def unreadable() -> str | None:
        raise PermissionError(13, "Permission denied")

    assert "the key cannot be read (Permission denied)" in refused(unreadable).said
    assert "There is no API key" in refused(lambda: None).said


# --- before anything is installed ------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_before_the_installation_the_kernels_word_gives_the_same_cards(
    tmp_path: Path, layout: str
) -> None:
    house = Machine(tmp_path, LAYOUTS[layout])
    for finding, capture in zip(before.sound(house.cards), (True, False), strict=True):
        name, why = LAYOUTS[layout]["capture" if capture else "render"]
        if name == "default":  # a name of the sound library, which is not asked yet
            name, why = LAYOUTS[layout]["render_side"], why.removesuffix(SHARED)
        side = house.cards.side(pcm_of(name), is_capture=capture)
        if side is None:
            assert (finding.state, finding.said) == (State.FAIL, why)
        else:
            assert finding.state is State.OK
            assert f"{side.card_name} (hw:CARD={side.card_id}," in finding.said
            assert finding.said.endswith(f"({why})")


def test_the_script_needs_python_and_nothing_else(tmp_path: Path) -> None:
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without installed packages
    bare.chmod(0o755)
    told = subprocess.run(
        [REPO / "scripts/doctor.sh", "--offline"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stderr == ""
    assert told.returncode in (0, 1), "as the cards of this machine are"
    abouts = [line[6:].split()[0] for line in told.stdout.splitlines() if line[:4].strip()]
    wanted = {"Python", "Clock", "Disk", "Packages", "Rights", "Microphone", "Loudspeaker"}
    assert wanted <= set(abouts)
    assert abouts[-1] == "Network"


def test_the_script_says_which_python_it_needs(tmp_path: Path) -> None:
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    told = subprocess.run(
        [REPO / "scripts/doctor.sh"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 69
    assert "needs Python 3.11 or newer" in told.stderr


# --- the verb --------------------------------------------------------------------------------


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No speaker runs; one card; the settings of this test."""
    monkeypatch.setattr(verb, "ROOT", tmp_path)
    mic = Side(1, 0, True, "Mic", "USB Mic", Kind.USB)
    box = replace(mic, is_capture=False)
    entries = [DeviceEntry("USB (hw:CARD=Mic,DEV=0)", "ALSA", 1, 2, 48_000, pcm=(1, 0))]
    library = "edge_agent.audio.device.portaudio_library.list_devices"
    monkeypatch.setattr(library, lambda: entries)
    monkeypatch.setattr("edge_agent.cli.doctor.service.shutil.which", lambda _name: None)
    read = lambda _root=None: Cards((mic, box))  # noqa: E731
    monkeypatch.setattr("edge_agent.audio.device.cards.read_cards", read)
    file = tmp_path / "edge-agent.toml"
    socket, state = tmp_path / "control.sock", tmp_path / "state.json"
    file.write_text(f'[control]\npath = "{socket}"\n[state]\npath = "{state}"\n')
    return file


def test_offline_nobody_is_contacted_and_muted_no_microphone_is_opened(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nothing_here.parent / "state.json").write_text('{"version": 1, "muted": true}')

    def refused(*_arguments: object, **_more: object) -> object:
        raise AssertionError("it must not")

    monkeypatch.setattr("edge_agent.app.world.real_dialer", refused)
    monkeypatch.setattr("edge_agent.audio.device.portaudio.PortAudioDevice.open", refused)
    result = CliRunner().invoke(cli.app, ["doctor", "--offline", "-c", str(nothing_here)])
    assert "-     Service      not contacted (--offline)" in result.output
    assert "-     Level        the microphone is muted and stays shut" in result.output
    assert "ok    Microphone   USB (hw:CARD=Mic,DEV=0) (USB with microphone" in result.output


def test_a_speaker_that_cannot_be_asked_keeps_its_card(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_rights(*_arguments: object) -> object:
        raise ControlError("This account may not ask.", fix="sudo edge-agent doctor")

    monkeypatch.setattr("edge_agent.host.service.control.ask", no_rights)
    result = CliRunner().invoke(cli.app, ["doctor", "--offline", "-c", str(nothing_here)])
    assert "warn  Speaker      it cannot be asked: This account may not ask." in result.output
    assert "-> sudo edge-agent doctor" in result.output
    words = ("Microphone", "Level", "Button", "Sound ")
    assert not [row for row in result.output.splitlines() if any(word in row for word in words)]


def test_settings_with_a_mistake_end_no_visit_and_have_nobody_called_or_recorded(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object, **_more: object) -> object:
        raise AssertionError("it must not")

    monkeypatch.setattr("edge_agent.app.world.real_dialer", refused)
    monkeypatch.setattr("edge_agent.audio.device.portaudio.PortAudioDevice.open", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)
    nothing_here.write_text("[device]\nvolume = 7\n")
    result = CliRunner().invoke(cli.app, ["doctor", "--json", "-c", str(nothing_here)])
    assert result.exit_code == 1
    rows = json.loads(result.output)
    assert rows[0]["state"] == "fail"
    assert "volume" in rows[0]["said"]
    assert rows[0]["fix"].startswith("Correct them (edge-agent config check)")
    assert {"Python", "Disk", "Level", "Service"} <= {row["about"] for row in rows}


MEASURED = {
    "done": True,
    "seconds": 4.0,
    "noise_dbfs": -61.0,
    "level_dbfs": -30.0,
    "clipped": 0,
    "heard": True,
    "delay_ms": 38.0,
    "echo_db": -14.0,
    "wake_word": "okay_nabu",
    "wake_cutoff": 0.85,
    "wake_direct_score": 0.99,
    "wake_score": 0.93,
}


class Running:
    """A speaker that runs and is asked through its socket."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: Status) -> None:
        self.asked: list[str] = []
        self.status = status
        monkeypatch.setattr("edge_agent.host.service.control.ask", self.ask)
        monkeypatch.setattr("edge_agent.host.service.control.speaker_pid", lambda _paths: 77)
        monkeypatch.setattr(speaker, "ASK_EVERY_S", 0.0)
        for ours in (
            "edge_agent.audio.device.portaudio.PortAudioDevice.open",
            "edge_agent.audio.device.portaudio_library.list_devices",
            "edge_agent.panel.gpio.open_panel",
        ):
            monkeypatch.setattr(ours, self.forbidden)

    def forbidden(self, *_arguments: object, **_more: object) -> object:
        raise AssertionError("card and pins are the speaker's")

    def ask(self, request: Mapping[str, object], _paths: object) -> dict[str, Any]:
        self.asked.append(str(request["do"]) + (" start" if request.get("start") else ""))
        if request["do"] == "status":
            return self.status.plain()
        if request.get("start"):
            return {"ok": True, "done": False}
        if request["do"] == "check_panel":
            return {"ok": True, "done": True, "panel": True, "pressed": ["talk"]}
        return {"ok": True, **MEASURED}

    def visit(self, file: Path, *flags: str) -> dict[str, dict[str, str]]:
        arguments = ["doctor", "--offline", "--json", *flags, "-c", str(file)]
        result = CliRunner().invoke(cli.app, arguments)
        return {row["about"]: row for row in json.loads(result.output)}


WELL = Status(link="ready", device_present=True, capture_name="USB", render_name="box")


def test_beside_a_speaker_it_asks_and_makes_no_sound_unasked(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(monkeypatch, WELL)
    rows = running.visit(nothing_here)
    assert running.asked == ["status"]
    assert rows["Sound"]["said"].startswith("not tried; `edge-agent doctor --sound` plays two")
    assert rows["Button"]["state"] == "-"


def test_beside_a_speaker_sound_and_button_are_tried_by_the_speaker(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(monkeypatch, WELL)
    rows = running.visit(nothing_here, "--sound", "--panel")
    trials = ["check_sound start", "check_sound", "check_panel start", "check_panel"]
    assert running.asked == ["status", *trials]
    assert rows["Level"]["said"] == "the room has -61 dBFS"
    assert rows["Echo"]["said"] == "the loudspeaker is heard 38 ms late, -14 dB"
    assert rows["Wake word"]["state"] == "ok"
    assert rows["Button"]["said"] == "a press arrived: talk"


def test_beside_a_muted_speaker_no_sound_is_tried(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(monkeypatch, replace(WELL, microphone="muted", capture_closed=True))
    rows = running.visit(nothing_here, "--sound")
    assert running.asked == ["status"]
    assert rows["Level"]["said"] == "the microphone is muted and stays shut"


def test_a_check_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "ASK_EVERY_S", 0.0)
    monkeypatch.setattr(speaker, "CHECK_MAX_S", 0.0)
    with pytest.raises(ControlError, match="does not end"):
        speaker.check("check_sound", lambda _request: {"done": False})


class Card:
    """In place of this machine's: it remembers what it was given to play."""

    played: ClassVar[list[bytes]] = []
    refusal: ClassVar[DeviceError | None] = None

    def __init__(self, *_names: object, **_more: object) -> None:
        self.played.clear()

    def open(self, on_capture: Any, on_render: Any) -> SoundDeviceInfo:
        if self.refusal is not None:
            raise self.refusal
        self.render = on_render
        on_capture(array.array("h", ([40] * 24 + [-40] * 24) * 10).tobytes(), 0.0)
        return SoundDeviceInfo("USB", "box", 48_000, 48_000, 480, 0.0, 0.0)

    def close(self) -> None:
        if self.refusal is None:
            self.played.extend(self.render(480, number / 100) for number in range(200))


@pytest.mark.parametrize(("flags", "is_loud"), [((), False), (("--sound",), True)])
def test_alone_it_plays_nothing_unasked(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], is_loud: bool
) -> None:
    monkeypatch.setattr("edge_agent.audio.device.portaudio.PortAudioDevice", Card)
    monkeypatch.setattr("edge_agent.cli.doctor.sound.pause", lambda _seconds: None)
    arguments = ["doctor", "--offline", "--json", *flags, "-c", str(nothing_here)]
    rows = {row["about"]: row for row in json.loads(CliRunner().invoke(cli.app, arguments).output)}
    assert any(map(any, Card.played)) is is_loud
    assert rows["Level"]["state"] == "ok"
    assert ("Echo" in rows) is is_loud


def test_a_card_that_refuses_every_format_is_told(
    nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = DeviceFormatRefused("It takes no rate that we know.", fix="Set device.rate_hz.")
    monkeypatch.setattr(Card, "refusal", refusal)
    monkeypatch.setattr("edge_agent.audio.device.portaudio.PortAudioDevice", Card)
    result = CliRunner().invoke(cli.app, ["doctor", "--offline", "-c", str(nothing_here)])
    assert "fail  Level        It takes no rate that we know." in result.output
    assert "-> Set device.rate_hz." in result.output
    assert result.exit_code == 1


def test_a_flaw_is_no_failure_and_a_remedy_has_its_own_line() -> None:
    found = [ok("Disk", "much"), warn("Heat", "77 °C", "Give it air.")]
    assert not has_failed(found)
    assert has_failed([*found, fail("Clock", "1970", "Set it.")])
    assert list(shown(found[1])) == [
        "warn  Heat         77 °C",
        "                   -> Give it air.",
    ]
    assert list(shown(ok("Heat", "two\nlines"))) == [
        "ok    Heat         two",
        "                   lines",
    ]
