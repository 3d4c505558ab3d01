"""Double-talk detector: does somebody speak while our own voice sounds?

`load` it once, `reset` it with each device, `restart` it with each playback; then `hear` each block
that the canceller has worked on.

Thread: the front end's, which is its one owner; `load` may run elsewhere.  It must never decide
without its weights: then nobody is heard over our voice, and wake word and button interrupt.

The canceller leaves a residual of our own voice, which also is speech, and a room has knocks,
music and fans; what tells a person from them is learned, by nets of 56,000 numbers (`speech_net`)
from 161 features of each block (`speech_features`).
"""

from __future__ import annotations

from edge_agent.audio.cancel.canceller import Cancelled
from edge_agent.audio.cancel.speech_features import SpeechFeatures
from edge_agent.audio.cancel.speech_net import SpeechNet, read_weights


class DoubleTalkDetector:
    """See the module's text.  `sensitivity`: a word of `speech_net.SENSITIVITIES`."""

    def __init__(self, sensitivity: str) -> None:
        self._sensitivity = sensitivity
        self._features = SpeechFeatures()
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
        self._features.restart()
        if self._net is not None:
            self._net.restart()

    def hear(self, cancelled: Cancelled) -> bool:
        """Take the next block; True while somebody speaks."""
        if self._net is None:
            return False
        self._net.hear(self._features.of(cancelled))
        return self._net.sure
