"""Short signal sounds, computed from notes.

It must never know what a sound means: the meanings and the notes are in `panel.patterns`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edge_agent.audio.resample import array_to_pcm, to_int16
from edge_agent.contract.pcm import WIRE_RATE_HZ, ms_to_samples

ATTACK_MS = 6.0
"""A raised-cosine start: no click, still felt as immediate."""

DECAY_MS = 25.0
"""A longer raised-cosine end: the tone rings off instead of being switched off."""

PEAK = 0.5
"""-6 dBFS at gain 1: room for the voice it is mixed over."""

SECOND_HARMONIC = 0.2
"""A pure sine is hard to locate and easily lost on small loudspeakers."""


def render_earcon(notes: Iterable[tuple[float, float, float]]) -> bytes:
    """Render `(frequency in Hz, length in ms, gain 0 … 1)` notes to 24 kHz PCM16.

    A frequency or gain of 0 is a pause.  Each note is shaped softly within its own length.
    """
    parts = [np.zeros(0)]
    for frequency_hz, length_ms, gain in notes:
        length = ms_to_samples(length_ms)
        if frequency_hz <= 0 or gain <= 0:
            parts.append(np.zeros(length))
            continue
        phase = 2 * np.pi * frequency_hz * np.arange(length) / WIRE_RATE_HZ
        tone = (np.sin(phase) + SECOND_HARMONIC * np.sin(2 * phase)) / (1 + SECOND_HARMONIC)
        parts.append(tone * _envelope(length) * gain * PEAK * 32767)
    return array_to_pcm(to_int16(np.concatenate(parts)))


def _envelope(length: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    attack = min(ms_to_samples(ATTACK_MS), length // 2)
    decay = min(ms_to_samples(DECAY_MS), length - attack)
    shape = np.ones(length)
    shape[:attack] = 0.5 - 0.5 * np.cos(np.pi * np.arange(attack) / max(1, attack))
    if decay:
        shape[length - decay :] = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, decay + 1) / decay)
    return shape
