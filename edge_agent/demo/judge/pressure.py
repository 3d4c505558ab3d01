"""How long this program waited for a processor, by the kernel's count.

Thread: its own ("pressure"), which reads and sleeps.  It must never excuse our own slowness: what
is counted is the time in which our threads were ready to run and another program had the processor
(`/proc/self/task/*/schedstat`, second field), not the time in which they computed.

Call `start`, `stop`, and then ask `waited_s(begin, end)` or `crowded(begin, end)`.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from pathlib import Path

STEP_S = 0.05
"""Between two looks.  A look costs some 100 µs with a dozen threads: a thousandth of a core."""

NANOSECONDS = 1e9

CROWDED_SHARE = 0.5
"""Of a stretch spent waiting: sound in real time cannot be held to its promises there.  A block of
10 ms that waits another 5 is still in time; the queues are deeper than that."""

CROWDED_STRETCH_S = 0.5
"""The stretch that is looked at: as much as the deepest queue between two threads holds."""

TASKS = Path("/proc/self/task")


def waited_by_threads(tasks: Path = TASKS) -> dict[int, float] | None:
    """Seconds that each thread has waited for a processor; None where the kernel does not count."""
    waited: dict[int, float] = {}
    try:
        entries = list(tasks.iterdir())
    except OSError:
        return None
    for entry in entries:
        try:
            fields = (entry / "schedstat").read_text().split()
            waited[int(entry.name)] = int(fields[1]) / NANOSECONDS
        except (OSError, ValueError, IndexError):  # it has ended, or nothing is counted
            continue
    return waited or None


class Pressure:
    """Remembers, every 50 ms, what was waited until then.  `now` is the clock of the judged play.

    Of the threads' waits between two looks the longest counts: they wait beside one another.
    """

    def __init__(
        self,
        now: Callable[[], float],
        read: Callable[[], dict[int, float] | None] = waited_by_threads,
    ) -> None:
        self._now = now
        self._read = read
        self._last: dict[int, float] = {}
        self._total = 0.0
        self._times: list[float] = []
        self._waits: list[float] = []
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Take one reading."""
        waited = self._read()
        if waited is None:
            return
        if self._times:
            steps = [total - self._last.get(name, 0.0) for name, total in waited.items()]
            self._total += max(0.0, *steps, 0.0)
        self._last = waited
        self._times.append(self._now())
        self._waits.append(self._total)

    def start(self) -> None:
        """Look until `stop`."""
        self.look()
        self._thread = threading.Thread(target=self._run, name="pressure", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what was seen stays."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._ending.wait(STEP_S):
            self.look()

    def waited_s(self, begin: float, end: float) -> float:
        """Seconds waited between two times, with the looks around them."""
        if not self._times:
            return 0.0
        first = max(0, bisect_right(self._times, begin) - 1)
        last = min(len(self._times) - 1, bisect_left(self._times, end))
        return max(0.0, self._waits[last] - self._waits[first])

    def crowded(self, begin: float, end: float) -> bool:
        """Was there a stretch between two times in which half of the time was waited?"""
        for first, start in enumerate(self._times):
            if not begin - STEP_S <= start <= end:
                continue
            last = bisect_left(self._times, start + CROWDED_STRETCH_S, first)
            if last == len(self._times):
                return False
            if self._waits[last] - self._waits[first] >= CROWDED_SHARE * (
                self._times[last] - start
            ):
                return True
        return False
