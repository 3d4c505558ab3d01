"""Which part of what we played belongs to which block: position, drift, slips, and the search."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import FloatArray, babble, clip, echo_of, room_noise

from edge_agent.audio.cancel.alignment import LEAD_S, Alignment
from edge_agent.audio.cancel.canceller import BLOCK, RATE_HZ, Float32Array
from edge_agent.audio.cancel.delay_search import EARLIEST, HEARD, LATEST, DelaySearch
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.resample import Resampler

TONE_HZ = 1000.0
RENDER_HZ = 48_000
RENDER_BLOCK = 480


class Bench:
    """A tone that is played, and what the alignment makes of it."""

    def __init__(self, rate_hz: int = RENDER_HZ, drift: float = 0.0, jitter_s: float = 0.0) -> None:
        self.rate_hz = rate_hz
        self.block = rate_hz // 100
        self.track = ReferenceTrack(rate_hz, tail_s=0.25)
        self.alignment = Alignment(self.track)
        self.drift, self.jitter_s = drift, jitter_s
        self.slip_s, self.wander_s, self.pace = 0.0, 0.0, 0.0
        self._rng = np.random.default_rng(1)
        self._written = 0
        self._block = 0

    def run(self, blocks: int) -> Float32Array:
        """Play and read so many blocks; the loudspeaker is three blocks ahead."""
        out = []
        for _ in range(blocks):
            while self._written <= self._block + 3:
                first = self._written * self.block
                moment = (first + np.arange(self.block)) / self.rate_hz
                sound = np.rint(10_000 * np.sin(2 * np.pi * TONE_HZ * moment)).astype("<i2")
                at = first / self.rate_hz * (1 + self.drift) + self._rng.uniform(0, self.jitter_s)
                self.track.write(sound.tobytes(), at + self.slip_s)
                self.slip_s += self.wander_s
                self._written += 1
            out.append(self.alignment.next(self._block / 100, self.pace))
            self._block += 1
        return np.concatenate(out)

    def wanted(self, first: int, count: int) -> FloatArray:
        """The tone as it should be read, counted in blocks."""
        delay_s = Resampler(self.rate_hz, RATE_HZ).delay_ms / 1000
        moment = np.arange(first * BLOCK, (first + count) * BLOCK) / RATE_HZ + LEAD_S
        played = moment / (1 + self.drift) - delay_s
        return np.asarray(10_000 / 32768 * np.sin(2 * np.pi * TONE_HZ * played))


def error_db(got: Float32Array, wanted: FloatArray) -> float:
    return float(10 * np.log10(np.mean((got - wanted) ** 2) / np.mean(wanted**2)))


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_it_reads_what_is_audible_a_little_ahead(rate_hz: int) -> None:
    bench = Bench(rate_hz)
    got = bench.run(60)
    assert error_db(got[10 * BLOCK :], bench.wanted(10, 50)) < -40
    assert bench.alignment.late_samples == 0


def test_jitter_moves_nothing() -> None:
    bench = Bench(jitter_s=0.002)
    bench.run(100)
    got = bench.run(400)
    spectrum = np.abs(np.fft.rfft(got * np.hanning(got.size)))
    peak = int(np.argmax(spectrum))
    beside = np.concatenate((spectrum[: peak - 3], spectrum[peak + 4 :]))
    assert np.sum(beside**2) < 1e-4 * np.sum(spectrum**2)
    assert bench.alignment.realignments == 0


def test_a_pace_is_followed_without_a_step() -> None:
    """As if it had been played at the microphone's pace: no sample is left out or doubled."""
    bench = Bench(drift=200e-6, jitter_s=0.0002)
    bench.pace = 1 / (1 + 200e-6) - 1
    bench.run(400)
    before = bench.run(1)
    got = np.concatenate((before, bench.run(500)))
    moment = np.arange(got.size) / RATE_HZ
    played_hz = TONE_HZ / (1 + 200e-6)
    basis = np.stack([f(2 * np.pi * played_hz * moment) for f in (np.sin, np.cos)], 1)
    fit = basis @ np.linalg.lstsq(basis, got, rcond=None)[0]
    assert error_db(got, fit) < -30
    assert bench.alignment.realignments == 0


