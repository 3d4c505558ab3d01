"""The doctor's checks of facts: accounts, key, unit, panel, cards, mixer, sound, voice, tools."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.audio.device.cards import Cards, Kind, Side
from edge_agent.audio.device.devices import DeviceEntry
from edge_agent.cli.doctor import extras, panel, service, sound
from edge_agent.cli.doctor.findings import Finding, State, is_clock_wrong
from edge_agent.cli.doctor.key import key_file, key_form
from edge_agent.cli.doctor.machine import machine
from edge_agent.cli.doctor.rights import rights
from edge_agent.contract.errors import DeviceMissing
from edge_agent.contract.events import ButtonPressed
from edge_agent.contract.ports import SoundDeviceInfo
from edge_agent.host.price_list import load_providers
from edge_agent.host.settings.mcp import McpServer
from edge_agent.host.settings.root import Device, Realtime, Settings
from edge_agent.panel.gpio import NullPanel

GOOD_KEY = "sk-proj-0123456789abcdefABCDEF"
GROUPS = "edge-agent:x:993:\naudio:x:29:{audio}\ngpio:x:997:edge-agent\n"


def put(root: Path, name: str, text: str = "") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return root / name


# --- rights ----------------------------------------------------------------------------------


def installed(root: Path, *, audio: str = "pi,edge-agent", uid: int | None = None) -> Path:
    """A machine with the account; its state folder."""
    put(root, "etc/passwd", f"edge-agent:x:{os.getuid() if uid is None else uid}:993::/:/x\n")
    put(root, "etc/group", GROUPS.format(audio=audio))
    put(root, "opt/edge-agent/build.txt")
    state = root / "var/lib/edge-agent"
    state.mkdir(parents=True)
    state.chmod(0o700)
    return state


def test_an_account_with_its_groups_and_its_folder(tmp_path: Path) -> None:
    found = list(rights(tmp_path, installed(tmp_path)))
    assert [one.state for one in found] == [State.OK, State.OK]


@pytest.mark.parametrize(
    ("break_it", "state", "said", "fix"),
    [
        (lambda root: put(root, "etc/group", GROUPS.format(audio="pi")), State.FAIL,
         "not in audio (sound)", "sudo usermod -a -G audio edge-agent"),
        (lambda root: put(root, "etc/passwd", "root:x:0:0::/:/x\n"), State.FAIL,
         "the account edge-agent is gone", "scripts/install.sh"),
        (lambda root: put(root, "etc/passwd", "edge-agent:x:4242:993::/:/x\n"), State.FAIL,
         "does not belong to edge-agent", "sudo chown -R edge-agent:"),
        (lambda root: (root / "var/lib/edge-agent").chmod(0o755), State.WARN,
         "open to others (755)", "sudo chmod 700"),
    ],
)  # fmt: skip
def test_rights_that_are_missing(
    tmp_path: Path, break_it: Any, state: State, said: str, fix: str
) -> None:
    folder = installed(tmp_path)
    break_it(tmp_path)
    bad = [one for one in rights(tmp_path, folder) if one.state is not State.OK]
    assert [one.state for one in bad] == [state]
    assert said in bad[0].said
    assert bad[0].fix.startswith(fix) or fix in bad[0].fix


def test_where_nothing_is_installed_nothing_is_missed(tmp_path: Path) -> None:
    assert [one.state for one in rights(tmp_path, tmp_path / "state")] == [State.NOT_SEEN]


# --- clock -----------------------------------------------------------------------------------


def test_a_clock_that_was_set_back_is_told(tmp_path: Path) -> None:
    now = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    file = put(tmp_path, "state/state.json")
    put(tmp_path, "run/systemd/timesync/synchronized")
    for ahead_s, state in ((60, State.OK), (7200, State.WARN)):
        os.utime(file, (now.timestamp() + ahead_s,) * 2)
        (clock,) = (one for one in machine(tmp_path, file.parent, now) if one.about == "Clock")
        assert clock.state is state
        assert ("jumps" in clock.said) is (state is State.WARN)
        assert not is_clock_wrong([clock])


# --- the key ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "provider", "said"),
    [
        (GOOD_KEY, "openai", ""),
        (f"{GOOD_KEY}\n", "openai", ""),
        (f"\ufeff{GOOD_KEY}\r\n", "openai", ""),
        ("anything-at-all", "speaches", ""),
        (GOOD_KEY, "local", ""),
        ("", "openai", "is empty"),
        (" \n", "openai", "is empty"),
        (f"{GOOD_KEY[:9]}\n{GOOD_KEY[9:]}", "openai", "line break inside"),
        (f'"{GOOD_KEY}"', "openai", "quotation marks"),
        (f"\u201c{GOOD_KEY}\u201d", "openai", "quotation marks"),
        (f"{GOOD_KEY[:9]} {GOOD_KEY[9:]}", "openai", "a space inside"),
        (f"OPENAI_API_KEY={GOOD_KEY}", "openai", "NAME=key"),
        (f"Bearer {GOOD_KEY}", "openai", "begins with Bearer"),
        (f"{GOOD_KEY}\u00e9", "openai", "a character that no key has"),
        ("sk-ant-0123456789abcdef", "openai", "a key of anthropic, and the settings name openai"),
        ("sk-or-v1-0123456789abcdef", "openai", "a key of openrouter"),
        ("xai-0123456789abcdef", "openai", "a key of xai"),
        (GOOD_KEY, "xai", "a key of openai, and the settings name xai"),
        ("sk-0123", "openai", "a piece of a key (7 characters)"),
    ],
)
def test_the_form_of_a_key(raw: str, provider: str, said: str) -> None:
    wrong = key_form(raw.removeprefix("\ufeff"), provider)
    assert (said in wrong) if said else wrong == ""
    assert raw.strip() == "" or raw.strip() not in wrong


def test_a_key_file_and_who_can_read_it(tmp_path: Path) -> None:
    path = put(tmp_path, "key", GOOD_KEY)

    def states(*, needs_key: bool = True) -> list[tuple[State, str]]:
        found = list(key_file(path, "openai", needs_key=needs_key))
        assert not [one for one in found if GOOD_KEY in one.said + one.fix]
        return [(one.state, one.fix[:15]) for one in found]

    path.chmod(0o600)
    assert states() == [(State.OK, "")]
    path.chmod(0o640)
    assert states() == [(State.WARN, "sudo chgrp edge"), (State.OK, "")]
    path.chmod(0o600)
    path.write_bytes(b"\xff\xfe")
    assert states() == [(State.FAIL, "sudo install -m")]
    path.write_text("")
    assert states(needs_key=False) == []
    path.unlink()
    assert states() == [(State.FAIL, "sudo install -m")]
    assert states(needs_key=False) == []


# --- systemd ---------------------------------------------------------------------------------

WELL = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "Result": "success",
    "NRestarts": "0",
    "WatchdogUSec": "20s",
}


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({}, State.OK, "active (running)"),
        ({"LoadState": "not-found"}, State.NOT_SEEN, "not installed"),
        ({"LoadState": "masked"}, State.FAIL, "masked"),
        ({"ActiveState": "failed", "Result": "exit-code"}, State.FAIL, "it failed (exit-code"),
        ({"ActiveState": "failed", "ExecMainStatus": "78"}, State.FAIL, "settings are wrong"),
        ({"ActiveState": "activating", "Result": "watchdog"}, State.FAIL, "it failed (watchdog"),
        ({"ActiveState": "inactive"}, State.WARN, "does not run (inactive)"),
        ({"UnitFileState": "disabled"}, State.WARN, "not started at boot"),
        ({"NeedDaemonReload": "yes"}, State.WARN, "older unit file"),
        ({"NRestarts": "7"}, State.WARN, "restarted 7 times"),
    ],
)
def test_what_the_service_manager_tells(changes: dict[str, str], state: State, said: str) -> None:
    finding = service.unit_finding(WELL | changes)
    assert finding.state is state
    assert said in finding.said
    assert bool(finding.fix) is (state in (State.WARN, State.FAIL))


def test_a_program_without_its_unit_and_a_machine_without_systemd() -> None:
    assert service.unit_finding({}).state is State.NOT_SEEN
    gone = service.unit_finding({"LoadState": "not-found"}, is_installed=True)
    assert (gone.state, gone.fix[:23]) == (State.FAIL, "sudo scripts/install.sh")


def test_watchdog_journal_and_errors(tmp_path: Path) -> None:
    lines = [{"EDGE_CODE": "device.missing"}] * 2 + [{"EDGE_CODE": "link.bad_key"}, {}]
    printed = {
        "systemctl": "\n".join(f"{name}={value}" for name, value in WELL.items()),
        "--disk-usage": "Archived and active journals take up 48.0M in the file system.\n",
        "-u": "\n".join(map(json.dumps, lines)) + "\nno json\n",
    }

    def run(command: Sequence[str]) -> str:
        return printed["systemctl" if command[0] == "systemctl" else command[1]]

    def seen() -> dict[str, Finding]:
        return {one.about: one for one in service.service(tmp_path, run)}

    found = seen()
    assert found["Watchdog"] == Finding(
        "Watchdog", State.OK, "restarts it after 20s without moving sound"
    )
    assert (found["Journal"].state, "48.0M" in found["Journal"].said) == (State.WARN, True)
    assert found["Errors"].said == (
        "4 in the last day: device.missing 2, link.bad_key 1, systemd's own 1"
    )
    put(tmp_path, "var/log/journal/4711/system.journal")
    printed["systemctl"] = printed["systemctl"].replace("20s", "0")
    printed["-u"] = ""
    found = seen()
    assert (found["Watchdog"].state, found["Journal"].state) == (State.WARN, State.OK)
    assert found["Errors"].state is State.OK
    (tmp_path / "var/log/journal/4711/system.journal").rename(
        tmp_path / "var/log/journal/4711/user-1000.journal"
    )
    assert seen()["Errors"].state is State.NOT_SEEN, "an account that sees its own lines only"
    printed["systemctl"] = ""
    assert set(seen()) == {"Unit"}


# --- button and light ------------------------------------------------------------------------


def test_gpio_lines(tmp_path: Path) -> None:
    def state(enabled: str = "auto", *, has_library: bool = True) -> State:
        return panel.lines(tmp_path, enabled, has_library=has_library).state

    assert (state(), state("on"), state("off")) == (State.NOT_SEEN, State.FAIL, State.NOT_SEEN)
    put(tmp_path, "dev/gpiochip0")
    put(tmp_path, "etc/group", "gpio:x:4242:edge-agent\n")
    foreign = panel.lines(tmp_path, "auto", has_library=True)
    assert (foreign.state, "udev" in foreign.fix) == (State.WARN, True)
    put(tmp_path, "etc/group", f"gpio:x:{os.getgid()}:edge-agent\n")
    assert state() is State.OK
    assert state(has_library=False) is State.WARN


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        ({"panel": False, "why": "switched off"}, State.NOT_SEEN, "switched off"),
        ({"panel": True, "pressed": []}, State.WARN, "no press arrived"),
        ({"panel": True, "pressed": ["talk", "talk"]}, State.OK, "a press arrived: talk"),
    ],
)
def test_what_came_of_waiting_for_a_press(found: Any, state: State, said: str) -> None:
    finding = panel.pressed(found)
    assert (finding.state, said in finding.said) == (state, True)


def test_alone_the_doctor_blinks_and_waits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    shows: list[str] = []

    class Pressed:
        def __init__(self, _config: object, _loop: object, post: Any) -> None:
            self.post = post

        def show(self, light: str) -> None:
            shows.append(light)
            if light != "off":
                self.post(ButtonPressed(at=0.0, button="talk"))

        def close(self) -> None:
            shows.append("closed")

    monkeypatch.setattr("edge_agent.panel.gpio.open_panel", Pressed)
    assert panel.tried(Settings()) == {"panel": True, "pressed": ["talk"]}
    assert shows[1:] == ["off", "closed"]
    monkeypatch.setattr("edge_agent.panel.gpio.open_panel", lambda *_: NullPanel("switched off"))
    assert panel.tried(Settings()) == {"panel": False, "why": "switched off"}


# --- cards -----------------------------------------------------------------------------------

MIC = Side(1, 0, True, "Mic", "USB Mic", Kind.USB)
BOX = replace(MIC, is_capture=False)


@pytest.mark.parametrize(
    ("channels", "settings", "state", "said"),
    [
        (0, Settings(), State.FAIL, "No microphone"),
        (1, Settings(), State.OK, "USB"),
        (2, Settings(), State.OK, "USB"),
        (8, Settings(), State.OK, "channel 0 of its 8"),
        (8, Settings(device=Device(capture_channel=5)), State.OK, "channel 5 of its 8"),
        (8, Settings(device=Device(capture_channel=9)), State.WARN, "has no channel 9"),
        (128, Settings(), State.OK, "USB"),
    ],
)
def test_no_card_mono_and_eight_channels(
    channels: int, settings: Settings, state: State, said: str
) -> None:
    entry = DeviceEntry("USB (hw:CARD=Mic,DEV=0)", "ALSA", channels, 2, 44_100, pcm=(1, 0))
    microphone, loudspeaker = sound.cards([entry], Cards((MIC, BOX)), settings)
    assert (microphone.state, said in microphone.said) == (state, True)
    assert loudspeaker.state is State.OK


def test_rivals_for_the_card() -> None:
    held = Cards((replace(MIC, holder="pipewire (process 812)"), BOX))
    (rival,) = sound.rivals(held, 77)
    assert (rival.state, rival.fix) == (
        State.WARN,
        "Have the desktop leave it: sudo scripts/install.sh --card Mic",
    )
    (own,) = sound.rivals(held, 812)
    assert own.state is State.OK
    (rival,) = sound.rivals(Cards((replace(MIC, holder="arecord (process 7)"), BOX)), 77)
    assert rival.fix.startswith("End it: sudo kill 7;")
    assert list(sound.rivals(Cards(()), 0)) == []


MIXER = """\
Simple mixer control 'PCM',0
  Capabilities: pvolume pswitch
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 87
  Front Left: Playback 80 [92%] [-4.00dB] [on]
  Front Right: Playback 80 [92%] [-4.00dB] [on]
