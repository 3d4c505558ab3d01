"""Clocks that drift, and stamps that say they do: what the learned echo knows of it.

`pulse_stamps.json` was recorded of PyAudio over a PulseAudio whose microphone and loudspeaker run
at one clock (tests/lab/pulse_room.py): by how many microseconds each fifth block's stamp is off.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic import FloatArray, babble, clip, echo_of, room_noise
from test_echo import RATE_HZ, Talk, power

from edge_agent.audio.cancel.canceller import BINS, PARTITIONS, Complex64Array, Float32Array
from edge_agent.audio.cancel.echo_drift import LOOK_BLOCKS, MOST_PACE, EchoDrift
from edge_agent.audio.cancel.echo_stage import Heard
from edge_agent.audio.device.sample_clock import SampleClock

RECORDED = json.loads((Path(__file__).parent / "pulse_stamps.json").read_text())


def wrong_by(name: str, blocks: int) -> tuple[FloatArray, FloatArray]:
    """Seconds, of the loudspeaker's and the microphone's stamps."""
    found = []
    for which in ("loudspeaker", "microphone"):
        recorded = 1e-6 * np.array(RECORDED[name][which])
        found.append(np.interp(np.arange(blocks), 5 * np.arange(recorded.size), recorded))
    return found[0], found[1]


def faster(sound: FloatArray, ppm: float) -> FloatArray:
    """As a microphone hears it whose clock runs faster by so much."""
    moments = np.arange(sound.size) / (1 + ppm * 1e-6)
    return np.asarray(np.interp(moments, np.arange(sound.size), sound))


def story(seconds: int, seed: int, ppm: float = 0.0) -> tuple[FloatArray, FloatArray, int]:
    """Our voice, what is heard of it and of a person near its end, and the person's first frame."""
    far = babble(seconds, RATE_HZ, seed=seed, pauses=False)
    echo = echo_of(far, RATE_HZ, 15, gain=0.5) + room_noise(far.size, seed)
    said = clip("stop_wait", RATE_HZ)
    said = said[int(np.argmax(np.abs(said) > 300)) :][: round(1.5 * RATE_HZ)]
    onset = seconds - 3
    near = np.zeros(far.size)
    near[onset * RATE_HZ : onset * RATE_HZ + said.size] = said * np.sqrt(power(echo) / power(said))
    return far, faster(echo + near, ppm), 100 * onset


@pytest.mark.parametrize("ppm", [-200.0, 60.0, 200.0])
def test_a_drift_that_no_stamp_tells_is_heard(ppm: float) -> None:
    far, heard, onset = story(20, 64, ppm)
    talk = Talk("linear")
    talk.play(far, heard)
    assert talk.front._stage._drift.pace == pytest.approx(-ppm * 1e-6, abs=10e-6)
    assert talk.interruptions(0, onset) == []
    assert talk.interruptions(onset, 40)


