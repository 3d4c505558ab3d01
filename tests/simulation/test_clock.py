"""The virtual-time loop: order, deadlines, refusals, leaks."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.simulation.clock import (
    DeadlockError,
    LeakedTaskError,
    TimeLimitError,
    UnhandledFailureError,
    VirtualLoop,
    VirtualTimeError,
    run,
)


def test_sleep_moves_the_clock_exactly_and_returns_the_result() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(3600)
        return before, loop.time()

    assert run(main()) == (1000.0, 4600.0)
    assert run(main(), start_s=5.0) == (5.0, 3605.0)


@given(st.lists(st.floats(0, 1e5, allow_nan=False), max_size=30))
def test_timers_fire_in_order_and_never_early(delays: list[float]) -> None:
    fired: list[tuple[float, int]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()

        def note(when: float, index: int) -> None:
            assert loop.time() >= when - 1e-9
            fired.append((when, index))

        for index, delay in enumerate(delays):
            loop.call_at(start + delay, note, start + delay, index)
        await asyncio.sleep(2e5)

    run(main(), limit_s=3e5)
    assert [when for when, _ in fired] == sorted(1000.0 + delay for delay in delays)
    assert len(fired) == len(delays)


def test_timers_of_the_same_instant_see_that_instant() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen: list[float] = []
        when = 1000.0

        def late(due: float) -> None:
            seen.append(loop.time() - due)

        for _ in range(1000):
            when += 0.01
            loop.call_at(when, late, when)
        await asyncio.sleep(11)
        return seen

    assert run(main()) == [0.0] * 1000


def test_wait_for_and_timeout_expire_at_their_time() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        marks = []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 2)
        marks.append(loop.time())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(10)
        marks.append(loop.time())
        return marks

    assert run(main()) == [1002.0, 1005.0]


def test_gather_takes_as_long_as_the_longest() -> None:
    async def nap(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return asyncio.get_running_loop().time()

    async def main() -> list[float]:
        return list(await asyncio.gather(nap(5), nap(1), nap(3)))

    assert run(main()) == [1005.0, 1001.0, 1003.0]


def test_a_sleep_of_several_days_arrives() -> None:
    async def main() -> float:
        await asyncio.sleep(40 * 3600)
        return asyncio.get_running_loop().time()

    assert run(main()) == 1000.0 + 40 * 3600


def test_deadlock_names_who_waits() -> None:
    async def stuck_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = asyncio.create_task(stuck_for_ever(), name="the stuck one")
        await task

    with pytest.raises(DeadlockError, match=r"the stuck one .*stuck_for_ever"):
        run(main())


def test_deadlock_tells_of_the_failure_that_led_to_it() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def broken() -> None:
            raise ZeroDivisionError
            done.set()

        loop.call_later(1, broken)
        await done.wait()

    with pytest.raises(DeadlockError, match="ZeroDivisionError"):
        run(main())


def test_time_limit() -> None:
    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(10)

    with pytest.raises(TimeLimitError, match=r"1060\.000 s"):
        run(main(), limit_s=60)


def test_standstill_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.simulation.clock.STANDSTILL_TURNS", 1000)

    async def main() -> None:
        for _ in range(10_000):
            await asyncio.sleep(0)

    with pytest.raises(TimeLimitError, match="stands still"):
        run(main())


def test_leaked_task_fails_and_an_unwinding_one_does_not() -> None:
    async def nap() -> None:
        await asyncio.sleep(1000)

    async def leaky() -> asyncio.Task[None]:
        return asyncio.create_task(nap(), name="forgotten")

    async def tidy() -> None:
        asyncio.create_task(nap()).cancel()

    with pytest.raises(LeakedTaskError, match="forgotten"):
        run(leaky())
    run(tidy())


def test_failures_nobody_looked_at_fail_the_run() -> None:
    async def fail() -> None:
        raise KeyError("lost")

    async def in_a_task() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        del task

    async def in_a_callback() -> None:
        nothing: dict[str, int] = {}
        asyncio.get_running_loop().call_soon(lambda: nothing["lost"])
        await asyncio.sleep(1)

    for program in (in_a_task, in_a_callback):
        with pytest.raises(UnhandledFailureError, match="lost"):
            run(program())


def test_the_programs_own_error_comes_through() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(main())


def test_threads_sockets_and_signals_are_refused() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(VirtualTimeError, match="no threads"):
            await asyncio.to_thread(print)
        with pytest.raises(VirtualTimeError, match="in-memory wire"):
            await asyncio.open_connection("127.0.0.1", 9)
        with pytest.raises(NotImplementedError):
            loop.add_signal_handler(15, print)

    run(main())


def test_call_soon_threadsafe_is_served() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        seen: list[int] = []
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(seen.append, 7))
        thread.start()
        thread.join()
        await asyncio.sleep(0.001)
        return seen

    assert run(main()) == [7]


def test_the_loop_can_be_used_by_hand() -> None:
    loop = VirtualLoop(start_s=0.0)
    loop.run_until_complete(asyncio.wait_for(asyncio.sleep(5, "x"), 6))
    assert loop.time() == 5.0
    loop.close()
    assert loop.is_closed()
