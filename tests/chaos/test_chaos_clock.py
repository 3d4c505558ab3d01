"""Virtual time goes on where two timers are a rounding error apart (purpose).

Owner thread: the test's, in virtual time.  Must never need real time.  Found by seed 5200.
"""

from __future__ import annotations

import asyncio
import math

from edge_agent.simulation import clock


def test_a_deadline_a_hair_behind_another_timer_is_reached() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        first = loop.time() + 1.0
        deadline = first + 2 * math.ulp(first)
        loop.call_at(first, lambda: None)
        while loop.time() < deadline:  # as everybody does who waits for a moment
            try:
                async with asyncio.timeout_at(deadline):
                    await loop.create_future()
            except TimeoutError:
                continue
        return loop.time() - deadline

    assert clock.run(main(), limit_s=10) == 0.0
