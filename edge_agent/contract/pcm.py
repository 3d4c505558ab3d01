"""PCM: the one sound format inside the program, and its arithmetic.

It must never import numpy or know a device. All sound between rooms is 16-bit signed little-endian
mono in `bytes`.
"""

from __future__ import annotations

WIRE_RATE_HZ = 24_000
"""The only PCM rate the Realtime GA protocol takes and gives (PROTOCOL section 4.1)."""

FRAME_MS = 10
"""One heard frame: the step of canceller and wake model, the shortest webrtcvad takes."""

BYTES_PER_SAMPLE = 2
WIRE_FRAME_SAMPLES = WIRE_RATE_HZ * FRAME_MS // 1000
WIRE_FRAME_BYTES = WIRE_FRAME_SAMPLES * BYTES_PER_SAMPLE
WIRE_BYTES_PER_MS = WIRE_RATE_HZ * BYTES_PER_SAMPLE // 1000
SILENT_FRAME = bytes(WIRE_FRAME_BYTES)
"""One wire frame of digital silence."""


def ms_to_samples(ms: float, rate_hz: int = WIRE_RATE_HZ) -> int:
    """Samples in `ms` milliseconds at `rate_hz`, rounded to the nearest sample."""
    return round(ms * rate_hz / 1000)


def samples_to_ms(samples: int, rate_hz: int = WIRE_RATE_HZ) -> float:
    """Milliseconds that `samples` last at `rate_hz`."""
    return samples * 1000 / rate_hz


def bytes_to_ms(length: int, rate_hz: int = WIRE_RATE_HZ) -> float:
    """Milliseconds that `length` bytes of PCM16 mono last at `rate_hz`."""
    return length / BYTES_PER_SAMPLE * 1000 / rate_hz


def silence(ms: float, rate_hz: int = WIRE_RATE_HZ) -> bytes:
    """Digital silence of `ms` milliseconds."""
    return bytes(ms_to_samples(ms, rate_hz) * BYTES_PER_SAMPLE)


def whole_samples(pcm: bytes) -> bytes:
    """`pcm` without a trailing half sample, which a careless peer may send."""
    return pcm[: len(pcm) - len(pcm) % BYTES_PER_SAMPLE]
