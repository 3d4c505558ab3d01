"""Choose the thresholds of the trained net, on rooms and voices of their own.

    python -m benchmarks.hearing.tune --library DIR --cache DIR --weights speech_net.npz

Each sensitivity is a rate of false cuts; its threshold is the lowest score that keeps it on the
tuning part.  Where that part is too short to tell, the highest scores of its sessions are
continued by the tail that they show.

Thread: the caller's.  It must never look at the reporting part.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.hearing.judge import COLD_S
from benchmarks.hearing.library import Library
from benchmarks.hearing.recording import prepare
from benchmarks.hearing.scenes import FRAMES, OWN_FROM_S
from edge_agent.audio.cancel.double_talk import LEAST, smoothed
from edge_agent.audio.cancel.speech_features import TOGETHER
from edge_agent.audio.cancel.speech_net import SENSITIVITIES, SpeechNet, read_weights
from edge_agent.dialogue.barge_in import PAUSE_FRAMES

PER_HOUR = {"cautious": 0.5, "normal": 2.0, "eager": 10.0}
"""Sessions with a false cut per hour of own voice, over the sessions below taken together.  Most of
them hold more that goes wrong than a household has in a day; where little does, it is a twentieth
of that."""

SESSIONS = {
    "mix": 160,
    "knocks": 40,
    "path": 30,
    "volume": 30,
    "drift": 30,
    "rattle": 30,
    "noise": 40,
    "early": 24,
    "late": 24,
    "any_own": 24,
}
TAIL = 0.1
"""Share of the sessions whose peaks tell how the highest ones fall off."""

BATCH = 60

NEVER, ALWAYS = np.float32(-1e3), np.float32(1e3)


def decided(weights: dict[str, Any], paths: list[Path]) -> NDArray[np.float32]:
    """How sure the detector is of a person in each frame of prepared sessions, as `(sessions,
    frames)`; `NEVER` where it would not be believed or our voice pauses, `ALWAYS` where the
    ordinary detector cuts an answer in a pause."""
    out = np.full((len(paths), FRAMES + 1), NEVER, np.float32)
    for start in range(0, len(paths), BATCH):
        some = paths[start : start + BATCH]
        features = np.stack([np.load(path)["features"] for path in some]).astype(np.float32)
        believed = np.stack([np.load(path)["believed"] for path in some])
        net, rows = SpeechNet(weights, "normal", many=(len(some),)), slice(start, start + len(some))
        sureness = np.full(len(some), LEAST)
        for frame in range(features.shape[1]):
            # It is known when the second block of the two is over, and holds until the next two.
            last = frame * TOGETHER + TOGETHER - 1
            score = net.hear(features[:, frame])
            sureness = smoothed(sureness, np.where(believed[:, last], score, LEAST))
            out[rows, last : last + TOGETHER] = sureness[:, None]
            net.forget(~features[:, frame].any(axis=1))  # nothing of ours sounds yet
        out[rows, :FRAMES][~believed] = NEVER
    for row, path in enumerate(paths):
        out[row, :FRAMES][in_pauses(np.load(path)["free"])] = ALWAYS
    return out[:, :FRAMES]


def in_pauses(free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where `PAUSE_FRAMES` of speech have followed one another in a pause of ours."""
    count = np.cumsum(free)
    before = np.maximum.accumulate(np.where(free, 0, count))
    return np.asarray(count - before >= PAUSE_FRAMES)


def threshold(peaks: NDArray[np.float32], hours: float, per_hour: float) -> float:
    """The score that so many sessions' peaks pass in an hour."""
    ordered = np.sort(peaks)[::-1]
    wanted = per_hour * hours
    if wanted >= 5:
        return float(ordered[min(len(ordered) - 1, round(wanted))])
    count = max(5, round(TAIL * len(ordered)))
    base = float(ordered[count])
    slope = float(np.mean(ordered[:count] - base))
    return base + slope * float(np.log(count / max(wanted, 1e-3)))


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Choose the thresholds.")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0)
    given = parser.parse_args()
    library = Library(given.library, "tune")
    weights = read_weights(given.weights)
    paths = []
    for kind, count in SESSIONS.items():
        paths += prepare(library, kind, range(round(count * given.share)), given.cache)
        print(f"{kind}: {round(count * given.share)} sessions", flush=True)
    found = decided(weights, paths)
    found[found == ALWAYS] = NEVER  # no threshold keeps that away
    warm = round((OWN_FROM_S + COLD_S) * 100)
    peaks = found[:, warm:].max(axis=1)
    hours = len(paths) * (FRAMES - warm) / 360_000
    chosen = [threshold(peaks, hours, PER_HOUR[name]) for name in SENSITIVITIES]
    print(f"{hours:.2f} hours; thresholds {dict(zip(SENSITIVITIES, chosen, strict=True))}")
    print("highest peaks", np.round(np.sort(peaks)[::-1][:20], 1))
    weights["thresholds"] = np.array(chosen, np.float32)
    with np.load(given.weights) as stored:
        np.savez(given.weights, **{**{n: stored[n] for n in stored.files}, **weights})


if __name__ == "__main__":
    main()
