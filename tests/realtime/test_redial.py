"""Redial pauses and outbox: the bounds that must hold whatever happens.

It must never need a clock: time is an argument.
"""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.realtime.link.outbox import Outbox
from edge_agent.realtime.link.redial import (
    FIRST_RETRY_S,
    FLOOR_S,
    NETWORK_CAP_S,
    REFUSED_CAP_S,
    RETRY_AFTER_CAP_S,
    RedialPauses,
)

NETWORK = LinkLost("x", code="link.unreachable")
CLOSED = LinkLost("x", code="link.closed")
FAULTS = st.sampled_from(
    [NETWORK, CLOSED, LinkBusy("x"), LinkRefused("x"), LinkBusy("x", retry_after_s=5.0)]
)


@given(st.lists(st.tuples(FAULTS, st.booleans()), max_size=60), st.integers())
def test_delays_stay_in_bounds(steps: list[tuple[LinkError, bool]], seed: int) -> None:
    backoff, now = RedialPauses(random.Random(seed)), 0.0
    for fault, was_healthy in steps:
        if was_healthy:
            backoff.healthy()
        delay_s = backoff.next_delay_s(fault, now)
        assert 0 <= delay_s <= REFUSED_CAP_S
        if isinstance(fault, LinkRefused):
            assert delay_s >= 54
        if isinstance(fault, LinkBusy) and fault.retry_after_s:
            assert delay_s >= fault.retry_after_s
        now += delay_s + 0.01


@given(st.integers(), st.sampled_from([NETWORK, CLOSED]))
def test_the_first_retry_after_a_healthy_session_is_quick(seed: int, fault: LinkError) -> None:
    backoff = RedialPauses(random.Random(seed))
    for at in range(20):
        backoff.next_delay_s(CLOSED, float(at))
    backoff.healthy()
    assert backoff.next_delay_s(fault, 100.0) <= FIRST_RETRY_S


@given(st.integers())
def test_an_unreachable_network_is_tried_every_second_for_a_minute(seed: int) -> None:
    backoff, now = RedialPauses(random.Random(seed)), 0.0
    while now < 59:
        delay_s = backoff.next_delay_s(NETWORK, now)
        assert delay_s <= NETWORK_CAP_S
        now += delay_s
    assert all(backoff.next_delay_s(NETWORK, 1e6) <= 30 for _ in range(50))


def test_a_server_that_answers_badly_is_left_alone_longer_and_longer() -> None:
    backoff, waits = RedialPauses(random.Random(7)), []
    for at in range(300):
        waits.append(backoff.next_delay_s(CLOSED, float(at)))
    assert max(waits) <= 30
    assert 12 < sum(waits[100:]) / 200 < 18  # full jitter: half of the cap on average
    assert min(waits[1:]) >= FLOOR_S


def test_refusals_double_up_to_ten_minutes_and_a_change_forgives() -> None:
    backoff = RedialPauses(random.Random(3))
    waits = [backoff.next_delay_s(LinkRefused("x"), 0.0) for _ in range(9)]
    assert waits[0] <= 60
    assert 540 <= waits[-1] <= 600
    backoff.forgive()
    assert backoff.next_delay_s(LinkRefused("x"), 0.0) <= 60


def test_an_absurd_retry_after_is_not_obeyed() -> None:
    wait_s = RedialPauses(random.Random(1)).next_delay_s(LinkBusy("x", retry_after_s=1e9), 0.0)
    assert wait_s <= RETRY_AFTER_CAP_S + 1


MAIL = st.tuples(st.sampled_from(["put", "put", "pop"]), st.sampled_from([0.0, 20.0, 100.0, 900.0]))


@given(st.lists(MAIL, max_size=200))
def test_control_is_never_dropped_and_audio_is_counted(steps: list[tuple[str, float]]) -> None:
    outbox = Outbox(audio_limit_ms=1000)
    put: list[tuple[str, float]] = []
    got: list[str] = []
    for number, (step, audio_ms) in enumerate(steps):
        if step == "put":
            put.append((str(number), audio_ms))
            outbox.put(str(number), audio_ms)
        elif len(outbox):
            got.append(outbox.pop())
        assert outbox.audio_ms <= 1000
    while len(outbox):
        got.append(outbox.pop())
    length = dict(put)
    assert [name for name in got if not length[name]] == [name for name, ms in put if not ms]
    assert got == sorted(got, key=int)
    lost_ms = sum(length.values()) - sum(length[name] for name in got)
    assert abs(lost_ms - outbox.dropped_ms) < 1e-6
    assert outbox.audio_ms == 0
