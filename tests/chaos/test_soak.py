"""Two hours of household life: nothing lost, nothing that grows (purpose).

Owner thread: the test's, in virtual time.  Must never assert on real time.  The day-long soak is
`scripts/soak.sh`.
"""

from __future__ import annotations

from chaos_soak import Sample, Soak, judge_samples, run


def test_two_hours_of_household_life() -> None:
    soak = run(2.0, seed=6)  # a session of it lives long enough to be rolled over
    assert not soak.problems, "\n".join(soak.problems)
    assert soak.sums["lost"] == soak.sums["doubled"] == soak.sums["torn"] == 0
    assert soak.sums["answered"] > 15
    assert soak.sums["drops"] > 0
    assert soak.samples[-1].sessions > 2, "an hour is the longest life of a session"
    assert soak.sums["rollovers"] > 0


def test_what_grows_is_found() -> None:
    def grown(hours: float) -> Sample:
        more = int(hours)
        return Sample(hours, 70.0 + hours, 10 + more, 1 + more, 6, 0, 0.0, 0.0, 24, 0, 1, 1)

    soak = Soak(hours=24.0, seed=1, samples=[grown(h / 2) for h in range(48)])
    judge_samples(soak)
    text = "; ".join(soak.problems)
    assert "resident memory grew" in text
    assert "threads grew" in text
    assert "tasks reached" in text
