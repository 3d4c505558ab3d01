"""The sound check of this speaker: its sample, and what came of it as plain facts.

`sample` is what is played, `verdict` what is told of a recording: the same for the running speaker
(`app.checks`) and for `edge-agent doctor --sound` while that does not run.

Thread: whoever may block for some 100 ms.  It must never keep or return sound of the room.
"""

from __future__ import annotations

from typing import Any

from edge_agent.app.wiring import wake_detector
from edge_agent.audio.resample import Int16Array, pcm_to_array
from edge_agent.audio.sound_check import (
    Recording,
    as_heard,
    fed_directly,
    measure,
    trial_sound,
    wake_score,
)
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.sound import voices

QUIET_S = 1.2
"""Of the room before the sample: its noise; and a loudspeaker that rested has woken by then."""
TAIL_S = 1.2
"""After the sample: an echo comes up to a second later, and the detector decides late."""
CLIPS = {"okay_nabu": "wake_only", "hey_jarvis": "hey_jarvis"}
"""Shipped recordings of wake words, by their names; they are spoken by a machine."""


def sample_word(settings: Settings) -> str:
    """The wake word of the sample; "" where none of the settings' is recorded here."""
    if settings.listen.mode != "wake":
        return ""
    return next((word for word in settings.listen.wake_words if word in CLIPS), "")


def sample(settings: Settings) -> bytes:
    """What is played: a sweep, then the wake word (24 kHz)."""
    return trial_sound(*_clip(sample_word(settings)))


def verdict(
    recording: Recording, capture_rate_hz: int, render_rate_hz: int, settings: Settings
) -> dict[str, Any]:
    """Everything that was measured, as plain values.

    The wake word is looked for in what the microphone heard, if that was our sample, and in the
    sample itself: `wake_score` and `wake_direct_score`.
    """
    found = measure(recording, capture_rate_hz, render_rate_hz)
    told: dict[str, Any] = {
        "seconds": round(found.seconds, 2),
        "noise_dbfs": round(found.noise_dbfs, 1),
        "level_dbfs": round(found.level_dbfs, 1),
        "clipped": found.clipped,
        "heard": found.is_heard,
        "delay_ms": round(found.delay_ms, 1),
        "echo_db": round(found.echo_db, 1),
    }
    word = sample_word(settings)
    detector = wake_detector(settings) if word else None
    if detector is not None:
        told["wake_word"] = word
        told["wake_cutoff"] = round(detector.cutoffs[word], 2)
        told["wake_direct_score"] = round(wake_score(detector, word, fed_directly(*_clip(word))), 2)
        if found.is_heard:
            room = as_heard(recording, capture_rate_hz)
            told["wake_score"] = round(wake_score(detector, word, room), 2)
    return told


def _clip(word: str) -> tuple[Int16Array, int]:
    if not word:
        return pcm_to_array(b""), WIRE_RATE_HZ
    rate_hz, pcm = voices.load(CLIPS[word])
    return pcm_to_array(pcm), rate_hz
