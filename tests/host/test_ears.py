"""Ears: what the signs of a microphone lead to, without a room: rare evidence, and order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge_agent.app.sound.ears import ASK_EVERY_S, Ears
from edge_agent.audio.device.levels import Levels
from edge_agent.audio.device.pace import WINDOW_S, WINDOWS
from edge_agent.audio.device.supervisor import TELL_S
from edge_agent.contract.commands import Note
from edge_agent.contract.events import DeviceDown, Event, HeardFrame, MicrophoneFailed, Tick
from edge_agent.contract.ports import DeviceState, SoundDeviceInfo, TellingDevice

RATE_HZ = 48_000
ZEROS = np.zeros(RATE_HZ, dtype=np.int16)
SOUND = np.tile(np.array([0, 900], dtype=np.int16), RATE_HZ // 2)
HEARD = HeardFrame(
    at=0.0, pcm24k=b"", speech=True, over_playback=False, wake=None, level_dbfs=-30.0
)


class House:
    """Everything that the ears look at, set by hand."""

    def __init__(self, *, with_mixer: bool = False) -> None:
        self.at = 0.0
        self.posted: list[Event] = []
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.renewed: list[DeviceDown] = []
        self.listens = self.busy = False
        self.asked = 0
        # The supervisor, as far as it is looked at.
        self.is_numb = self.is_deaf = False
        self.present = self.works = True
        self.state = DeviceState.OPEN
        self.told_ready: list[bool] = []
        # The front end.
        self.levels = Levels()
        self.levels.restart(RATE_HZ)
        self.echo = "searching"
        self.playback_frames = 0
        # The device.
        self.frames_captured = self.frames_rendered = 0
        self.shares = [1.0, 1.0]
        self.channels = (2, 0)
        self.says_off: bool | None = None
        if with_mixer:
            self.is_switched_off = self._asked
        self.ears = Ears(
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            devices=self,  # type: ignore[arg-type]
            is_listening=lambda: self.listens,
            is_busy=lambda: self.busy,
            post=self.posted.append,
            note=lambda code, **fields: self.notes.append((code, fields)),
        )
        self.ears.opened(SoundDeviceInfo("it", "it", RATE_HZ, RATE_HZ, 480, 0.0, 0.0))

    def _asked(self) -> bool | None:
        self.asked += 1
        return self.says_off

    def put(self, work: Callable[[], object]) -> None:
        """As the devices' thread does."""
        work()

    def renew(self, why: DeviceDown) -> None:
        self.renewed.append(why)

    def tell_ready(self) -> None:
        self.told_ready.append(not self.is_numb)

    def run(self, seconds: int, sound: np.ndarray = ZEROS) -> House:
        """Seconds with this at the microphone."""
        for _ in range(seconds):
            self.at += 1.0
            self.frames_captured += round(RATE_HZ * self.shares[0])
            self.frames_rendered += round(RATE_HZ * self.shares[1])
            self.levels.take(sound)
            self.ears.look(self.at)
        return self

    def call(self) -> House:
        self.listens = True
        self.ears.on_event(Tick(at=self.at), [Note("talk.woken", {})], self.at)
        return self

    def told(self) -> list[str]:
        return [event.code for event in self.posted if isinstance(event, MicrophoneFailed)]


def test_zeros_while_we_speak_are_a_switch_once_this_microphone_has_heard_us() -> None:
    house = House().run(3, SOUND)
    house.playback_frames = 1000
    assert list(house.run(5).ears.codes) == []
    house.echo = "found"
    house.run(1, SOUND).run(3)
    house.echo = "none"  # the canceller hears nothing any more, either
    house.playback_frames += 310
    house.run(1)
    assert house.told() == ["device.switched_off"]
    assert house.is_numb


def test_it_is_opened_again_when_that_was_told_and_nobody_is_talked_over() -> None:
    house = House().run(4).call().run(4)
    assert house.told() == ["device.switched_off"]
    house.busy = True
    house.run(int(TELL_S) + 5)
    assert house.renewed == []
    house.busy = False
    house.run(20)
    assert [one.code for one in house.renewed] == ["device.switched_off"]
    house.run(1, SOUND)
    assert house.told_ready == [True]
    assert house.notes == [("audio.mic_back", {"seconds": house.at - 7})]
    assert list(house.ears.codes) == []


def test_the_mixer_is_asked_now_and_then_and_only_while_nothing_moves() -> None:
    house = House(with_mixer=True)
    assert isinstance(house, TellingDevice)
    house.run(60, SOUND)
    assert house.asked == 0
    house.run(int(ASK_EVERY_S) + 4)
    assert house.asked == 2
    assert house.told() == []
    house.says_off = True
    house.run(int(ASK_EVERY_S) + 1)
    assert house.told() == ["device.switched_off"]
    house.run(60)
    assert house.renewed == []  # that would change nothing
    house.run(1, SOUND).run(20)
    assert house.told() == ["device.switched_off"]
    assert house.told_ready == [True, False]  # by the light alone, the second time
    assert [code for code, _ in house.notes] == ["audio.mic_back", "audio.mic_gone"]


@pytest.mark.parametrize("closed", ["is_deaf", "absent"])
def test_a_closed_microphone_is_not_judged(closed: str) -> None:
    house = House(with_mixer=True)
    house.says_off = True
    house.is_deaf, house.present = closed == "is_deaf", closed != "absent"
    house.call().run(30)
    assert (house.told(), house.asked, house.ears.silent_s) == ([], 0, 0.0)


def test_a_voice_is_proof_of_a_microphone_that_is_not_faint() -> None:
    house = House()
    faint = np.tile(np.array([0, 9], dtype=np.int16), RATE_HZ // 2)
    for number in range(3):
        house.call()
        if number == 1:
            house.ears.heard([HEARD])
        house.run(5, faint)
    assert list(house.ears.codes) == []
    house.call().run(5, faint).call().run(5, faint)
    assert list(house.ears.codes) == ["audio.faint"]
    assert [code for code, _ in house.notes] == ["audio.faint"]
    assert [event.hears for event in house.posted if isinstance(event, MicrophoneFailed)] == [True]


@pytest.mark.parametrize(
    ("shares", "codes", "renewed"),
    [
        ([1.0, 1.0], [], 0),
        ([0.919, 0.919], ["audio.mic_pace", "audio.speaker_pace"], 0),
        ([1.0, 0.2], ["audio.speaker_pace"], 1),
    ],
    ids=["right", "44.1 kHz that says 48", "a clock that hardly moves"],
)
def test_a_stream_that_runs_at_another_rate_is_told_once(
    shares: list[float], codes: list[str], renewed: int
) -> None:
    house = House()
    house.shares = shares
    house.run(int(WINDOWS * WINDOW_S) + 200, SOUND)
    assert [code for code, _ in house.notes] == codes
    assert list(house.ears.codes) == codes
    assert len(house.renewed) == renewed


def test_a_loudspeaker_that_rests_has_no_pace() -> None:
    house = House()
    house.state = DeviceState.RESTING
    house.shares = [1.0, 0.0]
    house.run(600, SOUND)
    assert house.notes == []
