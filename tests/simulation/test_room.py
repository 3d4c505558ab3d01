"""The virtual room: times, echo, people, loss of the device, what was recorded."""

from __future__ import annotations

import asyncio
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import DeviceError, DeviceFormatRefused, DeviceMissing
from edge_agent.contract.ports import SoundDevice
from edge_agent.simulation.clock import UnhandledFailureError, run
from edge_agent.simulation.sound import acoustics
from edge_agent.simulation.sound.room import Room
from edge_agent.simulation.sound.room_record import Track

RATES = (16_000, 24_000, 44_100, 48_000)


class Card:
    """Plays `pcm` from a given moment and keeps what the microphone delivered."""

    def __init__(self, pcm: bytes = b"") -> None:
        self.pcm = pcm
        self.captured: list[tuple[float, bytes]] = []
        self.rendered: list[tuple[float, int]] = []
        self.delivered: list[float] = []

    def on_capture(self, block: bytes, adc_time: float) -> None:
        self.captured.append((adc_time, block))
        self.delivered.append(asyncio.get_running_loop().time())

    def on_render(self, frames: int, dac_time: float) -> bytes:
        self.rendered.append((dac_time, frames))
        block, self.pcm = self.pcm[: 2 * frames], self.pcm[2 * frames :]
        return block.ljust(2 * frames, b"\0")

    def sound(self) -> np.ndarray:
        return np.frombuffer(b"".join(block for _, block in self.captured), "<i2")


def hiss(seconds: float, rate_hz: int = 48_000, amplitude: float = 3000) -> bytes:
    rng = np.random.default_rng(3)
    return rng.normal(0, amplitude, round(seconds * rate_hz)).astype("<i2").tobytes()


def test_it_is_a_sound_device() -> None:
    async def main() -> None:
        card = Card()
        device: SoundDevice = Room()  # that its methods fit, the type checker says
        device.open(card.on_capture, card.on_render)
        await asyncio.sleep(0.1)
        device.close()
        device.close()
        frames = device.frames_captured
        await asyncio.sleep(0.1)
        assert device.frames_captured == device.frames_rendered == frames > 0

    run(main())


@pytest.mark.parametrize("rate_hz", RATES)
def test_blocks_come_without_gap_overlap_or_drift(rate_hz: int) -> None:
    async def main() -> None:
        room, card = Room(rate_hz=rate_hz), Card()
        info = room.open(card.on_capture, card.on_render)
        assert (info.capture_rate_hz, info.render_rate_hz) == (rate_hz, rate_hz)
        await asyncio.sleep(20.005)
        room.stop()
        assert len(card.captured) == 2000
        assert room.frames_captured == room.frames_rendered == 2000 * info.block_frames
        first = card.captured[0][0]
        for index, (adc, block) in enumerate(card.captured):
            assert adc == pytest.approx(first + index * 0.01, abs=1e-7)
            assert len(block) == 2 * info.block_frames
            # Delivered when the whole block and the input latency have passed.
            assert card.delivered[index] - adc == pytest.approx(info.input_latency_s, abs=1e-7)
        for (dac, frames), at in zip(card.rendered, card.delivered, strict=True):
            assert frames == info.block_frames
            assert dac - at == pytest.approx(info.output_latency_s, abs=1e-7)
        assert room.late_blocks == 0

    run(main())


def test_the_loudspeaker_emits_what_was_rendered_at_its_dac_time() -> None:
    async def main() -> None:
        room, card = Room(), Card(hiss(0.5))
        sent = card.pcm
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1)
        room.stop()
        begin = card.rendered[0][0]
        assert room.spoken.samples(begin, begin + 0.5).tobytes() == sent
        assert room.emitted_ms(1000.0) == pytest.approx(500, abs=0.5)
        assert room.silent_from(begin) == pytest.approx(begin + 0.5, abs=1e-3)
        assert room.silent_from(begin + 0.7) == pytest.approx(begin + 0.7)
        assert room.silent_from(begin, hold_s=30) is None
        assert room.speaker_level(begin, begin + 0.5) == pytest.approx(-20.8, abs=0.2)

    run(main())


