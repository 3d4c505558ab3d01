"""PyAudio over a real sound server, and the pure parts around it.

It must never judge by the wall clock: samples and counters only.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyaudio
import pytest
from pulse import RATE_HZ, PulseServer, kept_waiting, wait_for

from edge_agent.audio.device import portaudio, portaudio_library
from edge_agent.audio.device.cards import Cards
from edge_agent.audio.device.choice import Wishes, choose
from edge_agent.audio.device.devices import DeviceEntry, distinct, stable_name
from edge_agent.audio.device.portaudio import PortAudioDevice
from edge_agent.audio.device.portaudio_library import list_devices
from edge_agent.audio.device.timeline import Timeline
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract.errors import (
    DeviceError,
    DeviceFormatRefused,
    DeviceLost,
    DeviceMissing,
)
from edge_agent.contract.events import Event, PlaybackDrained
from edge_agent.contract.ports import SoundDevice, SoundDeviceInfo

ATTEMPTS = 10
"""How often a busy machine may spoil a sample-exact comparison."""

TAPE_HOLDS_S = 0.02
"""`PulseServer.recording` asks for that latency: who waits for longer may lose sound."""


def noise(samples: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-8000, 8000, samples).astype("<i2")


def find(needle: np.ndarray, hay: np.ndarray) -> int:
    """Where the first 400 samples of `needle` lie in `hay`, bit for bit; -1 if nowhere."""
    head, all_of_it = needle[:400].tobytes(), hay.tobytes()
    place = all_of_it.find(head)
    while place % 2 == 1 and place > 0:
        place = all_of_it.find(head, place + 1)
    return place // 2


def is_over(recorded: np.ndarray) -> bool:
    """Has something sounded, and been followed by a tenth of a second of silence?"""
    sounding = np.flatnonzero(recorded)
    return sounding.size > 0 and recorded.size - int(sounding[-1]) > 4800


class Talk:
    """A device with open ears: what was captured, and silence for the loudspeaker."""

    def __init__(self, device: PortAudioDevice) -> None:
        self.device = device
        self.blocks: list[bytes] = []
        self.stamps: list[float] = []

    def capture(self, block: bytes, at: float) -> None:
        self.blocks.append(block)
        self.stamps.append(at)

    def render(self, frames: int, at: float) -> bytes:
        return bytes(2 * frames)

    @property
    def heard(self) -> np.ndarray:
        return np.frombuffer(b"".join(self.blocks), "<i2")

    def try_to_open(self) -> SoundDeviceInfo:
        return self.device.open(self.capture, self.render)

    def open(self) -> SoundDeviceInfo:
        """As the supervisor does: PortAudio gives a sink that just wakes one second to start, and
        a busy machine may need more."""
        found: list[SoundDeviceInfo] = []

        def is_open() -> bool:
            with suppress(DeviceLost):
                found.append(self.try_to_open())
            return bool(found)

        wait_for(is_open, "a device that opens")
        return found[0]

    def wait_for_frames(self) -> None:
        """Until both directions have moved on by a tenth of a second."""
        device = self.device
        captured, rendered = device.frames_captured + 4800, device.frames_rendered + 4800
        wait_for(
            lambda: device.frames_captured >= captured and device.frames_rendered >= rendered,
            "moving frames",
        )

    def rest(self) -> None:
        """Let the loudspeaker rest, and see that it does while the microphone goes on."""
        device = self.device
        device.rest_render()
        # Not two equal counts: a busy machine has those without a rest.
        wait_for(device._rests.is_set, "a loudspeaker that rests")
        heard, asked = device.frames_captured, device.frames_rendered
        wait_for(lambda: device.frames_captured >= heard + 4800, "a microphone that goes on")
        assert device.frames_rendered == asked
        assert device.active


@pytest.fixture
def talk(pulse: PulseServer) -> Iterator[Talk]:
    assert pulse.running
    talk = Talk(PortAudioDevice(block_ms=10))
    yield talk
    talk.device.close()


def test_it_is_a_sound_device_and_says_what_it_opened(talk: Talk) -> None:
    device: SoundDevice = talk.device
    info = talk.open()
    assert (info.capture_rate_hz, info.render_rate_hz, info.block_frames) == (48_000, 48_000, 480)
    assert info.capture_name == info.render_name == "default"
    assert info.input_latency_s > 0
    talk.wait_for_frames()
    assert {len(block) for block in talk.blocks} == {960}
    assert talk.device.active
    device.close()
    device.close()
    assert not talk.device.active


def test_while_it_is_open_the_interpreter_is_given_up_within_a_part_of_a_block(
    talk: Talk,
) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    try:
        info = talk.open()
        block_s = info.block_frames / info.render_rate_hz
        assert sys.getswitchinterval() <= block_s / 10
        talk.device.close()
        assert sys.getswitchinterval() == pytest.approx(0.005)
    finally:
        sys.setswitchinterval(before)


def undisturbed(device: PortAudioDevice, attempt: Callable[[], bool], *others: int) -> None:
    """Repeat an attempt that a busy machine spoilt, which the sound system or, of this process and
    `others`, the kernel has to admit.

    A false result with no over- or underflow reported, and nobody kept waiting for a processor,
    fails at once: that would be our fault.
    """
    for _ in range(ATTEMPTS):
        slips = device.overflows + device.underflows
        with kept_waiting(os.getpid(), *others) as waited_s:
            if attempt():
                return
            lost = device.overflows + device.underflows > slips
            assert lost or waited_s() > TAPE_HOLDS_S, "sound was lost without a report"
    raise AssertionError(f"the machine was too busy for sound, {ATTEMPTS} times")


def test_what_is_said_into_the_microphone_arrives_sample_by_sample(
    pulse: PulseServer, talk: Talk
) -> None:
    talk.open()
    talk.wait_for_frames()

    def attempt() -> bool:
        said = noise(RATE_HZ, seed=len(talk.blocks))
        pulse.say(said.tobytes())
        talk.wait_for_frames()
        place = find(said, talk.heard)
        return place >= 0 and np.array_equal(talk.heard[place : place + len(said)], said)

    undisturbed(talk.device, attempt, pulse.pid)
    assert talk.device.faults == 0
    # The median: a sound server that was held up reports another latency, and its stamps step
    # once, in either direction (the front end keeps frames in order, `test_front_end`).
    assert np.median(np.diff(talk.stamps)) == pytest.approx(480 / RATE_HZ, abs=1e-3)


@pytest.mark.parametrize("rested", [False, True])
def test_what_is_played_arrives_whole_at_the_loudspeaker(
    pulse: PulseServer, talk: Talk, rested: bool
) -> None:
    rendered: list[bytes] = []
    playout = Playout(reference_write=lambda block, at: rendered.append(block))
    ramp = (np.arange(12_000) + 1).astype("<i2")
    with pulse.recording() as tape:
        info = talk.device.open(talk.capture, playout.render)
        playout.open(info.render_rate_hz, info.output_latency_s)
        talk.wait_for_frames()

        def attempt() -> bool:
            if rested:
                talk.rest()
            rendered.clear()
            name = str(len(tape.pcm))
            for start in range(0, 12_000, 2400):
                playout.voice(name, ramp[start : start + 2400].tobytes())
            playout.end_voice(name)
            if rested:
                talk.device.resume_render()
            events: list[Event] = []

            def drained() -> bool:
                events.extend(playout.collect(time.monotonic()))
                return any(isinstance(event, PlaybackDrained) for event in events)

            wait_for(drained, "the end of the answer")
            tape.wait_for_seconds(0.2)
            sent = np.trim_zeros(np.frombuffer(b"".join(rendered), "<i2"))
            assert len(sent) == pytest.approx(24_000, abs=4)  # 0.5 s, and none of it missing
            assert sent[-8:].max() >= 11_900  # the ramp's top, before the filter's own end
            heard = np.frombuffer(tape.pcm[: len(tape.pcm) // 2 * 2], "<i2")
            place = find(sent, heard[-RATE_HZ * 2 :])
            heard = heard[-RATE_HZ * 2 :]
            return place >= 0 and np.array_equal(heard[place : place + len(sent)], sent)

        undisturbed(talk.device, attempt, pulse.pid, tape.pid)
        talk.device.close()
    assert playout.underruns == playout.faults == talk.device.faults == 0


@pytest.mark.parametrize("rested", [False, True])
def test_a_cut_answer_was_heard_for_exactly_as_long_as_the_ledger_says(
    pulse: PulseServer, talk: Talk, rested: bool
) -> None:
    playout = Playout()
    with pulse.recording() as tape:
        info = talk.device.open(talk.capture, playout.render)
        playout.open(info.render_rate_hz, info.output_latency_s)
        talk.wait_for_frames()

        def attempt() -> bool:
            if rested:
                talk.rest()
                talk.device.resume_render()
            quiet_until = len(tape.pcm) // 2
            name = str(quiet_until)
            playout.voice(name, np.full(72_000, 5000, dtype="<i2").tobytes())
            talk.wait_for_frames()
            cut = playout.cut(time.monotonic())
            assert cut.item == name

            def recorded() -> np.ndarray:
                return np.frombuffer(tape.pcm[: len(tape.pcm) // 2 * 2], "<i2")[quiet_until:]

            # Not so many seconds of tape: on a busy machine they may be older than the cut.
            wait_for(lambda: is_over(recorded()), "the end of the sound on the tape")
            sounding = np.flatnonzero(recorded())
            emitted = int(sounding[-1] - sounding[0]) + 1

            def done() -> bool:
                playout.collect(time.monotonic())
                return not playout.audible

            wait_for(done, "a loudspeaker that is done")
            return abs(emitted - cut.played_ms * 48) <= 2

        undisturbed(talk.device, attempt, pulse.pid, tape.pid)
        talk.device.close()
    assert playout.underruns == playout.faults == 0


def test_a_suspended_source_stalls_silently_and_only_the_frames_tell(
    pulse: PulseServer, talk: Talk
) -> None:
    talk.open()
    talk.wait_for_frames()
    pulse.pactl("suspend-source", "mic", "1")

    def stalled() -> bool:
        before = talk.device.frames_captured
        time.sleep(0.2)
        return talk.device.frames_captured == before

    try:
        wait_for(stalled, "the stall")
        assert talk.device.active
    finally:
        pulse.pactl("suspend-source", "mic", "0")
    talk.wait_for_frames()


def test_rest_and_work_in_any_order_and_haste(talk: Talk) -> None:
    talk.open()
    talk.wait_for_frames()
    device = talk.device
    for _ in range(10):
        device.rest_render()
        device.resume_render()
        device.resume_render()
    talk.wait_for_frames()
    talk.rest()
    device.close()  # in its rest
    device.resume_render()  # of a closed one: nothing to wake
    talk.open()
    talk.wait_for_frames()
    assert device.faults == 0


def test_a_closed_microphone_is_seen_by_the_sound_server_and_the_loudspeaker_goes_on(
    pulse: PulseServer, talk: Talk
) -> None:
    info = talk.open()
    talk.wait_for_frames()
    assert pulse.recorders() == 1
    device = talk.device

    def goes_on() -> None:
        asked = device.frames_rendered
        wait_for(lambda: device.frames_rendered >= asked + 4800, "a loudspeaker that goes on")

    for _ in range(2):
        device.close_capture()
        device.close_capture()
        assert pulse.recorders() == 0
        heard = device.frames_captured
        goes_on()
        assert device.frames_captured == heard
        assert device.active
        assert device.open_capture() == device.open_capture() == info
        talk.wait_for_frames()
        assert pulse.recorders() == 1
    device.close_capture()
    device.close()
    with pytest.raises(DeviceLost):
        device.open_capture()
    assert pulse.recorders() == device.faults == 0


def test_the_loudspeaker_alone_is_opened_where_the_microphone_is_muted(
    pulse: PulseServer, talk: Talk
) -> None:
    device = talk.device
    info = device.open(talk.capture, talk.render, capture=False)
    assert (info.capture_name, info.capture_rate_hz) == ("", 0)
    assert info.render_rate_hz == RATE_HZ
    wait_for(lambda: device.frames_rendered >= 4800, "a loudspeaker that is asked")
    assert pulse.recorders() == device.frames_captured == 0
    device.rest_render()
    wait_for(device._rests.is_set, "a loudspeaker that rests")
    assert not device.active  # nothing of it moves
    device.resume_render()
    info = device.open_capture()
    assert info.capture_rate_hz == RATE_HZ
    talk.wait_for_frames()
    assert pulse.recorders() == 1


def test_a_microphone_that_is_gone_when_it_is_opened_again_does_no_harm(
    pulse: PulseServer, talk: Talk
) -> None:
    device = talk.device
    talk.open()
    talk.wait_for_frames()
    device.close_capture()
    pulse.stop(signal.SIGKILL)
    try:
        with pytest.raises(DeviceError):
            device.open_capture()
    finally:
        pulse.start()
    assert device.faults == 0


def test_a_suspended_loudspeaker_cannot_be_woken_and_says_so(
    pulse: PulseServer, talk: Talk
) -> None:
    talk.open()
    talk.wait_for_frames()
    pulse.pactl("suspend-sink", "spk", "1")
    try:
        asked = [-1]

        def stands() -> bool:
            asked.append(talk.device.frames_rendered)
            return asked[-1] == asked[-2]

        wait_for(stands, "a loudspeaker that stands still")
        talk.device.rest_render()
        with pytest.raises(DeviceLost):
            talk.device.resume_render()
    finally:
        talk.device.close()
        pulse.pactl("suspend-sink", "spk", "0")


def test_closing_a_suspended_device_does_not_hang(pulse: PulseServer, talk: Talk) -> None:
    talk.open()
    talk.wait_for_frames()
    pulse.pactl("suspend-source", "mic", "1")
    pulse.pactl("suspend-sink", "spk", "1")
    try:
        talk.device.close()
    finally:
        pulse.pactl("suspend-sink", "spk", "0")
        pulse.pactl("suspend-source", "mic", "0")
    talk.open()
    talk.wait_for_frames()


def test_a_sound_server_that_crashes_and_comes_back(pulse: PulseServer, talk: Talk) -> None:
    talk.open()
    talk.wait_for_frames()
    pulse.stop(signal.SIGKILL)
    wait_for(lambda: not talk.device.active, "the loss")
    counted = talk.device.frames_captured
    for _ in range(2):
        with pytest.raises(DeviceError) as caught:
            talk.try_to_open()
        assert isinstance(caught.value, DeviceLost | DeviceMissing)
        assert caught.value.fix
    pulse.start()
    talk.open()
    talk.wait_for_frames()
    assert talk.device.frames_captured > counted


def test_opening_again_and_again_leaks_nothing(talk: Talk) -> None:
    def held() -> tuple[int, ...]:
        return tuple(len(list(Path("/proc/self", kind).iterdir())) for kind in ("fd", "task"))

    talk.open()
    talk.device.close()
    before = held()
    for _ in range(8):
        talk.open()
        talk.open()
        talk.device.close()
    wait_for(lambda: held() <= before, f"descriptors and threads to be {before} again")


@pytest.mark.usefixtures("pulse")
def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(DeviceMissing) as caught:
        PortAudioDevice("Kitchen", block_ms=10).open(lambda b, a: None, lambda n, a: bytes(2 * n))
    assert "Kitchen" in caught.value.message
    assert "'pulse'" in caught.value.fix
    with pytest.raises(DeviceMissing, match="loudspeaker"):
        PortAudioDevice("pul", "Kitchen", block_ms=10).open(
            lambda b, a: None, lambda n, a: bytes(2 * n)
        )


@pytest.mark.usefixtures("pulse")
def test_a_rate_nobody_can_use_is_refused_with_those_that_work() -> None:
    device = PortAudioDevice(capture_rate_hz=12_345, block_ms=10)
    with pytest.raises(DeviceFormatRefused) as caught:
        device.open(lambda b, a: None, lambda n, a: bytes(2 * n))
    assert "12345 Hz" in caught.value.message
    assert "48000" in caught.value.fix


def test_a_card_that_refuses_rates_and_mono_is_used_as_it_is(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = pyaudio.PyAudio.open

    def picky(self: pyaudio.PyAudio, **arguments: object) -> pyaudio.PyAudio.Stream:
        if arguments["rate"] != 44_100:
            raise OSError(-9997, "Invalid sample rate")
        if arguments["channels"] == 1:
            raise OSError(-9998, "Invalid number of channels")
        return real_open(self, **arguments)

    monkeypatch.setattr(pyaudio.PyAudio, "open", picky)
    info = talk.open()
    assert (info.capture_rate_hz, info.render_rate_hz) == (44_100, 44_100)
    wait_for(lambda: talk.device.frames_captured > 4410, "frames")
    assert {len(block) for block in talk.blocks} == {882}
    assert talk.device.faults == 0
    talk.device.close()
    with pytest.raises(DeviceFormatRefused, match="48000 Hz"):
        PortAudioDevice(render_rate_hz=48_000, block_ms=10).open(talk.capture, talk.render)


@pytest.mark.parametrize("channels", [2, 8])
def test_a_card_without_mono_has_its_dead_channel_left_out(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    real_open = pyaudio.PyAudio.open
    half_dead = np.zeros((480, channels), dtype="<i2")
    half_dead[1::2, 0] = 1000

    def one_capsule(self: pyaudio.PyAudio, **arguments: Any) -> pyaudio.PyAudio.Stream:
        if arguments.get("input"):
            if arguments["channels"] != channels:
                raise OSError(-9998, "Invalid number of channels")
            deliver = arguments["stream_callback"]
            arguments["stream_callback"] = lambda _data, frames, times, flags: deliver(
                np.resize(half_dead, (frames, channels)).tobytes(), frames, times, flags
            )
        return real_open(self, **arguments)

    scan = portaudio_library.scan
    monkeypatch.setattr(
        portaudio,
        "scan",
        lambda audio: [replace(e, capture_channels=channels) for e in scan(audio)],
    )
    monkeypatch.setattr(pyaudio.PyAudio, "open", one_capsule)
    talk.open()
    assert talk.device.channels == (channels, 0)
    wait_for(lambda: talk.device.channels == (channels, channels - 1), "dead channels are found")
    begin = len(talk.blocks) + 1
    talk.wait_for_frames()
    assert int(np.abs(np.frombuffer(talk.blocks[begin], "<i2")).max()) == 1000
    assert talk.device.faults == 0


def test_a_microphone_that_is_muted_at_the_sound_server_is_known_to_be_off(
    pulse: PulseServer, talk: Talk
) -> None:
    assert talk.device.is_switched_off() is None
    talk.open()
    assert talk.device.is_switched_off() is False
    pulse.pactl("set-source-mute", "mic", "1")
    try:
        assert talk.device.is_switched_off() is True
        talk.wait_for_frames()  # it delivers all the same: zeros
        assert not np.frombuffer(talk.blocks[-1], "<i2").any()
    finally:
        pulse.pactl("set-source-mute", "mic", "0")
    assert talk.device.is_switched_off() is False


def test_a_hole_that_nobody_can_have_heard_is_not_counted() -> None:
    device = PortAudioDevice(block_ms=10)
    sound = [b""]
    ask = device._render_loop(lambda frames, _at: sound[0] or bytes(2 * frames))
    device._spoken = Timeline(RATE_HZ, 0.02), 1

    def holes(blocks: int) -> int:
        before = device.underflows
        for _ in range(blocks):
            ask(None, 480, {}, portaudio_library.PA_OUTPUT_UNDERFLOW)
        return device.underflows - before

    assert holes(100) == 0  # a speaker that never spoke
    sound[0] = b"\x01\x00" * 480
    assert holes(10) == 10
    sound[0] = b""
    assert holes(100) == 50  # what was handed over is heard a moment later
    assert holes(100) == 0
    assert device.faults == 0


@pytest.mark.parametrize(
    ("number", "kind"), [(-9996, DeviceMissing), (-9985, DeviceLost), (-9999, DeviceLost)]
)
@pytest.mark.usefixtures("pulse")
def test_what_portaudio_says_is_translated(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[DeviceError]
) -> None:
    def broken(_self: pyaudio.PyAudio, **_arguments: object) -> None:
        raise OSError(number, "whatever")

    monkeypatch.setattr(pyaudio.PyAudio, "open", broken)
    with pytest.raises(kind) as caught:
        PortAudioDevice(block_ms=10).open(lambda b, a: None, lambda n, a: bytes(2 * n))
    assert caught.value.fix
    assert isinstance(caught.value.__cause__, OSError)


def test_blocks_are_stretched_from_the_next_opening_on(talk: Talk) -> None:
    talk.open()
    talk.device.close()
    assert [talk.device.stretch_blocks() for _ in range(3)] == [20, 40, 0]
    assert talk.open().block_frames == 40 * RATE_HZ // 1000
    talk.wait_for_frames()


def test_callbacks_that_fail_or_are_short_do_not_end_the_stream(talk: Talk) -> None:
    def angry(_block: bytes, _at: float) -> None:
        raise ValueError("never seen by PortAudio")

    talk.device.open(angry, lambda frames, at: b"\1")
    talk.wait_for_frames()
    assert talk.device.faults > 0
    assert talk.device.active


def test_libraries_write_nothing_to_the_terminal(
    pulse: PulseServer, capfd: pytest.CaptureFixture[str]
) -> None:
    entries = list_devices()
    pulse.stop()
    with pytest.raises(DeviceError):
        PortAudioDevice(block_ms=10).open(lambda b, a: None, lambda n, a: bytes(2 * n))
    assert capfd.readouterr().err == ""
    assert portaudio_library._quiet_depth == 0
    (default,) = (entry for entry in entries if entry.default_capture)
    assert (default.name, default.host_api) == ("default", "ALSA")
    assert default.capture_channels
    assert default.render_channels


def test_without_a_sound_server_the_suite_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install pulseaudio"):
        PulseServer(tmp_path).start()


# --- names ------------------------------------------------------------------------------


def entry(name: str, capture: int = 1, render: int = 2, **more: Any) -> DeviceEntry:
    return DeviceEntry(name, "ALSA", capture, render, 48_000, **more)


@pytest.fixture
def cards(tmp_path: Path) -> dict[str, Path]:
    for number, (card, port) in enumerate([("Device", "1-1.2:1.0"), ("Device_1", "1-1.3:1.0")]):
        (tmp_path / f"card{number}").mkdir()
        (tmp_path / f"card{number}" / "id").write_text(card + "\n")
        (tmp_path / port).mkdir()
        (tmp_path / f"card{number}" / "device").symlink_to(tmp_path / port)
    return {"proc": tmp_path, "sys": tmp_path}


def test_a_card_is_named_by_its_id_not_by_its_number(cards: dict[str, Path]) -> None:
    assert stable_name("USB Audio: - (hw:1,0)", proc=cards["proc"]) == (
        "USB Audio: - (hw:CARD=Device_1,DEV=0)"
    )
    assert stable_name("gone (hw:7,0)", proc=cards["proc"]) == "gone (hw:7,0)"
    assert stable_name("pulse", proc=cards["proc"]) == "pulse"


def test_twin_cards_are_told_apart_by_where_they_are_plugged_in(cards: dict[str, Path]) -> None:
    first, second = entry("USB: - (hw:0,0)"), entry("USB: - (hw:1,0)")
    names = [e.name for e in distinct([first, second], **cards)]
    assert names == ["USB: - @ 1-1.2:1.0", "USB: - @ 1-1.3:1.0"]
    assert [e.name for e in distinct([second, first], **cards)] == names[::-1]
    alone = distinct([first, entry("HDMI (hw:1,0)")], **cards)
    assert alone[0].name == "USB: - (hw:CARD=Device,DEV=0)"
    assert [e.name for e in distinct([entry("a"), entry("a")])] == ["a", "a #2"]


def test_a_device_is_chosen_by_default_by_name_or_by_a_part_of_it() -> None:
    entries = [
        entry("HDMI", capture=0, default_render=True),
        entry("USB Zebra"),
        entry("USB Ant (hw:CARD=Ant,DEV=0)", default_capture=True),
        entry("usb", capture=0),
    ]

    def chosen(name: str, *, capture: bool) -> str:
        wishes = Wishes(name if capture else "", "" if capture else name)
        return choose(entries, Cards(), wishes, capture=capture).entry.name

    assert chosen("", capture=True).startswith("USB Ant")
    assert chosen("", capture=False) == "HDMI"
    assert chosen("USB", capture=False) == "usb"
    assert chosen("usb", capture=True).startswith("USB Ant")
    assert chosen("card=ant", capture=True).startswith("USB Ant")
    with pytest.raises(DeviceMissing, match="microphone named 'HDMI'"):
        chosen("HDMI", capture=True)
    with pytest.raises(DeviceMissing, match="No microphone was found"):
        choose([entry("HDMI", capture=0)], Cards(), Wishes(), capture=True)


# --- time stamps ------------------------------------------------------------------------


class FakeClock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_stamps_of_portaudio_are_used_when_they_can_be_true() -> None:
    clock = FakeClock()
    stamps = {"current_time": 5.0, "input_buffer_adc_time": 4.97, "output_buffer_dac_time": 5.03}
    assert Timeline(48_000, 0.02, clock).captured(480, stamps) == pytest.approx(99.97)
    assert Timeline(48_000, 0.02, clock).rendered(480, stamps) == pytest.approx(100.03)


@pytest.mark.parametrize("stamp", [0.0, 3.0, 9.0, float("nan"), float("inf")])
def test_nonsense_stamps_give_way_to_the_reported_latency(stamp: float) -> None:
    clock = FakeClock()
    stamps = {"current_time": 6.0, "input_buffer_adc_time": stamp, "output_buffer_dac_time": stamp}
    assert Timeline(48_000, 0.02, clock).captured(480, stamps) == pytest.approx(99.98)
    assert Timeline(48_000, 0.02, clock).rendered(480, stamps) == pytest.approx(100.02)
    assert Timeline(48_000, float("nan"), clock).captured(480, {}) == pytest.approx(99.99)


def test_jitter_is_evened_out_and_a_real_jump_is_followed() -> None:
    clock = FakeClock()
    line = Timeline(48_000, 0.02, clock)
    jitter = np.random.default_rng(3).uniform(-0.004, 0.004, 400)
    at = []
    for late in jitter:
        clock.now += 0.01
        at.append(line.captured(480, {"current_time": 6.0, "input_buffer_adc_time": 5.97 - late}))
    settled = np.diff(at[50:])
    assert np.abs(settled - 0.01).max() < 0.0006
    clock.now += 0.5
    stamps = {"current_time": 6.0, "input_buffer_adc_time": 5.97}
    assert line.captured(480, stamps) == pytest.approx(clock.now - 0.03)
    clock.now += 0.02
    assert line.captured(480, stamps, lost=True) == pytest.approx(clock.now - 0.03)


def test_a_call_that_waited_does_not_shift_the_sound() -> None:
    clock = FakeClock()
    waited = time.time() - 0.2  # PortAudio read its clock 0.2 s ago
    stamps = {"current_time": waited, "input_buffer_adc_time": waited - 0.03}
    at = Timeline(48_000, 0.02, clock).captured(480, stamps)
    assert at == pytest.approx(100.0 - 0.23, abs=0.05)
