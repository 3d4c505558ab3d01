"""Health: a deaf speaker is noticed, a healthy one never blamed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.ports import DeviceState
from edge_agent.host.service.health import Counters, HealthJudge

STALL_S = 5.0


def test_moving_frames_are_healthy() -> None:
    judge = HealthJudge(STALL_S, started_at=100.0)
    for second in range(1, 60):
        n = second * 48_000
        assert judge.judge(Counters(n, n, second * 100), 100.0 + second) == ()


def test_each_part_is_blamed_by_itself_and_forgiven() -> None:
    for index, part in enumerate(HealthJudge.PARTS):
        judge = HealthJudge(STALL_S, started_at=0.0)
        for second in range(1, 20):
            counts = [second] * 3
            counts[index] = 7
            found = judge.judge(Counters(counts[0], counts[1], counts[2]), float(second))
            # It moved last at the first judgement, from 0 to 7.
            assert found == ((part,) if second - 1 >= STALL_S else ())
        assert judge.judge(Counters(99, 99, 99), 20.0) == ()


def test_a_declared_absent_device_is_not_sick_and_gets_time_when_it_returns() -> None:
    judge = HealthJudge(STALL_S, started_at=0.0)
    for second in range(1, 30):
        assert judge.judge(Counters(5, 5, 5, DeviceState.ABSENT), float(second)) == ()
    assert judge.judge(Counters(5, 5, 5), 33.0) == ()
    assert judge.judge(Counters(5, 5, 5), 34.0) == HealthJudge.PARTS


def test_only_the_loudspeaker_is_excused_by_its_rest() -> None:
    judge = HealthJudge(STALL_S, started_at=0.0)
    for second in range(1, 30):
        moves = Counters(second, 5, second, DeviceState.RESTING)
        assert judge.judge(moves, float(second)) == ()
    for second in range(30, 35):
        judge.judge(Counters(29, 5, 29, DeviceState.RESTING), float(second))
    blamed = judge.judge(Counters(29, 5, 29, DeviceState.RESTING), 35.0)
    assert blamed == ("microphone", "front end")


def test_neither_a_stalled_device_nor_a_driver_that_hangs_is_an_excuse() -> None:
    for device in (DeviceState.STALLED, DeviceState.HUNG):
        judge = HealthJudge(STALL_S, started_at=0.0)
        for second in range(1, 7):
            blamed = judge.judge(Counters(5, 5, 5, device), float(second))
        assert blamed == HealthJudge.PARTS


def test_a_closed_microphone_is_missed_as_soon_as_it_is_not_muted_any_more() -> None:
    judge = HealthJudge(STALL_S, started_at=0.0)
    for second in range(1, 20):
        assert judge.judge(Counters(5, second, 5, deaf=True), float(second)) == ()
    for second in range(20, 30):
        blamed = judge.judge(Counters(5, second, 5), float(second))
    assert blamed == ("microphone", "front end")


def test_a_closed_microphone_does_not_excuse_the_loudspeaker() -> None:
    judge = HealthJudge(STALL_S, started_at=0.0)
    for second in range(1, 7):
        blamed = judge.judge(Counters(5, 5, 5, deaf=True), float(second))
    assert blamed == ("loudspeaker",)


def test_counters_that_start_again_are_movement() -> None:
    judge = HealthJudge(STALL_S, started_at=0.0)
    judge.judge(Counters(1000, 1000, 1000), 1.0)
    assert judge.judge(Counters(10, 10, 10), 5.9) == ()
    assert judge.judge(Counters(10, 10, 10), 10.0) == ()


def test_a_loop_that_slept_blames_only_itself() -> None:
    judge = HealthJudge(STALL_S, started_at=0.0)
    judge.judge(Counters(1, 1, 1), 1.0)
    assert judge.judge(Counters(1, 1, 1), 7.0) == ("event loop",)
    assert judge.judge(Counters(1, 1, 1), 8.0) == ()


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.booleans()),
        min_size=1,
        max_size=60,
    )
)
def test_blame_means_really_five_still_seconds(steps: list[tuple[int, int, int, bool]]) -> None:
    judge = HealthJudge(STALL_S, started_at=0.0)
    totals = [0, 0, 0]
    still_s = [0, 0, 0]
    for second, (a, b, c, present) in enumerate(steps, 1):
        for index, amount in enumerate((a, b, c)):
            totals[index] += amount
            still_s[index] = 0 if amount or not present else still_s[index] + 1
        captured, rendered, heard = totals
        device = DeviceState.OPEN if present else DeviceState.ABSENT
        found = judge.judge(Counters(captured, rendered, heard, device), float(second))
        wanted = [p for p, s in zip(HealthJudge.PARTS, still_s, strict=True) if s >= STALL_S]
        assert list(found) == wanted
