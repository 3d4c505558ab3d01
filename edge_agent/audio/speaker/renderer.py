"""The callback's side of the loudspeaker: one block at a time, exactly as long as it was asked for.

Thread: the device's callback calls `render` and nothing else; the counters may be read from
anywhere.  Takes the lock of `state` once a block.  It must never block, raise or log, or compute
what can be computed when sound is queued: that is `playout`'s, on the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np

from edge_agent.audio.resample import Int16Array
from edge_agent.audio.speaker.ledger import Item, Kind
from edge_agent.audio.speaker.mixing import ALARM_FLOOR_GAIN, Int32Array
from edge_agent.audio.speaker.state import SpeakerState
from edge_agent.contract.events import (
    PlaybackDrained,
    PlaybackStarted,
    SentenceDrained,
    TextDrained,
    TextStarted,
)
from edge_agent.contract.pcm import BYTES_PER_SAMPLE, ms_to_samples, samples_to_ms

SLEEPY_AFTER_S = 5.0
"""Sinks that doze off (Bluetooth, HDMI) do so after several seconds of silence."""

WARM_UP_LEVEL = 1
"""One step of 16 bits: inaudible, but not the digital zero on which such sinks doze off."""

STARVED_YIELD_MS = 1000.0
"""An answer that stops coming for so long lets a waiting sentence ("no connection") through."""

ALARM_RESUME_MS = 600.0
"""The alarm stays quiet in the pauses between items; longer than the largest prebuffer."""


class Renderer:
    """Makes the blocks that the device asks for out of what `playout` has queued.

    `reference_write(block, at)` gets every block with the loop time of its first sample.
    """

    def __init__(
        self,
        state: SpeakerState,
        *,
        warm_up_ms: float,
        reference_write: Callable[[bytes, float], None] | None,
    ) -> None:
        self.frames_rendered = 0
        self.underruns = 0
        self.gaps = 0
        self.faults = 0
        self._state = state
        self._warm_up_ms = warm_up_ms
        self._reference_write = reference_write
        self._last_speech = -inf

    def render(self, frames: int, at: float) -> bytes:
        """Callback: exactly `frames` frames, the first of which becomes audible at `at`."""
        try:
            with self._state.lock:
                block = self.mix(frames, at) if self._state.is_open else None
                self.frames_rendered += frames
        except Exception:  # a callback that raises ends the stream: silence is the lesser evil
            self.faults += 1
            block = None
        if block is None:
            block = bytes(frames * BYTES_PER_SAMPLE)
        if self._reference_write is not None:
            try:
                self._reference_write(block, at)
            except Exception:
                self.faults += 1
        return block

    # --- under the lock: copies and sums ------------------------------------------------

    def mix(self, frames: int, at: float) -> bytes | None:
        """One block, or None for silence.  Call with the lock held."""
        state = self._state
        state.volume.least = state.items[0].least_gain if state.items else 0.0
        speech = self._speech(frames, at)
        end = at + frames / state.rate_hz
        if speech is not None:
            self._last_speech = end
        paused = speech is not None or end - self._last_speech < ALARM_RESUME_MS / 1000
        alarm = state.alarm.render(frames, state.rate_hz, pause=paused)
        earcons = state.earcons.render(frames)
        if earcons is not None:
            speech = earcons if speech is None else speech + earcons
        if speech is None:
            state.volume.settle()
            if alarm is None:
                return None
            mixed = np.zeros(frames, dtype=np.int32)
        else:
            mixed = state.volume.apply(speech, state.rate_hz)
        if alarm is not None:
            gain = min(max(ALARM_FLOOR_GAIN, state.volume.gain), state.volume.most)
            mixed = mixed + np.rint(alarm * gain).astype(np.int32)
        state.sounds_until = end
        # Half of what numpy's `clip` costs.
        return np.maximum(np.minimum(mixed, 32767), -32768).astype("<i2").tobytes()

    def _speech(self, frames: int, at: float) -> Int32Array | None:
        """Voices and sentences of this block, or None if there are none in it."""
        state = self._state
        block: Int32Array | None = None
        position = 0
        while position < frames:
            part = self._next_part(frames - position, at + position / state.rate_hz)
            if part is None:
                break
            if len(part) == frames:
                return part.astype(np.int32)  # the usual case: one voice goes on
            if block is None:
                block = np.zeros(frames, dtype=np.int32)
            block[position : position + len(part)] = part
            position += len(part)
        if position < frames and state.items:
            self._starve(state.items[0], frames - position)
        return block

    def _next_part(self, frames: int, at: float) -> Int16Array | None:
        """Up to `frames` samples of whatever speaks next; at least one, or None."""
        state = self._state
        if len(state.fading):
            part, state.fading = state.fading[:frames], state.fading[frames:]
            return part
        entry = self._ready(at)
        if entry is None:
            return None
        if state.warm_up_left:
            length = min(frames, state.warm_up_left)
            state.warm_up_left -= length
            return np.resize(np.array([WARM_UP_LEVEL, -WARM_UP_LEVEL], dtype=np.int16), length)
        if entry.dry:
            self.gaps += entry.late
            entry.dry = entry.late = False
        entry.waiting = 0
        if not entry.begun and entry.kind is Kind.VOICE:
            state.due.append((at, PlaybackStarted(at=at, item=entry.name)))
        if not entry.begun and entry.kind is Kind.TEXT:
            state.due.append((at, TextStarted(at=at, name=entry.name)))
        part = entry.take(frames)
        entry.silent_since = at + len(part) / state.rate_hz
        state.prebuffer.played(samples_to_ms(len(part), state.rate_hz))
        if entry.ended and not entry.queued:
            self._drained(entry)
        return part

    def _ready(self, at: float) -> Item | None:
        """The item that may give sound now.  Takes those off the queue that are over."""
        state = self._state
        while state.items:
            entry = state.items[0]
            if entry.ended and not entry.queued:
                if not entry.begun:
                    entry.silent_since = at
                self._drained(entry)
                continue
            flows = entry.begun and not entry.dry and entry.queued > 0
            enough = ms_to_samples(state.prebuffer.target_ms, state.rate_hz)
            if not (flows or entry.ended or entry.queued >= max(1, enough)):
                return None
            if not entry.announced and at - state.sounds_until > SLEEPY_AFTER_S:
                state.warm_up_left = ms_to_samples(self._warm_up_ms, state.rate_hz)
            entry.announced = True
            return entry
        return None

    def _starve(self, entry: Item, frames: int) -> None:
        """The item at the head kept the loudspeaker waiting for `frames` frames."""
        items = self._state.items
        entry.waiting += frames
        if entry.begun and not entry.dry:
            entry.dry = True
            self.underruns += 1
        if entry.waiting >= ms_to_samples(STARVED_YIELD_MS, self._state.rate_hz):
            waiting = next((other for other in items if other.kind is not Kind.VOICE), None)
            if waiting is not None:
                items.remove(waiting)
                items.appendleft(waiting)

    def _drained(self, entry: Item) -> None:
        state = self._state
        state.items.popleft()
        at = entry.silent_since
        if entry.kind is Kind.SENTENCE:
            state.due.append((at, SentenceDrained(at=at, name=entry.name)))
            return
        if entry.kind is Kind.TEXT:
            state.due.append((at, TextDrained(at=at, name=entry.name)))
            return
        state.remember(entry.name)
        drained = PlaybackDrained(at=at, item=entry.name, played_ms=entry.played_ms)
        state.due.append((at, drained))
