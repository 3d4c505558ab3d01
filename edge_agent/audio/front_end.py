"""Front end: from microphone blocks to labelled 10 ms frames.

Thread: its own ("front-end"), or the caller's where no threads are wanted (virtual time).
`on_capture` runs on the sound device's callback and only queues.  It must never decide what leaves
the house, touch asyncio (`emit` is given to it), or end while the device still delivers: an error
in one block is counted and reported, and the next block is processed.

capture rate → 24 kHz → echo stage → 16 kHz → wake word, voice → `HeardFrame`
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np

from edge_agent.audio.cancel.echo import ReferenceTrack
from edge_agent.audio.cancel.echo_stage import (
    FRAME_SAMPLES,
    FRAMES_PER_S,
    STREAM_RATE_HZ,
    EchoChoice,
    EchoStage,
)
from edge_agent.audio.detectors import DETECTOR_RATE_HZ, VoiceDetector, WakeDetector
from edge_agent.audio.detectors import FRAME_BYTES as DETECTOR_FRAME_BYTES
from edge_agent.audio.device.levels import Levels
from edge_agent.audio.device.sample_clock import SampleClock
from edge_agent.audio.resample import (
    FloatArray,
    Int16Array,
    Resampler,
    array_to_pcm,
    level_dbfs,
    pcm_to_array,
    to_int16,
)
from edge_agent.contract.events import HeardFrame

QUEUE_S = 1.0
"""Overflow rule: the oldest block is dropped, counted, and replaced by silence of its length
(the cancellers need 2 s to find a shifted echo again)."""

LONGEST_PAD_S = 1.0
"""A longer gap is a pause of the device; nobody wants it filled."""

POLL_S = 0.5
"""The thread looks for the stop flag at least that often; blocks wake it at once."""

JOIN_S = 2.0
"""More than a full queue takes to process."""

CLIPPED_FROM = 32767
"""Absolute sample value that counts as clipped."""

FAULTS_PER_REPORT = 100
"""After the first one only each hundredth is reported: once a second if all frames fail."""

RELAXED_BLOCKS = 10
"""Blocks handed to the thread at once while nobody waits for them (100 ms at 10 ms a block): most
of an idle speaker's work is waking up.  A wake word is heard 45 ms later on average, which the
pre-roll (0.8 s) hides.  Idle load: 3.4 % of a core with 4 blocks, 2.9 with 8, 2.4 with 12."""

SMALLEST_STEP_S = 1e-6
"""Time stamps of frames always rise, even when the device's clock was set back."""


Batch = list[tuple[bytes, float]]
"""Blocks as they came: PCM16 and the loop time of the first sample."""


class _Cleaned(NamedTuple):
    """What the echo stage made of a frame (see `EchoStage.process`)."""

    captured_at: float
    sound: FloatArray
    speech: bool | None
    over_playback: bool


