"""Sound check: a known sound is played, and what the microphone made of it is measured.

Call `chirp` for the sound, give every block of both directions to a `Recording`, then `measure` it.
The delay is the one that is left after the device's own time stamps, so that it is what an echo
canceller has to bridge.

Thread: `heard` and `played` run in the device's callbacks and only append; the rest blocks for some
100 ms and belongs on a worker.  It must never keep more than `LONGEST_S`, nor write sound anywhere:
a recording is dropped with its measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import log10

import numpy as np

from edge_agent.audio.detectors import DETECTOR_RATE_HZ, FRAME_BYTES, WakeDetector
from edge_agent.audio.resample import (
    AnyFloatArray,
    Int16Array,
    Resampler,
    array_to_pcm,
    pcm_to_array,
    to_int16,
)
from edge_agent.contract.pcm import WIRE_RATE_HZ

LONGEST_S = 12.0
CHIRP_S = 0.5
CHIRP_FROM_HZ, CHIRP_TO_HZ = 300.0, 5000.0
"""What small loudspeakers emit and rooms carry."""
CHIRP_PEAK = 0.5
PAUSE_S = 0.25
"""Between the sweep and the word."""
FLOOR = 6.0
"""Noise under a clip that is fed directly, as digital silence occurs in no room."""
EDGE_S = 0.02
"""Faded in and out: no click."""
EARLIEST_S, LATEST_S = -0.1, 1.0
"""Where an echo is looked for, around what the device's time stamps say."""
CLEAR_PEAK = 8.0
"""Peak of the correlation over its mean square root.  Without an echo it stays below 6; 10 dB below
the room's noise it is still 20."""
STEP_S = 0.02
CLIPPED_FROM = 32_700
FULL_SCALE = 32_768.0
SILENT_DBFS = -100.0

RESPONSE_BEFORE_MS, RESPONSE_MS = 10, 300
"""What is told of a room's response: from so long before the first echo, and how long in all."""
EVEN = 1e-3
"""Of the sweep's strongest power: where it has less, nothing is told of the room."""
THIRDS_HZ = (400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000)
"""Bands of a third of an octave that the sweep has the whole of."""
FAINTEST_DB = -120.0

Block = tuple[bytes, float]


class Recording:
    """Both directions of a device, for a few seconds."""

    def __init__(self) -> None:
        self.capture: list[Block] = []
        self.render: list[Block] = []
        self._began: float | None = None

    def heard(self, block: bytes, at: float) -> None:
        """A block of the microphone's; never blocks, never raises."""
        if self._is_short(at):
            self.capture.append((block, at))

    def played(self, block: bytes, at: float) -> None:
        """A block for the loudspeaker, with the time at which it becomes audible."""
        if self._is_short(at):
            self.render.append((block, at))

    def _is_short(self, at: float) -> bool:
        if self._began is None:
            self._began = at
        return at - self._began < LONGEST_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What was found.  Levels are dBFS (root mean square)."""

    seconds: float
    """Of the microphone's sound; 0: it delivered nothing."""
    noise_dbfs: float
    """Of the room, before anything was played."""
    level_dbfs: float
    """While the test sound was in the room."""
    clipped: int
    """Samples at the limit."""
    is_heard: bool
    """The loudspeaker was heard by the microphone."""
    delay_ms: float
    echo_db: float
    """What came back, over what was played."""


def chirp() -> Int16Array:
    """The test sound, at 24 kHz: a sweep, whose correlation has one narrow peak."""
    count = round(CHIRP_S * WIRE_RATE_HZ)
    time = np.arange(count) / WIRE_RATE_HZ
    slope = (CHIRP_TO_HZ - CHIRP_FROM_HZ) / CHIRP_S
    sweep = np.sin(2 * np.pi * (CHIRP_FROM_HZ + slope * time / 2) * time)
    edge = round(EDGE_S * WIRE_RATE_HZ)
    shape = np.ones(count)
    shape[:edge] = np.sin(np.linspace(0, np.pi / 2, edge)) ** 2
    shape[-edge:] = shape[:edge][::-1]
    return to_int16(sweep * shape * CHIRP_PEAK * FULL_SCALE)


