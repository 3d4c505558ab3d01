"""Echo stage: one microphone frame in, the same without our voice and a speech label out.

Thread: the front end's; `load` may run elsewhere.  It must never touch the sound while our speaker
has been silent for longer than the tail, nor work then: idle costs nothing.

Two kinds of canceller complement each other.  The linear one keeps the words, so its output is
what is streamed and what the wake model hears; it runs at the wire's 24 kHz, which costs a
quarter more than 16 kHz, cancels as well and needs no conversion afterwards.  AEC3 swallows the
words but leaves little echo; its voice label lowers the bar for the double-talk detector.
In silence AEC3 is not fed: measured, it resumes as if no time had passed.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from edge_agent.audio.cancel.canceller import LinearEcho
from edge_agent.audio.cancel.double_talk import DoubleTalkDetector
from edge_agent.audio.cancel.echo import ReferenceTrack, WebRtcEcho
from edge_agent.audio.cancel.echo_search import EchoSearch
from edge_agent.audio.detectors import DETECTOR_RATE_HZ, VoiceDetector
from edge_agent.audio.resample import FloatArray, Resampler, array_to_pcm, to_int16
from edge_agent.contract.errors import ConfigError

STREAM_RATE_HZ = 24_000
FRAME_SAMPLES = 240
FRAMES_PER_S = 100

EXCESS_ALONE_DB = 2.0
"""A frame is speech when the double-talk detector is that sure.  Simulated, 30 minutes of own
voice in 60 rooms, a cold start in each: never 70 ms of it (at 1 dB it happens)."""

EXCESS_WITH_AEC3_DB = 1.0
"""Enough when a voice is left after AEC3 as well: still none in 30 minutes, and quicker; at
0.5 dB it is two.  AEC3 and a voice detector alone: 95."""

TRUST_ERLE_DB = 4.0
"""The double-talk detector builds on the linear canceller's echo estimate.  Until that has once
removed so much, it may never: wrong time stamps, an echo that comes later than its tail.  Then,
unless our voice does not reach the microphone at all (`EchoSearch`), a frame is speech only if
AEC3, which follows delays up to half a second, finds a voice as well; without AEC3 no frame is:
better a button to interrupt than a speaker that interrupts itself."""

AEC3_VAD_MODE = 3
"""webrtcvad's strictest: no false start at 20 dB over pink noise, onset 16 ms."""

RESIDUAL_VAD_MODE = 2
"""On the linear residual: mode 3 misses every seventh utterance at 0 dB, 2 none."""


class EchoChoice(Enum):
    """How our own voice is kept out of the microphone.

    `OFF` is for devices with a canceller of their own; the microphone is believed as it is.
    """

    AEC3 = "aec3"
    LINEAR = "linear"
    OFF = "off"


