"""The benchmark runner: `python -m benchmarks.run [--quick] [--only FAMILY] [--n N]`.

Thread: main.  It must never run two families at once: they would measure each other.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.figures import Figure, Sheet

HERE = Path(__file__).parent
QUICK_OUT = HERE / "out"
"""Not the published results: a quick run is for trying things out."""

COMMAND = "scripts/bench.sh"


@dataclass(frozen=True, slots=True)
class Family:
    """`module` has `TITLE`, `SETTING`, `figures()` and `measure(sheet, n, brief)`."""

    key: str
    trials: int
    """Trials of one figure in a full run: as many as fit the eight minutes of all families."""
    quick: int

    def load(self) -> Any:
        return import_module(f"benchmarks.{self.key}")


FAMILIES = (
    Family("microphone", 150, 20),
    Family("talk", 4, 1),
    Family("barge_in", 12, 1),
    Family("link", 3, 1),
    Family("wire_cost", 100, 10),
    Family("own_echo", 10, 1),
    Family("imports", 7, 2),
    Family("process", 5, 1),
)
"""`trials` means: clicks, wakes, interruptions, outages, means, minutes, processes, starts."""


def run_family(
    family: Family, n: int, brief: bool, command: str, say: Callable[[str], None]
) -> dict[str, object]:
    """Measure one family; whatever goes wrong leaves its figures missing, and is told."""
    module = family.load()
    sheet = Sheet(module.figures())
    before, begin, trouble = report.load_average(), time.monotonic(), ""
    say(f"{family.key}: {module.TITLE} …")
    try:
        module.measure(sheet, n, brief)
    except Exception as problem:
        trouble = f"{type(problem).__name__}: {problem}"
        traceback.print_exc()
    seconds = time.monotonic() - begin
    figures: list[Figure] = list(sheet)
    for figure in figures:
        say(f"  {_line(figure)}")
    say(f"  {seconds:.0f} s")
    return {
        "title": module.TITLE,
        "setting": module.SETTING,
        "command": command,
        "seconds": round(seconds, 1),
        "load_average": [before, report.load_average()],
        "trouble": trouble,
        "figures": [figure.as_json() for figure in figures],
    }


def _line(figure: Figure) -> str:
    row = figure.as_json()
    verdict = {True: "met", False: "NOT MET", None: ""}[figure.met]
    if not figure.values:
        return f"{figure.name}: {report.MISSING}, {figure.trials_failed} failed {verdict}"
    keys = ("min", "median", "p95", "max")
    numbers = " · ".join(f"{row[key]:g}" for key in keys)
    failed = f" + {figure.trials_failed} failed" if figure.trials_failed else ""
    return f"{figure.name}: n {row['n']}{failed}: {numbers} {figure.unit} {verdict}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, write, and return 0; 1 when a family broke, never because a target was missed."""
    keys = [family.key for family in FAMILIES]
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Measure the speaker on this machine; leave it alone meanwhile."
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="about a minute: few trials of the main figures, to benchmarks/out",
    )
    parser.add_argument(
        "--only", action="append", choices=keys, metavar="NAME", help=f"one of {', '.join(keys)}"
    )
    parser.add_argument("--n", type=int, default=0, help="trials per figure instead of our choice")
    parser.add_argument("--out", type=Path, help="folder for results.json and RESULTS.md")
    chosen = parser.parse_args(arguments)
    out: Path = chosen.out or (QUICK_OUT if chosen.quick or chosen.n else HERE)
    options = [f"--only {name}" for name in chosen.only or ()]
    options += ["--quick"] if chosen.quick else []
    options += [f"--n {chosen.n}"] if chosen.n else []
    command = " ".join([COMMAND, *options])
    done: dict[str, dict[str, object]] = {}
    for family in FAMILIES:
        if chosen.only and family.key not in chosen.only:
            continue
        n = chosen.n or (family.quick if chosen.quick else family.trials)
        done[family.key] = run_family(
            family, n, chosen.quick, command, lambda text: print(text, flush=True)
        )
        # After each family: what was measured is kept if a later one is interrupted.
        results = report.merge(out / "results.json", done)
        report.write(out, results, keys)
        if out == HERE:
            report.write_readme(HERE.parent / "README.md", results, keys)
    print(f"Written: RESULTS.md and results.json in {out.name}/")
    return 1 if any(family["trouble"] for family in done.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
