"""Double-talk detector: does somebody speak while our own voice sounds?

`load` it once, `reset` it with each device, `restart` it with each playback; then `hear` each block
that the canceller has worked on.

Thread: the front end's, which is its one owner; `load` may run elsewhere.  It must never decide
without its weights: then nobody is heard over our voice, and wake word and button interrupt.

The canceller leaves a residual of our own voice, which also is speech, and a room has knocks,
music and fans; what tells a person from them is learned, by nets of 42,000 numbers (`speech_net`)
from 161 features of each 20 ms (`speech_features`).  Their scores are smoothed, as one alone may be
a click: what is left is the answer, and nobody else has to gather evidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_agent.audio.cancel.canceller import Cancelled
from edge_agent.audio.cancel.speech_features import TOGETHER, SpeechFeatures
from edge_agent.audio.cancel.speech_net import SpeechNet, read_weights

KEPT = 0.35
"""Of the sureness in each 20 ms, the rest is the new score.  With as many false cuts on the tuning
part people are heard 10 ms sooner than with a half, and 20 to 30 ms sooner than by a rule that all
of the last 60 ms have to pass."""

LEAST = -6.0
"""As sure as it can be of nobody: where it begins, and where nothing is to be believed.  On the
tuning part -12 keeps one knock in 44 minutes away and changes nothing else."""


class DoubleTalkDetector:
    """See the module's text.  `sensitivity`: a word of `speech_net.SENSITIVITIES`."""

    def __init__(self, sensitivity: str) -> None:
        self._sensitivity = sensitivity
        self._features = SpeechFeatures()
        self._blocks: list[Cancelled] = []
        self._sureness = LEAST
        self._net: SpeechNet | None = None

    def load(self) -> None:
        """Read the weights (milliseconds).  Raises `ConfigError` where they cannot be used."""
        if self._net is None:
            self._net = SpeechNet(read_weights(), self._sensitivity)

    def reset(self) -> None:
        """Another device: forget what was learned about the room."""
        self._features.reset()
        self.restart()

    def restart(self) -> None:
        """Another playback."""
        self._blocks, self._sureness = [], LEAST
        self._features.restart()
        if self._net is not None:
            self._net.restart()

    def hear(self, cancelled: Cancelled, *, last: bool, believed: bool = True) -> bool:
        """Take the next block; True while somebody speaks.

        `last`: of the two blocks that are judged together, and for both of them the answer holds
        until the next two have come.  `believed`: what is left in it may be a person.
        """
        if self._net is None:
            return False
        self._blocks.append(cancelled)
        if last or len(self._blocks) >= TOGETHER:
            score = float(self._net.hear(self._features.of(self._blocks)))
            self._blocks = []
            self._sureness = float(smoothed(self._sureness, score if believed else LEAST))
        return believed and self._sureness > self._net.threshold


def smoothed(before: Any, score: Any) -> Any:
    """How sure it is after one more score; numbers, or arrays of many sessions."""
    return KEPT * before + (1 - KEPT) * np.maximum(score, LEAST)
