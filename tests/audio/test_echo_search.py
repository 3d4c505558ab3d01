"""Whether our own voice reaches the microphone at all."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import FloatArray, babble, echo_of, room_noise

from edge_agent.audio.cancel.canceller import BLOCK, RATE_HZ, Float32Array
from edge_agent.audio.cancel.echo_search import EchoSearch


def unit(samples: FloatArray) -> Float32Array:
    return (samples / 32768.0).astype(np.float32)


def search_of(microphone: FloatArray, played: FloatArray, search: EchoSearch | None = None) -> int:
    """The frame after which no echo is believed in, -1 if that does not happen."""
    search = search or EchoSearch()
    heard, sounding = unit(microphone), unit(played)
    for frame in range(played.size // BLOCK):
        part = slice(frame * BLOCK, frame * BLOCK + BLOCK)
        search.hear(heard[part], sounding[part])
        if search.none_found:
            return frame
    return -1


def test_no_echo_is_believed_in_after_two_loud_seconds_of_hearing_none() -> None:
    far = babble(6, RATE_HZ, seed=41)
    assert 200 <= search_of(room_noise(far.size, 42), far) < 400
    assert 200 <= search_of(np.zeros(far.size), far) < 400


@pytest.mark.parametrize("delay_ms", [10, 200, 500])
@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_an_echo_is_none_however_late_or_faint(delay_ms: int, gain: float) -> None:
    far = babble(30, RATE_HZ, seed=43)
    microphone = echo_of(far, RATE_HZ, delay_ms, gain=gain) + room_noise(far.size, 44)
    search = EchoSearch()
    search.wait([(12 / 32768) ** 2] * 50)
    assert search_of(microphone, far, search) == -1


def test_soft_sounds_prove_nothing_and_louder_ones_want_a_new_proof() -> None:
    far = babble(6, RATE_HZ, seed=46)
    silence = room_noise(far.size, 47)
    search = EchoSearch()
    assert search_of(silence, far * 0.03, search) == -1
    assert search_of(silence, far, search) > 0
    search.hear(unit(silence[:BLOCK]), unit(np.full(BLOCK, 300.0)))
    assert search.none_found
    search.hear(unit(silence[:BLOCK]), unit(np.full(BLOCK, 30_000.0)))
    assert not search.none_found


ANSWER_S = 2.0


def answers_talked_over(count: int, echo: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Microphone and our voice of `count` short answers, each talked over after a second."""
    far = babble(count * ANSWER_S, RATE_HZ, seed=50)
    microphone = room_noise(far.size, 51) + echo
    person = babble(ANSWER_S / 2, RATE_HZ, seed=52, pitch_hz=190.0)
    for answer in range(count):
        start = round((answer * ANSWER_S + ANSWER_S / 2) * RATE_HZ)
        microphone[start : start + person.size] += person
    return microphone, far


def test_headphones_are_found_out_though_each_answer_is_talked_over() -> None:
    microphone, far = answers_talked_over(6, 0.0)
    assert 0 < search_of(microphone, far) < 4 * ANSWER_S * 100


@pytest.mark.parametrize("delay_ms", [10, 200, 450])
@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_an_echo_is_none_though_each_answer_is_talked_over(delay_ms: int, gain: float) -> None:
    echo = echo_of(babble(30, RATE_HZ, seed=50), RATE_HZ, delay_ms, gain=gain)
    microphone, far = answers_talked_over(15, echo)
    search = EchoSearch()
    search.wait([(12 / 32768) ** 2] * 50)
    assert search_of(microphone, far, search) == -1


def test_headphones_are_found_out_where_the_rooms_noise_swells() -> None:
    far = babble(30, RATE_HZ, seed=53)
    seconds = np.arange(far.size) / RATE_HZ
    swelling = np.where(seconds % 4.0 < 1.5, 10.0, 1.0)
    assert 0 < search_of(room_noise(far.size, 54) * swelling, far) < 1500


def test_what_sounds_elsewhere_for_most_of_the_time_hides_an_echo_perhaps() -> None:
    far = babble(20, RATE_HZ, seed=55)
    seconds = np.arange(far.size) / RATE_HZ
    swelling = np.where(seconds % 2.0 < 1.4, 10.0, 1.0)
    assert search_of(room_noise(far.size, 56) * swelling, far) == -1


@pytest.mark.parametrize("delay_ms", [10, 300])
def test_a_long_note_of_ours_does_not_become_the_floor(delay_ms: int) -> None:
    far = np.sin(2 * np.pi * 440 * np.arange(20 * RATE_HZ) / RATE_HZ) * 4000.0
    microphone = echo_of(far, RATE_HZ, delay_ms, gain=0.05) + room_noise(far.size, 57)
    search = EchoSearch()
    search.wait([(12 / 32768) ** 2] * 50)
    assert search_of(microphone, far, search) == -1