class EchoStage:
    """See the module's text.  `begin` with each opened device, then `process` frame by frame."""

    def __init__(self, reference: ReferenceTrack, choice: EchoChoice) -> None:
        self.reference = reference
        self.choice = choice
        self.erle_db = 0.0
        """Of the linear canceller, at the end of the last playback."""
        self._linear = LinearEcho(STREAM_RATE_HZ)
        self._double_talk = DoubleTalkDetector(STREAM_RATE_HZ)
        self._search = EchoSearch()
        self._aec3: WebRtcEcho | None = None
        self._residual_voice = VoiceDetector(RESIDUAL_VAD_MODE)
        self._aec3_voice = VoiceDetector(AEC3_VAD_MODE)
        self._fade_in: FloatArray = (np.arange(FRAME_SAMPLES) + 1) / FRAME_SAMPLES
        self.begin()

    @property
    def trusted(self) -> bool:
        """Whether it is known, on this device, how our voice reaches the microphone.

        Either the linear canceller has found the echo, or there is none.  What an answer has
        shown holds for those that follow; only a newly opened device begins afresh.
        """
        return self._found or self._search.none_found

    @property
    def echo(self) -> str:
        """`found` · `none` (our voice does not reach the microphone) · `searching` · `off`."""
        if self.choice is EchoChoice.OFF:
            return "off"
        return "found" if self._found else "none" if self._search.none_found else "searching"

    @property
    def aec3_loaded(self) -> bool:
        """Whether AEC3 takes part; until it is loaded the linear canceller works alone."""
        return self._aec3 is not None

    def load(self) -> None:
        """Load AEC3 if it was chosen (0.1 to 1 s; any thread).  `ConfigError` if not installed."""
        if self.choice is not EchoChoice.AEC3 or self._aec3 is not None:
            return
        try:
            self._aec3 = WebRtcEcho(DETECTOR_RATE_HZ)
        except ImportError as error:
            raise ConfigError(
                "The echo canceller AEC3 is not installed.",
                fix="Install the extra 'echo' (package livekit), or choose echo 'linear'.",
                code="config.no_aec3",
            ) from error

    def give_up_aec3(self) -> None:
        """Go on with the linear canceller alone, after AEC3 has failed."""
        self._aec3 = None
        if self.choice is EchoChoice.AEC3:
            self.choice = EchoChoice.LINEAR

    def begin(self) -> None:
        """A device was opened: the room and the delays are new."""
        self._linear.reset()
        self._double_talk.reset()
        self._active = False
        self._found = False
        self._search.reset()
        self._taken = 0
        self._spare: FloatArray = np.zeros(0)
        self._restart()

    def _restart(self) -> None:
        """Begin of a playback."""
        rate_hz = self.reference.rate_hz
        self.reference.align()
        self._reference_24k = Resampler(rate_hz, STREAM_RATE_HZ)
        self._reference_16k = Resampler(STREAM_RATE_HZ, DETECTOR_RATE_HZ)
        self._microphone_16k = Resampler(STREAM_RATE_HZ, DETECTOR_RATE_HZ)
        self._residual_16k = Resampler(STREAM_RATE_HZ, DETECTOR_RATE_HZ)
        self._spare = np.zeros(0)
        self._linear.restart()
        self._double_talk.restart()

    def _next_samples(self) -> int:
        """Reference samples that belong to the next frame; each frame counts, silent or not."""
        rate_hz = self.reference.rate_hz
        done = self._taken * rate_hz // FRAMES_PER_S
        self._taken += 1
        return self._taken * rate_hz // FRAMES_PER_S - done

    def _next_reference(self, at: float) -> FloatArray:
        played = self._reference_24k.process_array(self.reference.read(at, self._next_samples()))
        joined = np.concatenate((self._spare, played))
        if joined.size < FRAME_SAMPLES:
            # Only at 22.05 kHz, whose 10 ms are no whole number of samples.
            joined = np.concatenate((np.zeros(FRAME_SAMPLES - joined.size), joined))
        self._spare = joined[FRAME_SAMPLES:]
        return joined[:FRAME_SAMPLES]

    def process(self, microphone: FloatArray, at: float) -> tuple[FloatArray, bool | None, bool]:
        """Take 240 samples (int16 scale, 24 kHz) captured at loop time `at`.

        Returns (what may be streamed, speech, whether our speaker is audible); `speech` is None
        where the frame is the bare microphone and the ordinary voice detector is to judge.
        """
        audible = self.reference.audible(at)
        if self.choice is EchoChoice.OFF:
            return microphone, None, audible
        was_active, self._active = self._active, audible
        if not audible and not was_active:
            self.reference.skip(self._next_samples())
            self._search.hear(microphone)
            return microphone, None, False
        if audible and not was_active:
            self._restart()
        reference = self._next_reference(at)
        self._search.hear(microphone, reference)
        residual = self._linear.process(microphone, reference)
        if not audible:
            self.erle_db = self._linear.erle_db
            return residual + self._fade_in * (microphone - residual), None, False
        speech = self._speech(microphone, reference, residual)
        if not was_active:
            residual = microphone + self._fade_in * (residual - microphone)
        return residual, speech, True

    def _speech(self, microphone: FloatArray, reference: FloatArray, residual: FloatArray) -> bool:
        excess_db = self._double_talk.excess_db(
            residual, self._linear.echo, self._linear.uncertain_power
        )
        narrow = array_to_pcm(to_int16(self._residual_16k.process_array(residual)))
        voiced = self._residual_voice.is_speech(narrow)
        if self._linear.erle_db > TRUST_ERLE_DB:
            self._found = True
        if self._aec3 is None:
            return voiced and self.trusted and excess_db > EXCESS_ALONE_DB
        near = array_to_pcm(to_int16(self._microphone_16k.process_array(microphone)))
        far = array_to_pcm(to_int16(self._reference_16k.process_array(reference)))
        if self._aec3_voice.is_speech(self._aec3.process(near, far)):
            return voiced and excess_db > EXCESS_WITH_AEC3_DB
        return voiced and self.trusted and excess_db > EXCESS_ALONE_DB
