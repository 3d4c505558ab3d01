"""How periodic a sound is: voices at all pitches, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from synthetic import clip

from edge_agent.audio.cancel.canceller import BLOCK, RATE_HZ
from edge_agent.audio.cancel.voicing import Voicing

CENTRES_HZ = np.geomspace(100, 7000, 20)
ALL = np.ones(20, np.float32)
TWO = 2 * BLOCK
T = np.arange(RATE_HZ) / RATE_HZ


def heard(sound: Any, gains: Any = ALL) -> Any:
    """What `Voicing` says of each 20 ms."""
    voicing = Voicing(CENTRES_HZ, 2)
    whole = np.asarray(sound, np.float32)
    pairs = whole[: whole.size // TWO * TWO].reshape(-1, 2, BLOCK)
    return np.array([voicing.hear(list(pair), gains) for pair in pairs])


def vowel(pitch_hz: float) -> Any:
    """Harmonics that fall by 6 dB an octave."""
    return 0.05 * sum(np.sin(2 * np.pi * pitch_hz * n * T + n) / n for n in range(1, 12))


@pytest.mark.parametrize("pitch_hz", [85, 110, 150, 220, 300, 390])
def test_a_vowel_is_periodic_at_every_pitch(pitch_hz: float) -> None:
    assert heard(vowel(pitch_hz))[3:].min() > 2.0


def test_noise_and_knocks_are_not() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.05, RATE_HZ)
    knock = noise * np.exp(-40 * (T % 0.25))
    for sound in (noise, knock):
        assert np.median(heard(sound)[3:]) < 0.0
        assert np.quantile(heard(sound)[3:], 0.9) < 0.5


def test_speech_is_periodic_for_the_most_part_and_tells_itself_from_noise() -> None:
    speech = clip("answer_weather", RATE_HZ) / 32768
    said = heard(speech)
    loud = np.array([np.abs(b).max() for b in speech[: said.size * TWO].reshape(-1, TWO)])
    assert np.median(said[loud > 0.05]) > 1.0


def test_how_loud_it_is_does_not_matter() -> None:
    sound = vowel(130) + np.random.default_rng(4).normal(0, 0.02, RATE_HZ)
    assert heard(sound * 30) == pytest.approx(heard(sound), abs=1e-3)


def test_a_band_of_noise_that_does_not_count_hides_no_voice() -> None:
    """The lowest bands hold a rumble; told to leave them out, it finds the voice above them."""
    rng = np.random.default_rng(5)
    spectrum = np.fft.rfft(rng.normal(0, 1, RATE_HZ))
    spectrum[200:] = 0
    rumble = np.fft.irfft(spectrum)
    sound = vowel(220) + rumble
    gains = np.where(CENTRES_HZ < 220, 0.02, 1.0).astype(np.float32)
    assert np.median(heard(sound, gains)[3:]) > np.median(heard(sound)[3:]) + 0.5


def test_silence_is_a_number_and_the_past_ends_with_a_restart() -> None:
    voicing, fresh = Voicing(CENTRES_HZ, 2), Voicing(CENTRES_HZ, 2)
    silence = np.zeros(BLOCK, np.float32)
    nothing = fresh.hear([silence], ALL)
    assert np.isfinite(nothing)
    for block in vowel(150).astype(np.float32)[: 20 * BLOCK].reshape(-1, BLOCK):
        voicing.hear([block], ALL)
    voicing.restart()
    assert voicing.hear([silence], ALL) == nothing


def test_two_blocks_at_a_time_are_the_same_sound_as_one_by_one() -> None:
    one, two = Voicing(CENTRES_HZ, 2), Voicing(CENTRES_HZ, 2)
    blocks = vowel(180).astype(np.float32)[: 20 * BLOCK].reshape(-1, BLOCK)
    singly = [one.hear([block], ALL) for block in blocks]
    paired = [two.hear(list(pair), ALL) for pair in blocks.reshape(-1, 2, BLOCK)]
    assert paired == pytest.approx(singly[1::2], abs=1e-4)
