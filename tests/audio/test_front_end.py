"""The front end: framing, time stamps, overflow, faults, stopping; with and without a thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import babble, pcm, room_noise

from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.detectors import VoiceDetector
from edge_agent.audio.front_end import RELAXED_BLOCKS, FrontEnd
from edge_agent.audio.resample import level_dbfs, pcm_to_array
from edge_agent.contract.events import HeardFrame
from edge_agent.contract.pcm import WIRE_FRAME_BYTES


class Ear:
    """A front end on the bench, without a thread, and what it said."""

    def __init__(
        self, rate_hz: int = 48_000, echo: str = "linear", wake: object = None, vad_mode: int = 3
    ) -> None:
        self.rate_hz = rate_hz
        self.frames: list[HeardFrame] = []
        self.faults: list[Exception] = []
        self.reference = ReferenceTrack(48_000, tail_s=0.25)
        self.front = FrontEnd(
            self.frames.append,
            wake=wake,  # type: ignore[arg-type]
            voice=VoiceDetector(vad_mode),
            reference=self.reference,
            echo=echo,
            sensitivity="normal",
            on_fault=self.faults.append,
        )
        self.front.start(rate_hz, threaded=False)

    def hear(self, sound: bytes, block: int, start: float = 100.0, first: int = 0) -> None:
        for begin in range(0, len(sound), block * 2):
            at = start + (first + begin // 2) / self.rate_hz
            self.front.on_capture(sound[begin : begin + block * 2], at)

    @property
    def stream(self) -> bytes:
        return b"".join(frame.pcm24k for frame in self.frames)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_ten_millisecond_frames_from_any_rate(rate_hz: int) -> None:
    ear = Ear(rate_hz)
    sound = np.sin(np.arange(rate_hz * 2) * 2 * np.pi * 440 / rate_hz) * 8000
    ear.hear(pcm(sound), rate_hz // 100)
    assert 198 <= len(ear.frames) <= 200
    assert {len(frame.pcm24k) for frame in ear.frames} == {WIRE_FRAME_BYTES}
    assert all(abs(frame.level_dbfs + 15.3) < 0.3 for frame in ear.frames[2:])
    gaps = np.diff([frame.at for frame in ear.frames])
    assert np.allclose(gaps, 0.01, atol=1e-6)
    assert ear.frames[0].at == pytest.approx(100.0, abs=0.004)
    assert ear.front.frames_out == len(ear.frames)
    assert not ear.faults


@settings(max_examples=25)
@given(block=st.integers(1, 3000), rate_hz=st.sampled_from([16_000, 44_100, 48_000]))
def test_the_stream_does_not_depend_on_the_block_length(block: int, rate_hz: int) -> None:
    sound = pcm(room_noise(rate_hz // 5, seed=1, rms=2000.0))
    whole, cut = Ear(rate_hz), Ear(rate_hz)
    whole.hear(sound, rate_hz // 100)
    cut.hear(sound, max(block, 40))
    assert cut.stream == whole.stream
    assert [f.at for f in cut.frames] == pytest.approx([f.at for f in whole.frames], abs=1e-6)


def test_speech_is_labelled_and_the_quiet_room_is_not() -> None:
    ear = Ear()
    speech = babble(2, 48_000, seed=3)
    ear.hear(pcm(np.concatenate((room_noise(96_000, 1), speech + room_noise(96_000, 2)))), 480)
    labels = [frame.speech for frame in ear.frames]
    assert sum(labels[:190]) == 0
    assert sum(labels[200:]) > 120
    assert not any(frame.over_playback for frame in ear.frames)


def test_our_silent_speaker_leaves_the_microphone_untouched() -> None:
    sound = pcm(room_noise(48_000, seed=4, rms=1500.0))
    bare, with_echo = Ear(echo="off"), Ear(echo="linear")
    for block in range(110):
        with_echo.reference.write(bytes(960), 100.0 + block * 0.01)
    bare.hear(sound, 480)
    with_echo.hear(sound, 480)
    assert with_echo.stream == bare.stream


def test_jittery_time_stamps_neither_lose_nor_add_sound() -> None:
    ear, steady = Ear(), Ear()
    sound = pcm(room_noise(48_000 * 3, seed=5, rms=1500.0))
    rng = np.random.default_rng(6)
    steady.hear(sound, 480)
    for number in range(300):
        late = rng.uniform(0, 0.015) + (0.04 if number == 150 else 0.0)
        ear.front.on_capture(sound[number * 960 : number * 960 + 960], 100 + number / 100 + late)
    assert ear.stream == steady.stream
    ats = np.array([frame.at for frame in ear.frames])
    assert np.all(np.diff(ats) > 0)
    assert np.ptp(ats[100:] - np.arange(100, 300) / 100) < 0.003


@pytest.mark.parametrize("gap_ms", [300, 800])
def test_lost_sound_is_replaced_by_silence(gap_ms: int) -> None:
    ear = Ear()
    sound = pcm(room_noise(48_000, seed=7, rms=1500.0))
    ear.hear(sound, 480)
    ear.hear(sound, 480, first=48_000 + gap_ms * 48)
    assert len(ear.frames) == 200 + gap_ms // 10
    assert ear.front.padded_samples == gap_ms * 48
    assert ear.frames[-1].at == pytest.approx(101.99 + gap_ms / 1000, abs=0.002)
    assert ear.frames[110].level_dbfs == -100.0


@pytest.mark.parametrize("lost_ms", [50, 200, 500])
@pytest.mark.parametrize("delivered", [False, True], ids=["lost", "given as zeros"])
def test_a_hole_in_the_sound_is_not_followed_by_a_voice(lost_ms: int, *, delivered: bool) -> None:
    """The detector takes zeros for the room's noise, and the noise after them for a voice, for 2 s:
    a turn that nobody spoke goes out."""
    ear = Ear(vad_mode=2)
    noise = room_noise(48_000 * 13, seed=9, rms=58.0)
    lost = slice(48_000 * 10, 48_000 * 10 + lost_ms * 48)
    if delivered:
        noise[lost] = 0.0
        ear.hear(pcm(noise), 480)
    else:
        ear.hear(pcm(noise[: lost.start]), 480)
        ear.hear(pcm(noise[lost.stop :]), 480, first=lost.stop)
    assert len(ear.frames) > 1290
    assert not any(frame.speech for frame in ear.frames)


def test_a_card_that_keeps_losing_sound_is_no_voice() -> None:
    ear = Ear(vad_mode=2)
    noise = room_noise(48_000 * 20, seed=9, rms=58.0).reshape(-1, 24_000)
    noise[20:, :1920] = 0.0  # 40 ms each half second
    ear.hear(pcm(noise.reshape(-1)), 480)
    assert len(ear.frames) > 1990
    assert not any(frame.speech for frame in ear.frames)


def test_a_long_pause_is_not_filled() -> None:
    ear = Ear()
    ear.hear(bytes(48_000 * 2), 480)
    ear.hear(bytes(48_000 * 2), 480, first=48_000 * 3600)
    assert len(ear.frames) == 200
    assert ear.frames[-1].at == pytest.approx(100 + 3600.99, abs=0.002)


def test_time_never_runs_backwards() -> None:
    ear = Ear()
    ear.hear(bytes(48_000 * 2), 480)
    ear.hear(bytes(48_000 * 2), 480, start=50.0)
    assert np.all(np.diff([frame.at for frame in ear.frames]) > 0)
    assert len(ear.frames) == 200


def test_clipped_samples_are_counted() -> None:
    ear = Ear()
    block = np.zeros(480, dtype="<i2")
    block[:5] = 32767
    block[5:8] = -32768
    ear.hear(block.tobytes(), 480)
    assert ear.front.clipped_samples == 8


class Wake:
    """Hears the word in every hundredth frame, fails in the one it is told to."""

    cutoffs = {"okay_nabu": 0.85}  # noqa: RUF012

    def __init__(self, fails_at: int = -1) -> None:
        self.count = 0
        self.resets = 0
        self.fails_at = fails_at

    def reset(self) -> None:
        self.resets += 1

    def process(self, pcm16k: bytes) -> str | None:
        assert len(pcm16k) == 320
        self.count += 1
        if self.count == self.fails_at:
            raise OverflowError("model")
        return "okay_nabu" if self.count % 100 == 0 else None


def test_the_wake_model_hears_every_frame_and_its_word_is_passed_on() -> None:
    wake = Wake()
    ear = Ear(wake=wake)
    ear.hear(bytes(96_000 * 3), 480)
    assert wake.count == len(ear.frames) == 300
    assert [i for i, frame in enumerate(ear.frames) if frame.wake] == [99, 199, 299]


def test_half_a_wake_word_before_a_gap_and_half_after_it_are_none() -> None:
    wake = Wake()
    ear = Ear(wake=wake)
    ear.hear(bytes(96_000), 480)
    ear.front.stop()
    before = wake.resets
    ear.front.start(48_000, threaded=False)
    assert wake.resets == before + 1


def test_a_fault_costs_one_frame_and_is_reported() -> None:
    ear = Ear(wake=Wake(fails_at=50))
    ear.hear(bytes(96_000), 480)
    assert len(ear.frames) == 99
    assert [type(fault) for fault in ear.faults] == [OverflowError]
    assert ear.front.faults == 1


def test_faults_in_every_frame_are_not_reported_in_every_frame() -> None:
    reports: list[Exception] = []

    def emit(_frame: HeardFrame) -> None:
        raise RuntimeError("closed")

    front = FrontEnd(
        emit,
        wake=None,
        voice=VoiceDetector(3),
        reference=ReferenceTrack(48_000, tail_s=0.25),
        echo="off",
        sensitivity="normal",
        on_fault=reports.append,
    )
    front.start(48_000, threaded=False)
    for number in range(250):
        front.on_capture(bytes(960), number / 100)
    assert front.faults == 250
    assert len(reports) == 3


def test_odd_blocks_do_no_harm() -> None:
    ear = Ear()
    ear.front.on_capture(b"", 0.0)
    ear.front.on_capture(b"\x00", 0.0)
    ear.front.on_capture(bytes(961), 0.0)
    assert len(ear.frames) == 1


def test_nothing_is_heard_before_the_start_and_after_the_stop() -> None:
    ear = Ear()
    ear.front.stop()
    ear.hear(bytes(9600), 480)
    assert ear.frames == []
    ear.front.start(48_000, threaded=False)
    with pytest.raises(RuntimeError):
        ear.front.start(48_000, threaded=False)
    ear.hear(bytes(9600), 480)
    assert len(ear.frames) == 10


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="magic"):
        Ear(echo="magic")
    with pytest.raises(ValueError, match="11025"):
        Ear(rate_hz=11_025)


class Threaded:
    """A front end with its own thread, whose consumer can be held up."""

    def __init__(self) -> None:
        self.frames: list[HeardFrame] = []
        self.free = threading.Event()
        self.free.set()
        self.held = threading.Event()
        self.enough = threading.Event()
        self.expected = 0
        self.front = FrontEnd(
            self.emit,
            wake=None,
            voice=VoiceDetector(3),
            reference=ReferenceTrack(48_000, tail_s=0.25),
            echo="off",
            sensitivity="normal",
        )
        self.front.start(48_000)

    def emit(self, frame: HeardFrame) -> None:
        self.held.set()
        assert self.free.wait(10)
        self.frames.append(frame)
        if len(self.frames) >= self.expected > 0:
            self.enough.set()

    def wait_for(self, count: int) -> None:
        self.expected = count
        if len(self.frames) < count:
            assert self.enough.wait(10)


def test_the_thread_gives_the_same_as_the_inline_way_and_ends() -> None:
    sound = pcm(room_noise(48_000, seed=8, rms=1500.0))
    inline, threaded = Ear(echo="off"), Threaded()
    inline.hear(sound, 480)
    for number in range(50):  # within the queue's second, whatever the scheduler does
        threaded.front.on_capture(sound[number * 960 : number * 960 + 960], 100 + number / 100)
    threaded.wait_for(50)
    assert threaded.front.stop()
    assert threaded.frames == inline.frames[:50]
    assert "front-end" not in {thread.name for thread in threading.enumerate()}
    assert threaded.front.stop()


def test_an_overflowing_queue_drops_the_oldest_counts_and_pads() -> None:
    threaded = Threaded()
    threaded.free.clear()
    block = pcm(np.full(480, 1000.0))
    threaded.front.on_capture(block, 100.0)
    assert threaded.held.wait(10)
    for number in range(1, 131):
        threaded.front.on_capture(block, 100.0 + number / 100)
    assert threaded.front.blocks_dropped == 30
    threaded.free.set()
    threaded.wait_for(131)
    assert threaded.front.stop()
    assert len(threaded.frames) == 131
    levels = [level_dbfs(pcm_to_array(frame.pcm24k)) for frame in threaded.frames]
    assert sum(level == -100.0 for level in levels) in range(27, 31)
    assert threaded.frames[-1].at == pytest.approx(101.3, abs=0.002)
    assert threaded.front.padded_samples == 30 * 480


def test_the_thread_can_be_started_again_for_another_device() -> None:
    threaded = Threaded()
    threaded.front.stop()
    threaded.front.start(16_000)
    for number in range(20):
        threaded.front.on_capture(bytes(320), 7.0 + number / 100)
    threaded.wait_for(20)
    assert threaded.front.stop()
    assert threaded.frames[0].at == pytest.approx(7.0, abs=0.003)


def test_a_relaxed_front_end_wakes_for_four_blocks_and_loses_nothing() -> None:
    sound = pcm(room_noise(48_000, seed=9, rms=1500.0))
    inline, threaded = Ear(echo="off"), Threaded()
    inline.hear(sound[: 43 * 960], 480)
    threaded.front.relaxed = True
    for number in range(42):
        if number == 40:
            threaded.wait_for(40)
        threaded.front.on_capture(sound[number * 960 : number * 960 + 960], 100 + number / 100)
    assert len(threaded.frames) == 40  # two blocks are held, nobody was woken for them
    threaded.front.relaxed = False
    threaded.front.on_capture(sound[42 * 960 : 43 * 960], 100.42)
    threaded.wait_for(43)
    assert threaded.front.stop()
    assert [frame.pcm24k for frame in threaded.frames] == [frame.pcm24k for frame in inline.frames]
    ats = [frame.at for frame in threaded.frames]
    assert ats == pytest.approx([frame.at for frame in inline.frames], abs=1e-6)


def test_sound_lost_within_a_batch_is_replaced_in_its_place() -> None:
    inline, threaded = Ear(echo="off"), Threaded()
    sound = pcm(room_noise(48_000, seed=10, rms=1500.0))
    threaded.front.relaxed = True
    for number in range(4 * RELAXED_BLOCKS):
        at = 100 + number / 100 + (0.3 if number >= 18 else 0.0)
        block = sound[number * 960 : number * 960 + 960]
        inline.front.on_capture(block, at)
        threaded.front.on_capture(block, at)
    threaded.wait_for(4 * RELAXED_BLOCKS + 30)
    assert threaded.front.stop()
    assert threaded.front.padded_samples == inline.front.padded_samples == 14_400
    assert [frame.pcm24k for frame in threaded.frames] == [frame.pcm24k for frame in inline.frames]


def test_frames_of_a_block_may_be_handed_over_together() -> None:
    batches: list[list[HeardFrame]] = []
    one_by_one = Ear()
    sound = pcm(room_noise(48_000, seed=11, rms=1500.0))
    one_by_one.hear(sound, 1920)
    front = FrontEnd(
        one_by_one.frames.append,
        wake=None,
        voice=VoiceDetector(3),
        reference=ReferenceTrack(48_000, tail_s=0.25),
        echo="linear",
        sensitivity="normal",
        emit_many=batches.append,
    )
    front.start(48_000, threaded=False)
    for number in range(25):
        front.on_capture(sound[number * 3840 : (number + 1) * 3840], 100 + number / 25)
    assert {len(batch) for batch in batches} == {4}
    assert [frame for batch in batches for frame in batch] == one_by_one.frames
