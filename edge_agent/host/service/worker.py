"""Worker: a thread for what would block the loop, in order.

Thread: the event loop calls, its own work.  It must never carry audio, and never make the end of
the process wait for a driver that hangs: see `is_busy`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """`run` waits for a piece of work, `put` only queues it; first come, first served.

    `threads=False` does all of it at once on the caller's thread, as virtual time needs it.
    `on_fault` gets what queued work raised, on the worker's thread.  More threads (`size`) only
    for work that may overtake other work.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: bool,
        on_fault: Callable[[BaseException], None],
        size: int = 1,
    ) -> None:
        self._executor = ThreadPoolExecutor(size, name) if threads else None
        self._on_fault = on_fault
        self._running: set[Future[Any]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether the thread still works.  The interpreter would wait for it at its end."""
        return any(not work.done() for work in self._running)

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` and return or raise what it does; a cancelled caller does not stop it."""
        if self._executor is None:
            return work()
        return await asyncio.wrap_future(self._submit(self._executor, work))

    def put(self, work: Callable[[], object]) -> None:
        """Do `work` after what was asked for before."""
        if self._executor is None:
            work()
            return
        self._submit(self._executor, work).add_done_callback(self._look_at)

    async def drain(self) -> None:
        """Wait until everything that was asked for is done."""
        if self._executor is not None:
            await self.run(lambda: None)

    def close(self) -> None:
        """Take nothing more; what has not begun is dropped.  Does not wait."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _submit(self, executor: ThreadPoolExecutor, work: Callable[[], T]) -> Future[T]:
        future = executor.submit(work)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def _look_at(self, work: Future[Any]) -> None:
        problem = None if work.cancelled() else work.exception()
        if problem is not None:
            self._on_fault(problem)
