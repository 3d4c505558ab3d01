"""The resampler: exact counts, any chunking, clean tones, no aliases."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.audio.resample import (
    RATES_HZ,
    Resampler,
    level_dbfs,
    pcm_to_array,
)

PAIRS = [(a, b) for a, b in itertools.product(RATES_HZ, RATES_HZ) if a != b]


def tone(rate_hz: int, frequency_hz: float, seconds: float = 0.5, peak: float = 16000.0) -> bytes:
    moment = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.rint(peak * np.sin(2 * np.pi * frequency_hz * moment)).astype("<i2").tobytes()


def residual_db(samples: np.ndarray, rate_hz: int, frequency_hz: float) -> float:
    """What is left of the samples beside the best fitting tone, relative to that tone."""
    moment = np.arange(samples.size) / rate_hz
    basis = np.stack(
        (np.sin(2 * np.pi * frequency_hz * moment), np.cos(2 * np.pi * frequency_hz * moment)), 1
    )
    fit = basis @ np.linalg.lstsq(basis, samples, rcond=None)[0]
    return float(10 * np.log10(np.mean((samples - fit) ** 2) / np.mean(fit**2)))


@settings(max_examples=60)
@given(
    pair=st.sampled_from(PAIRS),
    cuts=st.lists(st.integers(0, 700), max_size=12),
    seed=st.integers(0, 99),
)
def test_any_chunking_gives_the_same_bytes(
    pair: tuple[int, int], cuts: list[int], seed: int
) -> None:
    samples = np.random.default_rng(seed).integers(-20000, 20000, 2000).astype("<i2")
    whole = Resampler(*pair).process(samples.tobytes())
    pieces = np.split(samples, np.minimum(np.cumsum(cuts), samples.size))
    streaming = Resampler(*pair)
    assert b"".join(streaming.process(piece.tobytes()) for piece in pieces) == whole
    assert len(whole) // 2 == -(-samples.size * pair[1] // pair[0])


@pytest.mark.parametrize("pair", PAIRS)
def test_ten_milliseconds_in_are_ten_milliseconds_out(pair: tuple[int, int]) -> None:
    resampler = Resampler(*pair)
    if pair[0] % 100 or pair[1] % 100:
        twenty = [len(resampler.process(bytes(pair[0] // 50 * 2))) // 2 for _ in range(5)]
        assert twenty == [pair[1] // 50] * 5
        return
    lengths = [len(resampler.process(bytes(pair[0] // 100 * 2))) // 2 for _ in range(5)]
    assert lengths == [pair[1] // 100] * 5


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("frequency_hz", [200.0, 1000.0, 2700.0])
def test_a_tone_stays_a_tone(pair: tuple[int, int], frequency_hz: float) -> None:
    out = pcm_to_array(Resampler(*pair).process(tone(pair[0], frequency_hz)))[pair[1] // 10 :]
    assert residual_db(out, pair[1], frequency_hz) < -50
    assert abs(level_dbfs(out) - level_dbfs(pcm_to_array(tone(pair[0], frequency_hz)))) < 0.5


@pytest.mark.parametrize("pair", [p for p in PAIRS if p[0] > 1.2 * p[1]])
def test_what_the_target_cannot_hold_is_suppressed(pair: tuple[int, int]) -> None:
    stop_hz = min(0.56 * pair[1], 0.499 * pair[0])
    out = pcm_to_array(Resampler(*pair).process(tone(pair[0], stop_hz)))[pair[1] // 10 :]
    assert level_dbfs(out) < level_dbfs(pcm_to_array(tone(pair[0], stop_hz))) - 50


def test_the_delay_is_a_millisecond_at_most_at_the_rates_in_use() -> None:
    for pair in [(48_000, 16_000), (48_000, 24_000), (44_100, 16_000), (16_000, 24_000)]:
        resampler = Resampler(*pair)
        click = np.zeros(pair[0] // 10, dtype="<i2")
        click[0] = 30000
        peak = int(np.argmax(pcm_to_array(resampler.process(click.tobytes()))))
        assert abs(peak * 1000 / pair[1] - resampler.delay_ms) <= 1000 / pair[1]
        assert resampler.delay_ms <= 1.01


def test_equal_rates_are_left_untouched_and_reset_forgets() -> None:
    noise = np.random.default_rng(1).integers(-9000, 9000, 441).astype("<i2").tobytes()
    assert Resampler(24_000, 24_000).process(noise) == noise
    resampler = Resampler(44_100, 24_000)
    first = resampler.process(noise)
    assert resampler.process(noise) != first
    resampler.reset()
    assert resampler.process(noise) == first


def test_loud_sound_is_clipped_not_wrapped() -> None:
    square = np.repeat(np.array([32767, -32768], dtype="<i2"), 40).tobytes() * 10
    out = pcm_to_array(Resampler(48_000, 24_000).process(square))
    assert out.max() == 32767
    assert out.min() == -32768


def test_a_long_sound_takes_little_more_memory_than_itself() -> None:
    """One of our own sentences is converted within a step of the event loop."""
    samples = np.ones(5 * 24_000, np.int16)
    resampler = Resampler(24_000, 48_000)
    tracemalloc.start()
    try:
        result = resampler.process_array(samples)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(result) == 2 * len(samples)
    assert peak < 4 * result.nbytes


def test_unknown_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="11025"):
        Resampler(11025, 24_000)


def test_levels() -> None:
    assert level_dbfs(np.full(100, -32768, dtype=np.int16)) == pytest.approx(0.0)
    assert level_dbfs(np.zeros(100, dtype=np.int16)) == -100.0
    assert level_dbfs(np.zeros(0, dtype=np.int16)) == -100.0
    assert level_dbfs(pcm_to_array(tone(16_000, 440.0, peak=3276.8))) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("pair", [(48_000, 16_000), (16_000, 24_000), (44_100, 16_000)])
def test_single_precision_is_the_same_sound_to_120_db(pair: tuple[int, int]) -> None:
    sound = pcm_to_array(tone(pair[0], 1000))
    exact, single = Resampler(*pair), Resampler(*pair, single=True)
    chunks = np.array_split(sound, 7)
    wanted = np.concatenate([exact.process_array(chunk) for chunk in chunks])
    got = np.concatenate([single.process_array(chunk) for chunk in chunks])
    assert got.dtype == np.float32
    assert np.abs(got - wanted).max() < 16000 * 10 ** (-120 / 20)
