"""A clock that jumps: the virtual-time event loop of tests and of the fast demo.

Thread: the one that calls `run`.  It must never wait for real time, a socket or a thread: whatever
would, is refused with a `VirtualTimeError`, because its outcome would depend on the machine.  An
hour of timers takes as long as the callbacks in it take.
"""

from __future__ import annotations

import asyncio
import gc
import math
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

START_S = 1000.0
"""Where virtual time begins: far from 0, so that code which mistakes 0.0 for "never" shows."""

LIMIT_S = 48 * 3600.0
"""Virtual seconds after which `run` gives up: two days hold every soak test we have."""

STANDSTILL_TURNS = 1_000_000
"""Turns of the loop without a step of the clock that count as an endless loop: a talk needs a
few dozen at one instant, and a million take about a second of real time."""

GRACE_TURNS = 20
"""Turns that tasks which were cancelled but not awaited get to unwind before they count as
leaked; a cancellation passes one `await` level per turn or faster."""

_NOTHING: dict[Any, selectors.SelectorKey] = {}


class VirtualTimeError(RuntimeError):
    """Something was asked of virtual time that it cannot do, or the program under it is wrong."""


class DeadlockError(VirtualTimeError):
    """Nothing is ready, no timer is set, and the program has not ended."""


class TimeLimitError(VirtualTimeError):
    """The program did not end within the virtual time it was given, or time stands still."""


class LeakedTaskError(VirtualTimeError):
    """The program ended and left tasks behind that nobody awaits."""


class UnhandledFailureError(VirtualTimeError):
    """An exception in a callback or task was noticed by nobody but the loop."""


class _JumpSelector(selectors.BaseSelector):
    """Instead of waiting for `timeout`, tells the loop to move its clock."""

    def __init__(self) -> None:
        self.wait: Callable[[float | None], None] = lambda _timeout: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.wait(timeout)
        return []

    def register(self, *_what: Any, **_options: Any) -> selectors.SelectorKey:
        raise VirtualTimeError(
            "Virtual time cannot wait for real sockets or pipes; use an in-memory wire."
        )

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return _NOTHING

    def close(self) -> None:
        self.wait = lambda _timeout: None


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose `time()` jumps to the next timer as soon as nothing is ready.

    Timers fire in the order of their times, and in the order of their creation when the times
    are equal, so a run is the same on every machine.  `call_soon_threadsafe` works and is the
    only door for threads, but the loop never waits for one.

    `start_s`: first value of `time()`.  `limit_s`: virtual seconds after which it raises
    `TimeLimitError` (None: never).  Use `run` unless the loop itself is under test.
    """

    def __init__(self, *, start_s: float = START_S, limit_s: float | None = None) -> None:
        self._now_s = start_s
        self._end_s = None if limit_s is None else start_s + limit_s
        self._turns_at_now = 0
        selector = _JumpSelector()
        super().__init__(selector)
        self._clock_resolution = math.ulp(start_s)
        selector.wait = self._wait
        self.failures: list[dict[str, Any]] = []
        """Contexts that reached the loop's exception handler (see `call_exception_handler`)."""
        self.set_exception_handler(lambda _loop, context: self.failures.append(context))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def lift_limit(self) -> None:
        """Let the program go on without a time limit (used while cleaning up)."""
        self._end_s = None

    def _wait(self, timeout: float | None) -> None:
        if timeout == 0:
            self._turns_at_now += 1
            if self._turns_at_now > STANDSTILL_TURNS:
                raise TimeLimitError(
                    f"Time stands still at {self._now_s:.3f} s: something keeps scheduling "
                    f"itself without waiting. {self._who()}"
                )
            return
        if timeout is None:
            raise DeadlockError(
                f"Nothing is scheduled at {self._now_s:.3f} s and the program has not ended. "
                f"{self._who()}"
            )
        # The timer's own value, because now + (when - now) can fall a hair short of `when`,
        # and a deadline that fires before its time makes the code under it wait again.
        when_s: float = self._scheduled[0].when()  # type: ignore[attr-defined]
        # asyncio never asks for more than a day at once.
        target_s = min(when_s, self._now_s + timeout) if timeout >= 24 * 3600 else when_s
        if self._end_s is not None and target_s > self._end_s:
            raise TimeLimitError(f"The program has not ended at {self._end_s:.3f} s. {self._who()}")
        self._now_s = max(self._now_s, target_s)
        # asyncio runs timers that are due within the resolution.  A real clock has gone on by
        # then; ours would stand before such a deadline for ever.
        self._clock_resolution = math.ulp(self._now_s)
        self._turns_at_now = 0

    def _who(self) -> str:
        """Name the tasks that wait, and what went wrong unnoticed before."""
        tasks = [describe_task(task) for task in asyncio.all_tasks(self)]
        text = "Waiting: " + ("; ".join(sorted(tasks)) or "no task") + "."
        if self.failures:
            text += " Failed before: " + "; ".join(map(_describe_failure, self.failures)) + "."
        return text

    # --- what needs the real world is refused -------------------------------------------

    def run_in_executor(self, _executor: Any, func: Any, *_args: Any) -> NoReturn:  # type: ignore[override]
        """Refused: the moment at which a thread ends is not virtual."""
        raise VirtualTimeError(
            f"Virtual time runs no threads: run_in_executor({getattr(func, '__qualname__', func)})."
            " (Host names are resolved in a thread as well.)"
        )

    def add_signal_handler(self, _sig: int, _callback: Any, *_args: Any) -> None:  # type: ignore[override]
        """Refused in the way asyncio documents for loops without signals."""
        raise NotImplementedError("Virtual time takes no signals; call the handler yourself.")

    def remove_signal_handler(self, _sig: int) -> bool:
        """Nothing was ever added."""
        return False

    # The base class keeps a socket pair to interrupt `select`; ours never sleeps.
    def _make_self_pipe(self) -> None:
        pass

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def describe_task(task: asyncio.Task[Any]) -> str:
    """Name, coroutine and the line at which a task waits."""
    coro = task.get_coro()
    text = f"{task.get_name()} ({getattr(coro, '__qualname__', coro)}"
    stack = task.get_stack(limit=1)
    if stack:
        code = stack[-1].f_code
        text += f", in {code.co_name} line {stack[-1].f_lineno}"
    return text + ")"