def trial_sound(clip: Int16Array, clip_rate_hz: int) -> bytes:
    """The sweep and then a clip, at 24 kHz."""
    spoken = to_int16(Resampler(clip_rate_hz, WIRE_RATE_HZ).process_array(clip))
    pause = np.zeros(round(PAUSE_S * WIRE_RATE_HZ), dtype=np.int16)
    return array_to_pcm(np.concatenate((chirp(), pause, spoken)))


def for_device(pcm24k: bytes, rate_hz: int, *, quiet_s: float, gain: float) -> bytes:
    """A sound at a device's rate, after so much silence."""
    sound = Resampler(WIRE_RATE_HZ, rate_hz).process_array(pcm_to_array(pcm24k))
    return array_to_pcm(
        to_int16(np.concatenate((np.zeros(round(quiet_s * rate_hz)), sound * gain)))
    )


def fed_directly(clip: Int16Array, clip_rate_hz: int) -> Int16Array:
    """A clip at 16 kHz with a second of a quiet room around it."""
    spoken = Resampler(clip_rate_hz, DETECTOR_RATE_HZ).process_array(clip)
    whole = np.pad(spoken, DETECTOR_RATE_HZ)
    return to_int16(whole + np.random.default_rng(1).standard_normal(whole.size) * FLOOR)


def measure(recording: Recording, capture_rate_hz: int, render_rate_hz: int) -> Measures:
    """Compare both directions."""
    heard, heard_at = _joined(recording.capture, capture_rate_hz)
    played, played_at = _joined(recording.render, render_rate_hz)
    clipped = int(np.count_nonzero(np.abs(heard) >= CLIPPED_FROM))
    sounding = np.flatnonzero(played)
    if not sounding.size or not heard.size:
        power = _power(heard) if heard.size else 0.0
        return Measures(
            seconds=heard.size / DETECTOR_RATE_HZ,
            noise_dbfs=_dbfs(power),
            level_dbfs=_dbfs(power),
            clipped=clipped,
            is_heard=False,
            delay_ms=0.0,
            echo_db=0.0,
        )
    first, last = int(sounding[0]), int(sounding[-1]) + 1
    sound = played[first:last]
    begin = round((played_at - heard_at) * DETECTOR_RATE_HZ) + first
    """Where it should begin in what was heard."""
    lag, is_heard = _lag(heard, sound, begin)
    quiet = heard[: max(0, begin + round(EARLIEST_S * DETECTOR_RATE_HZ))]
    noise = _median_power(quiet if quiet.size else heard)
    at = max(0, begin + (lag if is_heard else 0))
    loud = _power(heard[at : at + sound.size]) if at < heard.size else noise
    echo = max(loud - noise, 1e-3) / max(_power(sound), 1e-3)
    return Measures(
        seconds=heard.size / DETECTOR_RATE_HZ,
        noise_dbfs=_dbfs(noise),
        level_dbfs=_dbfs(loud),
        clipped=clipped,
        is_heard=is_heard,
        delay_ms=lag / DETECTOR_RATE_HZ * 1000 if is_heard else 0.0,
        echo_db=float(10 * np.log10(echo)) if is_heard else 0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """How loudspeaker, room and microphone answer, against what was played."""

    impulse_db: list[float]
    """Per millisecond, from `RESPONSE_BEFORE_MS` before the delay that was measured."""
    thirds_db: list[float]
    """Per band of `THIRDS_HZ`."""


def response(
    recording: Recording, capture_rate_hz: int, render_rate_hz: int, delay_ms: float
) -> Response:
    """What a sweep shows of the room, once `measure` has found it `delay_ms` late."""
    heard, heard_at = _joined(recording.capture, capture_rate_hz)
    played, played_at = _joined(recording.render, render_rate_hz)
    sounding = np.flatnonzero(played)
    first, last = int(sounding[0]), int(sounding[-1]) + 1
    size = 1 << (heard.size + last - first).bit_length()
    spectrum = np.fft.rfft(played[first:last], size)
    power = np.abs(spectrum) ** 2
    power_floor = EVEN * power.max()
    found = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(spectrum) / (power + power_floor), size)
    step = DETECTOR_RATE_HZ // 1000
    begin = round((played_at - heard_at) * DETECTOR_RATE_HZ) + first
    at = begin + round((delay_ms - RESPONSE_BEFORE_MS) * step)
    impulse = found[np.arange(at, at + RESPONSE_MS * step) % size]
    known = float(np.mean(power / (power + power_floor)))
    per_ms = np.sum(impulse.reshape(-1, step) ** 2, axis=1) / known
    gains = np.abs(np.fft.rfft(impulse, DETECTOR_RATE_HZ)) ** 2  # one bin per Hz
    thirds = [
        float(np.mean(gains[round(hz / 2 ** (1 / 6)) : round(hz * 2 ** (1 / 6))]))
        for hz in THIRDS_HZ
    ]
    return Response(impulse_db=_decibels(per_ms.tolist()), thirds_db=_decibels(thirds))


