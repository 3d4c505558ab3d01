"""The trained decision: does a person speak while our own voice sounds?

Build it with `read_weights`, then `hear` the features of each 20 ms: a score, which is above
`threshold` while somebody speaks.

Thread: the front end's, which is its one owner; training judges many sessions at once, as a leading
axis of the arrays.  It must never run on weights that were trained on other features.

Small nets side by side, trained apart, whose scores are averaged: what one of them overlooks or
imagines the others do not, or not at the same moment.  Each is a dense layer of 32, a gated
recurrent unit of 40 and one output.  Their 42,000 numbers in `speech_net.npz` are made by
`benchmarks.hearing.train`; where they come from and what they are worth is in `speech_net.md`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.audio.cancel.speech_features import (
    BANDS,
    COUNT,
    EXCESS,
    VERSION,
    VOICING,
    Floats,
)
from edge_agent.contract.errors import ConfigError

WEIGHTS = "speech_net.npz"

SENSITIVITIES = ("cautious", "normal", "eager")
"""How sure it has to be, in words; the numbers are stored with the weights they belong to."""

NETS = 3
INPUTS = 32
UNITS = 40

SHAPES: dict[str, tuple[int, ...]] = {
    "mean": (COUNT,),
    "scale": (COUNT,),
    "dense": (NETS, INPUTS, COUNT),
    "dense_bias": (NETS, INPUTS),
    "gates": (NETS, 3 * UNITS, INPUTS),
    "gates_bias": (NETS, 3 * UNITS),
    "memory": (NETS, 3 * UNITS, UNITS),
    "memory_bias": (NETS, 3 * UNITS),
    "out": (NETS, UNITS),
    "out_bias": (NETS,),
    "thresholds": (len(SENSITIVITIES),),
}

HALF = np.float32(0.5)

CLEAR_DB = 3.0
CLEAR_VOICING = 0.0
CLEAR_BONUS = 1.0
"""Added to the score where a periodic sound stands so far above the echo and noise to be expected,
on the mean of all bands: who speaks that clearly need not wait until the net is sure.  With none
94 in place of 97 people of a hundred as loud as the echo are heard (tuning part, as many false
cuts); with 2.0 half as many knocks again are people, as what rings is periodic, too."""
_MEAN = np.full(BANDS, 1 / BANDS, np.float32)


def _damaged(what: str) -> ConfigError:
    return ConfigError(
        f"The weights of the barge-in detector cannot be used: {what}.",
        fix="Train it again with `python -m benchmarks.hearing.train`.",
        code="config.no_speech_net",
    )


def read_weights(source: Path | None = None) -> dict[str, Floats]:
    """The stored numbers, checked; raises `ConfigError` where they are missing or damaged."""
    place = Path(__file__).parent / WEIGHTS if source is None else source
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found = {name: np.asarray(stored[name], np.float32) for name in SHAPES}
            version = int(stored["version"])
    except FileNotFoundError as error:
        raise _damaged("they are missing") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged("the file is damaged") from error
    if version != VERSION:
        raise _damaged("they were trained on other features")
    for name, shape in SHAPES.items():
        if found[name].shape != shape or not np.isfinite(found[name]).all():
            raise _damaged("the file is damaged")
    return found


class SpeechNet:
    """Judge 20 ms by 20 ms.  `many`: how many sessions side by side, as a shape: () or (n,)."""

    def __init__(
        self, weights: dict[str, Floats], sensitivity: str, many: tuple[int, ...] = ()
    ) -> None:
        # Folded together once: (x - mean) / scale is part of the first product, that of all nets.
        scaled = (weights["dense"] / weights["scale"]).reshape(-1, COUNT)
        self._dense = np.ascontiguousarray(scaled.T)
        self._dense_bias = weights["dense_bias"].reshape(-1) - scaled @ weights["mean"]
        # A logistic function is a tanh of half its argument: the half is in the weights of both
        # gates, where it is exact.
        nets, units = weights["out"].shape
        self._many, self._nets, self._units = many, nets, units
        half = np.ones(3 * units, np.float32)
        half[: 2 * units] = 0.5
        self._gates = np.ascontiguousarray(weights["gates"].swapaxes(1, 2) * half)
        self._gates_bias = weights["gates_bias"][:, None] * half
        self._memory = np.ascontiguousarray(weights["memory"].swapaxes(1, 2) * half)
        self._memory_bias = weights["memory_bias"][:, None] * half
        self._out = weights["out"][:, :, None] / np.float32(nets)
        self._out_bias = float(weights["out_bias"].mean())
        self.threshold = float(weights["thresholds"][SENSITIVITIES.index(sensitivity)])
        self.restart()

    def restart(self) -> None:
        """Another playback: what was heard before it is over."""
        side_by_side = self._many[0] if self._many else 1
        self._state = np.zeros((self._nets, side_by_side, self._units), np.float32)

    def forget(self, which: Any) -> None:
        """The same for some of many sessions, as a mask."""
        self._state[:, which] = 0.0

    def hear(self, features: Floats) -> Any:
        """Take the features of the next 20 ms; returns the score, or that of each of `many`."""
        units, state = self._units, self._state
        inner = features @ self._dense
        inner += self._dense_bias
        np.tanh(inner, out=inner)
        # From here on as (nets, sessions, numbers).
        inner = inner.reshape(-1, self._nets, inner.shape[-1] // self._nets).swapaxes(0, 1)
        new = inner @ self._gates
        new += self._gates_bias
        old = state @ self._memory
        old += self._memory_bias
        # tanh is cheaper than a logistic function, and the same thing.
        both = new[..., : 2 * units] + old[..., : 2 * units]
        np.tanh(both, out=both)
        both *= HALF
        both += HALF
        fresh = both[..., :units] * old[..., 2 * units :]
        fresh += new[..., 2 * units :]
        np.tanh(fresh, out=fresh)
        state -= fresh
        state *= both[..., units:]
        state += fresh
        if self._many:
            score = np.add.reduce(state @ self._out, axis=0)[:, 0] + self._out_bias
            voiced = features[:, VOICING] > CLEAR_VOICING
            return score + CLEAR_BONUS * (voiced & (features[:, EXCESS] @ _MEAN > CLEAR_DB))
        # In a room there is one, and a seventh of all that would be for arrays of one number.
        score = float(state.reshape(-1) @ self._out.reshape(-1)) + self._out_bias
        if features.item(VOICING) > CLEAR_VOICING and features[EXCESS] @ _MEAN > CLEAR_DB:
            score += CLEAR_BONUS
        return score
