"""One spoken item on its way to the loudspeaker, and the account of what was emitted.

Thread: `convert` and `finish` belong to the loop (they compute); everything else is a short copy
which `playout` and `renderer` make under their lock.  It must never know a device or read a clock.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from math import ceil

import numpy as np

from edge_agent.audio.resample import Int16Array, Resampler, array_to_pcm, pcm_to_array
from edge_agent.contract.pcm import BYTES_PER_SAMPLE, WIRE_RATE_HZ, samples_to_ms

FLUSH_MARGIN_SAMPLES = 2
"""Zeros beyond the filter's delay, so that rounding never costs the last sample."""

NO_SOUND: Int16Array = np.zeros(0, dtype=np.int16)


class Converter:
    """Streaming conversion that neither shifts nor loses a sample.

    The filter's delay is cut off at the front and flushed out at the end: `n` samples in are
    `ceil(n · to/from)` samples out once `finish` was called.  Bytes may be cut anywhere, also
    inside a sample.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._resampler = Resampler(from_hz, to_hz)
        self._from_hz = from_hz
        self._to_hz = to_hz
        self._skip = round(self._resampler.delay_ms * to_hz / 1000)
        self._flush = ceil(self._resampler.delay_ms * from_hz / 1000)
        self._half_sample = b""
        self._given = 0
        self.received = 0

    def feed(self, pcm: bytes) -> Int16Array:
        """Convert the next piece; the result may be a little late, never wrong."""
        pcm = self._half_sample + pcm
        whole = len(pcm) - len(pcm) % BYTES_PER_SAMPLE
        self._half_sample = pcm[whole:]
        self.received += whole // BYTES_PER_SAMPLE
        return self._convert(pcm[:whole])

    def finish(self) -> Int16Array:
        """Return the samples which the filter still holds."""
        self._half_sample = b""
        missing = ceil(self.received * self._to_hz / self._from_hz) - self._given
        if missing <= 0:
            return NO_SOUND
        zeros = self._flush + FLUSH_MARGIN_SAMPLES * max(1, ceil(self._from_hz / self._to_hz))
        return self._convert(bytes(zeros * BYTES_PER_SAMPLE))[:missing]

    def _convert(self, pcm: bytes) -> Int16Array:
        samples = pcm_to_array(self._resampler.process(pcm))
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        samples = samples[skipped:]
        self._given += len(samples)
        return samples


def convert_whole(pcm: bytes, from_hz: int, to_hz: int) -> Int16Array:
    """Convert a sound that is complete: length `ceil(n · to/from)`, no delay."""
    converter = Converter(from_hz, to_hz)
    return np.concatenate((converter.feed(pcm), converter.finish()))


class Kind(Enum):
    """Who speaks."""

    VOICE = "voice"
    SENTENCE = "sentence"
    TEXT = "text"


class Item:
    """Sound of one item: queue at the device rate, and how much of it was rendered."""

    def __init__(self, name: str, kind: Kind, rate_hz: int) -> None:
        self.name = name
        self.kind = kind
        self.rate_hz = rate_hz
        self.queued = 0
        self.rendered = 0
        self.ended = False
        self.overflowed = False
        """The buffer was full: the rest of this item is dropped, so that it has no hole."""
        self.waiting = 0
        """Frames it has kept the loudspeaker waiting for, since it last gave sound."""
        self.dry = False
        """It had begun and then ran out of sound before its end."""
        self.late = False
        """Sound came after it had run dry: there is an audible hole."""
        self.least_gain = 0.0
        """It sounds no softer than this, whatever the volume."""
        self.announced = False
        """It was found ready to begin, and a sleepy sink is being woken for it if need be."""
        self.silent_since = 0.0
        """Loop time at which its last rendered sample ends at the loudspeaker."""
        self._chunks: deque[Int16Array] = deque()
        self._converter = Converter(WIRE_RATE_HZ, rate_hz)
        self._earlier_ms = 0.0
        self._earlier_received = 0

    @property
    def begun(self) -> bool:
        """The loudspeaker has emitted some of it."""
        return self.rendered > 0 or self._earlier_ms > 0

    @property
    def played_ms(self) -> float:
        """Milliseconds that were emitted, never more than were received."""
        played_ms = self._earlier_ms + samples_to_ms(self.rendered, self.rate_hz)
        received = self._earlier_received + self._converter.received
        return min(played_ms, samples_to_ms(received, WIRE_RATE_HZ))

    def convert(self, pcm24k: bytes) -> Int16Array:
        """Loop only: wire sound → device rate."""
        return self._converter.feed(pcm24k)

    def finish(self) -> Int16Array:
        """Loop only: what the converter still holds, at the item's end."""
        return self._converter.finish()

    def append(self, samples: Int16Array) -> None:
        """Queue converted samples."""
        if len(samples):
            self._chunks.append(samples)
            self.queued += len(samples)

    def take(self, frames: int) -> Int16Array:
        """Return up to `frames` queued samples and write them into the ledger."""
        wanted = min(frames, self.queued)
        parts: list[Int16Array] = []
        left = wanted
        while left:
            chunk = self._chunks.popleft()
            if len(chunk) > left:
                self._chunks.appendleft(chunk[left:])
                chunk = chunk[:left]
            parts.append(chunk)
            left -= len(chunk)
        self.queued -= wanted
        self.rendered += wanted
        return parts[0] if len(parts) == 1 else np.concatenate([NO_SOUND, *parts])

    def retune(self, rate_hz: int) -> None:
        """Go on at another device rate; nothing is lost, the ledger goes on counting."""
        if rate_hz == self.rate_hz:
            return
        if not self.ended:
            self.append(self._converter.finish())
        left = np.concatenate([NO_SOUND, *self._chunks])
        self._earlier_ms += samples_to_ms(self.rendered, self.rate_hz)
        self._earlier_received += self._converter.received
        converted = convert_whole(array_to_pcm(left), self.rate_hz, rate_hz)
        self.rate_hz, self.rendered, self.queued = rate_hz, 0, 0
        self._chunks.clear()
        self._converter = Converter(WIRE_RATE_HZ, rate_hz)
        self.append(converted)
