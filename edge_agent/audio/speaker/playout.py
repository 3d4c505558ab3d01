"""Playout: the one owner of the loudspeaker, as the event loop sees it.

Thread: the event loop queues, cuts and collects events here; `render` belongs to the device's
callback and is `renderer`'s.  The two meet in `state`, under one lock.  It must never report as
played what the loudspeaker has not emitted.

Who sounds, highest first: one voice at a time (answers and our own spoken sentences, in the
order in which they came), then the alarm, which pauses meanwhile; earcons are mixed over all.
Call `open` when the device is open, `render` from its callback, `collect` every 10 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np

from edge_agent.audio.speaker.jitter import MAX_PREBUFFER_MS, Prebuffer
from edge_agent.audio.speaker.ledger import NO_SOUND, Item, Kind, convert_whole
from edge_agent.audio.speaker.mixing import Alarm, volume_gain
from edge_agent.audio.speaker.renderer import Renderer
from edge_agent.audio.speaker.state import SpeakerState
from edge_agent.contract.events import (
    Event,
    PlaybackCut,
    PlaybackStarted,
    SentenceDrained,
    TextDrained,
)
from edge_agent.contract.pcm import (
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

MAX_BUFFER_S = 300.0
"""Answers arrive faster than they are spoken; five minutes is longer than any of them (4096 tokens
of sound are 205 s), and the 29 MB which it takes at 48 kHz fit a small board."""

LATENCY_SLACK_S = 1.0
"""A block said to become audible later than the device's latency and this is a device's slip."""


class Playout:
    """Queues sound for the loudspeaker and accounts for every sample of it.

    `reference_write(block, at)` gets every rendered block (PCM16 at the device rate) with the
    loop time of its first sample: what really sounds, for the echo canceller.  Nothing is played
    louder than `volume_max_percent`, an alarm included.

    Counters, all from the start of the process: `frames_rendered`, `underruns`, `gaps`, `faults`,
    and `dropped_ms` (sound that came late, or over `max_buffer_s`).
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
        volume_max_percent: float | None = None,
        reference_write: Callable[[bytes, float], None] | None = None,
    ) -> None:
        self.dropped_ms = 0.0
        self._max_buffer_s = max_buffer_s
        self._fade_ms = fade_ms
        self._latency_s = 0.0
        self._alarm_pcm24k: bytes | None = None
        self._now = 0.0
        self._state = SpeakerState(
            Prebuffer(prebuffer_ms, max_prebuffer_ms),
            gain=volume_gain(volume_percent),
            most=inf if volume_max_percent is None else volume_gain(volume_max_percent),
            fade_ms=fade_ms,
        )
        self.renderer = Renderer(
            self._state, warm_up_ms=warm_up_ms, reference_write=reference_write
        )

    # --- the device ---------------------------------------------------------------------

    def open(self, rate_hz: int, output_latency_s: float) -> None:
        """The device is open at this rate; what is queued goes on, converted if need be.

        Until now `render` gave silence.  Raises `ValueError` for a rate outside
        `resample.RATES_HZ`.
        """
        state = self._state
        with state.lock:
            if rate_hz != state.rate_hz:
                for item in state.items:
                    item.retune(rate_hz)
                state.fading = NO_SOUND
                state.earcons.clear()
                state.alarm = Alarm(self._fade_ms)
                if self._alarm_pcm24k is not None:
                    state.alarm.start(convert_whole(self._alarm_pcm24k, WIRE_RATE_HZ, rate_hz))
            state.rate_hz = rate_hz
            self._latency_s = output_latency_s
            state.is_open = True

    def close(self) -> None:
        """The device is gone: `render` gives silence, the queue waits for the next `open`."""
        state = self._state
        with state.lock:
            state.is_open = False
            state.fading = NO_SOUND  # the end of a cut that nobody will hear any more

    def render(self, frames: int, at: float) -> bytes:
        """Callback: exactly `frames` frames, the first of which becomes audible at `at`."""
        return self.renderer.render(frames, at)

    # --- counters of the callback -------------------------------------------------------

    @property
    def frames_rendered(self) -> int:
        """Frames that were made; one whose making failed is not among them."""
        return self.renderer.frames_rendered

    @property
    def underruns(self) -> int:
        """Times an item ran dry before its end was known."""
        return self.renderer.underruns

    @property
    def gaps(self) -> int:
        """Of these, the ones of which more came later: a hole one hears."""
        return self.renderer.gaps

    @property
    def faults(self) -> int:
        """Errors swallowed in the callback."""
        return self.renderer.faults

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
        with self._state.lock:
            if entry.dry and not entry.late:
                entry.late = True
                self._state.prebuffer.gap(samples_to_ms(entry.waiting, self._state.rate_hz))
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
        self._queue(Item(name, Kind.SENTENCE, self._state.rate_hz), pcm24k)

    def text(self, name: str, pcm24k: bytes, least_volume_percent: float = 0.0) -> None:
        """Speak a text of our own, behind what is queued and no softer than that volume.

        Answered by `TextStarted` and `TextDrained`.
        """
        entry = Item(name, Kind.TEXT, self._state.rate_hz)
        entry.least_gain = volume_gain(least_volume_percent)
        self._queue(entry, pcm24k)

    def _queue(self, entry: Item, pcm24k: bytes) -> None:
        state = self._state
        if self._is_full(len(pcm24k)):
            self.dropped_ms += bytes_to_ms(len(pcm24k))
        else:
            entry.append(entry.convert(pcm24k))
        with state.lock:
            state.items.append(entry)
        self._end(entry)

    def earcon(self, pcm24k: bytes) -> None:
        """Mix a short sound over whatever plays, from the next block on."""
        state = self._state
        samples = convert_whole(whole_samples(pcm24k), WIRE_RATE_HZ, state.rate_hz)
        with state.lock:
            dropped = state.earcons.add(samples)
        self.dropped_ms += samples_to_ms(dropped, state.rate_hz)

    def alarm(self, pcm24k: bytes | None) -> None:
        """Loop this sound (with its own pauses) while nobody speaks; None stops it."""
        samples = None
        if pcm24k is not None:
            pcm24k = whole_samples(pcm24k)
            samples = convert_whole(pcm24k, WIRE_RATE_HZ, self._state.rate_hz)
        with self._state.lock:
            self._alarm_pcm24k = pcm24k
            self._state.alarm.start(samples)

    def set_volume(self, percent: float) -> None:
        """Volume of voices, sentences and earcons, 0 … 100 on a perceptual scale."""
        with self._state.lock:
            self._state.volume.target = volume_gain(percent)

    def set_limit(self, percent: float) -> None:
        """The loudest that anything gets, on the same scale."""
        with self._state.lock:
            self._state.volume.most = volume_gain(percent)

    def cut(self, now: float | None = None) -> PlaybackCut:
        """Fall silent: fade out what sounds, drop what is queued, stop the alarm.

        `played_ms` counts what was handed to the loudspeaker and the fade, which the next
        block brings.  An item which had been rendered to its end is not cut: its
        `PlaybackDrained` still comes, once it has been audible.  Earcons go on.
        """
        state = self._state
        with state.lock:
            at = self._now if now is None else now
            cut: Item | None = None
            never_started: list[str] = []
            for entry in state.items:
                if entry.kind is Kind.SENTENCE:
                    state.due.append((at, SentenceDrained(at=at, name=entry.name)))
                    continue
                if entry.kind is Kind.TEXT:
                    cut_short = TextDrained(at=at, name=entry.name, whole=False)
                    state.due.append((at, cut_short))
                    continue
                state.remember(entry.name)
                if entry.begun:
                    cut = entry
                else:
                    never_started.append(entry.name)
            head = state.items[0] if state.items else None
            if head is not None and head.begun and not head.dry and state.is_open:
                self._fade_out(head)  # a closed device would bring it when it is back
            state.items.clear()
            state.warm_up_left = 0
            self._alarm_pcm24k = None
            state.alarm.start(None)
            if cut is None:
                return PlaybackCut(
                    at=at, item=None, played_ms=0.0, never_started=tuple(never_started)
                )
            for due in list(state.due):  # a start that nobody was told of is of no use any more
                if isinstance(due[1], PlaybackStarted) and due[1].item == cut.name:
                    state.due.remove(due)
            return PlaybackCut(
                at=at, item=cut.name, played_ms=cut.played_ms, never_started=tuple(never_started)
            )

    def collect(self, now: float) -> list[Event]:
        """What has become true at the loudspeaker until `now`, in order."""
        state = self._state
        events: list[Event] = []
        with state.lock:
            self._now = now
            horizon = now + self._latency_s + LATENCY_SLACK_S
            while state.due and (state.due[0][0] <= now or state.due[0][0] > horizon):
                due_s, event = state.due.popleft()
                events.append(event if due_s <= now else replace(event, at=now))
        return events

    @property
    def audible(self) -> bool:
        """Something of ours sounds or is about to (as of the last `collect`)."""
        state = self._state
        with state.lock:
            return bool(
                state.items
                or len(state.fading)
                or state.alarm.active
                or state.sounds_until > self._now
            )

    @property
    def queued_s(self) -> float:
        """Seconds of speech that wait for the loudspeaker."""
        with self._state.lock:
            return sum(entry.queued for entry in self._state.items) / self._state.rate_hz

    @property
    def prebuffer_ms(self) -> float:
        """The prebuffer's present target."""
        return self._state.prebuffer.target_ms

    # --- loop side, inside --------------------------------------------------------------

    def _entry(self, name: str) -> Item | None:
        """The queued item of that name, a new one, or None if it is over."""
        state = self._state
        with state.lock:
            for entry in state.items:
                if entry.name == name and entry.kind is Kind.VOICE:
                    return entry
            if name in state.gone:
                return None
            entry = Item(name, Kind.VOICE, state.rate_hz)
            state.items.append(entry)
            return entry

    def _end(self, entry: Item) -> None:
        rest = entry.finish()
        with self._state.lock:
            entry.append(rest)
            entry.ended = True

    def _is_full(self, more_bytes: int) -> bool:
        return self.queued_s + bytes_to_ms(more_bytes) / 1000 > self._max_buffer_s

    def _fade_out(self, entry: Item) -> None:
        state = self._state
        last = entry.take(ms_to_samples(self._fade_ms, state.rate_hz))
        curve = np.linspace(1.0, 0.0, len(last), endpoint=False)
        state.fading = np.concatenate((state.fading, np.rint(last * curve).astype(np.int16)))
