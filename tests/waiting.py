"""Waiting for a fact on the running loop, whether its time is real or virtual.

Call `await until(lambda: server.is_up)`; it fails the test when the fact does not come about.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

PATIENCE_S = 20.0 * float(os.environ.get("TESTS_PATIENCE", "1"))
"""For other threads and processes on a loaded machine; nothing takes so long when all is well.  An
emulated one asks for more: a tool server's program takes 20 s there to begin."""

POLL_S = 0.005
"""Between two looks at a fact."""


async def until(happened: Callable[[], object], within_s: float = PATIENCE_S) -> float:
    """Loop time that passed until `happened()`; fails after `within_s`."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    while not happened():
        assert loop.time() - start < within_s, f"it did not happen within {within_s:g} s"
        await asyncio.sleep(POLL_S)
    return loop.time() - start
