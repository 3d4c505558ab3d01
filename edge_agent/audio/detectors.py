"""The two small models that listen all day: voice activity and wake word.

Thread: the front end's (or whoever built them); no object here is thread-safe.  It must never gate
the sound that reaches the wake model: its features follow the room's noise slowly, and bursts
spliced together lower its scores.  Give it every frame, silence included.

Both take frames of exactly 10 ms at 16 kHz.  Their libraries are imported when a detector is
built, so a device that listens by button alone never loads the wake models.
"""

from __future__ import annotations

import difflib
import struct
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_agent.contract.errors import ConfigError

DETECTOR_RATE_HZ = 16_000
"""The wake models were trained at it, and webrtcvad takes it."""

FRAME_SAMPLES = 160
FRAME_BYTES = FRAME_SAMPLES * 2

REFRACTORY_S = 1.5
"""A spoken phrase keeps its score high for up to a second; nobody says it twice that fast."""


class VoiceDetector:
    """Says for each frame whether somebody speaks (webrtcvad).

    `mode` 0 (lenient) to 3 (strict).  It holds a little state, so one object per signal.
    """

    def __init__(self, mode: int) -> None:
        if mode not in range(4):
            raise ConfigError(
                f"Voice detector mode {mode} does not exist.", fix="Choose 0, 1, 2 or 3."
            )
        # What `webrtcvad.Vad` is made of: its method would check the length a second time.
        import _webrtcvad

        self._process = _webrtcvad.process
        self._vad = _webrtcvad.create()
        _webrtcvad.init(self._vad)
        _webrtcvad.set_mode(self._vad, mode)

    def is_speech(self, pcm16k: bytes) -> bool:
        """Judge one frame of 320 bytes; raises `ValueError` for any other length."""
        if len(pcm16k) != FRAME_BYTES:
            raise ValueError(f"voice detector wants {FRAME_BYTES} bytes, got {len(pcm16k)}")
        return bool(self._process(self._vad, DETECTOR_RATE_HZ, pcm16k, FRAME_SAMPLES))


class _WakeModel:
    """One wake word's network, fed without the library's own loop, which costs as much again.

    `hear` takes the features of each frame; the network looks at `stride` frames at once.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._features: list[float] = []
        self._last: deque[float] = deque(maxlen=model.sliding_window_size)
        self._output = np.zeros(1, dtype=model.output_dtype)  # of 8 bits
        self._output_at = self._output.ctypes.data

    def hear(self, features: list[float]) -> float:
        """Probability that the word has just been said; 0.0 between two looks."""
        model = self._model
        self._features += features
        count = len(self._features)
        if count < model.stride * len(features):
            return 0.0
        # A tenth of what numpy or `array` take for a list of floats, 33 times a second all day.
        packed = np.frombuffer(struct.pack(f"{count}d", *self._features))
        scaled = packed / model.input_scale + model.input_zero_point
        self._features = []
        quantised = np.rint(scaled, out=scaled).astype(model.input_dtype).tobytes()
        library = model.lib
        library.TfLiteTensorCopyFromBuffer(model.input_tensor, quantised, len(quantised))
        library.TfLiteInterpreterInvoke(model.interpreter)
        library.TfLiteTensorCopyToBuffer(model.output_tensor, self._output_at, 1)
        self._last.append((int(self._output[0]) - model.output_zero_point) * model.output_scale)
        if len(self._last) < model.sliding_window_size:
            return 0.0
        return sum(self._last) / len(self._last)

    def reset(self) -> None:
        """Forget what was heard."""
        self._model.reset()
        self._features = []
        self._last.clear()


def available_wake_words() -> tuple[str, ...]:
    """Names of the bundled wake words, e.g. `okay_nabu`."""
    from pymicro_wakeword import Model

    return tuple(sorted(str(model.value) for model in Model))


class WakeDetector:
    """Listens for one or more of the bundled wake words (pymicro-wakeword).

    `words` maps a name of `available_wake_words()` to its cut-off (0 … 1, higher is stricter),
    or to None for the one its maker recommends.  Raises `ConfigError` for an unknown name or an
    impossible cut-off.  Building loads the models (tens of milliseconds): not on the event loop.
    """

    def __init__(
        self, words: Mapping[str, float | None], *, refractory_s: float = REFRACTORY_S
    ) -> None:
        names = available_wake_words()
        if not words:
            raise ConfigError(
                "No wake word is configured.", fix=f"Choose from: {', '.join(names)}."
            )
        for name, cutoff in words.items():
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise ConfigError(
                    f"Wake word {name!r} is not known.{hint}",
                    fix=f"Available: {', '.join(names)}.",
                )
            if cutoff is not None and not 0.0 < cutoff < 1.0:
                raise ConfigError(
                    f"Cut-off {cutoff} of wake word {name!r} is impossible.",
                    fix="Use a number between 0 and 1, or leave it out.",
                )
        # What `pymicro_features` is made of, which would wrap each frame's features anew.
        import micro_features_cpp
        from pymicro_wakeword import MicroWakeWord, Model

        self._library = micro_features_cpp
        self._frontend = micro_features_cpp.create_frontend()
        self._models: dict[str, _WakeModel] = {}
        self.cutoffs: dict[str, float] = {}
        for name, chosen in words.items():
            model = MicroWakeWord.from_builtin(Model(name))
            self._models[name] = _WakeModel(model)
            self.cutoffs[name] = model.probability_cutoff if chosen is None else chosen
        self.scores: dict[str, float] = {}
        """The latest score of each word, 0 … 1."""
        self.peaks: dict[str, float] | None = None
        """Where somebody wants to know: the highest score of each word since this was put here."""
        self._refractory_frames = round(refractory_s * DETECTOR_RATE_HZ / FRAME_SAMPLES)
        self._deaf_frames = 0

    @property
    def words(self) -> tuple[str, ...]:
        """The words it listens for."""
        return tuple(self._models)

    def process(self, pcm16k: bytes) -> str | None:
        """Take the next 320 bytes; return the word that has just been heard, or None.

        After a hit all words are ignored for the refractory time; the models go on listening.
        When two words cross their cut-offs in one frame, the one further above its own wins.
        """
        if len(pcm16k) != FRAME_BYTES:
            raise ValueError(f"wake detector wants {FRAME_BYTES} bytes, got {len(pcm16k)}")
        best: str | None = None
        best_margin = 0.0
        features, _samples = self._library.process_samples(self._frontend, pcm16k)
        if features:  # the first window is three frames long
            for name, model in self._models.items():
                self.scores[name] = score = model.hear(features)
                margin = score - self.cutoffs[name]
                if margin > best_margin:
                    best, best_margin = name, margin
            if (peaks := self.peaks) is not None:
                for name, score in self.scores.items():
                    peaks[name] = max(peaks[name], score)
        if self._deaf_frames:
            self._deaf_frames -= 1
            return None
        if best is not None:
            self._deaf_frames = self._refractory_frames
        return best

    def reset(self) -> None:
        """Start afresh, as after the microphone was away."""
        self._library.reset_frontend(self._frontend)
        self.scores.clear()
        for model in self._models.values():
            model.reset()
        self._deaf_frames = 0
