"""The one owner of the loudspeaker: queue, jitter buffer, ledger and cut (purpose).

Owner thread: two.  The event loop queues, cuts and collects events; the device's callback
thread calls `render` and nothing else.  One lock, held for short copies only.  Must never
block, raise or log in `render`, compute there what can be computed when sound is queued, or
report as played what the loudspeaker has not emitted.

Who sounds, highest first: one voice at a time (answers and our own spoken sentences, in the
order in which they came), then the alarm, which pauses meanwhile; earcons are mixed over all.
Call `open` when the device is open, `render` from its callback, `collect` every 10 ms.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np

from edge_agent.audio.resample import Int16Array
from edge_agent.audio.speaker.jitter import MAX_PREBUFFER_MS, Prebuffer
from edge_agent.audio.speaker.ledger import NO_SOUND, AudibleSpans, Item, Kind, convert_whole
from edge_agent.audio.speaker.mixing import (
    ALARM_FLOOR_GAIN,
    VOLUME_RAMP_MS,
    Alarm,
    Earcons,
    Int32Array,
    RampedGain,
    volume_gain,
)
from edge_agent.contract.events import (
    Event,
    PlaybackCut,
    PlaybackDrained,
    PlaybackStarted,
    SentenceDrained,
)
from edge_agent.contract.pcm import (
    BYTES_PER_SAMPLE,
    WIRE_RATE_HZ,
    bytes_to_ms,
    ms_to_samples,
    samples_to_ms,
    whole_samples,
)

PREBUFFER_MS = 40.0
"""Two to four network packets; it is the part of the delay to the first sound that is ours."""

FADE_MS = 5.0
"""Long enough not to click, short enough to be heard as "at once"."""

MAX_BUFFER_S = 600.0
"""Answers arrive faster than they are spoken; ten minutes is longer than any of them, and the
58 MB which it takes at 48 kHz fit a small board."""

SLEEPY_AFTER_S = 5.0
"""Sinks that doze off (Bluetooth, HDMI) do so after several seconds of silence."""

WARM_UP_LEVEL = 1
"""One step of 16 bits: inaudible, but not the digital zero on which such sinks doze off."""

STARVED_YIELD_MS = 1000.0
"""An answer that stops coming for so long lets a waiting sentence ("no connection") through."""

ALARM_RESUME_MS = 600.0
"""The alarm stays quiet in the pauses between items; longer than the largest prebuffer."""

REMEMBERED_ITEMS = 1024
"""Finished and cut items whose late sound is recognised and dropped; an answer has a few."""

LATENCY_SLACK_S = 1.0
"""A block said to become audible later than the device's latency and this is a device's slip."""


class Playout:
    """Queues sound for the loudspeaker and accounts for every sample of it.

    `reference_write(block, at)` gets every rendered block (PCM16 at the device rate) with the
    loop time of its first sample: what really sounds, for the echo canceller.

    Counters, all from the start of the process: `frames_rendered`; `underruns` (an item ran
    dry before its end was known); `gaps` (… and more of it came later: a hole one hears);
    `dropped_ms` (late, or over `max_buffer_s`); `faults` (errors swallowed in the callback).
    """

    def __init__(
        self,
        *,
        prebuffer_ms: float = PREBUFFER_MS,
        max_prebuffer_ms: float = MAX_PREBUFFER_MS,
        max_buffer_s: float = MAX_BUFFER_S,
        fade_ms: float = FADE_MS,
        warm_up_ms: float = 0.0,
        volume_percent: float = 100.0,
        reference_write: Callable[[bytes, float], None] | None = None,
    ) -> None:
        self.frames_rendered = 0
        self.underruns = 0
        self.gaps = 0
        self.dropped_ms = 0.0
        self.faults = 0
        self._lock = threading.Lock()
        self._reference_write = reference_write
        self._rate_hz = WIRE_RATE_HZ
        self._latency_s = 0.0
        self._is_open = False
        self._max_buffer_s = max_buffer_s
        self._fade_ms = fade_ms
        self._warm_up_ms = warm_up_ms
        self._warm_up_left = 0
        self._prebuffer = Prebuffer(prebuffer_ms, max_prebuffer_ms)
        self._items: deque[Item] = deque()
        self._gone: dict[str, None] = {}
        self._fading: Int16Array = NO_SOUND
        self._volume = RampedGain(volume_gain(volume_percent), VOLUME_RAMP_MS)
        self._alarm = Alarm(fade_ms)
        self._alarm_pcm24k: bytes | None = None
        self._earcons = Earcons()
        self._due: deque[tuple[float, Event]] = deque()
        self._spans = AudibleSpans()
        self._now = 0.0
        self._last_speech = -inf

    # --- the device ---------------------------------------------------------------------

    def open(self, rate_hz: int, output_latency_s: float) -> None:
        """The device is open at this rate; what is queued goes on, converted if need be.

        Until now `render` gave silence.  Raises `ValueError` for a rate outside
        `resample.RATES_HZ`.
        """
        with self._lock:
            if rate_hz != self._rate_hz:
                for item in self._items:
                    item.retune(rate_hz)
                self._fading = NO_SOUND
                self._earcons.clear()
                self._alarm = Alarm(self._fade_ms)
                if self._alarm_pcm24k is not None:
                    self._alarm.start(convert_whole(self._alarm_pcm24k, WIRE_RATE_HZ, rate_hz))
            self._rate_hz = rate_hz
            self._latency_s = output_latency_s
            self._is_open = True

    def close(self) -> None:
        """The device is gone: `render` gives silence, the queue waits for the next `open`."""
        with self._lock:
            self._is_open = False
            self._fading = NO_SOUND  # the end of a cut that nobody will hear any more

    def render(self, frames: int, at: float) -> bytes:
        """Callback: exactly `frames` frames, the first of which becomes audible at `at`."""
        try:
            with self._lock:
                block = self._mix(frames, at) if self._is_open else None
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

    # --- the loop -----------------------------------------------------------------------

    def voice(self, item: str, pcm24k: bytes) -> bool:
        """Queue a piece of an answer; False if it came too late or the buffer is full."""
        entry = self._entry(item)
        if entry is None or entry.ended or entry.overflowed:
            self.dropped_ms += bytes_to_ms(len(pcm24k))
            return False
        if self._is_full(len(pcm24k)):
            # The item ends here: a clean end is better than a hole.
            entry.overflowed = True
            self.dropped_ms += bytes_to_ms(len(pcm24k))
            return False
        samples = entry.convert(pcm24k)
        with self._lock:
            if entry.dry and not entry.late:
                entry.late = True
                self._prebuffer.gap(samples_to_ms(entry.waiting, self._rate_hz))
            entry.append(samples)
        return True

    def end_voice(self, item: str) -> None:
        """No more sound will come for this item.  Answered by `PlaybackDrained`, also if it
        never had any sound."""
        entry = self._entry(item)
        if entry is not None and not entry.ended:
            self._end(entry)

    def sentence(self, name: str, pcm24k: bytes) -> None:
        """Speak a sentence of our own, behind what is queued.  Answered by `SentenceDrained`."""
        entry = Item(name, Kind.SENTENCE, self._rate_hz)
        if self._is_full(len(pcm24k)):
            self.dropped_ms += bytes_to_ms(len(pcm24k))
        else:
            entry.append(entry.convert(pcm24k))
        with self._lock:
            self._items.append(entry)
        self._end(entry)

    def earcon(self, pcm24k: bytes) -> None:
        """Mix a short sound over whatever plays, from the next block on."""
        samples = convert_whole(whole_samples(pcm24k), WIRE_RATE_HZ, self._rate_hz)
        with self._lock:
            dropped = self._earcons.add(samples)
        self.dropped_ms += samples_to_ms(dropped, self._rate_hz)

    def alarm(self, pcm24k: bytes | None) -> None:
        """Loop this sound (with its own pauses) while nobody speaks; None stops it."""
        samples = None
        if pcm24k is not None:
            pcm24k = whole_samples(pcm24k)
            samples = convert_whole(pcm24k, WIRE_RATE_HZ, self._rate_hz)
        with self._lock:
            self._alarm_pcm24k = pcm24k
            self._alarm.start(samples)

    def set_volume(self, percent: float) -> None:
        """Volume of voices, sentences and earcons, 0 … 100 on a perceptual scale."""
        with self._lock:
            self._volume.target = volume_gain(percent)

    def cut(self, now: float | None = None) -> PlaybackCut:
        """Fall silent: fade out what sounds, drop what is queued, stop the alarm.

        `played_ms` counts what was handed to the loudspeaker and the fade, which the next
        block brings.  An item which had been rendered to its end is not cut: its
        `PlaybackDrained` still comes, once it has been audible.  Earcons go on.
        """
        with self._lock:
            at = self._now if now is None else now
            cut: Item | None = None
            never_started: list[str] = []
            for entry in self._items:
                if entry.kind is Kind.SENTENCE:
                    self._due.append((at, SentenceDrained(at=at, name=entry.name)))
                    continue
                self._remember(entry.name)
                if entry.begun:
                    cut = entry
                else:
                    never_started.append(entry.name)
            head = self._items[0] if self._items else None
            if head is not None and head.begun and not head.dry:
                self._fade_out(head)
            self._items.clear()
            self._warm_up_left = 0
            self._alarm_pcm24k = None
            self._alarm.start(None)
            if cut is None:
                return PlaybackCut(
                    at=at, item=None, played_ms=0.0, never_started=tuple(never_started)
                )
            for due in list(self._due):  # a start that nobody was told of is of no use any more
                if isinstance(due[1], PlaybackStarted) and due[1].item == cut.name:
                    self._due.remove(due)
            return PlaybackCut(
                at=at, item=cut.name, played_ms=cut.played_ms, never_started=tuple(never_started)
            )

    def collect(self, now: float) -> list[Event]:
        """What has become true at the loudspeaker until `now`, in order."""
        events: list[Event] = []
        with self._lock:
            self._now = now
            horizon = now + self._latency_s + LATENCY_SLACK_S
            while self._due and (self._due[0][0] <= now or self._due[0][0] > horizon):
                due_s, event = self._due.popleft()
                events.append(event if due_s <= now else replace(event, at=now))
        return events

    @property
    def audible(self) -> bool:
        """Something of ours sounds or is about to (as of the last `collect`)."""
        with self._lock:
            return bool(
                self._items
                or len(self._fading)
                or self._alarm.active
                or self._spans.end > self._now
            )

    def was_audible(self, since: float, until: float) -> bool:
        """Whether the loudspeaker emitted sound of ours between two loop times.  Any thread."""
        with self._lock:
            return self._spans.overlap(since, until)

    @property
    def queued_s(self) -> float:
        """Seconds of speech that wait for the loudspeaker."""
        with self._lock:
            return sum(entry.queued for entry in self._items) / self._rate_hz

    @property
    def prebuffer_ms(self) -> float:
        """The prebuffer's present target."""
        return self._prebuffer.target_ms

    # --- loop side, inside --------------------------------------------------------------

    def _entry(self, name: str) -> Item | None:
        """The queued item of that name, a new one, or None if it is over."""
        with self._lock:
            for entry in self._items:
                if entry.name == name and entry.kind is Kind.VOICE:
                    return entry
            if name in self._gone:
                return None
            entry = Item(name, Kind.VOICE, self._rate_hz)
            self._items.append(entry)
            return entry

    def _end(self, entry: Item) -> None:
        rest = entry.finish()
        with self._lock:
            entry.append(rest)
            entry.ended = True

    def _is_full(self, more_bytes: int) -> bool:
        return self.queued_s + bytes_to_ms(more_bytes) / 1000 > self._max_buffer_s

    def _remember(self, name: str) -> None:
        self._gone[name] = None
        if len(self._gone) > REMEMBERED_ITEMS:
            del self._gone[next(iter(self._gone))]

    def _fade_out(self, entry: Item) -> None:
        last = entry.take(ms_to_samples(self._fade_ms, self._rate_hz))
        curve = np.linspace(1.0, 0.0, len(last), endpoint=False)
        self._fading = np.concatenate((self._fading, np.rint(last * curve).astype(np.int16)))

    # --- callback side, inside: under the lock, copies and sums -------------------------

    def _mix(self, frames: int, at: float) -> bytes | None:
        """One block, or None for silence."""
        speech = self._speech(frames, at)
        end = at + frames / self._rate_hz
        if speech is not None:
            self._last_speech = end
        paused = speech is not None or end - self._last_speech < ALARM_RESUME_MS / 1000
        alarm = self._alarm.render(frames, self._rate_hz, pause=paused)
        earcons = self._earcons.render(frames)
        if earcons is not None:
            speech = earcons if speech is None else speech + earcons
        if speech is None:
            self._volume.settle()
            if alarm is None:
                return None
            mixed = np.zeros(frames, dtype=np.int32)
        else:
            mixed = self._volume.apply(speech, self._rate_hz)
        if alarm is not None:
            floor = max(ALARM_FLOOR_GAIN, self._volume.gain)
            mixed = mixed + np.rint(alarm * floor).astype(np.int32)
        self._spans.note(at, end)
        return np.clip(mixed, -32768, 32767).astype("<i2").tobytes()

    def _speech(self, frames: int, at: float) -> Int32Array | None:
        """Voices and sentences of this block, or None if there are none in it."""
        block: Int32Array | None = None
        position = 0
        while position < frames:
            part = self._next_part(frames - position, at + position / self._rate_hz)
            if part is None:
                break
            if block is None:
                block = np.zeros(frames, dtype=np.int32)
            block[position : position + len(part)] = part
            position += len(part)
        if position < frames and self._items:
            self._starve(self._items[0], frames - position)
        return block

    def _next_part(self, frames: int, at: float) -> Int16Array | None:
        """Up to `frames` samples of whatever speaks next; at least one, or None."""
        if len(self._fading):
            part, self._fading = self._fading[:frames], self._fading[frames:]
            return part
        entry = self._ready(at)
        if entry is None:
            return None
        if self._warm_up_left:
            length = min(frames, self._warm_up_left)
            self._warm_up_left -= length
            return np.resize(np.array([WARM_UP_LEVEL, -WARM_UP_LEVEL], dtype=np.int16), length)
        if entry.dry:
            self.gaps += entry.late
            entry.dry = entry.late = False
        entry.waiting = 0
        if not entry.begun and entry.kind is Kind.VOICE:
            self._due.append((at, PlaybackStarted(at=at, item=entry.name)))
        part = entry.take(frames)
        entry.silent_since = at + len(part) / self._rate_hz
        self._prebuffer.played(samples_to_ms(len(part), self._rate_hz))
        if entry.ended and not entry.queued:
            self._drained(entry)
        return part

    def _ready(self, at: float) -> Item | None:
        """The item that may give sound now.  Takes those off the queue that are over."""
        while self._items:
            entry = self._items[0]
            if entry.ended and not entry.queued:
                if not entry.begun:
                    entry.silent_since = at
                self._drained(entry)
                continue
            flows = entry.begun and not entry.dry and entry.queued > 0
            enough = ms_to_samples(self._prebuffer.target_ms, self._rate_hz)
            if not (flows or entry.ended or entry.queued >= max(1, enough)):
                return None
            if not entry.announced and at - self._spans.end > SLEEPY_AFTER_S:
                self._warm_up_left = ms_to_samples(self._warm_up_ms, self._rate_hz)
            entry.announced = True
            return entry
        return None

    def _starve(self, entry: Item, frames: int) -> None:
        """The item at the head kept the loudspeaker waiting for `frames` frames."""
        entry.waiting += frames
        if entry.begun and not entry.dry:
            entry.dry = True
            self.underruns += 1
        if entry.waiting >= ms_to_samples(STARVED_YIELD_MS, self._rate_hz):
            waiting = next((other for other in self._items if other.kind is Kind.SENTENCE), None)
            if waiting is not None:
                self._items.remove(waiting)
                self._items.appendleft(waiting)

    def _drained(self, entry: Item) -> None:
        self._items.popleft()
        at = entry.silent_since
        if entry.kind is Kind.SENTENCE:
            self._due.append((at, SentenceDrained(at=at, name=entry.name)))
            return
        self._remember(entry.name)
        drained = PlaybackDrained(at=at, item=entry.name, played_ms=entry.played_ms)
        self._due.append((at, drained))