def _decibels(powers: list[float]) -> list[float]:
    return [round(max(FAINTEST_DB, 10 * log10(max(one, 1e-12))), 1) for one in powers]


def wake_score(detector: WakeDetector, word: str, sound: Int16Array) -> float:
    """The highest score of `word` in some sound at 16 kHz; the detector wakes above its cut-off."""
    detector.reset()
    best = 0.0
    pcm = array_to_pcm(sound)
    for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES):
        detector.process(pcm[at : at + FRAME_BYTES])
        best = max(best, detector.scores.get(word, 0.0))
    return best


def as_heard(recording: Recording, capture_rate_hz: int) -> Int16Array:
    """The microphone's side at 16 kHz, for the wake word's detector."""
    return to_int16(_joined(recording.capture, capture_rate_hz)[0])


def _joined(blocks: list[Block], rate_hz: int) -> tuple[AnyFloatArray, float]:
    """All of it at 16 kHz, and when its first sample was."""
    if not blocks:
        return np.zeros(0), 0.0
    starts = accumulate((len(block) // 2 for block, _ in blocks), initial=0)
    stamps = [at - start / rate_hz for (_, at), start in zip(blocks, starts, strict=False)]
    resampler = Resampler(rate_hz, DETECTOR_RATE_HZ)
    whole = resampler.process_array(pcm_to_array(b"".join(block for block, _ in blocks)))
    # The mean of stamps that jitter, and none of those that a late callback gave.
    return whole, float(np.median(stamps)) - resampler.delay_ms / 1000


def _lag(heard: AnyFloatArray, sound: AnyFloatArray, begin: int) -> tuple[int, bool]:
    """Samples from where the sound should begin to where it does, and whether that is sure."""
    size = 1 << (heard.size + sound.size).bit_length()
    cross = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sound, size))
    weight = np.abs(cross)
    # Whitened (PHAT): one narrow peak, whatever room and loudspeaker do to the colour.
    found = np.fft.irfft(cross / np.maximum(weight, weight.max() * 1e-4 + 1e-12), size)
    offsets = np.arange(
        begin + round(EARLIEST_S * DETECTOR_RATE_HZ), begin + round(LATEST_S * DETECTOR_RATE_HZ)
    )
    window = found[offsets % size]
    peak = int(np.argmax(window))
    spread = float(np.sqrt(np.mean(found**2)))
    return int(offsets[peak]) - begin, bool(window[peak] > CLEAR_PEAK * max(spread, 1e-12))


def _median_power(sound: AnyFloatArray) -> float:
    step = round(STEP_S * DETECTOR_RATE_HZ)
    whole = sound[: sound.size // step * step]
    if not whole.size:
        return _power(sound)
    return float(np.median(np.mean(whole.reshape(-1, step) ** 2, axis=1)))


def _power(sound: AnyFloatArray) -> float:
    return float(np.mean(sound**2)) if sound.size else 0.0


def _dbfs(power: float) -> float:
    if power <= 0.0:
        return SILENT_DBFS
    return max(SILENT_DBFS, float(10 * np.log10(power / FULL_SCALE**2)))
