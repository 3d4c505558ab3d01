"""Every fault at every phase of a turn, and random schedules: nothing lost or doubled.

Thread: the test's, in virtual time.  It must never pass a schedule whose faults did not strike. The
whole suite is `scripts/chaos.sh`; a seed that fails is replayed by `scripts/chaos.sh --seed N`.
"""

from __future__ import annotations

import asyncio

import pytest
from chaos_faults import FAULTS, HUGE_FRAME, Fault
from chaos_house import Options
from chaos_life import PHASES, Outcome, play
from chaos_world import SERVICES, World

from edge_agent.simulation import clock
from edge_agent.simulation.traits import TRAITS

QUICK_SEEDS = range(1, 81)
"""As many as take some 12 s; the figures of ten thousand are in `benchmarks/chaos.md`."""
BATCH = 20


SERVICE_SEEDS = range(1, 5)
"""Of each service as it was recorded: some 10 s of work in all."""


def check(outcome: Outcome) -> None:
    if not outcome.is_good:
        pytest.fail(outcome.told(), pytrace=False)


def test_without_a_fault_every_phase_is_reached_and_nothing_is_wrong() -> None:
    nothing = Fault("nothing", "noise", lambda _world, _rng: None, (0, 0))
    outcome = play(1, [(nothing, phase) for phase in PHASES])
    check(outcome)
    assert [s.phase for s in outcome.strikes if s.reached] == list(PHASES)
    assert outcome.verdict.answered == outcome.said
    assert outcome.verdict.told == 0
    assert not outcome.codes


@pytest.mark.parametrize("fault", [*FAULTS, HUGE_FRAME], ids=lambda fault: str(fault.name))
def test_every_fault_at_every_phase(fault: Fault) -> None:
    phases = PHASES if fault is not HUGE_FRAME else ("mid answer",)
    outcome = play(7, [(fault, phase) for phase in phases])
    check(outcome)
    reached = {s.phase for s in outcome.strikes if s.reached}
    assert reached == set(phases)
    if fault.codes:
        assert outcome.codes & fault.codes, outcome.codes
    if fault.family == "noise":
        assert outcome.verdict.answered == outcome.said, str(outcome.verdict)
        assert not outcome.codes, "an odd server is no reason to hang up"
    if fault.family == "network":
        assert outcome.verdict.told == 0, "speech survives a lost line"


@pytest.mark.parametrize("first", QUICK_SEEDS[::BATCH])
def test_random_schedules(first: int) -> None:
    for seed in range(first, first + BATCH):
        check(play(seed))


@pytest.mark.parametrize("service", SERVICES)
def test_random_schedules_with_a_service_as_it_was_recorded(service: str) -> None:
    for seed in SERVICE_SEEDS:
        check(play(seed, service=service))


@pytest.mark.parametrize(
    ("service", "provider"), [("xai", "xai"), ("speaches", "speaches"), ("slow-pong", "openai")]
)
def test_the_service_and_its_record_are_the_ones_that_were_asked_for(
    service: str, provider: str
) -> None:
    async def main() -> None:
        async with World(1, Options(service=service)) as world:
            assert await world.until(lambda: world.is_ready, 10)
            assert world.link.provider == provider
            assert world.server.traits == (TRAITS[service],)
            world.heal()
            assert world.server.faults.legacy_names is (service == "speaches")
            assert (world.server.late_pongs is not None) is (service == "slow-pong")
            await asyncio.sleep(1.0)

    clock.run(main())
