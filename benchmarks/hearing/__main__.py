"""Hearing in rooms as they are: false cuts per hour, people detected, how fast, what it costs.

    python -m benchmarks.hearing --library DIR --cache DIR [--minutes 30] [--audio DIR --more DIR]

Works in rounds, each a small part of every kind of session, and stores what is done: stop it and
start it again at will; `--minutes` stops it by itself.  After each round the result page and the
JSON beside it are written anew, with the minutes that they rest on.  `--audio` and `--more` name
folders of recordings and are needed once, to make the library.

Thread: the main one.  It must never be used to choose anything: thresholds come from `tune`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hearing.judge import Tally
from benchmarks.hearing.kinds import KINDS
from benchmarks.hearing.library import Library, build
from benchmarks.hearing.page import page
from benchmarks.hearing.recording import prepare, stored
from benchmarks.hearing.scenes import scene
from benchmarks.hearing.sources import PARTS
from benchmarks.hearing.systems import SYSTEMS
from benchmarks.hearing.tune import decided
from edge_agent.audio.cancel.speech_net import SENSITIVITIES, read_weights

ROUNDS = 20
SESSIONS = {
    "mix": 1100,
    **dict.fromkeys(("knocks", "path", "volume", "drift", "rattle", "noise"), 204),
    **dict.fromkeys(("early", "late"), 204),
    **dict.fromkeys(("coughs", "dropouts", "room_music", "television"), 60),
    **dict.fromkeys(("near+10", "near0", "near-10", "near-20"), 100),
    **dict.fromkeys(("near0_noise", "near0_drift", "near0_late"), 40),
    **dict.fromkeys(("near0_letters", "near_apart"), 40),
}
"""Of half a minute each: 8 hours of the mix, 1.5 of each stress."""

HERE = Path(__file__).parent.parent


def _decide(system: str, library: Library, kind: str, numbers: range, cache: Path) -> None:
    """Decisions of one system on some sessions, stored; made only once."""
    target = cache / f"{system}-{kind}-{numbers.start}-{numbers.stop}.npz"
    if target.exists() or not numbers:
        return
    rows: dict[str, list[Any]] = {"fires": [], "near": [], "blurred": [], "said": [], "place": []}
    began = time.process_time()
    for number in numbers:
        session = scene(library, KINDS[kind], number)
        rows["fires"].append(SYSTEMS[system](session))
        rows["near"].append(session.near)
        rows["blurred"].append(session.blurred)
        rows["said"].append(np.array([s[:3] for s in session.said], np.float32).reshape(-1, 3))
        rows["place"].append(session.place)
    counts = [len(said) for said in rows["said"]]
    half_done = target.with_suffix(".part")
    with half_done.open("wb") as file:
        np.savez(
            file,
            fires=np.stack(rows["fires"]),
            near=np.stack(rows["near"]),
            blurred=np.stack(rows["blurred"]),
            said=np.concatenate(rows["said"]),
            counts=counts,
            place=rows["place"],
            cpu_s=time.process_time() - began,
        )
    half_done.rename(target)


def _stored(system: str, cache: Path) -> dict[str, Tally]:
    """All that one system has decided so far, by kind."""
    tallies: dict[str, Tally] = {}
    for kind in SESSIONS:
        for path in sorted(cache.glob(f"{system}-{kind}-[0-9]*-[0-9]*.npz")):
            with np.load(path) as made:
                ends = np.cumsum(made["counts"])
                said = np.split(made["said"], ends[:-1])
                for row, who in enumerate(said):
                    tally = tallies.setdefault(kind, Tally())
                    tally.take(made["fires"][row], made["near"][row], made["blurred"][row], who)
    return tallies


def _product(library: Library, cache: Path, weights: Path | None) -> dict[str, dict[str, Tally]]:
    """The product on every session that is prepared, at each sensitivity."""
    numbers = read_weights(weights)
    found: dict[str, dict[str, Tally]] = {name: {} for name in SENSITIVITIES}
    for kind, most in SESSIONS.items():
        paths = [stored(cache, library.part, kind, n) for n in range(most)]
        paths = [path for path in paths if path.exists()]
        if not paths:
            continue
        made = decided(numbers, paths)
        for row, path in enumerate(paths):
            with np.load(path) as session:
                for name, limit in zip(SENSITIVITIES, numbers["thresholds"], strict=True):
                    tally = found[name].setdefault(kind, Tally())
                    tally.take(
                        made[row] > limit, session["near"], session["blurred"], session["said"]
                    )
    return found


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="How well it hears, in rooms as they are.")
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--audio", type=Path, help="recordings: near, far, wake_real")
    parser.add_argument("--more", type=Path, help="unpacked packages with recordings")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--systems", default="product,package")
    parser.add_argument("--weights", type=Path, help="others than the package's")
    given = parser.parse_args()
    if given.audio is not None and given.more is not None:
        for part in PARTS:
            print(build(given.library, part, given.audio, given.more), flush=True)
    library = Library(given.library, "report")
    given.cache.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * given.minutes
    systems = given.systems.split(",")
    for number in range(given.rounds):
        for kind, most in SESSIONS.items():
            numbers = range(most * number // ROUNDS, most * (number + 1) // ROUNDS)
            for system in systems:
                if time.monotonic() > until:
                    continue
                if system == "product":
                    prepare(library, kind, numbers, given.cache)
                else:
                    _decide(system, library, kind, numbers, given.cache)
        if time.monotonic() > until:
            break
        print(f"round {number + 1} of {ROUNDS}", flush=True)
    tallies: dict[str, dict[str, Tally]] = {}
    if "product" in systems:
        for name, found in _product(library, given.cache, given.weights).items():
            tallies[name] = found
    for system in SYSTEMS:
        tallies[system] = _stored(system, given.cache)
    told = {
        system: {kind: tally.told() for kind, tally in kinds.items()}
        for system, kinds in tallies.items()
        if kinds
    }
    (HERE / "hearing.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    (HERE / "hearing.md").write_text(page(told), encoding="utf-8")
    print(page(told))


if __name__ == "__main__":
    main()
