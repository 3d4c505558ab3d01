"""Front end: from microphone blocks to labelled 10 ms frames.

Thread: its own ("front-end"), or the caller's where no threads are wanted (virtual time).
`on_capture` runs on the sound device's callback and only queues.  It must never decide what leaves
the house, touch asyncio (`emit` is given to it), or end while the device still delivers: an error
in one block is counted and reported, and the next block is processed.

capture rate → 16 kHz → echo stage → wake word, voice, and 24 kHz for the wire → `HeardFrame`

All that is heard here goes through one canceller at 16 kHz: words, pre-roll and wake word.  What
lies above 7 kHz is left out; no speech recogniser looks at it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import log10
from queue import Empty, SimpleQueue

import numpy as np

from edge_agent.audio.cancel.canceller import Float32Array
from edge_agent.audio.cancel.echo_stage import EchoChoice, EchoStage, Heard
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.detectors import (
    DETECTOR_RATE_HZ,
    FRAME_BYTES,
    FRAME_SAMPLES,
    VoiceDetector,
    WakeDetector,
)
from edge_agent.audio.device.levels import Levels
from edge_agent.audio.device.sample_clock import SampleClock
from edge_agent.audio.resample import (
    SILENCE_DBFS,
    Resampler,
    array_to_pcm,
    pcm_to_array,
    to_int16,
)
from edge_agent.contract.events import HeardFrame
from edge_agent.contract.pcm import WIRE_FRAME_BYTES, WIRE_RATE_HZ
from edge_agent.contract.ports import EchoPath

QUEUE_S = 1.0
"""Overflow rule: the oldest block is dropped, counted, and replaced by silence of its length
(the canceller needs 2 s to find a shifted echo again)."""

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


SETTLING_FRAMES = 10
"""The voice detector does not know the room's noise yet, and may take it for a voice."""

DIGITAL_SILENCE = bytes(FRAME_BYTES)
"""No room is that quiet: it stands for lost sound, or a microphone that is switched off.  The voice
detector would take it for the room, and for 2 s what the room sounds like after it for a voice."""

FRAMES_PER_S = 100
FULL_SCALE = 32768.0
QUIETEST_POWER = FRAME_SAMPLES * 10 ** (SILENCE_DBFS / 10)

Batch = list[tuple[bytes, float]]
"""Blocks as they came: PCM16 and the loop time of the first sample."""


