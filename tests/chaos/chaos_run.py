"""The chaos suite as a program: many schedules, a table, or one schedule again.

Thread: main, and one process per core.  It must never hide a schedule that failed: each is printed
with its seed and its timeline, and the exit code says so.

    python chaos_run.py --schedules 10000     python chaos_run.py --seed 4711
    python chaos_run.py --schedules 50 --as xai     python chaos_run.py --seed 4711 --as xai
"""

# ruff: noqa: T201 (a program: printing is its job)
from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from chaos_faults import FAULTS
from chaos_life import PHASES, Outcome, forget_the_past, play
from chaos_world import SERVICES

BATCH = 25
TIMELINES_SHOWN = 3


def live(seeds: list[int], service: str = "") -> tuple[list[Outcome], float]:
    """Some schedules, and the CPU seconds that they took."""
    begun = time.process_time()
    return [play(seed, service=service) for seed in seeds], time.process_time() - begun


def batches(first: int, count: int) -> Iterator[list[int]]:
    """The seeds in pieces."""
    for start in range(first, first + count, BATCH):
        yield list(range(start, min(start + BATCH, first + count)))


def spread(values: Iterable[float]) -> dict[str, float]:
    """n, min, median, p95 and max."""
    data = sorted(values)
    if not data:
        return {"n": 0}
    return {
        "n": len(data),
        "min": round(data[0], 3),
        "median": round(statistics.median(data), 3),
        "p95": round(data[min(len(data) - 1, int(len(data) * 0.95))], 3),
        "max": round(data[-1], 3),
    }