Simple mixer control 'Mic',0
  Capabilities: cvolume cswitch
  Limits: Capture 0 - 35
  Mono: Capture {value} [{percent}%] [1.00dB] [{switch}]
Simple mixer control 'Auto Gain Control',0
  Capabilities: pswitch pswitch-joined
  Mono: Playback [on]
"""


@pytest.mark.parametrize(
    ("percent", "switch", "state", "fix"),
    [
        (60, "on", State.OK, ""),
        (60, "off", State.WARN, "amixer -c 1 sset 'Mic' cap"),
        (3, "on", State.WARN, "amixer -c 1 sset 'Mic' 70%; keep it: sudo alsactl store"),
    ],
)
def test_the_mixers_gain(percent: int, switch: str, state: State, fix: str) -> None:
    printed = MIXER.format(value=percent // 3, percent=percent, switch=switch)
    volume, gain = sound.mixer(1, printed)
    assert (volume.about, volume.state) == ("Volume", State.OK)
    assert (gain.about, gain.state, gain.fix) == ("Gain", state, fix)
    assert list(sound.mixer(1, "")) == []


# --- what was heard --------------------------------------------------------------------------

HEARD: dict[str, Any] = {
    "seconds": 4.0,
    "noise_dbfs": -60.0,
    "level_dbfs": -30.0,
    "clipped": 0,
    "heard": True,
    "delay_ms": 42.0,
    "echo_db": -12.0,
    "wake_word": "okay_nabu",
    "wake_cutoff": 0.85,
    "wake_direct_score": 0.99,
    "wake_score": 0.97,
}


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({}, State.OK, "-60 dBFS"),
        ({"seconds": 0.0}, State.FAIL, "delivers nothing"),
        ({"noise_dbfs": -100.0, "heard": False}, State.FAIL, "delivers zeros"),
        ({"noise_dbfs": -100.0}, State.OK, "a gate of its own"),
        ({"noise_dbfs": -80.0}, State.WARN, "faint"),
        ({"noise_dbfs": -30.0}, State.WARN, "a loud room"),
        ({"clipped": 900}, State.WARN, "clips"),
    ],
)
def test_what_the_level_of_a_room_means(changes: dict[str, Any], state: State, said: str) -> None:
    finding = sound.level(HEARD | changes)
    assert (finding.state, said in finding.said) == (state, True)


@pytest.mark.parametrize(
    ("changes", "about", "state", "said"),
    [
        ({}, "Echo", State.OK, "heard 42 ms late, -12 dB"),
        ({"heard": False}, "Echo", State.WARN, "does not hear the loudspeaker"),
        ({"delay_ms": 600.0}, "Echo", State.WARN, "later than the echo canceller"),
        ({"echo_db": 9.0}, "Echo", State.WARN, "louder than it was played"),
        ({}, "Wake word", State.OK, "0.97 through the room"),
        ({"wake_score": 0.2}, "Wake word", State.WARN, "0.20 through loudspeaker and room"),
        ({"wake_score": None}, "Wake word", State.OK, "not audible in the room"),
        ({"wake_direct_score": 0.1}, "Wake word", State.WARN, "0.10 fed directly"),
    ],
)
def test_what_came_back_of_the_sample(
    changes: dict[str, Any], about: str, state: State, said: str
) -> None:
    found = {one.about: one for one in sound.heard(HEARD | changes)}
    assert (found[about].state, said in found[about].said) == (state, True)
    assert bool(found[about].fix) is (state is State.WARN)


def test_a_wake_word_without_a_sample_is_not_tried() -> None:
    nameless = {key: value for key, value in HEARD.items() if not key.startswith("wake")}
    assert [one.state for one in sound.heard(nameless)] == [State.OK, State.NOT_SEEN]


class Echoing:
    """A device whose microphone hears its loudspeaker, at the rates of two cards."""

    def __init__(self, capture_hz: int, render_hz: int, gain: float) -> None:
        self.info = SoundDeviceInfo("m", "l", capture_hz, render_hz, 480, 0.0, 0.0)
        self.gain = gain
        self.is_closed = False

    def open(self, on_capture: Any, on_render: Any) -> SoundDeviceInfo:
        self.on_capture, self.on_render = on_capture, on_render
        on_capture(bytes(2), 0.0)
        return self.info

    def play(self, seconds: float) -> None:
        """In place of the wait: all blocks at once."""
        from edge_agent.audio.resample import Resampler, array_to_pcm, pcm_to_array, to_int16

        noise = np.random.default_rng(1)
        echo = Resampler(self.info.render_rate_hz, self.info.capture_rate_hz)
        for number in range(round(seconds * 100)):
            at = number / 100
            block = self.on_render(self.info.render_rate_hz // 100, at)
            back = echo.process_array(pcm_to_array(block)) * self.gain
            room = back + noise.standard_normal(back.size) * 20
            self.on_capture(array_to_pcm(to_int16(room)), at + 0.03)

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("capture_hz", "render_hz", "gain", "is_heard"),
    [(48_000, 48_000, 0.5, True), (16_000, 44_100, 0.5, True), (48_000, 48_000, 0.0, False)],
)
def test_a_card_of_any_rate_hears_itself_or_not(
    monkeypatch: pytest.MonkeyPatch, capture_hz: int, render_hz: int, gain: float, is_heard: bool
) -> None:
    from edge_agent.app.sound.check import TAIL_S, sample, verdict

    settings = Settings()
    device: Any = Echoing(capture_hz, render_hz, gain)
    monkeypatch.setattr(sound, "pause", device.play)
    player = sound.Player(sample(settings), 70, 0.5)
    recording, info = sound.listen(device, player.render, player.seconds + TAIL_S)
    assert device.is_closed
    found = verdict(recording, info.capture_rate_hz, info.render_rate_hz, settings)
    assert found["heard"] is is_heard
    if is_heard:
        assert found["delay_ms"] == pytest.approx(30, abs=3)
        assert found["echo_db"] == pytest.approx(-6, abs=1)
        assert found["wake_score"] > found["wake_cutoff"]
    else:
        assert "wake_score" not in found


def test_a_card_that_cannot_be_opened_is_closed_and_one_that_delivers_nothing_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from edge_agent.app.sound.check import verdict

    class Dead(Echoing):
        def open(self, *_: object) -> SoundDeviceInfo:
            raise DeviceMissing("It is gone.", fix="Plug it in.")

    class Silent(Echoing):
        def open(self, *_: object) -> SoundDeviceInfo:
            return self.info

    dead: Any = Dead(48_000, 48_000, 0.0)
    with pytest.raises(DeviceMissing):
        sound.listen(dead, lambda frames, _rate: bytes(2 * frames), 1.0)
    assert dead.is_closed
    monkeypatch.setattr(sound, "OPEN_MAX_S", 0.0)
    silent: Any = Silent(48_000, 48_000, 0.0)
    recording, _info = sound.listen(silent, lambda frames, _rate: bytes(2 * frames), 1.0)
    found = verdict(recording, 48_000, 48_000, Settings())
    assert sound.level(found).said == "the microphone opens and delivers nothing"


# --- what is beside --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "state", "said"),
    [
        (date(2020, 1, 1), State.OK, "ends on"),
        (date(2199, 1, 1), State.FAIL, "has ended on"),
    ],
)
def test_the_end_of_the_model(today: date, state: State, said: str) -> None:
    table = load_providers(Path("/nowhere"))
    models = table.providers["openai"].models
    name = next(name for name, model in models.items() if model.ends is not None)
    settings = Settings(realtime=Realtime(model=name))
    (finding,) = extras.model_ends(settings, table, today)
    assert (finding.state, said in finding.said) == (state, True)


@pytest.mark.parametrize(
    ("sources", "renders", "state", "said"),
    [
        ({"own": 40, "shipped": 2}, True, State.OK, "all 42"),
        ({"english": 42}, True, State.OK, "espeak-ng speaks them"),
        ({"own": 40, "english": 2}, False, State.WARN, "2 of 42"),
    ],
)
def test_a_voice_pack(sources: dict[str, int], renders: bool, state: State, said: str) -> None:
    finding = extras.pack("de", sources, renders=renders)
    assert (finding.state, said in finding.said) == (state, True)


def test_tool_servers(tmp_path: Path) -> None:
    servers = {
        "off": McpServer(enabled=False, command=("true",)),
        "gone": McpServer(command=("/no/such/program",)),
        "bare": McpServer(command=("true",), env_file=str(tmp_path / "missing")),
        "home": McpServer(url="https://home.example/mcp"),
    }
    found = {one.said.split(":")[0].split()[0]: one for one in extras.tool_servers(servers, None)}
    assert found["off"].state is State.NOT_SEEN
    assert "no program /no/such/program" in found["gone"].said
    assert "missing cannot be read" in found["bare"].said
    assert found["home"].state is State.NOT_SEEN
    told = list(extras.tool_servers(servers, {"gone": "it ended", "home": ""}))
    assert [(one.state, one.said) for one in told] == [
        (State.NOT_SEEN, "off is switched off"),
        (State.WARN, "the speaker does not know bare yet"),
        (State.OK, "home can be used"),
    ]
