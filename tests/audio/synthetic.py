"""Speech-like signals, an echo path and the shipped clips, for the tests of this room."""

from __future__ import annotations

import wave
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.audio.resample import Resampler, pcm_to_array

FloatArray = NDArray[np.float64]


def babble(
    seconds: float, rate_hz: int, seed: int, pitch_hz: float = 120.0, pauses: bool = True
) -> FloatArray:
    """Voiced syllables: a pitch train through moving formants, with pauses; RMS about 3000.

    Not a language, but periodic, formant-shaped and syllabic, which is what voice detectors and
    echo cancellers look at.
    """
    rng = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    moment = np.arange(count) / rate_hz
    out = np.zeros(count)
    start = 0.0
    while start < seconds:
        length = rng.uniform(0.12, 0.3)
        piece = (moment >= start) & (moment < start + length)
        local = moment[piece] - start
        if local.size > 2:
            f0 = pitch_hz * rng.uniform(0.85, 1.25) * (1 - 0.3 * local)
            phase = 2 * np.pi * np.cumsum(f0) / rate_hz
            formants = rng.uniform((300, 900, 2200), (800, 2000, 3200))
            for harmonic in range(1, int(min(5000, 0.45 * rate_hz) / pitch_hz)):
                frequency = harmonic * pitch_hz
                gain = np.sum(1 / (1 + ((frequency - formants) / 120.0) ** 2)) + 0.01
                out[piece] += gain * np.sin(harmonic * phase + rng.uniform(0, 6.28))
            out[piece] *= np.sin(np.pi * local / length) ** 0.5
            out[piece] += rng.normal(0, 0.02, local.size)
        fluent = rng.random() < 0.85 or not pauses
        start += length + (rng.uniform(0.02, 0.1) if fluent else rng.uniform(0.2, 0.5))
    return out / float(np.sqrt(np.mean(out**2))) * 3000.0


def echo_path(rate_hz: int, delay_ms: float, seed: int, rt60_s: float = 0.35) -> FloatArray:
    """Impulse response: a delay, a direct sound and a decaying noise tail; unit energy."""
    rng = np.random.default_rng(seed)
    tail = np.arange(round(rt60_s * rate_hz)) / rate_hz
    response = rng.normal(0, 1, tail.size) * 10 ** (-3 * tail / rt60_s)
    response[0] = 6.0
    response /= np.sqrt(np.sum(response**2))
    return np.concatenate((np.zeros(round(delay_ms * rate_hz / 1000)), response))


def echo_of(
    far: FloatArray, rate_hz: int, delay_ms: float, seed: int = 5, gain: float = 1.0
) -> FloatArray:
    """The far end as the microphone hears it: soft clipping, then the room."""
    driven = 8000.0 * np.tanh(far / 8000.0)
    response = echo_path(rate_hz, delay_ms, seed) * gain
    size = 1 << (far.size + response.size - 1).bit_length()
    spectrum = np.fft.rfft(driven, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: far.size]


def room_noise(count: int, seed: int, rms: float = 12.0) -> FloatArray:
    """A quiet room."""
    return np.random.default_rng(seed).normal(0, rms, count)


def pcm(samples: FloatArray) -> bytes:
    """As PCM16."""
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def clip(name: str, rate_hz: int) -> FloatArray:
    """One of the spoken clips shipped with the simulation, at the given rate."""
    path = Path(str(files("edge_agent.simulation") / "assets" / f"{name}.wav"))
    with wave.open(str(path)) as sound:
        own_hz = sound.getframerate()
        samples = pcm_to_array(sound.readframes(sound.getnframes()))
    return np.asarray(Resampler(own_hz, rate_hz).process_array(samples), np.float64)