@pytest.mark.parametrize("gain_db", [0.0, -10.0, -30.0])
def test_echo_has_its_level_and_its_delay(gain_db: float) -> None:
    async def main() -> None:
        room = Room(echo_gain_db=gain_db, noise_dbfs=None, acoustic_delay_s=0.004)
        card = Card(hiss(1.0))
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(2)
        room.stop()
        begin = card.rendered[0][0]
        spoken, heard = (
            acoustics.from_pcm(track.samples(begin, begin + 0.9))
            for track in (room.spoken, room.heard)
        )
        difference = acoustics.level_dbfs(heard[4800:]) - acoustics.level_dbfs(spoken[4800:])
        assert difference == pytest.approx(gain_db, abs=1)
        size = 1 << 17
        match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(spoken, size)))
        assert int(np.argmax(np.abs(match))) == round(0.004 * 48_000)
        # The tail lives on after the loudspeaker's last sample, and dies.
        end = begin + 1.0
        tail = room.heard.level_dbfs(end + 0.03, end + 0.06)
        assert -50 < tail - acoustics.level_dbfs(heard) < -5
        assert room.heard.level_dbfs(end + 0.5, end + 0.7) == acoustics.SILENCE_DBFS

    run(main())


def test_without_echo_the_microphone_hears_only_the_room() -> None:
    async def main() -> None:
        room, card = Room(echo_gain_db=None, noise_dbfs=-50), Card(hiss(1.0))
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1)
        room.stop()
        assert room.heard.level_dbfs(1000.2, 1000.9) == pytest.approx(-50, abs=1.5)
        assert room.heard_dbfs == pytest.approx(-50, abs=4)
        assert room.spoken_dbfs > -25

    run(main())


def test_streamed_echo_equals_the_whole_convolution() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 480 * 40).astype(np.float32)
    sound[480 * 10 : 480 * 18] = 0  # long enough for the tail to die, then sound again
    response = acoustics.impulse_response(
        48_000, delay_s=0.003, rt60_s=0.05, direct_to_reverb_db=0, seed=5
    )
    path = acoustics.EchoPath(response, 480)
    parts = []
    for block in sound.reshape(-1, 480):
        echo = path.process(block if block.any() else None)
        parts.append(np.zeros(480, np.float32) if echo is None else echo)
    expected = acoustics.convolve(sound, response)[: len(sound)]
    assert np.abs(np.concatenate(parts) - expected).max() < 1e-5


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_person_is_heard_at_the_moment_and_level_asked_for(rate_hz: int) -> None:
    seconds = np.arange(24_000) / 24_000
    tone = (10_000 * np.sin(2 * np.pi * 440 * seconds)).astype("<i2")

    async def main() -> None:
        room = Room(rate_hz=rate_hz, noise_dbfs=None)
        card = Card()
        room.open(card.on_capture, card.on_render)
        said = room.say(tone, 24_000, at=1000.5, gain_db=-6, dry=True)
        await asyncio.sleep(3)
        room.stop()
        assert (said.start_at, said.end_at) == pytest.approx((1000.5, 1001.5), abs=1e-4)
        assert said.start_at <= said.onset_at < said.start_at + 0.01
        span = room.heard.audible()
        assert span == pytest.approx((1000.5, 1001.5), abs=2e-3)
        level = room.heard.level_dbfs(1000.6, 1001.4)
        assert level == pytest.approx(20 * np.log10(10_000 / 32768) - 3.01 - 6, abs=0.1)
        assert room.mix.level_dbfs(1000.6, 1001.4) == pytest.approx(level, abs=0.1)
        assert room.spoken.audible() is None
        heard = room.heard.samples(1000.6, 1001.4)
        peak = np.argmax(np.abs(np.fft.rfft(heard))) * rate_hz / len(heard)
        assert peak == pytest.approx(440, abs=2)

    run(main())


