"""Who decides: the speaker as it is, and AEC3 with a voice detector as a package ships them.

Each takes one session and says per frame of 10 ms whether it would cut our voice.

Thread: the caller's, without threads of their own.  They must never see what `scenes` knows: they
get the sound and its time stamps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.hearing.places import RATE_HZ
from benchmarks.hearing.recording import AHEAD_BLOCKS, BLOCK, CARD_HZ, START_S, Stamps, at_card
from benchmarks.hearing.scenes import FRAME, FRAMES, OWN_FROM_S, Scene
from edge_agent.audio.cancel.reference import ReferenceTrack
from edge_agent.audio.detectors import VoiceDetector
from edge_agent.audio.front_end import FrontEnd
from edge_agent.contract.events import HeardFrame
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.host.settings.root import Settings

Fires = NDArray[np.bool_]


def product(session: Scene, sensitivity: str = "normal") -> Fires:
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
        sensitivity=sensitivity,
    )
    front_end.load()
    reference.restart(CARD_HZ)
    front_end.start(CARD_HZ, threaded=False)
    section = settings.barge_in
    barge_in = BargeIn(section.window_frames, section.speech_frames, section.min_after_start_ms)
    barge_in.playback_started(START_S + OWN_FROM_S)
    stamps = Stamps(session)
    rendered, heard = at_card(session.rendered), at_card(session.heard)
    fires = np.zeros(FRAMES, bool)
    written, seen = 0, 0
    for number in range(FRAMES):
        while written < min(FRAMES, number + AHEAD_BLOCKS):
            block = rendered[written * BLOCK : (written + 1) * BLOCK]
            reference.write(block.tobytes(), stamps.played(written))
            written += 1
        block = heard[number * BLOCK : (number + 1) * BLOCK]
        front_end.on_capture(block.tobytes(), stamps.heard(number))
        for frame in frames:
            if barge_in.hear(frame) and seen < FRAMES:
                fires[seen] = True
            seen += 1
        frames.clear()
    front_end.stop()
    return fires


class _Aec3:
    """WebRTC's AEC3 (`livekit`), frames of 10 ms at 16 kHz."""

    def __init__(self) -> None:
        from livekit.rtc import AudioFrame
        from livekit.rtc.apm import AudioProcessingModule

        self._frame: Any = AudioFrame
        # Gain control raises the residual echo to speech level (12 false barge-ins a minute).
        self._apm: Any = AudioProcessingModule(
            echo_cancellation=True,
            noise_suppression=True,
            high_pass_filter=False,
            auto_gain_control=False,
        )

    def process(self, microphone: bytes, reference: bytes) -> bytes:
        """The microphone's frame without echo; the reference goes in first."""
        far = self._frame(bytearray(reference), RATE_HZ, 1, FRAME)
        self._apm.process_reverse_stream(far)
        near = self._frame(bytearray(microphone), RATE_HZ, 1, FRAME)
        self._apm.process_stream(near)
        return bytes(near.data)


WINDOW, NEEDED = 10, 8


def package(session: Scene) -> Fires:
    """WebRTC's AEC3 with noise suppression and webrtcvad, 8 of the last 10 frames."""
    aec3, voice = _Aec3(), VoiceDetector(3)
    recent = np.zeros(FRAMES, bool)
    for number in range(FRAMES):
        part = slice(number * FRAME, (number + 1) * FRAME)
        clean = aec3.process(session.heard[part].tobytes(), session.rendered[part].tobytes())
        recent[number] = voice.is_speech(clean)
    count = np.convolve(recent, np.ones(WINDOW), "full")[:FRAMES]
    return np.asarray(count >= NEEDED)


SYSTEMS = {"whole": product, "package": package}
"""`whole` is what `__main__` counts from recorded features, with all of the front end around it."""
