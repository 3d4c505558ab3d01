"""The sound check of this speaker: its sample, and what came of it as plain facts.

`sample` is what is played, `verdict` what is told of a recording: the same for the running speaker
(`app.checks`) and for `edge-agent doctor --sound` while that does not run.  `sweep`, `swept` and
`calibrated` are the same for `edge-agent calibrate`.

Thread: whoever may block for some 100 ms.  It must never keep or return sound of the room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from edge_agent.app.wiring import wake_detector
from edge_agent.audio.resample import Int16Array, array_to_pcm, pcm_to_array
from edge_agent.audio.sound_check import (
    RESPONSE_BEFORE_MS,
    THIRDS_HZ,
    Recording,
    as_heard,
    chirp,
    fed_directly,
    measure,
    response,
    trial_sound,
    wake_score,
)
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.ports import EchoPath
from edge_agent.host.settings.root import Settings
from edge_agent.simulation.sound import voices

QUIET_S = 1.2
"""Of the room before the sample: its noise; and a loudspeaker that rested has woken by then."""
TAIL_S = 1.2
"""After the sample: an echo comes up to a second later, and the detector decides late."""
SWEEPS = 3
"""The middle one is believed: a door may slam in one of them."""
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


# --- calibration ------------------------------------------------------------------------------


def sweep() -> bytes:
    """What is played to calibrate: the sweep alone, whatever word is listened for (24 kHz)."""
    return array_to_pcm(chirp())


def swept(recording: Recording, capture_rate_hz: int, render_rate_hz: int) -> dict[str, Any]:
    """What one sweep has shown, as plain values; with the room's response if it was heard."""
    found = measure(recording, capture_rate_hz, render_rate_hz)
    told: dict[str, Any] = {
        "seconds": round(found.seconds, 2),
        "noise_dbfs": found.noise_dbfs,
        "level_dbfs": found.level_dbfs,
        "clipped": found.clipped,
        "heard": found.is_heard,
        "delay_ms": found.delay_ms,
        "echo_db": found.echo_db,
    }
    if found.is_heard:
        room = response(recording, capture_rate_hz, render_rate_hz, found.delay_ms)
        told |= {"impulse_db": room.impulse_db, "thirds_db": room.thirds_db}
    return told


def calibrated(sweeps: Sequence[dict[str, Any]], *, series: bool) -> dict[str, Any]:
    """What several sweeps have shown: the median of those that were heard, if most were.

    `series`: with the response per millisecond and per third of an octave.
    """
    heard = [one for one in sweeps if one["heard"]]
    is_heard = len(heard) * 2 > len(sweeps)

    def middle(of: Sequence[dict[str, Any]], key: str) -> float:
        return round(float(median(one[key] for one in of)), 1)

    told: dict[str, Any] = {
        "sweeps": len(sweeps),
        "sweeps_heard": len(heard),
        "seconds": min(one["seconds"] for one in sweeps),
        "noise_dbfs": middle(sweeps, "noise_dbfs"),
        "level_dbfs": middle(sweeps, "level_dbfs"),
        "clipped": max(one["clipped"] for one in sweeps),
        "heard": is_heard,
        "delay_ms": middle(heard, "delay_ms") if is_heard else 0.0,
        "echo_db": middle(heard, "echo_db") if is_heard else 0.0,
        "kept": False,
    }
    if not is_heard:
        return told
    delays = [one["delay_ms"] for one in heard]
    told["spread_ms"] = round(max(delays) - min(delays), 1)
    if series:
        told["impulse_from_ms"] = round(told["delay_ms"] - RESPONSE_BEFORE_MS, 1)
        told["thirds_hz"] = list(THIRDS_HZ)
        for key in ("impulse_db", "thirds_db"):
            columns = zip(*(one[key] for one in heard), strict=True)
            told[key] = [round(median(column), 1) for column in columns]
    return told


def echo_path(told: Mapping[str, Any]) -> EchoPath | None:
    """Of what `calibrated` told, what the canceller may start from; None: it was not heard."""
    if not told["heard"]:
        return None
    return EchoPath(told["delay_ms"] / 1000, told["echo_db"])


def _clip(word: str) -> tuple[Int16Array, int]:
    if not word:
        return pcm_to_array(b""), WIRE_RATE_HZ
    rate_hz, pcm = voices.load(CLIPS[word])
    return pcm_to_array(pcm), rate_hz
