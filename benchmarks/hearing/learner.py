"""The net while it learns: forward, backward, one step of AdamW, in numpy.

`Learner.step` takes a batch of pieces of sessions; what it has learned is in `numbers`, in the
names of `audio.cancel.speech_net`; `joined` makes its weights of several.

Thread: the caller's; several may learn in processes of their own and be averaged.  It must never be
more than one of its nets: for one this small numpy is three times as quick as a framework, and
none has to be installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.hearing.places import Floats
from edge_agent.audio.cancel.speech_features import COUNT
from edge_agent.audio.cancel.speech_net import INPUTS, UNITS

LEARNED = ("dense", "dense_bias", "gates", "gates_bias", "memory", "memory_bias", "out", "out_bias")
FIRST_MOMENT, SECOND_MOMENT, TINY = 0.9, 0.999, 1e-8
WEIGHT_DECAY = 1e-2
LONGEST_GRADIENT = 1.0
ALARM_WEIGHT = 6.0
"""A frame that would be a false alarm counts up to so many times more, the surer the more."""


def _logistic(x: Any) -> Any:
    return np.tanh(x * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)


class Learner:
    """Weights, their moments, and how to improve them."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)

        def draw(*shape: int) -> Floats:
            return rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(shape[-1]))

        self.numbers: dict[str, Floats] = {
            "dense": draw(INPUTS, COUNT),
            "dense_bias": np.zeros(INPUTS, np.float32),
            "gates": draw(3 * UNITS, INPUTS),
            "gates_bias": np.zeros(3 * UNITS, np.float32),
            "memory": draw(3 * UNITS, UNITS),
            "memory_bias": np.zeros(3 * UNITS, np.float32),
            "out": draw(1, UNITS)[0],
            "out_bias": np.full((), -2.0, np.float32),
        }
        self.first = {name: np.zeros_like(value) for name, value in self.numbers.items()}
        self.second = {name: np.zeros_like(value) for name, value in self.numbers.items()}
        self.steps = 0

    def gradients(
        self,
        numbers: Floats,
        state: Floats,
        wanted: Floats,
        counts: Floats,
        kept: Floats | None = None,
    ) -> tuple[float, dict[str, Floats], Floats]:
        """Loss, its gradients, and the state to go on with.

        `numbers` is (frames, sessions, features), standardised; `wanted` and `counts` are (frames,
        sessions): whether a person speaks, and what the frame counts.  `kept`, (sessions, INPUTS),
        is what each unit of the first layer gives is multiplied by: zeros make it do without some.
        """
        w = self.numbers
        frames, sessions, _ = numbers.shape
        raw = np.tanh(numbers @ w["dense"].T + w["dense_bias"])
        inner = raw if kept is None else raw * kept
        given = inner @ w["gates"].T + w["gates_bias"]
        memory = np.ascontiguousarray(w["memory"].T)
        before = np.empty((frames, sessions, UNITS), np.float32)
        opened = np.empty((frames, sessions, 2 * UNITS), np.float32)
        fresh = np.empty((frames, sessions, UNITS), np.float32)
        recalled = np.empty((frames, sessions, UNITS), np.float32)
        after = np.empty((frames, sessions, UNITS), np.float32)
        for t in range(frames):
            before[t] = state
            old = state @ memory + w["memory_bias"]
            opened[t] = _logistic(given[t, :, : 2 * UNITS] + old[:, : 2 * UNITS])
            recalled[t] = old[:, 2 * UNITS :]
            fresh[t] = np.tanh(given[t, :, 2 * UNITS :] + opened[t, :, :UNITS] * recalled[t])
            state = fresh[t] + opened[t, :, UNITS:] * (state - fresh[t])
            after[t] = state
        logit = after @ w["out"] + w["out_bias"]

        chance = _logistic(logit)
        weight = counts * (1 + ALARM_WEIGHT * chance**2 * (1 - wanted)) / (frames * sessions)
        losses = np.maximum(logit, 0) - logit * wanted + np.log1p(np.exp(-np.abs(logit)))
        d_logit = (weight * (chance - wanted)).astype(np.float32)

        d_given = np.empty_like(given)
        d_old = np.empty_like(given)
        d_state = np.zeros((sessions, UNITS), np.float32)
        back = np.ascontiguousarray(w["memory"])
        for t in range(frames - 1, -1, -1):
            d_state += d_logit[t, :, None] * w["out"]
            reset, keep = opened[t, :, :UNITS], opened[t, :, UNITS:]
            d_fresh = d_state * (1 - keep) * (1 - fresh[t] * fresh[t])
            d_given[t, :, :UNITS] = d_fresh * recalled[t] * reset * (1 - reset)
            d_given[t, :, UNITS : 2 * UNITS] = d_state * (before[t] - fresh[t]) * keep * (1 - keep)
            d_given[t, :, 2 * UNITS :] = d_fresh
            d_old[t] = d_given[t]
            d_old[t, :, 2 * UNITS :] *= reset
            d_state = d_state * keep + d_old[t] @ back
        flat_given, flat_old = d_given.reshape(-1, 3 * UNITS), d_old.reshape(-1, 3 * UNITS)
        d_inner = (flat_given @ w["gates"]) * (1 - raw.reshape(-1, INPUTS) ** 2)
        if kept is not None:
            d_inner *= np.broadcast_to(kept, raw.shape).reshape(-1, INPUTS)
        found = {
            "dense": d_inner.T @ numbers.reshape(-1, COUNT),
            "dense_bias": d_inner.sum(axis=0),
            "gates": flat_given.T @ inner.reshape(-1, INPUTS),
            "gates_bias": flat_given.sum(axis=0),
            "memory": flat_old.T @ before.reshape(-1, UNITS),
            "memory_bias": flat_old.sum(axis=0),
            "out": d_logit.reshape(-1) @ after.reshape(-1, UNITS),
            "out_bias": np.asarray(d_logit.sum(), np.float32),
        }
        return float(np.sum(weight * losses)), found, state

    def step(
        self,
        numbers: Floats,
        state: Floats,
        wanted: Floats,
        counts: Floats,
        rate: float,
        kept: Floats | None = None,
    ) -> tuple[float, Floats]:
        """Learn from one batch; returns its loss and the state to go on with."""
        loss, found, state = self.gradients(numbers, state, wanted, counts, kept)
        length = float(np.sqrt(sum(float(np.sum(value**2)) for value in found.values())))
        shorten = min(1.0, LONGEST_GRADIENT / (length + TINY))
        self.steps += 1
        even_first = 1 - FIRST_MOMENT**self.steps
        even_second = 1 - SECOND_MOMENT**self.steps
        for name in LEARNED:
            slope = found[name] * np.float32(shorten)
            self.first[name] = FIRST_MOMENT * self.first[name] + (1 - FIRST_MOMENT) * slope
            self.second[name] = SECOND_MOMENT * self.second[name] + (1 - SECOND_MOMENT) * slope**2
            change = self.first[name] / even_first
            change = change / (np.sqrt(self.second[name] / even_second) + TINY)
            value = self.numbers[name] * (1 - rate * WEIGHT_DECAY) - rate * change
            self.numbers[name] = np.asarray(value, np.float32)
        return loss, state

    def stored(self) -> dict[str, Any]:
        """All of it, to go on later."""
        return {
            **{f"numbers.{n}": v for n, v in self.numbers.items()},
            **{f"first.{n}": v for n, v in self.first.items()},
            **{f"second.{n}": v for n, v in self.second.items()},
            "steps": np.array(self.steps),
        }

    def restore(self, stored: Any) -> None:
        """Go on from what `stored` gave."""
        for name in LEARNED:
            self.numbers[name] = np.asarray(stored[f"numbers.{name}"], np.float32)
            self.first[name] = np.asarray(stored[f"first.{name}"], np.float32)
            self.second[name] = np.asarray(stored[f"second.{name}"], np.float32)
        self.steps = int(stored["steps"])


def averaged(learners: list[dict[str, Any]]) -> dict[str, Any]:
    """What several have learned from the same beginning, in one."""
    mean = {name: np.mean([one[name] for one in learners], axis=0) for name in learners[0]}
    return {**mean, "steps": learners[0]["steps"]}


def joined(nets: list[dict[str, Any]]) -> dict[str, Any]:
    """Nets that learned apart, as `speech_net` has them: their score is the mean of theirs."""
    return {name: np.stack([net[name] for net in nets]).astype(np.float32) for name in LEARNED}
