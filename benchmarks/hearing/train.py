"""Train the barge-in detector: sessions, learning, export; in numpy, on the processor.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.hearing.train \\
        --library DIR --cache DIR --out speech_net.npz

Sessions that are in the cache already are not made again, and learning goes on from the last
epoch that was stored there, so it may be stopped at any time.  Seeds are fixed.  Then let `tune`
choose the thresholds.

Each epoch deals the sessions to some processes, which begin with the same weights and are averaged
at its end.

Thread: the main one.  It must never see a session of the report.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.hearing.learner import LEARNED, Learner, averaged, joined
from benchmarks.hearing.library import Library
from benchmarks.hearing.recording import prepare
from benchmarks.hearing.scenes import FRAMES
from edge_agent.audio.cancel.speech_features import COUNT, TOGETHER, VERSION
from edge_agent.audio.cancel.speech_net import INPUTS, SENSITIVITIES, UNITS

SESSIONS = {
    "any_talk": 644,
    "any_own": 248,
    "any_stress": 223,
    "any_hits": 198,
    "any_apart": 74,
    "any_other": 900,
    "any_other_hits": 400,
    "any_other_talk": 700,
}
"""Of half a minute: 28.2 hours."""

EPOCHS = 28
WORKERS = 2
AT_ONCE = 64
"""Sessions."""
STEPS = 50
"""Of 20 ms, through which an error is followed back."""

STEPS_OF_ALL = FRAMES // TOGETHER
"""Of a session."""

FIRST_RATE, LAST_RATE = 5e-3, 5e-4
SKIPPED = 1
"""First 20 ms of a person, in which nobody can know."""

ONSET = (1, 17)
ONSET_WEIGHT = 2.5
OWN_WEIGHT = 2.0
LEVEL_DB = 10.0
"""A loudspeaker that is given so much more or less, at random."""


class Member(NamedTuple):
    """One of the nets, and its regularisation."""

    seed: int
    varied: float
    """Of each feature's own spread: what a session is shifted by, at random."""
    dropped: float
    """Share of the first layer's units that a session does without, others in each epoch."""


MEMBERS = (
    Member(1711, 0.15, 0.0),
    Member(1712, 0.15, 0.0),
    Member(1713, 0.15, 0.0),
)
"""On the tuning part those with regularisation (0.25, 0.15) add nothing to these."""


def weights_of(near: Any, blurred: Any, believed: Any) -> Any:
    """What each frame counts, as (sessions, frames)."""
    weight = np.ones(near.shape, np.float32)
    weight[blurred & ~near] = 0.0
    weight[~believed] = 0.0
    for row in range(len(near)):
        onsets = np.flatnonzero(np.diff(near[row].astype(np.int8), prepend=0) == 1)
        if not len(onsets):
            weight[row] *= OWN_WEIGHT
        for onset in onsets:
            weight[row, onset + ONSET[0] : onset + ONSET[1]] *= ONSET_WEIGHT
            weight[row, onset : onset + SKIPPED] = 0.0
    return weight