def test_reverberation_follows_a_person_and_the_past_is_refused() -> None:
    async def main() -> None:
        room = Room(noise_dbfs=None)
        card = Card()
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1)
        said = room.say(hiss(0.2), 48_000)
        assert said.start_at == pytest.approx(1001.0, abs=1e-4)
        with pytest.raises(ValueError, match="past"):
            room.say(hiss(0.1), 48_000, at=1000.5)
        room.say(hiss(0.2), 48_000, at=1005.0)
        room.hush()
        room.say(hiss(0.2), 48_000, at=1001.0)
        await asyncio.sleep(6)
        room.stop()
        span = room.heard.audible(threshold_dbfs=-70)
        assert span is not None
        assert said.end_at + 0.02 < span[1] < said.end_at + 0.3

    run(main())


@given(st.sampled_from([-20.0, -10.0, 0.0, 10.0]))
def test_near_to_echo_sets_the_ratio_at_the_microphone(ratio_db: float) -> None:
    near, far = hiss(0.3, 24_000, 500), hiss(0.3, 24_000, 6000)

    async def main() -> None:
        room = Room()
        gain_db = room.near_to_echo(ratio_db, near=near, far=far)
        # Hiss through a response of energy 1 keeps its level.
        assert gain_db == pytest.approx(20 * np.log10(500 / 6000) - ratio_db, abs=1.5)
        assert room.echo_gain_db == gain_db

    run(main())


def test_unplugged_means_no_frames_no_word_and_no_open() -> None:
    async def main() -> None:
        room, card = Room(noise_dbfs=None), Card(hiss(60))
        room.open(card.on_capture, card.on_render)
        with pytest.raises(DeviceError, match="open already"):
            room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1.001)
        room.unplug()
        frames, count = room.frames_captured, len(card.captured)
        await asyncio.sleep(1)
        assert (room.frames_captured, len(card.captured)) == (frames, count)
        with pytest.raises(DeviceMissing):
            Room.open(room, card.on_capture, card.on_render)
        room.replug()
        await asyncio.sleep(1)
        assert len(card.captured) == count  # the old streams stay dead
        room.close()
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1)
        room.stop()
        assert len(card.captured) == count + 100
        # Silent from the pull on, not from the end of what was buffered.
        assert room.silent_from(1000.5) == pytest.approx(1001.001, abs=1e-3)

    run(main())


def test_a_stall_stops_both_directions_and_ends() -> None:
    async def main() -> None:
        room, card = Room(), Card()
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1.005)
        room.stall(2)
        await asyncio.sleep(3)
        assert len(card.captured) == len(card.rendered) == 100 + 100
        room.stall()
        await asyncio.sleep(5)
        assert len(card.captured) == 200
        room.resume()
        await asyncio.sleep(1)
        room.stop()
        assert len(card.captured) == 300

    run(main())


def test_while_closed_the_room_goes_on_and_the_time_line_has_no_hole() -> None:
    async def main() -> None:
        room, card = Room(noise_dbfs=None), Card()
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1)
        room.close()
        room.close()
        room.say(hiss(0.5), 48_000, at=1002.0)
        await asyncio.sleep(4)
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1)
        room.stop()
        span = room.heard.audible(threshold_dbfs=-40)
        assert span is not None
        assert span[0] == pytest.approx(1002.0, abs=1e-3)
        assert room.heard.end_s == pytest.approx(1006.0 - 0.01, abs=1e-3)
        times = [adc for adc, _ in card.captured]
        gaps = np.diff(times)
        assert gaps.max() == pytest.approx(4.0, abs=0.011)

    run(main())