@pytest.mark.parametrize("held", [False, True])
def test_stamps_that_wander_move_nothing(held: bool) -> None:
    """By 8 ms in three seconds, as PulseAudio's do; and back, after a pause."""
    bench = Bench()
    bench.run(200)
    bench.alignment.held = held
    bench.wander_s = 0.008 / 300
    got = bench.run(300)
    assert error_db(got, bench.wanted(200, 300)) < -40
    assert bench.alignment.realignments == 0


def test_after_a_pause_a_known_echo_is_where_it_was() -> None:
    bench = Bench()
    bench.run(200)
    bench.alignment.held = True
    bench.wander_s = 0.003 / 100
    bench.run(100)
    bench.wander_s = 0.0
    bench.alignment.start()
    assert error_db(bench.run(100)[BLOCK:], bench.wanted(301, 99)) < -40


def test_stamps_that_went_far_off_slowly_are_a_step() -> None:
    bench = Bench()
    bench.run(200)
    bench.wander_s = 0.025 / 300
    bench.run(400)
    assert bench.alignment.realignments == 1


@pytest.mark.parametrize("slip_s", [-0.010, -0.015, -0.12])
def test_a_slip_is_one_step(slip_s: float) -> None:
    bench = Bench(jitter_s=0.0002)
    bench.run(200)
    bench.slip_s = slip_s
    bench.run(100)
    assert bench.alignment.realignments == 1


def test_a_pause_of_the_loudspeaker_moves_nothing_that_sounds_later() -> None:
    """What it did not play in the meantime is silence in the track: no step is needed."""
    bench = Bench(jitter_s=0.0002)
    bench.run(200)
    bench.slip_s = 0.12
    bench.run(100)
    assert bench.alignment.realignments == 0


def test_it_reads_earlier_sound_for_a_later_echo() -> None:
    bench = Bench()
    bench.run(50)
    bench.alignment.shift(7)
    assert bench.alignment.delay_s == pytest.approx(0.07)
    got = bench.run(20)
    assert error_db(got, bench.wanted(50 - 7, 20)) < -40
    recent = bench.alignment.recent(5 * BLOCK)
    assert error_db(recent, bench.wanted(70 - 7 - 5, 5)) < -25


def test_a_stalled_loudspeaker_reads_as_silence() -> None:
    bench = Bench()
    bench.run(50)
    stalled = [bench.alignment.next(0.5 + block / 100) for block in range(300)]
    assert not np.any(stalled[20:])
    assert bench.alignment.late_samples > 200 * BLOCK


# --- the search -----------------------------------------------------------------------------


def looks(far: FloatArray, microphone: FloatArray) -> list[int | None]:
    """As the echo stage looks."""
    quiet = np.zeros(LATEST + HEARD)
    played = (np.concatenate((quiet, far, quiet)) / 32768).astype(np.float32)
    heard = (microphone / 32768).astype(np.float32)
    search = DelaySearch()
    return [
        search.look(heard[end - HEARD : end], played[end : end + LATEST + HEARD + EARLIEST])
        for end in range(HEARD, far.size, 15 * BLOCK)
    ]


@pytest.fixture(scope="module")
def story() -> FloatArray:
    return np.tile(clip("answer_story", RATE_HZ), 2)[: 6 * RATE_HZ]


@pytest.mark.parametrize("delay_ms", [-80, 0, 60, 400])
@pytest.mark.parametrize("near_to_echo_db", [-100, 0])
def test_the_delay_is_found_both_ways(
    story: FloatArray, delay_ms: int, near_to_echo_db: int
) -> None:
    echo = np.roll(echo_of(story, RATE_HZ, 0, gain=0.3), delay_ms * RATE_HZ // 1000)
    near = babble(6, RATE_HZ, seed=4, pitch_hz=190)
    near *= np.sqrt(np.mean(echo**2) / np.mean(near**2)) * 10 ** (near_to_echo_db / 20)
    found = [x for x in looks(story, echo + near + room_noise(echo.size, 1)) if x is not None]
    assert found
    assert all(abs(late - delay_ms * RATE_HZ // 1000) < RATE_HZ // 80 for late in found)


def test_a_person_or_noise_alone_has_no_delay(story: FloatArray) -> None:
    for other in (babble(6, RATE_HZ, seed=4), room_noise(story.size, 2), np.zeros(story.size)):
        assert set(looks(story, other)) == {None}
    assert set(looks(np.zeros(story.size), story)) == {None}
