"""Virtual time goes on where two timers are a rounding error apart.

Thread: the test's, in virtual time.  It must never need real time.  Found by seed 5200.
"""

from __future__ import annotations

import asyncio
import math

from edge_agent.simulation import clock


def test_deadlines_a_hair_behind_another_timer_are_reached() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        first = loop.time() + 1.0
        deadline = first + 2 * math.ulp(first)
        reached = [loop.create_future() for _ in range(2)]

        def look(who: int) -> None:
            if loop.time() < deadline:  # woken too early: wait again, as everybody does
                loop.call_at(deadline, lambda: loop.call_soon(look, who))
            else:
                reached[who].set_result(None)

        def both() -> None:
            look(0)
            loop.call_soon(look, 1)

        # Two of them: while one begins to wait the other is being woken.
        loop.call_at(first, both)
        await asyncio.gather(*reached)
        return loop.time() - deadline

    assert clock.run(main(), limit_s=10) == 0.0
