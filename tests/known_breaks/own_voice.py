"""A room in which nobody speaks but the speaker itself, heard through the real front end.

Virtual time, no thread: the loudspeaker's blocks are written ahead as a sound card asks for them,
the microphone's come in turn, and every labelled frame goes to `BargeIn` as in service.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from known import given

from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.detectors import VoiceDetector
from edge_agent.audio.front_end import FrontEnd
from edge_agent.contract.events import HeardFrame
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.simulation.sound.acoustics import (
    Sound,
    convolve,
    from_pcm,
    gain,
    impulse_response,
    level_dbfs,
    pink_noise,
    resample,
    to_pcm,
)

RATE_HZ = 48_000
BLOCK = 480
AHEAD_BLOCKS = 12
"""The card asks for its sound 120 ms before it is audible."""
VOICE_DBFS, ECHO_DB = -20.0, -10.0


@dataclass(frozen=True)
class Place:
    """What this room and its sound card are like."""

    stamps_late_s: float = 0.0
    """So much later than it sounds does the card say it will."""
    noise_dbfs: float = -65.0
    swell_db: float = 0.0
    """The noise rises and falls by that …"""
    swell_s: float = 8.0
    """… in that time."""
    seed: int = 1


def cuts(place: Place, seconds: float) -> list[float]:
    """When the speaker takes its own voice, or the room, for a person who interrupts."""
    far = _voice(seconds)
    response = impulse_response(
        RATE_HZ, delay_s=0.004, rt60_s=0.3, direct_to_reverb_db=3.0, seed=place.seed
    )
    near = to_pcm(convolve(far, response)[: len(far)] * gain(ECHO_DB) + _noise(place, len(far)))
    played = to_pcm(far)
    frames: list[HeardFrame] = []
    reference = ReferenceTrack(RATE_HZ, tail_s=0.25)
    front = FrontEnd(
        frames.append,
        wake=None,
        voice=VoiceDetector(3),
        reference=reference,
        echo="linear",
        sensitivity="normal",
    )
    front.load()
    front.start(RATE_HZ, threaded=False)
    blocks = len(far) // BLOCK
    for number in range(-AHEAD_BLOCKS, blocks):
        ahead = number + AHEAD_BLOCKS
        if ahead < blocks:
            sounds_at = 100.0 + ahead / 100
            block = played[ahead * BLOCK : (ahead + 1) * BLOCK]
            reference.write(block, sounds_at + place.stamps_late_s)
        if number >= 0:
            block = near[number * BLOCK : (number + 1) * BLOCK]
            front.on_capture(block.tobytes(), 100.0 + number / 100)
    given(not front.faults and len(frames) > blocks - 5, "every frame is labelled")
    return _decisions(frames)


def _decisions(frames: list[HeardFrame]) -> list[float]:
    barge_in = BargeIn(window_frames=1, speech_frames=1, min_after_start_ms=250)
    barge_in.playback_started(100.0)
    found: list[float] = []
    for frame in frames:
        if barge_in.hear(frame):
            found.append(round(frame.at - 100.0, 2))
            barge_in.playback_started(frame.at)  # the answer goes on, for the sake of the count
    return found


def _voice(seconds: float) -> Sound:
    """Answers, one after the other."""
    folder = files("edge_agent.simulation") / "assets"
    pieces: list[Sound] = []
    for name in ("answer_story", "answer_weather", "answer_train", "answer_lisbon"):
        raw = (folder / f"{name}.wav").read_bytes()[44:]
        pieces.append(resample(from_pcm(raw[: len(raw) // 2 * 2]), 24_000, RATE_HZ))
    joined = np.concatenate(pieces)
    count = round(seconds * RATE_HZ)
    voice = np.resize(joined, count).astype(np.float32)
    return voice * gain(VOICE_DBFS - level_dbfs(voice))


def _noise(place: Place, count: int) -> Sound:
    noise = np.resize(pink_noise(RATE_HZ, place.seed), count) * gain(place.noise_dbfs)
    moment = np.arange(count) / RATE_HZ
    swell_db = place.swell_db / 2 * (1 - np.cos(2 * np.pi * moment / place.swell_s))
    return (noise * 10 ** (swell_db / 20)).astype(np.float32)
