"""The demo's measurements: they find what is there, and miss what is not.

It must never use the daemon: a judge is tried on known sound.
"""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.demo.judge import measure
from edge_agent.simulation.sound import acoustics, voices

RATE = measure.COMPARE_RATE_HZ


def clip(name: str) -> measure.Sound:
    rate_hz, pcm = voices.load(name)
    return measure.sound(pcm, rate_hz)


def quiet(seconds: float) -> measure.Sound:
    return np.zeros(round(seconds * RATE), np.float32)


def in_a_room(sound: measure.Sound, seed: int = 3) -> measure.Sound:
    response = acoustics.impulse_response(
        RATE, delay_s=0.0, rt60_s=0.2, direct_to_reverb_db=8.0, seed=seed
    )
    noise = np.random.default_rng(seed).normal(0, 5e-4, len(sound)).astype(np.float32)
    return (acoustics.convolve(sound, response)[: len(sound)] * 0.5 + noise).astype(np.float32)


def test_a_whole_clip_is_whole_and_placed() -> None:
    question = clip("network_question")
    recording = np.concatenate([quiet(0.5), in_a_room(question), quiet(0.3)])
    like = measure.likeness(question, recording)
    assert like.is_whole
    assert like.at_s == pytest.approx(0.5, abs=0.002)


@pytest.mark.parametrize("lost_s", [0.2, 0.5])
def test_a_lost_first_syllable_is_noticed(lost_s: float) -> None:
    question = clip("network_question")
    lost = round(lost_s * RATE)
    like = measure.likeness(question, in_a_room(question)[lost:])
    assert not like.begins_whole
    assert like.missing_head_ms == pytest.approx(lost_s * 1000, abs=120)


def test_a_lost_last_syllable_is_noticed() -> None:
    question = clip("network_question")
    like = measure.likeness(question, in_a_room(question)[: -round(0.6 * RATE)])
    assert like.begins_whole
    assert not like.is_whole


def test_a_hole_in_the_middle_is_noticed() -> None:
    question = clip("network_question")
    recording = in_a_room(question)
    recording[2 * RATE : 3 * RATE] = 0
    like = measure.likeness(question, recording)
    assert like.missing_head_ms == like.missing_tail_ms == 0
    assert not like.is_whole


def test_other_speech_is_not_taken_for_the_clip() -> None:
    like = measure.likeness(clip("follow_up"), in_a_room(clip("network_question")))
    assert not like.is_whole
    assert like.correlation < measure.FOUND_CORRELATION


def test_silence_and_nothing_hold_nothing() -> None:
    assert measure.likeness(clip("follow_up"), quiet(3.0)) is measure.NOTHING
    assert measure.likeness(clip("follow_up"), quiet(0.0)) is measure.NOTHING
    assert not measure.NOTHING.is_whole
    assert not measure.NOTHING.begins_whole


@pytest.mark.parametrize("times", [0, 1, 2])
def test_repetitions_are_counted(times: int) -> None:
    answer = clip("answer_weather")
    pieces = [clip("answer_story"), quiet(0.4)]
    for _ in range(times):
        pieces += [in_a_room(answer), quiet(0.7)]
    assert len(measure.occurrences(answer, np.concatenate(pieces))) == times


def test_the_last_sound_is_found_to_the_sample() -> None:
    samples = np.zeros(48_000, np.int16)
    assert measure.last_sound_s(samples, 48_000) == 0.0
    samples[:4800] = 1
    assert measure.last_sound_s(samples, 48_000) == pytest.approx(0.1)
