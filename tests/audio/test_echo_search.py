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