class Tally:
    """Sums over all schedules."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.excused: Counter[str] = Counter()
        self.struck: dict[str, Counter[str]] = defaultdict(Counter)
        self.ready_s: dict[str, list[float]] = defaultdict(list)
        self.stayed_up: Counter[str] = Counter()
        self.reasons_s: list[float] = []
        self.virtual_s = self.cpu_s = 0.0
        self.bad: list[Outcome] = []

    def add(self, outcomes: list[Outcome], cpu_s: float) -> None:
        """Count a batch."""
        self.cpu_s += cpu_s
        for outcome in outcomes:
            verdict = outcome.verdict
            self.virtual_s += outcome.virtual_s
            self.excused.update(verdict.excused)
            self.sums.update(
                schedules=1,
                utterances=outcome.said,
                answered=verdict.answered,
                explained=verdict.told,
                interrupted=verdict.superseded,
                lost=len(verdict.lost),
                doubled=len(verdict.doubled),
                torn=len(verdict.torn),
                problems=len(verdict.problems),
                recovered=int(outcome.recovered),
            )
            self.reasons_s += outcome.reasons_s
            for strike in outcome.strikes:
                self.struck[strike.fault][strike.phase] += strike.reached
                if strike.ready_s is None:
                    self.stayed_up[strike.fault] += 1
                else:
                    self.ready_s[strike.fault].append(strike.ready_s)
            if not outcome.is_good:
                self.bad.append(outcome)

    def report(self, wall_s: float, first: int) -> dict[str, Any]:
        """All figures."""
        return {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
            f"{platform.python_version()}",
            "first_seed": first,
            **self.sums,
            "faults": sum(sum(phases.values()) for phases in self.struck.values()),
            "virtual_hours": round(self.virtual_s / 3600, 1),
            "wall_s": round(wall_s, 1),
            "cpu_s": round(self.cpu_s, 1),
            "times_realtime_per_core": round(self.virtual_s / max(self.cpu_s, 0.01)),
            "reason_after_failed_wake_s": spread(self.reasons_s),
            "excused": dict(self.excused.most_common()),
            "struck": {fault.name: dict(self.struck[fault.name]) for fault in FAULTS},
            "ready_s": {
                fault.name: {
                    **spread(self.ready_s[fault.name]),
                    "stayed_up": self.stayed_up[fault.name],
                }
                for fault in FAULTS
            },
            "failed_seeds": [outcome.seed for outcome in self.bad],
        }


def _named(excused: dict[str, int]) -> str:
    return ", ".join(f"{code} {much}" for code, much in excused.items()) or "none"


def markdown(report: dict[str, Any], command: str) -> str:
    """The report for people."""
    wake = report["reason_after_failed_wake_s"]
    lines = [
        "# Chaos",
        "",
        f"`{command}` on {report['machine']}: {report['schedules']:,} schedules from seed "
        f"{report['first_seed']}, {report['virtual_hours']:,} hours of household life in "
        f"{report['wall_s']:,.0f} s ({report['times_realtime_per_core']} times realtime per core).",
        "The real dialogue, pump, playout, link and tools against the simulated server, over a",
        "network in memory and in virtual time; sound is labelled, not processed.",
        "",
        "| what | number |",
        "|---|---:|",
        f"| faults that struck where they were to | {report['faults']:,} |",
        f"| utterances | {report['utterances']:,} |",
        f"| … answered | {report['answered']:,} |",
        f"| … not answered, and the household was told why | {report['explained']:,} |",
        f"| … taken back by a press, a mute or other words before an answer sounded | "
        f"{report['interrupted']:,} |",
        f"| **lost** | {report['lost']} |",
        f"| **doubled** | {report['doubled']} |",
        f"| **torn** (answered, with words missing) | {report['torn']} |",
        f"| other promises broken | {report['problems']} |",
        f"| schedules after which the next question was answered, without a person | "
        f"{report['recovered']:,} |",
        f"| seconds from a wake without a link to the reason or the link (n {wake['n']}) | "
        f"median {wake.get('median', '-')}, max {wake.get('max', '-')} |",
        "",
        "Every schedule is judged by the referee (`tests/referee`) at the borders: events, wire,",
        "samples, tool runs, journal lines.  Seven of ten households also press, mute, have",
        "guests, bells and talk of their own meanwhile.  Known breaks that were seen, and not",
        f"counted (`tests/referee/known.py`): {_named(report['excused'])}.",
        "",
        "## Seconds from a healthy world to READY",
        "",
        "An `http` or `turned away` fault is over when the server lets us in again; `stayed up`: "
        "no new session was needed, or it stood before the world was declared healthy.",
        "",
        "| fault | n | median | p95 | max | stayed up |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in report["ready_s"].items():
        figures = [str(row.get(key, "-")) for key in ("n", "median", "p95", "max", "stayed_up")]
        lines.append(f"| {name} | {' | '.join(figures)} |")
    lines += ["", "## How often each fault struck at each phase", ""]
    lines.append("| fault | " + " | ".join(PHASES) + " |")
    lines.append("|---|" + "---:|" * len(PHASES))
    for name, phases in report["struck"].items():
        cells = [str(phases.get(phase, 0)) for phase in PHASES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if report["failed_seeds"]:
        lines += ["", f"Failed seeds: {report['failed_seeds']}"]
    return "\n".join(lines) + "\n"


def replay(seed: int, service: str) -> int:
    """One schedule again, with everything that happened."""
    outcome = play(seed, keep_timeline=True, service=service)
    print(outcome.timeline)
    print(f"seed {seed}: {outcome.verdict}; recovered: {outcome.recovered}")
    return 0 if outcome.is_good else 1


def many(options: argparse.Namespace) -> int:
    """As many schedules as were asked for, or as the time allows."""
    tally, begun = Tally(), time.monotonic()
    seconds = options.seconds or float("inf")
    with ProcessPoolExecutor(options.jobs, initializer=forget_the_past) as pool:
        work = batches(options.first, options.schedules)
        running = {pool.submit(live, s, options.service) for s in islice(work, options.jobs * 2)}
        while running:
            done = next(f for f in _as_they_come(running))
            running.remove(done)
            known = len(tally.bad)
            tally.add(*done.result())
            for outcome in tally.bad[known:]:
                print(f"seed {outcome.seed}: {str(outcome.verdict)[:200]}", file=sys.stderr)
            passed_s = time.monotonic() - begun
            if passed_s < seconds:
                running |= {pool.submit(live, s, options.service) for s in islice(work, 1)}
            count = tally.sums["schedules"]
            if sys.stderr.isatty() or count % (BATCH * 20) == 0:
                text = f"[{passed_s:4.0f} s] {count} of {options.schedules}, {len(tally.bad)} bad"
                print(text, file=sys.stderr, flush=True)
    report = tally.report(time.monotonic() - begun, options.first)
    command = f"scripts/chaos.sh --schedules {options.schedules}"
    command += f" --as {options.service}" if options.service else ""
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "chaos.json").write_text(json.dumps(report, indent=1) + "\n")
        (options.out / "chaos.md").write_text(markdown(report, command))
    for outcome in tally.bad[:TIMELINES_SHOWN]:
        print(f"\n=== {outcome.told()}")
    for outcome in tally.bad:
        strikes = [(s.fault, s.phase) for s in outcome.strikes]
        print(f"seed {outcome.seed}: {str(outcome.verdict)[:300]} {strikes}")
    sums = tally.sums
    print(
        f"{sums['schedules']} schedules, {report['faults']} faults, {sums['utterances']} "
        f"utterances: {sums['lost']} lost, {sums['doubled']} doubled, {sums['torn']} torn, "
        f"{sums['problems']} problems; {sums['recovered']} recovered by themselves."
    )
    return 1 if tally.bad else 0


def _as_they_come(running: set[Any]) -> Iterator[Any]:
    from concurrent.futures import as_completed

    yield from as_completed(running)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Faults at random, and what became of the talk.")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after that long")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--seed", type=int, default=None, help="replay this one and show it")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=None, help="folder of chaos.json and chaos.md")
    parser.add_argument(
        "--as",
        dest="service",
        default="",
        choices=SERVICES,
        help="the server behaves as this one was recorded to",
    )
    options = parser.parse_args()
    return many(options) if options.seed is None else replay(options.seed, options.service)


if __name__ == "__main__":
    raise SystemExit(main())