class FrontEnd:
    """Label the microphone.

    `emit` gets each `HeardFrame` on the front end's thread (the app wraps it in
    `loop.call_soon_threadsafe`); `emit_many`, where given, gets those of a batch at once instead,
    so that the event loop wakes once for all of them.  `wake` is None where the button alone
    wakes.  `echo` is `aec3`, `linear` or `off`.  Order of calls: `start` when the device is open,
    `on_capture` for each block, `stop` before the device is opened anew; `load` once, off the
    event loop.
    """

    def __init__(
        self,
        emit: Callable[[HeardFrame], None],
        *,
        wake: WakeDetector | None,
        voice: VoiceDetector,
        reference: ReferenceTrack,
        echo: str,
        on_fault: Callable[[Exception], None] | None = None,
        emit_many: Callable[[list[HeardFrame]], None] | None = None,
    ) -> None:
        self._emit = emit
        self._emit_many = emit_many
        self._wake = wake
        self._voice = voice
        self._stage = EchoStage(reference, EchoChoice(echo))
        self._on_fault = on_fault
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._running = False
        self.relaxed = False
        """Nobody is being listened to or spoken to: the thread may take its blocks several at
        once.  Any thread may set it; once False, the next block hands over what was held."""
        self.capture_rate_hz = STREAM_RATE_HZ
        self.frames_out = 0
        """Frames emitted since the start of the process: it moving is the sign of health."""
        self.playback_frames = 0
        """Those of them in which our own voice was in the room."""
        self.blocks_dropped = 0
        self.clipped_samples = 0
        self.levels = Levels()
        self.padded_samples = 0
        """Silence put in for lost sound, at the capture rate."""
        self.faults = 0
        self._prepare(STREAM_RATE_HZ)

    # --- life ---------------------------------------------------------------------------

    def load(self) -> None:
        """Load what is heavy (AEC3).  Raises `ConfigError` where it is not installed."""
        self._stage.load()

    def start(self, capture_rate_hz: int, *, threaded: bool = True) -> None:
        """Begin with a freshly opened device; `threaded=False` processes inside `on_capture`.

        Raises `ValueError` for a rate the resampler does not know, `RuntimeError` if running.
        """
        if self._running:
            raise RuntimeError("the front end is running already")
        self._prepare(capture_rate_hz)
        if self._wake is not None:
            self._wake.reset()  # half a word before a gap and half after it are none
        if threaded:
            self._thread = threading.Thread(target=self._run, name="front-end", daemon=True)
            self._thread.start()
        self._running = True

    def stop(self) -> bool:
        """End the thread; False if it did not end in time.  Safe to call twice."""
        self._running = False
        thread = self._thread
        if thread is None:
            return True
        self._stopping.set()
        self._queue.put(None)
        thread.join(JOIN_S)
        self._thread = None
        return not thread.is_alive()

    def _prepare(self, capture_rate_hz: int) -> None:
        self._to_stream = Resampler(capture_rate_hz, STREAM_RATE_HZ)
        self._to_detectors = Resampler(STREAM_RATE_HZ, DETECTOR_RATE_HZ)
        self.capture_rate_hz = capture_rate_hz
        self.levels.restart(capture_rate_hz)
        self._clock = SampleClock(capture_rate_hz)
        # New objects, so that a thread that hangs in an old device cannot disturb the new one.
        self._stopping = threading.Event()
        self._queue = SimpleQueue()
        self._held: Batch = []  # touched by the callback only
        self._ready: list[HeardFrame] = []
        self._lost_samples = 0  # written by the callback only
        self._lost_and_padded = 0  # written by the thread only
        self._samples_in = 0
        self._samples_run: list[Int16Array] = []
        self._frames_cut = 0
        self._pending: FloatArray = np.zeros(0)
        self._last_at = float("-inf")
        self._stage.begin()

    # --- in -----------------------------------------------------------------------------

    def on_capture(self, block: bytes, at: float) -> None:
        """Take a block (the `CaptureCallback`); never blocks, never raises."""
        if not self._running or len(block) < 2:
            return
        if self._thread is None:
            self._take([(block, at)])
            return
        self._held.append((block, at))
        if self.relaxed and len(self._held) < RELAXED_BLOCKS:
            return
        batch, self._held = self._held, []
        queue = self._queue
        length = sum(len(held) for held, _ in batch)
        longest = max(2, round(QUEUE_S * self.capture_rate_hz * 2 / length))
        while queue.qsize() >= longest:
            try:
                oldest = queue.get_nowait()
            except Empty:  # the thread was quicker
                break
            if oldest is not None:
                self._lost_samples += sum(len(lost) // 2 for lost, _ in oldest)
                self.blocks_dropped += len(oldest)
        queue.put(batch)

    def _run(self) -> None:
        queue, stopping = self._queue, self._stopping
        while not stopping.is_set():
            try:
                batch = queue.get(timeout=POLL_S)
            except Empty:
                continue
            if batch is not None:
                self._take(batch)

    def _take(self, batch: Batch) -> None:
        for block, at in batch:
            try:
                self._process_block(pcm_to_array(block[: len(block) // 2 * 2]), at)
            except Exception as error:
                self._report(error)
        try:
            self._feed_run()
        except Exception as error:
            self._report(error)
        if self._emit_many is not None and self._ready:
            ready, self._ready = self._ready, []
            try:
                self._emit_many(ready)
            except Exception as error:
                self._report(error)

    def _report(self, error: Exception) -> None:
        self.faults += 1
        if self._on_fault is None or self.faults % FAULTS_PER_REPORT != 1:
            return
        try:
            self._on_fault(error)
        except Exception:
            self.faults += 1

    # --- work ---------------------------------------------------------------------------

    def _process_block(self, block: Int16Array, at: float) -> None:
        """Find out where a block belongs; it is worked on with the rest of its batch."""
        lost = self._lost_samples - self._lost_and_padded
        self._lost_and_padded += lost
        self._pad(lost)
        jump_s = self._clock.observe(self._samples_in, at)
        if 0.0 < jump_s <= LONGEST_PAD_S:
            self._clock.reset()
            self._clock.observe(self._samples_in, at - jump_s)
            self._pad(round(jump_s * self.capture_rate_hz))
            self._clock.observe(self._samples_in, at)
        self._samples_in += block.size
        self._samples_run.append(block)

    def _pad(self, samples: int) -> None:
        samples = min(samples, round(LONGEST_PAD_S * self.capture_rate_hz))
        if samples > 0:
            self.padded_samples += samples
            self._samples_in += samples
            self._samples_run.append(np.zeros(samples, dtype=np.int16))
            self._feed_run()

    def _feed_run(self) -> None:
        """Convert at once what has come: numpy costs per call more than per sample."""
        run, self._samples_run = self._samples_run, []
        if not run:
            return
        samples = run[0] if len(run) == 1 else np.concatenate(run)
        self.levels.take(samples)
        loud = (samples >= CLIPPED_FROM) | (samples <= -CLIPPED_FROM)
        self.clipped_samples += int(np.count_nonzero(loud))
        stream = self._to_stream.process_array(samples)
        if self._pending.size:
            stream = np.concatenate((self._pending, stream))
        whole = stream.size // FRAME_SAMPLES * FRAME_SAMPLES
        self._pending = stream[whole:]
        self._label([stream[i : i + FRAME_SAMPLES] for i in range(0, whole, FRAME_SAMPLES)])

    def _label(self, frames: list[FloatArray]) -> None:
        if not frames:
            return
        cleaned = [self._clean(frame) for frame in frames]
        clean = cleaned[0].sound if len(frames) == 1 else np.concatenate([c.sound for c in cleaned])
        stream = to_int16(clean)
        narrow = array_to_pcm(to_int16(self._to_detectors.process_array(stream)))
        for number, frame in enumerate(cleaned):
            part = stream[number * FRAME_SAMPLES : (number + 1) * FRAME_SAMPLES]
            heard = narrow[number * DETECTOR_FRAME_BYTES : (number + 1) * DETECTOR_FRAME_BYTES]
            try:
                self._emit_frame(frame, part, heard)
            except Exception as error:
                self._report(error)

    def _clean(self, frame: FloatArray) -> _Cleaned:
        at = self._clock.time_of(self._frames_cut * self.capture_rate_hz / FRAMES_PER_S)
        self._frames_cut += 1
        try:
            return _Cleaned(at, *self._stage.process(frame, at))
        except Exception as error:
            # A deaf speaker is worse than one that hears its own echo.
            self._report(error)
            self._stage.give_up_aec3()
            return _Cleaned(at, frame, False, self._stage.reference.audible(at))

    def _emit_frame(self, frame: _Cleaned, stream: Int16Array, narrow: bytes) -> None:
        speech = self._voice.is_speech(narrow) if frame.speech is None else frame.speech
        wake = None if self._wake is None else self._wake.process(narrow)
        at = frame.captured_at - self._to_stream.delay_ms / 1000
        self._last_at = max(at, self._last_at + SMALLEST_STEP_S)
        heard = HeardFrame(
            at=self._last_at,
            pcm24k=array_to_pcm(stream),
            speech=speech,
            over_playback=frame.over_playback,
            wake=wake,
            level_dbfs=level_dbfs(stream),
        )
        self.frames_out += 1
        self.playback_frames += frame.over_playback
        if self._emit_many is None:
            self._emit(heard)
        else:
            self._ready.append(heard)

    # --- for logs -----------------------------------------------------------------------

    @property
    def erle_db(self) -> float:
        """How much of the echo the linear canceller took away at the end of the last playback."""
        return self._stage.erle_db

    @property
    def echo(self) -> str:
        """Whether our voice was found in the microphone: see `EchoStage.echo`."""
        return self._stage.echo
