"""The hunt: every mutant is put into a copy of the tree, and the net is run there.

    python hunt.py                   all that has no result for the source as it is, and the page
    python hunt.py --only NAME       this one (may be given again), whatever is known of it
    python hunt.py --page            only the page, from the results that there are

Results go to `benchmarks/mutants.json` after each mutant, so that an interrupted hunt goes on where
it was; `mutants_page` makes the page of them.  Thread: main, and one per core that waits for its
pytest.  It must never touch the checkout, except for those two files.
"""

# ruff: noqa: T201 (a program: printing is its job)
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import collector
import draw
import mutants_page
import net
from patches import HERE, ROOT, Mutant, load_chosen
from results import Result, Results, fingerprint

LEFT_OUT = (".*", "__pycache__", "*.egg-info", "out", "build", "dist", "edge-agent-demo")
"""Of the checkout, in a copy of it."""

CPU_MAX_S = 240
"""Five times what the net takes: a run that computes for longer hangs.  Processor time, so that a
busy machine changes nothing."""

QUIET_MAX_S = 300.0
"""A run that neither computes nor comes to the end of a test for so long waits for ever."""

MEMORY_MAX_BYTES = 4 << 30
"""A defect may ask for all memory there is; the net needs a tenth of this."""

LOOK_S = 0.5
LOG = "net.log"
SAID_CHARS = 2000


class StoppedError(Exception):
    """The hunt is over before this run was."""


class Tree:
    """A copy of the checkout in which one mutant at a time lives."""

    def __init__(self, folder: Path, stop: threading.Event) -> None:
        self._root = folder
        self._stop = stop
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))

    def run(self, mutant: Mutant | None) -> tuple[collector.Record, float]:
        """What the net records here, and the processor seconds that it took.

        A drawn mutant that a check has caught does not meet the referee.
        """
        with contextlib.ExitStack() as stack:
            if mutant is not None:
                stack.enter_context(self._living(mutant))
            checks = net.CHECKS if mutant is None else net.checks_for(mutant.file)
            record, cpu_s = self._run_net(*checks, "--maxfail=1")
            if mutant is not None and mutant.promise is None and record.failures:
                return record, cpu_s
            judged, more_cpu_s = self._run_net(*net.REFEREE)
            return record.joined(judged), cpu_s + more_cpu_s

    @contextlib.contextmanager
    def _living(self, mutant: Mutant) -> Iterator[None]:
        file = self._root / mutant.file
        sound = file.read_bytes()
        try:
            file.write_text(mutant.mutated(), encoding="utf-8")
            self._forget_compiled(file)
            yield
        finally:
            file.write_bytes(sound)
            self._forget_compiled(file)

    @staticmethod
    def _forget_compiled(file: Path) -> None:
        """Python believes a time stamp in seconds and a size: both may be those of before."""
        Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)

    def last_words(self) -> str:
        """The end of what pytest has printed."""
        return (self._root / LOG).read_text(encoding="utf-8", errors="replace")[-SAID_CHARS:]

    def _run_net(self, *asked: str) -> tuple[collector.Record, float]:
        record = self._root / "net.jsonl"
        record.unlink(missing_ok=True)
        environ = dict(os.environ)
        environ[collector.RECORD] = str(record)
        environ["PYTHONPATH"] = os.pathsep.join(
            (str(self._root), str(self._root / HERE.relative_to(ROOT)))
        )
        options = ("-o", "addopts=", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "collector")
        with (self._root / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *asked],
                cwd=self._root,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_CPU, (CPU_MAX_S, CPU_MAX_S))
                limits = (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES)
                resource.prlimit(process.pid, resource.RLIMIT_AS, limits)
            return self._wait(process, record)

    def _wait(
        self, process: subprocess.Popen[bytes], record: Path
    ) -> tuple[collector.Record, float]:
        size, since = -1, time.monotonic()
        try:
            while not self._stop.wait(LOOK_S):
                pid, _status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    process.returncode = 0  # it has been waited for
                    return collector.read(record), usage.ru_utime + usage.ru_stime
                now = record.stat().st_size if record.exists() else 0
                if now != size:
                    size, since = now, time.monotonic()
                elif time.monotonic() - since > QUIET_MAX_S:
                    os.killpg(process.pid, signal.SIGKILL)
            raise StoppedError
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the run, or what its tests left behind
            process.wait()


def hunt(mutants: list[Mutant], results: Results, tree: str, jobs: int) -> None:
    """Run the net on each mutant and put down what it said."""
    with contextlib.ExitStack() as stack:
        stop = threading.Event()
        trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for number in range(min(jobs, max(1, len(mutants)))):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-"))
            trees.put(Tree(Path(folder) / f"tree{number}", stop))
        pool = ThreadPoolExecutor(jobs)
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        stack.callback(stop.set)
        if results.sound != tree:
            _see_that_it_is_sound(trees, results, tree)
        started = time.monotonic()

        def one(mutant: Mutant) -> Result:
            place = trees.get()
            try:
                record, cpu_s = place.run(mutant)
            finally:
                trees.put(place)
            result = Result(mutant.name, mutant.file, mutant.what, mutant.promise, tree)
            result.cpu_s = round(cpu_s, 1)
            result.take(record)
            results.put(result)
            return result

        for done, result in enumerate(pool.map(one, mutants), 1):
            said = mutants_page.caught_by(result)
            minutes = (time.monotonic() - started) / 60
            print(f"{done}/{len(mutants)} [{minutes:.0f} min] {result.name}: {said}", flush=True)


def _see_that_it_is_sound(trees: queue.SimpleQueue[Tree], results: Results, tree: str) -> None:
    """A net that catches the source as it is would catch everything."""
    place = trees.get()
    record, cpu_s = place.run(None)
    if not record.is_whole or record.failures or not record.passed:
        names = [failure.test for failure in record.failures] or [place.last_words()]
        sys.exit("mutants: the net fails without a mutant: " + ", ".join(names))
    print(f"the net: {record.passed} tests, {cpu_s:.0f} s of one core", flush=True)
    results.is_sound(tree)
    trees.put(place)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Deliberate defects, and what notices them.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", action="store_true", help="write the page only")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    wish = parser.parse_args()
    everything = [*load_chosen(), *draw.draw()]
    unknown = set(wish.only) - {mutant.name for mutant in everything}
    if unknown:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    results = Results(wish.out / "mutants.json")
    results.keep({mutant.name for mutant in everything})
    tree = fingerprint()
    rows = results.rows
    wanted = [
        mutant
        for mutant in everything
        if (mutant.name in wish.only)
        or (not wish.only and (mutant.name not in rows or rows[mutant.name].tree != tree))
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if not wish.page:
            hunt(wanted, results, tree, max(1, wish.jobs))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        page = mutants_page.page(everything, rows, tree)
        (wish.out / "mutants.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
