"""Speech that carries its own number, so that one can read back what reached whom.

Every 10 ms are a voiced sound (200 Hz, so that the server's own voice detector hears speech) whose
first four samples say which utterance or answer they belong to and which piece of it they are.  It
must never need to know how the sound was cut up on its way.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cache

import numpy as np

from edge_agent.contract.pcm import WIRE_FRAME_BYTES, WIRE_FRAME_SAMPLES

_MARK = (12_345, -12_321)
"""Two samples in a row that neither the voice nor the room ever has."""

_PERIOD_SAMPLES = 120
_LEVEL = 6_000

ROOM_FRAMES = 50
"""Half a second of room, again and again."""


@cache
def _carrier() -> np.ndarray:
    time = np.arange(WIRE_FRAME_SAMPLES) * (2 * np.pi / _PERIOD_SAMPLES)
    voice = sum(np.sin(time * harmonic) / harmonic for harmonic in range(1, 8))
    carrier: np.ndarray = np.rint(_LEVEL * voice / 1.9).astype("<i2")
    return carrier


def spoken_frame(number: int, index: int) -> bytes:
    """10 ms of utterance (or answer) `number`: its piece `index`, 24 kHz PCM16."""
    frame = _carrier().copy()
    frame[:4] = (*_MARK, number, index)
    return frame.tobytes()


def spoken(number: int, frames: int) -> bytes:
    """All of an utterance or answer."""
    whole = np.tile(_carrier(), (frames, 1))
    whole[:, 0], whole[:, 1], whole[:, 2] = *_MARK, number
    whole[:, 3] = np.arange(frames)
    return whole.tobytes()


def read(pcm24k: bytes) -> dict[int, set[int]]:
    """Number → pieces of it that are in this sound, in the order in which they begin."""
    samples = np.frombuffer(pcm24k[: len(pcm24k) // 2 * 2], dtype="<i2")
    starts = np.flatnonzero((samples[:-3] == _MARK[0]) & (samples[1:-2] == _MARK[1]))
    found: dict[int, set[int]] = {}
    for start in starts:
        found.setdefault(int(samples[start + 2]), set()).add(int(samples[start + 3]))
    return found


def numbers(pcm24k: bytes) -> set[int]:
    """Numbers of which there is something in this sound; quick for a single frame."""
    if len(pcm24k) == WIRE_FRAME_BYTES:
        *mark, number = struct.unpack_from("<3h", pcm24k)
        return {number} if tuple(mark) == _MARK else set()
    return set(read(pcm24k))


def read_all(pieces: Iterable[bytes]) -> dict[int, set[int]]:
    """As `read`, of several sounds."""
    found: dict[int, set[int]] = {}
    for pcm24k in pieces:
        for number, indices in read(pcm24k).items():
            found.setdefault(number, set()).update(indices)
    return found


@cache
def room_frames() -> tuple[bytes, ...]:
    """Frames of a quiet room (about -70 dBFS)."""
    noise = np.random.default_rng(1).normal(0, 10, (ROOM_FRAMES, WIRE_FRAME_SAMPLES))
    return tuple(np.rint(frame).astype("<i2").tobytes() for frame in noise)