class Lessons:
    """All sessions in memory, and one epoch over some of them."""

    def __init__(self, paths: list[Path]) -> None:
        many = len(paths)
        self.member = MEMBERS[0]
        self.features = np.zeros((many, STEPS_OF_ALL, COUNT), np.float16)
        self.near, blurred, believed = np.zeros((3, many, STEPS_OF_ALL), bool)
        for row, path in enumerate(paths):
            with np.load(path) as stored:
                self.features[row] = stored["features"]
                self.near[row] = stored["near"].reshape(-1, TOGETHER).any(axis=1)
                blurred[row] = stored["blurred"].reshape(-1, TOGETHER).any(axis=1)
                believed[row] = stored["believed"][TOGETHER - 1 :: TOGETHER]
        self.weight = weights_of(self.near, blurred, believed)
        some = self.features[:, ::19].reshape(-1, COUNT).astype(np.float32)
        self.mean, self.scale = some.mean(axis=0), some.std(axis=0) + np.float32(1e-2)

    def epoch(self, given: tuple[dict[str, Any], Any, int, float]) -> tuple[float, dict[str, Any]]:
        """Learn from the sessions `rows`, from what is stored on."""
        stored, rows, seed, rate = given
        learner = Learner(self.member.seed)
        learner.restore(stored)
        rng = np.random.default_rng([self.member.seed, seed])
        bands, losses = COUNT // 8, []
        for start in range(0, len(rows), AT_ONCE):
            some = np.sort(rows[start : start + AT_ONCE])
            louder = np.zeros((len(some), 1, COUNT), np.float32)
            louder[:, 0, 4 * bands : 5 * bands] = rng.uniform(-LEVEL_DB, LEVEL_DB, (len(some), 1))
            # Nor does it rest on what a room or a microphone gives a band more or less.
            _, varied, dropped = self.member
            louder += rng.normal(0, varied, louder.shape).astype(np.float32) * self.scale
            kept: Any = None
            if dropped:
                kept = (rng.random((len(some), INPUTS)) >= dropped).astype(np.float32)
                kept /= np.float32(1 - dropped)
            state = np.zeros((len(some), UNITS), np.float32)
            # Somewhere else in each epoch, so that pieces do not always end at the same frame.
            for at in range(int(rng.integers(0, STEPS)), STEPS_OF_ALL - STEPS + 1, STEPS):
                part = slice(at, at + STEPS)
                numbers = self.features[some, part].astype(np.float32) + louder
                numbers = (numbers - self.mean) / self.scale
                loss, state = learner.step(
                    np.ascontiguousarray(numbers.transpose(1, 0, 2)),
                    state,
                    self.near[some, part].T.astype(np.float32),
                    self.weight[some, part].T,
                    rate,
                    kept,
                )
                losses.append(loss)
        return float(np.mean(losses)), learner.stored()


LESSONS: list[Lessons] = []
"""Where a forked process finds them, without a copy."""


def _one(given: tuple[dict[str, Any], Any, int, float]) -> tuple[float, dict[str, Any]]:
    return LESSONS[0].epoch(given)


def train(
    lessons: Lessons, member: Member, state: Path, epochs: int, workers: int
) -> dict[str, Any]:
    """What one net has learned, by name."""
    lessons.member = member
    LESSONS[:] = [lessons]
    stored, begin = Learner(member.seed).stored(), 0
    if state.exists():
        with np.load(state) as found:
            stored = {name: found[name] for name in found.files}
        begin = int(stored.pop("epoch")) + 1
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for epoch in range(begin, epochs):
            done = epoch / max(1, epochs - 1)
            rate = LAST_RATE + 0.5 * (FIRST_RATE - LAST_RATE) * (1 + float(np.cos(np.pi * done)))
            order = np.random.default_rng([member.seed, epoch]).permutation(len(lessons.near))
            dealt = np.array_split(order, workers)
            jobs = [(stored, rows, epoch * workers + n, rate) for n, rows in enumerate(dealt)]
            results = pool.map(_one, jobs, chunksize=1)
            stored = averaged([learned for _, learned in results])
            print(f"epoch {epoch}: {np.mean([loss for loss, _ in results]):.4f}", flush=True)
            half_done = state.with_suffix(".part.npz")
            np.savez(half_done, **{**stored, "epoch": np.array(epoch)})
            half_done.rename(state)
    return {name: np.asarray(stored[f"numbers.{name}"], np.float32) for name in LEARNED}


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Train the barge-in detector.")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of the sessions")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--workers", type=int, default=WORKERS)
    given = parser.parse_args()
    library = Library(given.library, "train")
    paths = []
    for kind, count in SESSIONS.items():
        paths += prepare(library, kind, range(round(count * given.share)), given.cache)
        print(f"{kind}: {round(count * given.share)} sessions", flush=True)
    lessons = Lessons(paths)
    learned = []
    for number, member in enumerate(MEMBERS):
        state = given.cache / f"training-{number}.npz"
        learned.append(train(lessons, member, state, given.epochs, given.workers))
    # `tune` puts other thresholds in their place.
    thresholds = np.zeros(len(SENSITIVITIES), np.float32)
    even = {"mean": lessons.mean, "scale": lessons.scale, "version": np.array(VERSION)}
    np.savez(given.out, thresholds=thresholds, **even, **joined(learned))


if __name__ == "__main__":
    main()
