"""The server's own voice activity detection, in the time of the audio it is given.

Thread: the event loop that serves the session.  It must never read a clock: positions are sample
counts, so that it works the same at any speed.

A frame of 10 ms is *loud* when it stands above the noise floor (the lowest level of the last four
seconds) and *voiced* when its waveform repeats at a speaking pitch.  Speech starts with enough loud
frames of which some are voiced, so neither noise nor a click starts it; it ends after a silence of
frames that are not loud, whatever they are.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[Any, np.dtype[np.float32]]

RATE_HZ = 24_000
FRAME_SAMPLES = 240  # 10 ms: finer than any silence that a client can ask for
FRAME_MS = 10
ONSET_WINDOW_FRAMES = 12  # 120 ms looked at for an onset …
ONSET_LOUD_FRAMES = 8  # … of which 80 ms must be loud: longer than a click or a knock
ONSET_VOICED_FRAMES = 3  # … and 30 ms voiced: one short vowel
FLOOR_BLOCK_FRAMES = 10  # the floor is kept as minima of 100 ms …
FLOOR_BLOCKS = 40  # … over 4 s: longer than people speak without a breath
FLOOR_CEILING_DB = -48.0  # a stream may begin in mid-word; until it paused, assume a quiet room
FLOOR_TRUSTED_FRAMES = 40  # after 400 ms there was a pause between syllables, if it was speech
DIGITAL_SILENCE_POWER = 1e-9  # half of the last bit: put in by the client, not a room's sound
QUIETEST_SPEECH_DB = -66.0  # RMS of speech whose peaks are near -45 dBFS, with some room
MARGIN_DB_AT_0 = 4.0  # loud = floor + 4 dB at threshold 0 …
MARGIN_DB_PER_UNIT = 8.0  # … 8 dB at the default 0.5, 12 dB at 1
STAY_LESS_DB = 3.0  # hysteresis: what is already speech may be this much quieter
PITCH_LAGS = (20, 114)  # at 8 kHz: 400 … 70 Hz, the pitch of voices
PITCH_WINDOW_FRAMES = 3  # 30 ms: two periods of the lowest pitch
VOICED_AT_0 = 0.4  # similarity of one period with the next, at threshold 0
VOICED_PER_UNIT = 0.2


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech began at `sample` (absolute); known at the end of the audio fed so far."""

    sample: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Silence long enough was seen by `sample` (absolute, silence included)."""

    sample: int


class EnergyVad:
    """Feed it PCM16 mono 24 kHz in any portions; it answers with starts and stops in order."""

    def __init__(self, threshold: float, silence_ms: int, *, at_sample: int = 0) -> None:
        self._margin_db = MARGIN_DB_AT_0 + MARGIN_DB_PER_UNIT * threshold
        self._voiced_min = VOICED_AT_0 + VOICED_PER_UNIT * threshold
        self._silence_frames = max(1, silence_ms // FRAME_MS)
        self._position = at_sample
        self._rest = b""
        self._recent: deque[tuple[bool, bool]] = deque(maxlen=ONSET_WINDOW_FRAMES)
        self._tail: deque[Samples] = deque(maxlen=PITCH_WINDOW_FRAMES)
        self._powers: deque[float] = deque(maxlen=3)
        self._floor_blocks: deque[float] = deque(maxlen=FLOOR_BLOCKS)
        self._floor_now = 0.0
        self._floor_db = 0.0
        self._knows_room = False
        self._frames = 0
        self._quiet_frames = 0
        self.in_speech = False

    def configure(self, threshold: float, silence_ms: int) -> None:
        """Change threshold (0…1) and silence (ms); what was learnt of the room stays."""
        self._margin_db = MARGIN_DB_AT_0 + MARGIN_DB_PER_UNIT * threshold
        self._voiced_min = VOICED_AT_0 + VOICED_PER_UNIT * threshold
        self._silence_frames = max(1, silence_ms // FRAME_MS)

    def end_speech(self) -> None:
        """Forget a running utterance: the client committed or cleared it by hand."""
        self.in_speech = False
        self._recent.clear()
        self._quiet_frames = 0

    def feed(self, pcm24k: bytes) -> list[SpeechStarted | SpeechStopped]:
        """Take the next audio; return what was noticed in it."""
        import numpy as np

        data = self._rest + pcm24k
        count = len(data) // (2 * FRAME_SAMPLES)
        self._rest = data[count * 2 * FRAME_SAMPLES :]
        if not count:
            return []
        whole = np.frombuffer(data, dtype="<i2", count=count * FRAME_SAMPLES)
        frames = whole.reshape(count, FRAME_SAMPLES).astype(np.float32) / 32_768
        powers = np.var(frames, axis=1)
        noticed: list[SpeechStarted | SpeechStopped] = []
        for frame, power in zip(frames, powers, strict=True):
            self._position += FRAME_SAMPLES
            event = self._frame(frame, float(power))
            if event is not None:
                noticed.append(event)
        return noticed

    def _frame(self, frame: Samples, power: float) -> SpeechStarted | SpeechStopped | None:
        level_db = _decibel(power)
        floor_db = self._floor(power)
        self._tail.append(frame)
        needed = max(QUIETEST_SPEECH_DB, floor_db + self._margin_db)
        if self.in_speech:
            loud = level_db > needed - STAY_LESS_DB
            self._quiet_frames = 0 if loud else self._quiet_frames + 1
            if self._quiet_frames < self._silence_frames:
                return None
            self.end_speech()
            return SpeechStopped(self._position)
        loud = level_db > needed
        self._recent.append((loud, loud and self._voiced()))
        if (
            sum(is_loud for is_loud, _ in self._recent) < ONSET_LOUD_FRAMES
            or sum(is_voiced for _, is_voiced in self._recent) < ONSET_VOICED_FRAMES
        ):
            return None
        first = next(index for index, (is_loud, _) in enumerate(self._recent) if is_loud)
        onset = self._position - (len(self._recent) - first) * FRAME_SAMPLES
        self.in_speech = True
        self._recent.clear()
        self._quiet_frames = 0
        return SpeechStarted(onset)

    def _floor(self, power: float) -> float:
        """The room's level in dB (lowest smoothed level of the last seconds)."""
        if power > DIGITAL_SILENCE_POWER:
            self._knows_room = True
        elif self._knows_room:
            # A client that mutes itself for a moment does not make the room quieter.
            return self._floor_db
        self._powers.append(power)
        smooth_db = _decibel(sum(self._powers) / len(self._powers))
        if self._frames % FLOOR_BLOCK_FRAMES == 0:
            if self._frames:
                self._floor_blocks.append(self._floor_now)
            self._floor_now = smooth_db
        self._floor_now = min(self._floor_now, smooth_db)
        self._frames += 1
        floor_db = min([self._floor_now, *self._floor_blocks])
        if self._frames < FLOOR_TRUSTED_FRAMES:
            floor_db = min(floor_db, FLOOR_CEILING_DB)
        self._floor_db = floor_db
        return floor_db

    def _voiced(self) -> bool:
        """Whether the last 30 ms repeat themselves at a speaking pitch."""
        import numpy as np

        if len(self._tail) < PITCH_WINDOW_FRAMES:
            return False
        window = np.concatenate(self._tail)
        # 8 kHz is enough for pitch; the difference takes rumble and the tilt of pink noise away.
        narrow = np.diff(window.reshape(-1, 3).mean(axis=1))
        narrow = narrow - narrow.mean()
        size = len(narrow)
        products = np.correlate(narrow, narrow, mode="full")[size - 1 :]
        energy = np.concatenate(([0.0], np.cumsum(narrow * narrow)))
        lags = np.arange(*PITCH_LAGS)
        both = energy[size - lags] * (energy[size] - energy[lags])
        similar = products[lags] / np.sqrt(np.maximum(both, 1e-20))
        return bool(similar.max() > self._voiced_min)


def _decibel(power: float) -> float:
    return 10.0 * math.log10(power + 1e-12)


def speech_only(pcm24k: bytes, *, keep_ms: int = 60) -> bytes:
    """`pcm24k` without the silence around the speech; all of it when nothing stands out."""
    import numpy as np

    samples = np.frombuffer(pcm24k[: len(pcm24k) // 2 * 2], dtype="<i2").astype(np.float32)
    count = len(samples) // FRAME_SAMPLES
    if not count:
        return pcm24k
    powers = np.var(samples[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES), axis=1)
    # 25 dB below the loudest frame: under any vowel's end, above the room in most homes.
    loud = np.flatnonzero(powers > powers.max() * 10**-2.5)
    if not len(loud) or powers.max() == 0:
        return pcm24k
    keep = keep_ms // FRAME_MS
    first = max(0, int(loud[0]) - keep) * FRAME_SAMPLES * 2
    last = min(count, int(loud[-1]) + 1 + keep) * FRAME_SAMPLES * 2
    return pcm24k[first:last]