def test_next_open_can_be_refused() -> None:
    async def main() -> None:
        room, card = Room(), Card()
        room.refuse_next_open(DeviceFormatRefused("No such rate."))
        with pytest.raises(DeviceFormatRefused):
            room.open(card.on_capture, card.on_render)
        room.open(card.on_capture, card.on_render)
        room.stop()

    run(main())


def test_a_render_callback_of_the_wrong_length_is_shown_up() -> None:
    async def main() -> None:
        room, card = Room(), Card()
        room.open(card.on_capture, lambda frames, _dac: bytes(2 * frames - 2))
        await asyncio.sleep(0.05)
        room.stop()
        assert len(card.captured) == 5  # the card goes on all the same

    with pytest.raises(UnhandledFailureError, match="958 bytes instead of 960"):
        run(main())


def test_a_plan_is_carried_out_and_forgotten_on_stop() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        room, done = Room(), []
        room.play([(1.0, lambda: done.append(loop.time())), (9.0, room.unplug)])
        await asyncio.sleep(2)
        room.stop()
        room.stop()
        await asyncio.sleep(20)
        card = Card()
        room.open(card.on_capture, card.on_render)
        room.stop()
        return done

    assert run(main()) == [1001.0]


def test_same_seed_same_sound() -> None:
    async def main(seed: int) -> bytes:
        room, card = Room(seed=seed, distortion=1.0), Card(hiss(0.3))
        room.open(card.on_capture, card.on_render)
        room.say(hiss(0.2), 48_000, at=1000.1)
        await asyncio.sleep(0.6)
        room.stop()
        return card.sound().tobytes()

    assert run(main(1)) == run(main(1))
    assert run(main(1)) != run(main(2))


def test_recording_is_bounded_and_optional(tmp_path: Path) -> None:
    async def main(record_s: float) -> Track:
        room, card = Room(record_s=record_s), Card(hiss(20))
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(10)
        room.stop()
        room.write_wav(tmp_path / "mix.wav")
        return room.spoken

    track = run(main(2.0))
    assert 2.0 <= len(track) / 48_000 <= 2.6
    assert track.end_s == pytest.approx(1010.0 - 0.01, abs=1e-3)
    assert track.start_s == pytest.approx(track.end_s - len(track) / 48_000)
    with wave.open(str(tmp_path / "mix.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (48_000, len(track))
    assert len(run(main(0))) == 0


def test_it_runs_in_real_time_and_opens_from_a_thread() -> None:
    async def main() -> None:
        room, card = Room(), Card()
        thread = threading.Thread(target=room.open, args=(card.on_capture, card.on_render))
        thread.start()
        thread.join()
        await asyncio.sleep(0.05)
        room.stop()
        assert card.captured
        gaps = np.diff([adc for adc, _ in card.captured])
        assert np.allclose(gaps, 0.01, atol=1e-7)

    asyncio.run(main())


def test_a_loop_that_was_held_up_catches_up_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        room, card = Room(), Card()
        room.open(card.on_capture, card.on_render)
        await asyncio.sleep(1.005)
        monkeypatch.setattr(loop, "_now_s", loop.time() + 0.5)  # somebody blocked the loop
        await asyncio.sleep(0.1)
        room.stop()
        assert len(card.captured) == 160
        assert room.late_blocks == 49

    run(main())


@given(
    st.sampled_from([(16_000, 48_000), (24_000, 44_100), (48_000, 16_000), (44_100, 24_000)]),
    st.integers(200, 3000),
)
def test_resampled_clips_keep_pitch_length_and_level(rates: tuple[int, int], hertz: int) -> None:
    source, target = rates
    sine = np.sin(2 * np.pi * hertz * np.arange(source // 2) / source) / 2
    result = acoustics.resample(sine.astype(np.float32), source, target)
    assert len(result) == target // 2
    expected = np.sin(2 * np.pi * hertz * np.arange(target // 2) / target) / 2
    assert np.abs(result - expected)[target // 20 : -target // 20].max() < 0.01
