"""What the front end does while our voice sounds, stage by stage, in million instructions a second.

    /opt/edge-agent/venv/bin/python -m lab_arm.guest.stages     one line of JSON

With the speaker's Python, as root in the guest, under the instruction clock: a nanosecond of a
thread's time is an instruction.  The front end gets what it gets there: blocks of 20 ms at 48 kHz,
one at a time, an answer as its reference, and a twentieth of it in the microphone.  Looking at the
clock around each stage costs instructions too; they are weighed first and taken away.
"""

from __future__ import annotations

import functools
import json
import sys
import time
import wave
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import edge_agent.simulation
from edge_agent.audio.cancel.alignment import Alignment
from edge_agent.audio.cancel.canceller import Canceller
from edge_agent.audio.cancel.double_talk import DoubleTalkDetector
from edge_agent.audio.cancel.echo_search import EchoSearch
from edge_agent.audio.cancel.echo_stage import EchoStage
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.cancel.speech_features import SpeechFeatures
from edge_agent.audio.cancel.speech_net import SpeechNet
from edge_agent.audio.detectors import VoiceDetector, WakeDetector
from edge_agent.audio.device.levels import Levels
from edge_agent.audio.front_end import FrontEnd
from edge_agent.audio.resample import Resampler
from edge_agent.contract.events import HeardFrame

RATE_HZ = 48_000
BLOCK = 960
ECHO = 0.05
LATE = 960
"""Samples between a sound and its echo: 20 ms."""
NOISE_RMS = 58.0
MILLION = 1e6
ANSWER = Path(edge_agent.simulation.__file__).parent / "assets/answer_lisbon.wav"
STAGES: dict[str, tuple[type, str]] = {
    "reference: position and conversion": (Alignment, "next"),
    "search for the delay, ERLE": (EchoStage, "_look"),
    "is there an echo": (EchoSearch, "hear"),
    "canceller": (Canceller, "process"),
    "features": (SpeechFeatures, "of"),
    "net": (SpeechNet, "hear"),
    "double talk, the rest": (DoubleTalkDetector, "hear"),
    "resampling": (Resampler, "process_array"),
    "wake word": (WakeDetector, "process"),
    "voice": (VoiceDetector, "is_speech"),
    "levels": (Levels, "take"),
}
"""What a person reads → the method that does it; what one calls of another is counted once."""

Method = Callable[..., Any]
CALLS_TO_WEIGH = 2000


class Counter:
    """Instructions by stage, without those of the stages inside and of counting itself."""

    def __init__(self) -> None:
        self.used: defaultdict[str, float] = defaultdict(float)
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._inside: list[float] = [0.0]
        self._own = self._around = 0.0
        self._weigh()

    def _weigh(self) -> None:
        """What counting costs: within what is counted, and around it."""
        weighed = self.wrap("weighed", lambda: None)
        begun = time.thread_time_ns()
        for _ in range(CALLS_TO_WEIGH):
            weighed()
        whole = (time.thread_time_ns() - begun) / CALLS_TO_WEIGH
        self._own = self.used["weighed"] / CALLS_TO_WEIGH
        self._around = whole
        self.used.clear()
        self.calls.clear()
        self._inside = [0.0]

    @property
    def overhead(self) -> float:
        """Instructions that counting took around all calls so far."""
        return self._around * sum(self.calls.values())

    def wrap(self, name: str, method: Method) -> Method:
        """The method, counted."""

        @functools.wraps(method)
        def counted(*given: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            begun = time.thread_time_ns()
            try:
                return method(*given, **named)
            finally:
                whole = time.thread_time_ns() - begun
                self.used[name] += whole - self._own - self._inside.pop()
                self.calls[name] += 1
                self._inside[-1] += whole + self._around - self._own

        return counted


def sound() -> tuple[np.ndarray, np.ndarray]:
    """What is played and what the microphone hears of it, at 48 kHz."""
    with wave.open(str(ANSWER)) as file:
        answer = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        step = file.getframerate() / RATE_HZ
    at = np.arange(int(answer.size / step) // BLOCK * BLOCK) * step
    played = np.interp(at, np.arange(answer.size), answer)
    noise = np.random.default_rng(1).standard_normal(played.size)
    heard = NOISE_RMS * noise
    heard[LATE:] += ECHO * played[:-LATE]
    return played.astype("<i2"), heard.astype("<i2")


def speaking(name: str, counter: Counter | None) -> dict[str, object]:
    """The front end while an answer sounds; by stage if somebody counts."""
    played, heard = sound()
    reference = ReferenceTrack(RATE_HZ, tail_s=0.3)
    frames: list[HeardFrame] = []
    front = FrontEnd(
        frames.append,
        wake=WakeDetector({"okay_nabu": None}),
        voice=VoiceDetector(2),
        reference=reference,
        echo="linear",
        sensitivity="normal",
        emit_many=frames.extend,
    )
    front.load()
    front.start(RATE_HZ, threaded=False)
    used = 0
    for number, first in enumerate(range(0, played.size, BLOCK)):
        at = 100.0 + first / RATE_HZ
        reference.write(played[first : first + BLOCK].tobytes(), at)
        block = heard[first : first + BLOCK].tobytes()
        begun = time.thread_time_ns()
        front.on_capture(block, at)
        used += time.thread_time_ns() - begun
        if number == 50:  # a second: everything has run once
            used = 0
            warm = first + BLOCK
            if counter is not None:
                counter.used.clear()
                counter.calls.clear()
    seconds = (played.size - warm) / RATE_HZ
    row: dict[str, object] = {"what": name, "seconds": round(seconds, 1), "faults": front.faults}
    if counter is None:
        return row | {"mips": round(used / seconds / MILLION, 1)}
    all_of_it = used - counter.overhead
    stages = {stage: counter.used[stage] / seconds / MILLION for stage in STAGES}
    stages["the rest"] = (all_of_it / seconds / MILLION) - sum(stages.values())
    return row | {
        "mips": round(all_of_it / seconds / MILLION, 1),
        "stages": {stage: round(mips, 2) for stage, mips in stages.items()},
    }


def main() -> None:
    """First as it is, then counted."""
    plain = speaking("front end, speaking", None)
    counter = Counter()
    for name, (owner, method) in STAGES.items():
        setattr(owner, method, counter.wrap(name, getattr(owner, method)))
    by_stage = speaking("by stage", counter)
    found = plain | {"stages": by_stage["stages"], "counted_mips": by_stage["mips"]}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