def _describe_failure(context: Mapping[str, Any]) -> str:
    exception = context.get("exception")
    return f"{context.get('message', 'failure')}: {exception!r}"


async def _supervise(coro: Coroutine[Any, Any, T]) -> T:
    """Await the program, then insist that it left nothing running."""
    result = await coro
    me = asyncio.current_task()
    for _turn in range(GRACE_TURNS):
        left = [task for task in asyncio.all_tasks() if task is not me]
        if not left:
            return result
        await asyncio.sleep(0)
    raise LeakedTaskError("Left running: " + "; ".join(sorted(map(describe_task, left))) + ".")


def run(coro: Coroutine[Any, Any, T], *, limit_s: float = LIMIT_S, start_s: float = START_S) -> T:
    """Run a program in virtual time and return its result; the `asyncio.run` of tests.

    Raises what the program raises; `DeadlockError` when it can never go on (naming who waits),
    `TimeLimitError` after `limit_s` virtual seconds, `LeakedTaskError` when tasks are left
    running, and `UnhandledFailureError` when a task or callback failed and nobody looked.
    """
    loop = VirtualLoop(start_s=start_s, limit_s=limit_s)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                result = runner.run(_supervise(coro))
            finally:
                loop.lift_limit()
            # A failed task reports itself when it is collected, and its traceback is a cycle.
            gc.collect()
    except BaseException as error:
        for failure in loop.failures:
            error.add_note("Unnoticed before: " + _describe_failure(failure))
        raise
    finally:
        # After a deadlock the program itself is cancelled above; if it never began, close it.
        coro.close()
    if loop.failures:
        texts = "; ".join(map(_describe_failure, loop.failures))
        raise UnhandledFailureError(texts) from loop.failures[0].get("exception")
    return result
