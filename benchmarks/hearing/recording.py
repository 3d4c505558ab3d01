"""Sessions as the product hears them: what its canceller makes of them, as numbers to learn from.

`prepare` lets sessions run through the product's own echo stage, delay search and all, and keeps
the features that its detector would get in a folder: what was made once is not made again.

Thread: the caller's.  It must never tell the stage where the echo is: late stamps and clocks that
drift are found, or not, as they are in a room.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.hearing.kinds import KINDS
from benchmarks.hearing.library import Library
from benchmarks.hearing.places import RATE_HZ, Floats
from benchmarks.hearing.scenes import FRAME, FRAMES, Scene, scene
from edge_agent.audio.cancel.canceller import Cancelled
from edge_agent.audio.cancel.double_talk import DoubleTalkDetector
from edge_agent.audio.cancel.echo_stage import EchoChoice, EchoStage
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.cancel.speech_features import COUNT, TOGETHER, VERSION, SpeechFeatures
from edge_agent.audio.detectors import VoiceDetector
from edge_agent.audio.device.sample_clock import SampleClock
from edge_agent.audio.resample import Resampler, array_to_pcm, to_int16
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.sound.acoustics import from_pcm, resample, to_pcm

CARD_HZ = 48_000
BLOCK = CARD_HZ // 100
AHEAD_BLOCKS = 12
"""A card asks for its sound so long before it is heard: 120 ms."""

JITTER_S = 0.0002
START_S = 1000.0
"""Loop time of the first sample; a clock never begins at zero."""


class Stamps:
    """When the blocks of a session were heard, and become audible, as its card says."""

    def __init__(self, session: Scene) -> None:
        self._session = session
        rng = np.random.default_rng(1)
        self._jitter = rng.uniform(-JITTER_S, JITTER_S, (2, FRAMES + AHEAD_BLOCKS + 1))

    def heard(self, number: int) -> float:
        """Of a block of the microphone."""
        pace = 1 + self._session.drift_ppm * 1e-6
        return float(START_S + number / 100 / pace + self._jitter[1, number])

    def played(self, number: int) -> float:
        """Of a block of the loudspeaker."""
        late = self._session.stamps_s
        return float(START_S + number / 100 + late + self._jitter[0, number])


def at_card(sound: NDArray[np.int16]) -> NDArray[np.int16]:
    """A session's sound at the rate of a card."""
    return np.frombuffer(to_pcm(resample(from_pcm(sound), RATE_HZ, CARD_HZ)), np.int16)


class _Recorder(DoubleTalkDetector):
    """In the detector's place: keeps its features and never says that anybody speaks."""

    def __init__(self) -> None:
        super().__init__("normal")
        self._made = SpeechFeatures()
        self._unheard: list[Cancelled] = []
        self.last: Floats | None = None

    def reset(self) -> None:
        self._made = SpeechFeatures()
        self._unheard = []

    def restart(self) -> None:
        self._made.restart()
        self._unheard = []

    def hear(self, cancelled: Cancelled, *, last: bool, **_believed: bool) -> bool:
        self._unheard.append(cancelled)
        if last:
            self.last, self._unheard = self._made.of(self._unheard), []
        return False


class Heard(NamedTuple):
    """What became of a session.  Frames are of 10 ms, but for those of the features."""

    features: Floats
    """(frames of 20 ms, numbers)."""
    believed: NDArray[np.bool_]
    """The detector would be believed."""
    free: NDArray[np.bool_]
    """In a pause of our own voice the ordinary voice detector takes the frame for speech, which
    interrupts an answer as well."""


def run(session: Scene) -> Heard:
    """Let a session through the echo stage."""
    tail_s = Settings().echo.tail_ms / 1000
    reference = ReferenceTrack(RATE_HZ, tail_s=tail_s)
    stage = EchoStage(reference, EchoChoice.LINEAR, "normal")
    recorder = _Recorder()
    stage._double_talk = recorder
    stage.begin()
    clock, stamps = SampleClock(RATE_HZ), Stamps(session)
    # What the way through a card at another rate leaves of it, at once and not block by block.
    down = [Resampler(CARD_HZ, RATE_HZ) for _ in range(2)]
    sounds = (session.heard, session.rendered)
    near, far = (d.process_array(at_card(s)) for d, s in zip(down, sounds, strict=True))
    near = np.pad(near.astype(np.float32) / np.float32(32768), (0, FRAME))
    far = np.pad(np.rint(np.clip(far, -32768, 32767)).astype(np.int16), (0, FRAME))
    features = np.zeros((FRAMES // TOGETHER, COUNT), np.float16)
    believed, free, ours = np.zeros((3, FRAMES), bool)
    voice = VoiceDetector(Settings().listen.vad_mode)
    for quiet in session.before.reshape(-1, FRAME):  # a speaker has heard its room all day
        voice.is_speech(array_to_pcm(quiet))
    written = 0
    for number in range(FRAMES):
        while written < min(FRAMES, number + AHEAD_BLOCKS):
            block = far[written * FRAME : (written + 1) * FRAME]
            reference.write(block.tobytes(), stamps.played(written))
            written += 1
        clock.observe(number * FRAME, stamps.heard(number))
        at = clock.time_of(number * FRAME)
        frame = near[number * FRAME : (number + 1) * FRAME]
        heard = stage.process(frame, at, clock.drift)
        ours[number] = heard.over_playback
        if heard.speech is None:
            free[number] = voice.is_speech(array_to_pcm(to_int16(frame * np.float32(32768))))
        believed[number] = stage.trusted and not stage.unsettled
        if recorder.last is not None:
            features[number // TOGETHER], recorder.last = recorder.last, None
    sounding = np.flatnonzero(ours)
    if len(sounding):  # before and after an answer there is nothing to interrupt
        free[: sounding[0]] = free[sounding[-1] :] = False
    return Heard(features, believed & ours, free)


def stored(folder: Path, part: str, kind: str, number: int) -> Path:
    """Where the features of a session are kept; those of another kind of features are not."""
    return folder / f"{part}-{kind}-{number}.v{VERSION}.npz"


def prepare(library: Library, kind: str, numbers: range, folder: Path) -> list[Path]:
    """Features and labels of sessions, one file each; makes those that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [stored(folder, library.part, kind, number) for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        if path.exists():
            continue
        session = scene(library, KINDS[kind], number)
        half_done = path.with_suffix(".part.npz")
        np.savez(
            half_done,
            **run(session)._asdict(),
            near=session.near,
            blurred=session.blurred,
            own=session.own,
            said=np.array([s[:3] for s in session.said], np.float32).reshape(-1, 3),
            who=np.array([s[3] for s in session.said]),
            place=session.place,
        )
        half_done.rename(path)
    return paths
