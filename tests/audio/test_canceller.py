"""The canceller: what it takes away, what it leaves, and how it is moved along."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import FloatArray, babble, echo_of, room_noise

from edge_agent.audio.cancel.canceller import (
    BINS,
    BLOCK,
    PARTITIONS,
    RATE_HZ,
    WINDOW,
    Canceller,
    Float32Array,
)


def decibel(ratio: float) -> float:
    return float(10 * np.log10(ratio))


def power(samples: FloatArray | Float32Array) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64))) + 1e-18


def unit(samples: FloatArray) -> Float32Array:
    return (samples / 32768.0).astype(np.float32)


def cancel(canceller: Canceller, microphone: Float32Array, far: Float32Array) -> Float32Array:
    return np.concatenate(
        [
            canceller.process(microphone[i : i + BLOCK], far[i : i + BLOCK]).residual
            for i in range(0, far.size - BLOCK + 1, BLOCK)
        ]
    )


@pytest.mark.parametrize("delay_ms", [5, 60])
def test_it_learns_the_room(delay_ms: int) -> None:
    far = babble(8, RATE_HZ, seed=1)
    microphone = unit(echo_of(far, RATE_HZ, delay_ms, gain=0.5) + room_noise(far.size, 2))
    canceller = Canceller()
    out = cancel(canceller, microphone, unit(far))
    last = slice(5 * RATE_HZ, None)
    assert decibel(power(microphone[last]) / power(out[last])) > 12
    assert canceller.erle_db > 10
    assert canceller.echo_starts == pytest.approx(delay_ms * RATE_HZ / 1000, abs=2)
    assert -11 < canceller.strength_db < -8


def test_a_block_is_what_it_says() -> None:
    far = babble(2, RATE_HZ, seed=1, pauses=False)
    microphone = unit(echo_of(far, RATE_HZ, 5) + room_noise(far.size, 2))
    canceller = Canceller()
    cancel(canceller, microphone[:-BLOCK], unit(far)[:-BLOCK])
    done = canceller.process(microphone[-BLOCK:], unit(far)[-BLOCK:])
    *parts, spectra = done
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    assert spectra.dtype == np.complex64
    assert spectra.shape == (4, BINS)
    assert [part.size for part in parts] == [BLOCK] * 4 + [BINS]
    assert np.allclose(done.microphone - done.echo, done.residual, atol=1e-7)
    assert np.array_equal(done.reference, unit(far)[-BLOCK:])
    assert np.all(done.uncertainty > 0)
    for row, sound in ((0, unit(far)), (1, microphone)):
        wanted = np.fft.rfft(WINDOW * sound[-2 * BLOCK :], norm="forward")
        assert np.abs(spectra[row] - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert np.allclose(spectra[1] - spectra[2], spectra[3], atol=1e-7)
    # Powers agree with those of the sound itself, as the window's mean square is a half.
    left = float(np.sum(np.abs(spectra[2]) ** 2)) * 2 / 0.5
    assert decibel(left / power(done.residual)) == pytest.approx(0, abs=4)


def test_its_own_doubt_shrinks_as_it_learns() -> None:
    ours = babble(6, RATE_HZ, seed=1, pauses=False)
    far, microphone = unit(ours), unit(echo_of(ours, RATE_HZ, 5) + room_noise(ours.size, 2))
    canceller = Canceller()
    doubt = [
        float(canceller.process(microphone[i : i + BLOCK], far[i : i + BLOCK]).uncertainty.sum())
        / (float(far[i : i + BLOCK] @ far[i : i + BLOCK]) + 1e-6)
        for i in range(0, far.size - BLOCK + 1, BLOCK)
    ]
    assert np.median(doubt[5:30]) > 5 * np.median(doubt[-100:])


def test_the_words_spoken_over_our_voice_stay_whole() -> None:
    far = babble(12, RATE_HZ, seed=3)
    near = babble(12, RATE_HZ, seed=4, pitch_hz=190)
    near[: 6 * RATE_HZ] = 0.0
    echo = echo_of(far, RATE_HZ, 20)
    heard = unit(echo + near + room_noise(far.size, 5))
    out = cancel(Canceller(), heard, unit(far)) * 32768.0
    talk = slice(7 * RATE_HZ, None)
    error_before = decibel(power(near[talk]) / power(echo[talk]))
    error_after = decibel(power(near[talk]) / power(out[talk] - near[talk]))
    assert error_after - error_before > 8


def test_silence_teaches_nothing_wrong() -> None:
    canceller = Canceller()
    noise = unit(room_noise(RATE_HZ, 6, rms=300.0))
    assert np.array_equal(cancel(canceller, noise, np.zeros(RATE_HZ, np.float32)), noise)
    assert canceller.erle_db == 0.0


def test_what_is_learned_moves_along_with_the_reference() -> None:
    """In the middle of sound and without a gap: the next block is cancelled as well as the last."""
    far = babble(12, RATE_HZ, seed=7, pauses=False)
    microphone = unit(echo_of(far, RATE_HZ, 65) + room_noise(far.size, 8))
    played = unit(far)
    half = 8 * RATE_HZ
    canceller = Canceller()
    cancel(canceller, microphone[:half], played[:half])
    assert canceller.echo_starts == pytest.approx(65 * RATE_HZ / 1000, abs=2)
    blocks = 5
    moved = np.concatenate((np.zeros(blocks * BLOCK, np.float32), played))[: played.size]
    canceller.move(blocks, moved[half - (PARTITIONS + 1) * BLOCK : half])
    assert canceller.echo_starts == pytest.approx(15 * RATE_HZ / 1000, abs=2)
    soon = slice(half, half + RATE_HZ // 2)
    out = cancel(canceller, microphone[soon], moved[soon])
    assert decibel(power(microphone[soon]) / power(out)) > 12
    canceller.move(-blocks, played[soon.stop - (PARTITIONS + 1) * BLOCK : soon.stop])
    assert canceller.echo_starts == pytest.approx(65 * RATE_HZ / 1000, abs=2)
    later = slice(soon.stop, soon.stop + RATE_HZ // 2)
    out = cancel(canceller, microphone[later], played[later])
    assert decibel(power(microphone[later]) / power(out)) > 12


def test_a_sample_too_many_is_learned_again_quickly() -> None:
    far = babble(10, RATE_HZ, seed=9, pauses=False)
    microphone = unit(echo_of(far, RATE_HZ, 10) + room_noise(far.size, 8))
    half = 6 * RATE_HZ
    erle = []
    for doubts in (False, True):
        canceller = Canceller()
        cancel(canceller, microphone[:half], unit(far)[:half])
        if doubts:
            canceller.doubt()
        late = microphone[half - 24 : -24]
        out = cancel(canceller, late, unit(far)[half:])
        soon = slice(RATE_HZ // 5, RATE_HZ)
        erle.append(decibel(power(late[soon]) / power(out[soon])))
    assert erle[1] > erle[0] + 1.5


@pytest.mark.parametrize("kind", ["zeros", "clipped", "bursts", "infinite echo"])
def test_bad_sound_leaves_it_able_to_learn(kind: str) -> None:
    ours = babble(8, RATE_HZ, seed=1, pauses=False)
    far, good = unit(ours), unit(echo_of(ours, RATE_HZ, 5) + room_noise(ours.size, 2))
    bad = {
        "zeros": np.zeros(far.size, np.float32),
        "clipped": np.clip(good * 100, -1, 1),
        "bursts": good * (np.arange(far.size) // 2000 % 2).astype(np.float32),
        "infinite echo": np.where(np.arange(far.size) % 2, 1, -1).astype(np.float32),
    }[kind]
    canceller = Canceller()
    half = 2 * RATE_HZ
    assert np.all(np.isfinite(cancel(canceller, bad[:half], far[:half])))
    out = cancel(canceller, good[half:], far[half:])
    assert np.all(np.isfinite(out))
    assert decibel(power(good[-2 * RATE_HZ :]) / power(out[-2 * RATE_HZ :])) > 8
