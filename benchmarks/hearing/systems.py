"""Who decides: the speaker as it is, the trained net alone, and AEC3 with a voice detector.

Each takes one session and says per frame of 10 ms whether it would cut our voice.

Thread: the caller's, without threads of their own.  They must never see what `scenes` knows: they
get the sound and its time stamps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.hearing.places import RATE_HZ
from benchmarks.hearing.scenes import FRAME, FRAMES, OWN_FROM_S, Scene
from edge_agent.audio.cancel.echo import ReferenceTrack, WebRtcEcho
from edge_agent.audio.detectors import VoiceDetector
from edge_agent.audio.front_end import FrontEnd
from edge_agent.contract.events import HeardFrame
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.sound.acoustics import from_pcm, resample, to_pcm

Fires = NDArray[np.bool_]

CARD_HZ = 48_000
BLOCK = CARD_HZ // 100
AHEAD_BLOCKS = 12
"""A card asks for its sound so long before it is heard: 120 ms."""

JITTER_S = 0.0002
START_S = 1000.0
"""Loop time of the first sample; a clock never begins at zero."""


def _barge_in(settings: Settings) -> BargeIn:
    section = settings.barge_in
    return BargeIn(section.window_frames, section.speech_frames, section.min_after_start_ms)


def product(session: Scene) -> Fires:
    """The front end and `BargeIn` as the daemon wires them, a freshly opened device each time."""
    settings = Settings()
    frames: list[HeardFrame] = []
    reference = ReferenceTrack(CARD_HZ, tail_s=settings.echo.tail_ms / 1000)
    front_end = FrontEnd(
        frames.append,
        wake=None,
        voice=VoiceDetector(settings.listen.vad_mode),
        reference=reference,
        echo=settings.echo.mode,
    )
    front_end.load()
    reference.restart(CARD_HZ)
    front_end.start(CARD_HZ, threaded=False)
    barge_in = _barge_in(settings)
    barge_in.playback_started(START_S + OWN_FROM_S)
    jitter = np.random.default_rng(1).uniform(-JITTER_S, JITTER_S, (2, FRAMES + AHEAD_BLOCKS + 1))
    rendered = to_pcm(resample(from_pcm(session.rendered), RATE_HZ, CARD_HZ))
    heard = to_pcm(resample(from_pcm(session.heard), RATE_HZ, CARD_HZ))
    fires = np.zeros(FRAMES, bool)
    written, seen = 0, 0
    for number in range(FRAMES):
        while written < min(FRAMES, number + AHEAD_BLOCKS):
            at = START_S + written / 100 + session.stamps_s + jitter[0, written]
            reference.write(rendered[written * BLOCK : (written + 1) * BLOCK].tobytes(), at)
            written += 1
        block = heard[number * BLOCK : (number + 1) * BLOCK]
        at = START_S + number / 100 / (1 + session.drift_ppm * 1e-6) + jitter[1, number]
        front_end.on_capture(block.tobytes(), at)
        for frame in frames:
            if frame.over_playback and barge_in.hear(frame) and seen < FRAMES:
                fires[seen] = True
            seen += 1
        frames.clear()
    front_end.stop()
    return fires


WINDOW, NEEDED = 10, 8


def package(session: Scene) -> Fires:
    """WebRTC's AEC3 with noise suppression and webrtcvad, 8 of the last 10 frames."""
    aec3, voice = WebRtcEcho(RATE_HZ), VoiceDetector(3)
    recent = np.zeros(FRAMES, bool)
    for number in range(FRAMES):
        part = slice(number * FRAME, (number + 1) * FRAME)
        clean = aec3.process(session.heard[part].tobytes(), session.rendered[part].tobytes())
        recent[number] = voice.is_speech(clean)
    count = np.convolve(recent, np.ones(WINDOW), "full")[:FRAMES]
    return np.asarray(count >= NEEDED)


SYSTEMS = {"product": product, "package": package}
