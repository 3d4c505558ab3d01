"""How clearly a clip wakes the speaker: the wake model run directly over a clip.

Thread: whoever calls.  It must never be used by the daemon, whose detector is in `audio`; this is
the second opinion of the clips' maker and of their tests.  Needs pymicro-wakeword.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.simulation.sound import acoustics

MODEL_RATE_HZ = 16_000
FRAME_BYTES = 320
"""10 ms at 16 kHz, as the daemon feeds the model."""

LEAD_MS = 1000
"""Quiet before the clip: the model starts deaf and needs about half a second to fill."""

TAIL_MS = 600
"""Quiet after it: the model decides up to 300 ms after the word."""

FLOOR_DBFS = -75.0
"""Noise under everything, as digital silence occurs in no room."""

_models: dict[str, Any] = {}


def wake_score(
    pcm: NDArray[np.int16], rate_hz: int, word: str, *, lead_ms: int = LEAD_MS
) -> tuple[float, float]:
    """Highest score that `word` (`okay_nabu`, `hey_jarvis` …) reaches, and its cut-off.

    The speaker wakes when the score is greater than the cut-off.
    """
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    if word not in _models:
        _models[word] = MicroWakeWord.from_builtin(Model(word))
    model = _models[word]
    model.reset()
    features = MicroWakeWordFeatures()
    clip = acoustics.resample(acoustics.from_pcm(pcm), rate_hz, MODEL_RATE_HZ)
    step = MODEL_RATE_HZ // 1000
    sound = np.pad(clip, (lead_ms * step, TAIL_MS * step))
    floor = np.random.default_rng(1).standard_normal(len(sound)).astype(np.float32)
    data = acoustics.to_pcm(sound + floor * acoustics.gain(FLOOR_DBFS)).tobytes()
    best = 0.0
    for begin in range(0, len(data) - FRAME_BYTES + 1, FRAME_BYTES):
        for feature in features.process_streaming(data[begin : begin + FRAME_BYTES]):
            best = max(best, model.process_streaming_prob(feature) or 0.0)
    return best, float(model.probability_cutoff)
