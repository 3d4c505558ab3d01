"""Whether our own voice reaches the microphone at all."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import FloatArray, babble, echo_of, room_noise

from edge_agent.audio.cancel.echo_search import EchoSearch


def search_of(microphone: FloatArray, played: FloatArray, search: EchoSearch | None = None) -> int:
    """The frame after which no echo is believed in, -1 if that does not happen."""
    search = search or EchoSearch()
    for frame in range(played.size // 240):
        part = slice(frame * 240, frame * 240 + 240)
        search.hear(microphone[part], played[part])
        if search.none_found:
            return frame
    return -1


def test_no_echo_is_believed_in_after_a_second_of_hearing_none() -> None:
    far = babble(4, 24_000, seed=41)
    assert 75 <= search_of(room_noise(far.size, 42), far) < 150
    assert 75 <= search_of(np.zeros(far.size), far) < 150


@pytest.mark.parametrize("delay_ms", [10, 200, 500])
@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_an_echo_is_none_however_late_or_faint(delay_ms: int, gain: float) -> None:
    far = babble(30, 24_000, seed=43)
    microphone = echo_of(far, 24_000, delay_ms, gain=gain) + room_noise(far.size, 44)
    search = EchoSearch()
    for frame in range(50):
        search.hear(room_noise(240, 45 + frame))
    assert search_of(microphone, far, search) == -1


def test_soft_sounds_prove_nothing_and_louder_ones_want_a_new_proof() -> None:
    far = babble(4, 24_000, seed=46)
    silence = room_noise(far.size, 47)
    search = EchoSearch()
    assert search_of(silence, far * 0.03, search) == -1
    assert search_of(silence, far, search) > 0
    search.hear(silence[:240], far[24_000:24_240] * 0 + 300.0)
    assert search.none_found
    search.hear(silence[:240], np.full(240, 30_000.0))
    assert not search.none_found
