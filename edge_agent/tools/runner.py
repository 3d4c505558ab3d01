"""Runner: run a tool with a time limit; every call gets exactly one result.

Thread: event loop.  It must never decide whether a call is allowed (`dialogue` has), never raise at
its caller, and never put a tool's exception text, which may hold secrets, into a result.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

from edge_agent.contract.errors import ToolError
from edge_agent.contract.events import ToolFinished
from edge_agent.tools.registry import Finish, Registry, Tool

OUTPUT_LIMIT_BYTES = 16_000
"""About 4,000 tokens: more makes the model slow, costly and no wiser."""

CLOSE_S = 1.0
"""A tool that does not stop within this is left behind; the whole daemon has 8 s to stop."""

WAITING_MAX = 8
"""Calls of one tool that wait for their turn: whoever asks for more is not told by waiting."""

CANCELLED = "Cancelled: nobody waits for this any more."


class ToolRunner:
    """Runs calls side by side, of one tool as many as it allows; `post` receives one
    `ToolFinished` for each."""

    def __init__(self, registry: Registry, post: Callable[[ToolFinished], None]) -> None:
        self._registry = registry
        self._post = post
        self._calls: dict[str, asyncio.Task[tuple[str, bool, bool]]] = {}
        self._left_behind: set[asyncio.Task[Any]] = set()
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._waiting: dict[str, int] = {}
        self._is_closed = False

    @property
    def running(self) -> int:
        """Calls that have no result yet."""
        return len(self._calls)

    def run(self, call_id: str, name: str, arguments: str) -> None:
        """Start a call.  A call id that is running already is the same call: not run twice."""
        if call_id in self._calls:
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._outcome(name, arguments), name=f"tool {name}")
        self._calls[call_id] = task
        task.add_done_callback(lambda done: self._finished(call_id, done))
        if self._is_closed:
            task.cancel()

    def cancel(self, call_id: str) -> None:
        """Stop a call; its result says so.  A call that is over or unknown is no mistake."""
        task = self._calls.get(call_id)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Cancel everything and wait a bounded time.  Safe to call twice."""
        self._is_closed = True
        for task in self._calls.values():
            task.cancel()
        tasks = {*self._calls.values(), *self._left_behind}
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)
        tasks = {task for task in self._left_behind if not task.done()}
        if tasks:  # cancelled just now by their calls
            await asyncio.wait(tasks, timeout=CLOSE_S)
        await asyncio.sleep(0)  # so that the results of what was cancelled are posted

    def _finished(self, call_id: str, task: asyncio.Task[tuple[str, bool, bool]]) -> None:
        del self._calls[call_id]
        output, ok, finish = (CANCELLED, False, False) if task.cancelled() else task.result()
        at = task.get_loop().time()
        self._post(ToolFinished(at=at, call_id=call_id, output=output, ok=ok, finish=finish))

    async def _outcome(self, name: str, arguments: str) -> tuple[str, bool, bool]:
        """`(output, ok, finish)`; raises nothing but a cancellation."""
        declared = self._registry.get(name)
        if declared is None:
            return "There is no such tool.", False, False
        try:
            result = await self._call(declared, declared.validate(arguments))
            if isinstance(result, Finish):
                return _cut(result.output), True, True
            return _cut(_as_text(result)), True, False
        except ToolError as error:
            return _cut(str(error)), False, False
        except Exception as error:
            return f"The tool failed ({type(error).__name__}).", False, False

    async def _call(self, declared: Tool, keywords: dict[str, Any]) -> Any:
        """The limit of time begins here: whoever waits for a turn waits already."""
        until = asyncio.get_running_loop().time() + declared.timeout_s
        turns = await self._turn(declared, until)
        work: asyncio.Future[Any] | None = None
        try:
            result = declared.function(**keywords)
            if not inspect.isawaitable(result):
                return result
            work = asyncio.ensure_future(result)
        finally:
            if work is None:
                turns.release()
        # Not before it has really ended: one that will not stop still runs.
        work.add_done_callback(lambda _done: turns.release())
        # `wait_for` would wait for a tool that will not be cancelled; this does not.
        left_s = max(0.0, until - asyncio.get_running_loop().time())
        try:
            done, _ = await asyncio.wait({work}, timeout=left_s)
        finally:
            if not work.done():
                work.cancel()
                self._leave_behind(work)
        if not done:
            raise ToolError(
                f"The tool gave no result within {declared.timeout_s:g} seconds.",
                code="tool.timeout",
            )
        if work.cancelled():
            raise ToolError("The tool stopped without a result.")
        return work.result()

    async def _turn(self, declared: Tool, until: float) -> asyncio.Semaphore:
        """Wait until this call may run; calls of one tool keep their order."""
        name = declared.name
        turns = self._turns.setdefault(name, asyncio.Semaphore(declared.concurrency))
        waiting = self._waiting.get(name, 0)
        if waiting >= WAITING_MAX:
            raise ToolError(
                "Too many calls of this tool at once. Wait for its results first.",
                code="tool.busy",
            )
        self._waiting[name] = waiting + 1
        try:
            async with asyncio.timeout_at(until):
                await turns.acquire()
        except TimeoutError:
            raise ToolError(
                "The tool was still busy with earlier calls. Try again later.", code="tool.busy"
            ) from None
        finally:
            self._waiting[name] -= 1
        return turns

    def _leave_behind(self, work: asyncio.Future[Any]) -> None:
        if isinstance(work, asyncio.Task):
            self._left_behind.add(work)
            work.add_done_callback(self._left_behind.discard)
        work.add_done_callback(lambda done: done.cancelled() or done.exception())


def _as_text(result: object) -> str:
    if result is None:
        return "Done."
    if isinstance(result, str):
        return result
    try:
        return json.dumps(result, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError("The tool gave a result that can't be read.") from error


def _cut(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= OUTPUT_LIMIT_BYTES:
        return raw.decode("utf-8")
    kept = raw[:OUTPUT_LIMIT_BYTES].decode("utf-8", "ignore")
    return f"{kept}\n[Cut here: {len(raw) - OUTPUT_LIMIT_BYTES} more bytes.]"
