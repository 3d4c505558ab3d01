"""The input audio buffer and the turns that are cut out of it.

Thread: the event loop that serves the session.  It must never look at a clock: where speech begins
and ends is counted in samples received.  Talks to the session through `Turns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from edge_agent.simulation.realtime_server.checks import BadParameter
from edge_agent.simulation.realtime_server.conversation import BYTES_PER_MS
from edge_agent.simulation.realtime_server.vad import EnergyVad, SpeechStarted

SAMPLES_PER_MS = 24
COMMIT_MIN_MS = 100  # the service's lower limit for a commit
ONSET_HISTORY_MS = 200  # kept beside the prefix padding: an onset is known ~100 ms late
# The real one asks a model whether the sentence is complete; here eagerness is only a silence.
SEMANTIC_SILENCE_MS = {"low": 1200, "medium": 700, "auto": 700, "high": 400}
SEMANTIC_PREFIX_MS = 300
SEMANTIC_THRESHOLD = 0.5


class Turns(Protocol):
    """What the buffer tells the session, in this order for one utterance."""

    def new_item_id(self) -> str:
        """An id for the item that an utterance will become."""

    def speech_started(self, item_id: str, audio_start_ms: int) -> None:
        """Somebody began to speak."""

    def speech_stopped(self, item_id: str, audio_end_ms: int) -> None:
        """They stopped."""

    def committed(self, item_id: str, pcm24k: bytes, *, by_vad: bool) -> None:
        """The audio of one utterance is complete."""

    def idle_timeout(self, item_id: str, start_ms: int, end_ms: int) -> None:
        """Nobody spoke for as long as the client allowed after the last answer."""


class InputAudio:
    """Audio since the last commit; with server VAD also the ear that commits by itself."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._buffer = bytearray()
        self._buffer_start = 0
        self._received = 0
        self._vad: EnergyVad | None = None
        self._prefix_ms = 0
        self._idle_timeout_ms: int | None = None
        self._idle_from: int | None = None
        self.speech_item_id: str | None = None
        self.commits = 0

    @property
    def buffered_ms(self) -> float:
        """Audio in the buffer, ms."""
        return len(self._buffer) / BYTES_PER_MS

    @property
    def received_ms(self) -> int:
        """Audio received in this session, ms."""
        return self._received // SAMPLES_PER_MS

    def configure(self, detection: Mapping[str, Any] | None) -> None:
        """Apply `audio.input.turn_detection`; `None` leaves the turns to the client."""
        self._idle_timeout_ms = None
        if detection is None:
            self._vad = None
            self.speech_item_id = None
            return
        if detection["type"] == "semantic_vad":
            threshold, self._prefix_ms = SEMANTIC_THRESHOLD, SEMANTIC_PREFIX_MS
            silence_ms = SEMANTIC_SILENCE_MS[detection["eagerness"]]
        else:
            threshold, self._prefix_ms = detection["threshold"], detection["prefix_padding_ms"]
            silence_ms = detection["silence_duration_ms"]
            self._idle_timeout_ms = detection["idle_timeout_ms"]
        if self._vad is None:
            self._vad = EnergyVad(threshold, silence_ms, at_sample=self._received)
        else:
            self._vad.configure(threshold, silence_ms)

    def append(self, pcm24k: bytes) -> None:
        """Take the next audio (whole samples)."""
        self._buffer += pcm24k
        self._received += len(pcm24k) // 2
        if self._vad is None:
            return
        for noticed in self._vad.feed(pcm24k):
            if isinstance(noticed, SpeechStarted):
                self._start(noticed.sample)
            else:
                self._stop(noticed.sample)
        if self.speech_item_id is None:
            self._drop_before(
                self._received - (self._prefix_ms + ONSET_HISTORY_MS) * SAMPLES_PER_MS
            )
            self._check_idle()

    def commit(self) -> None:
        """Commit by hand; raises `BadParameter` below 100 ms."""
        if self.buffered_ms < COMMIT_MIN_MS:
            raise BadParameter(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{COMMIT_MIN_MS}ms of audio, but buffer only has {self.buffered_ms:.2f}ms "
                "of audio.",
                None,
            )
        item_id = self.speech_item_id or self._turns.new_item_id()
        self._end_speech()
        self._commit(item_id, self._received, by_vad=False)

    def clear(self) -> None:
        """Throw the buffer away, a running utterance with it."""
        self._end_speech()
        self._drop_before(self._received)

    def answer_ended(self, audio_ms: float) -> None:
        """A response is complete; the idle timeout counts from the end of its sound."""
        self._idle_from = self._received + int(audio_ms * SAMPLES_PER_MS)

    def _start(self, onset: int) -> None:
        self._drop_before(onset - self._prefix_ms * SAMPLES_PER_MS)
        self._idle_from = None
        self.speech_item_id = self._turns.new_item_id()
        self._turns.speech_started(self.speech_item_id, self._buffer_start // SAMPLES_PER_MS)

    def _stop(self, end: int) -> None:
        item_id, self.speech_item_id = self.speech_item_id, None
        if item_id is not None:
            self._turns.speech_stopped(item_id, end // SAMPLES_PER_MS)
            self._commit(item_id, end, by_vad=True)

    def _end_speech(self) -> None:
        self.speech_item_id = None
        if self._vad is not None:
            self._vad.end_speech()

    def _commit(self, item_id: str, end: int, *, by_vad: bool) -> None:
        size = (end - self._buffer_start) * 2
        pcm = bytes(self._buffer[:size])
        self._drop_before(end)
        self.commits += 1
        self._turns.committed(item_id, pcm, by_vad=by_vad)

    def _drop_before(self, sample: int) -> None:
        if sample > self._buffer_start:
            del self._buffer[: (sample - self._buffer_start) * 2]
            self._buffer_start = sample

    def _check_idle(self) -> None:
        start, limit_ms = self._idle_from, self._idle_timeout_ms
        if start is None or limit_ms is None:
            return
        if self._received - start >= limit_ms * SAMPLES_PER_MS:
            self._idle_from = None
            item_id = self._turns.new_item_id()
            end_ms = self._received // SAMPLES_PER_MS
            self._turns.idle_timeout(item_id, start // SAMPLES_PER_MS, end_ms)
            self._commit(item_id, self._received, by_vad=True)