@pytest.mark.parametrize("name", list(RECORDED))
def test_stamps_of_a_sound_server_hide_nobody(name: str) -> None:
    far, heard, onset = story(20, 62)
    talk = Talk("linear")
    talk.play(far, heard, wrong_by(name, far.size // (RATE_HZ // 100)))
    assert talk.front._stage._drift.pace == pytest.approx(0.0, abs=10e-6)
    assert talk.front._stage.alignment.realignments == 0
    assert talk.interruptions(0, onset) == []
    assert talk.interruptions(onset, 40)


@pytest.mark.parametrize("ppm", [-200.0, 100.0])
def test_even_stamps_say_where_to_begin(ppm: float) -> None:
    """As soon as they can tell, and before the echo could."""
    far, heard, _ = story(6, 65, ppm)
    blocks = np.arange(far.size // (RATE_HZ // 100)) / 100
    jitter = np.random.default_rng(3).uniform(-2e-4, 2e-4, (2, blocks.size))
    talk = Talk("linear")
    talk.play(far, heard, (jitter[0], blocks / (1 + ppm * 1e-6) - blocks + jitter[1]))
    assert talk.front._stage._drift.begun
    assert talk.front._stage._drift.pace == pytest.approx(-ppm * 1e-6, abs=15e-6)


@pytest.mark.parametrize("name", list(RECORDED))
def test_stamps_of_a_sound_server_tell_no_drift(name: str) -> None:
    clock = SampleClock(RATE_HZ)
    _, microphone = wrong_by(name, 3000)
    for block, wrong_s in enumerate(microphone):
        clock.observe(block * RATE_HZ // 100, block / 100 + float(wrong_s))
        assert clock.drift is None


@pytest.mark.parametrize(("jitter_s", "within_s"), [(0.0002, 4), (0.002, 12)])
def test_stamps_of_a_card_tell_its_drift(jitter_s: float, within_s: int) -> None:
    clock, rng = SampleClock(RATE_HZ), np.random.default_rng(4)
    told = []
    for block in range(100 * within_s):
        at = block / 100 * (1 + 150e-6) + float(rng.uniform(-jitter_s, jitter_s))
        clock.observe(block * RATE_HZ // 100, at)
        told.append(clock.drift)
    assert told[:200] == [None] * 200
    assert told[-1] == pytest.approx(150e-6, abs=60e-6)


def test_what_was_heard_holds_against_stamps() -> None:
    drift, late = EchoDrift(), 0.0
    for _ in range(1000):
        late += 160 * (150e-6 + drift.pace)
        drift.take(room(late))
    drift.begin(90e-6)
    assert drift.pace == pytest.approx(-150e-6, abs=1e-6)


@pytest.mark.parametrize("late_ms", [-8, 25, 60])
def test_an_echo_that_jumps_unannounced_is_nobody(
    monkeypatch: pytest.MonkeyPatch, late_ms: int
) -> None:
    """A loudspeaker that connects anew: more is left than was heard, and nothing is believed."""
    far = babble(14, RATE_HZ, seed=63, pauses=False)
    echo = echo_of(far, RATE_HZ, 15, gain=0.5)
    at, late = 10 * RATE_HZ, late_ms * RATE_HZ // 1000
    moved = np.pad(echo, (max(late, 0), 0))[max(-late, 0) :]
    heard = np.concatenate((echo[:at], np.pad(moved, (0, max(-late, 0)))[at : far.size]))
    talk = Talk("linear")
    settled = []
    process = talk.front._stage.process

    def watched(microphone: Float32Array, moment: float, drift: float | None) -> Heard:
        settled.append(not talk.front._stage.unsettled)
        return process(microphone, moment, drift)

    monkeypatch.setattr(talk.front._stage, "process", watched)
    talk.play(far, heard + room_noise(far.size, 7))
    assert all(settled[600:1000])
    assert not any(settled[1007:1030])
    assert talk.interruptions() == []


# --------------------------------------------------------------------------- the estimate alone


def room(late: float) -> Complex64Array:
    """A learned room whose echo comes so many samples late."""
    rng = np.random.default_rng(1)
    spectra = np.fft.rfft(rng.normal(0, 1, (PARTITIONS, 160)), 2 * BINS - 2, axis=1)
    turned = spectra * np.exp(-1j * np.pi * np.arange(BINS) / (BINS - 1) * late)
    return np.asarray(turned, np.complex64)


@pytest.mark.parametrize("per_block", [-0.02, 0.02])
def test_an_echo_that_comes_later_is_read_more_slowly(per_block: float) -> None:
    drift = EchoDrift()
    for block in range(6 * LOOK_BLOCKS):
        drift.take(room(per_block * block))
    assert drift.pace * per_block < 0
    assert 20e-6 < abs(drift.pace) <= MOST_PACE


def test_a_loop_of_both_ends_at_the_drift() -> None:
    drift, late = EchoDrift(), 0.0
    for _ in range(1000):
        late += 160 * (150e-6 + drift.pace)
        drift.take(room(late))
    assert drift.pace == pytest.approx(-150e-6, abs=1e-6)


def test_a_path_that_changes_at_once_is_no_drift() -> None:
    drift = EchoDrift()
    rng = np.random.default_rng(2)
    for block in range(20 * LOOK_BLOCKS):
        if block % (4 * LOOK_BLOCKS) == 0:
            other = np.asarray(rng.normal(0, 1, (PARTITIONS, BINS)) + 0j, np.complex64)
        drift.take(other)
    assert drift.pace == 0.0


def test_a_step_of_the_reference_is_no_drift() -> None:
    drift = EchoDrift()
    for block in range(20 * LOOK_BLOCKS):
        if block == 10 * LOOK_BLOCKS:
            drift.lost()
        drift.take(room(2.0 if block >= 10 * LOOK_BLOCKS else 0.0))
    assert drift.pace == pytest.approx(0.0, abs=1e-9)


def test_a_room_of_silence_tells_nothing() -> None:
    drift = EchoDrift()
    for _ in range(10 * LOOK_BLOCKS):
        drift.take(np.zeros((PARTITIONS, BINS), np.complex64))
    assert drift.pace == 0.0