class FrontEnd:
    """Label the microphone.

    `emit` gets each `HeardFrame` on the front end's thread (the app wraps it in
    `loop.call_soon_threadsafe`); `emit_many`, where given, gets those of a batch at once instead,
    so that the event loop wakes once for all of them.  `wake` is None where the button alone
    wakes.  `echo` is `linear` or `off`; `sensitivity`: how easily a person over our voice is heard.
    Order of calls: `start` when the device is open, `on_capture` for each block, `stop` before the
    device is opened anew; `load` once, off the event loop.
    """

    def __init__(
        self,
        emit: Callable[[HeardFrame], None],
        *,
        wake: WakeDetector | None,
        voice: VoiceDetector,
        reference: ReferenceTrack,
        echo: str,
        sensitivity: str,
        on_fault: Callable[[Exception], None] | None = None,
        emit_many: Callable[[list[HeardFrame]], None] | None = None,
    ) -> None:
        self._emit = emit
        self._emit_many = emit_many
        self._wake = wake
        self._voice = voice
        self._stage = EchoStage(reference, EchoChoice(echo), sensitivity)
        self._on_fault = on_fault
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._running = False
        self.relaxed = False
        """Nobody is being listened to or spoken to: the thread may take its blocks several at
        once.  Any thread may set it; once False, the next block hands over what was held."""
        self.capture_rate_hz = WIRE_RATE_HZ
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
        self._prepare(WIRE_RATE_HZ)

    # --- life ---------------------------------------------------------------------------

    def load(self) -> None:
        """Load what was learned.  Raises `ConfigError` where it is missing or damaged."""
        self._stage.load()

    def start(
        self, capture_rate_hz: int, *, threaded: bool = True, echo_path: EchoPath | None = None
    ) -> None:
        """Begin with a freshly opened device; `threaded=False` processes inside `on_capture`.

        `echo_path`: how our voice reached this very microphone from this loudspeaker before.

        Raises `ValueError` for a rate the resampler does not know, `RuntimeError` if running.
        """
        if self._running:
            raise RuntimeError("the front end is running already")
        self._prepare(capture_rate_hz, echo_path)
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

    def _prepare(self, capture_rate_hz: int, echo_path: EchoPath | None = None) -> None:
        self._from_device = Resampler(capture_rate_hz, DETECTOR_RATE_HZ, single=True)
        self._to_wire = Resampler(DETECTOR_RATE_HZ, WIRE_RATE_HZ, single=True)
        self._delay_s = (self._from_device.delay_ms + self._to_wire.delay_ms) / 1000
        self.capture_rate_hz = capture_rate_hz
        self.levels.restart(capture_rate_hz)
        self._clock = SampleClock(capture_rate_hz)
        # New objects, so that a thread that hangs in an old device takes no block of the new one.
        self._stopping = threading.Event()
        self._queue = SimpleQueue()
        self._held: Batch = []  # touched by the callback only
        self._ready: list[HeardFrame] = []
        self._lost_samples = 0  # written by the callback only
        self._lost_and_padded = 0  # written by the thread only
        self._samples_in = 0
        self._run_of_blocks: list[bytes] = []
        self._frames_cut = 0
        self._settling = SETTLING_FRAMES
        self._pending: Float32Array = np.zeros(0, np.float32)
        self._last_at = float("-inf")
        self._stage.begin(echo_path)

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
        try:
            self._pad_lost()
        except Exception as error:
            self._report(error)
        for block, at in batch:
            try:
                self._process_block(block, at)
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

    def _pad_lost(self) -> None:
        """Silence for the batches that were given up between the last one and this."""
        lost = self._lost_samples - self._lost_and_padded
        if lost:
            self._lost_and_padded += lost
            self._pad(lost)

    def _process_block(self, block: bytes, at: float) -> None:
        """Find out where a block belongs; it is worked on with the rest of its batch."""
        jump_s = self._clock.observe(self._samples_in, at)
        if 0.0 < jump_s <= LONGEST_PAD_S:
            self._clock.begin(self._samples_in, at - jump_s)
            self._pad(round(jump_s * self.capture_rate_hz))
            self._clock.begin(self._samples_in, at)
        samples = len(block) // 2
        self._samples_in += samples
        self._run_of_blocks.append(block if len(block) == 2 * samples else block[:-1])

    def _pad(self, samples: int) -> None:
        samples = min(samples, round(LONGEST_PAD_S * self.capture_rate_hz))
        if samples > 0:
            self.padded_samples += samples
            self._samples_in += samples
            self._run_of_blocks.append(bytes(2 * samples))
            self._feed_run()
            self._stage.slipped()

    def _feed_run(self) -> None:
        """Convert at once what has come: numpy costs per call more than per sample."""
        run, self._run_of_blocks = self._run_of_blocks, []
        samples = pcm_to_array(run[0] if len(run) == 1 else b"".join(run))
        if not samples.size:
            return
        self.levels.take(samples)
        if samples.max() >= CLIPPED_FROM or samples.min() <= -CLIPPED_FROM:
            loud = (samples >= CLIPPED_FROM) | (samples <= -CLIPPED_FROM)
            self.clipped_samples += int(np.count_nonzero(loud))
        heard = self._from_device.process_array(samples).astype(np.float32, copy=False)
        heard *= np.float32(1 / FULL_SCALE)
        if self._pending.size:
            heard = np.concatenate((self._pending, heard))
        whole = heard.size // FRAME_SAMPLES * FRAME_SAMPLES
        self._pending = heard[whole:]
        if whole:
            self._label(heard[:whole].reshape(-1, FRAME_SAMPLES))

    def _label(self, frames: Float32Array) -> None:
        """Frames of 10 ms, one per row."""
        first, count = self._frames_cut, len(frames)
        self._frames_cut += count
        samples = self.capture_rate_hz / FRAMES_PER_S
        at = self._clock.time_of(first * samples)
        step_s = self._clock.time_of((first + 1) * samples) - at
        times = [at + number * step_s for number in range(count)]
        # A sound of ours that fell between the two is still audible at the last.
        if self._stage.is_idle(times[0]) and self._stage.is_idle(times[-1]):
            self._stage.pass_over(frames)
            cleaned = None
            clean = frames
        else:
            cleaned = [self._clean(*frame) for frame in zip(frames, times, strict=True)]
            clean = np.concatenate([c.sound for c in cleaned])
        scaled = clean.reshape(-1) * np.float32(FULL_SCALE)
        narrow = array_to_pcm(to_int16(scaled))
        wide = array_to_pcm(to_int16(self._to_wire.process_array(scaled)))
        sounds = clean.reshape(count, FRAME_SAMPLES)
        powers = np.add.reduce(sounds * sounds, axis=1).tolist()
        for number in range(count):
            what = None if cleaned is None else cleaned[number]
            heard = narrow[number * FRAME_BYTES : (number + 1) * FRAME_BYTES]
            stream = wide[number * WIRE_FRAME_BYTES : (number + 1) * WIRE_FRAME_BYTES]
            try:
                self._emit_frame(what, times[number], heard, stream, powers[number])
            except Exception as error:
                self._report(error)

    def _clean(self, frame: Float32Array, at: float) -> Heard:
        try:
            heard = self._stage.process(frame, at, self._clock.drift)
            if heard.sound[-1] != heard.sound[-1]:  # NaN: it would stay for ever
                raise FloatingPointError("the echo canceller's output is not a number")
        except Exception as error:
            # A deaf speaker is worse than one that hears its own echo.
            self._report(error)
            self._stage.begin(self._stage.learned)
            return Heard(frame, False, self._stage.is_audible(at))
        return heard

    def _emit_frame(
        self, cleaned: Heard | None, at: float, narrow: bytes, stream: bytes, power: float
    ) -> None:
        speech = None if cleaned is None else cleaned.speech
        if speech is None:
            speech = narrow != DIGITAL_SILENCE and self._voice.is_speech(narrow)
            if self._settling:
                self._settling -= 1
                speech = False
        wake = None if self._wake is None else self._wake.process(narrow)
        # Conditions cost a third of what `max` does, 200 times a second all day.
        heard_at, soonest = at - self._delay_s, self._last_at + SMALLEST_STEP_S
        self._last_at = heard_at if heard_at > soonest else soonest
        over_playback = cleaned is not None and cleaned.over_playback
        level = 10 * log10(power / FRAME_SAMPLES) if power > QUIETEST_POWER else SILENCE_DBFS
        heard = HeardFrame(
            at=self._last_at,
            pcm24k=stream,
            speech=speech,
            over_playback=over_playback,
            wake=wake,
            level_dbfs=level,
        )
        self.frames_out += 1
        self.playback_frames += over_playback
        if self._emit_many is None:
            self._emit(heard)
        else:
            self._ready.append(heard)

    # --- for logs -----------------------------------------------------------------------

    def wake_scores(self, *, go_on: bool = True) -> dict[str, tuple[float, float]]:
        """The highest score of each wake word since the last call, and its cut-off; nothing is
        gathered before the first call, nor after one without `go_on`."""
        if self._wake is None:
            return {}
        # Whole tables change hands: the front end's thread never sees one that lacks a word.
        fresh = dict.fromkeys(self._wake.words, 0.0) if go_on else None
        found, self._wake.peaks = self._wake.peaks or {}, fresh
        return {word: (score, self._wake.cutoffs[word]) for word, score in found.items()}

    @property
    def erle_db(self) -> float:
        """How much of the echo the linear canceller took away at the end of the last playback."""
        return self._stage.erle_db

    @property
    def echo_path(self) -> EchoPath | None:
        """How our voice reaches the microphone, as far as it is known: see `EchoStage.learned`."""
        return self._stage.learned

    @property
    def echo(self) -> str:
        """Whether our voice was found in the microphone: see `EchoStage.echo`."""
        return self._stage.echo
