"""G.711 for clients that ask for telephone audio.

It must never be on the path of `audio/pcm`, which passes through untouched. Tables follow ITU-T
G.711; the rate change is a plain factor 3 (8 ↔ 24 kHz), good enough for a server that only listens
for speech and plays back what it heard.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[Any, np.dtype[Any]]

RATE_FACTOR = 3  # 24 kHz inside, 8 kHz on the wire
MU_LAW_BIAS = 132  # G.711: 33 in units of 14 bits, times 4


def _mu_law_value(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + MU_LAW_BIAS) << ((code & 0x70) >> 4)
    magnitude -= MU_LAW_BIAS
    return -magnitude if code & 0x80 else magnitude


def _a_law_value(code: int) -> int:
    code ^= 0x55
    exponent = (code & 0x70) >> 4
    magnitude = (code & 0x0F) << 4
    magnitude = magnitude + 8 if exponent == 0 else (magnitude + 0x108) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


@functools.cache
def _tables(kind: str) -> tuple[Samples, Samples]:
    """(256 sample values by code, 65 536 codes by sample value + 32 768)."""
    import numpy as np

    value = _mu_law_value if kind == "audio/pcmu" else _a_law_value
    decode = np.array([value(code) for code in range(256)], dtype=np.int32)
    order = np.argsort(decode, kind="stable")
    levels = decode[order]
    edges = (levels[1:] + levels[:-1]) / 2
    nearest = np.searchsorted(edges, np.arange(-32_768, 32_768))
    return decode.astype(np.int16), order[nearest].astype(np.uint8)


def sample_bytes(kind: str) -> int:
    """Bytes per sample of a wire format (`audio/pcm`, `audio/pcmu`, `audio/pcma`)."""
    return 2 if kind == "audio/pcm" else 1


def to_pcm24k(kind: str, data: bytes) -> bytes:
    """Wire bytes → PCM16 mono 24 kHz."""
    if kind == "audio/pcm" or not data:
        return data
    import numpy as np

    narrow = _tables(kind)[0][np.frombuffer(data, dtype=np.uint8)]
    places = np.arange(len(narrow) * RATE_FACTOR) / RATE_FACTOR
    wide = np.interp(places, np.arange(len(narrow)), narrow.astype(np.float64))
    return bytes(wide.astype("<i2").tobytes())


def from_pcm24k(kind: str, pcm24k: bytes) -> bytes:
    """PCM16 mono 24 kHz → wire bytes; a rest shorter than one 8 kHz sample is dropped."""
    if kind == "audio/pcm":
        return pcm24k
    import numpy as np

    wide = np.frombuffer(pcm24k[: len(pcm24k) // 2 * 2], dtype="<i2").astype(np.int32)
    whole = wide[: len(wide) // RATE_FACTOR * RATE_FACTOR].reshape(-1, RATE_FACTOR)
    narrow = whole.mean(axis=1).astype(np.int32)
    return bytes(_tables(kind)[1][narrow + 32_768].tobytes())
