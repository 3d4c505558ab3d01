"""A machine that is too busy is not a failure of the speaker, and a slow speaker is no excuse.

Thread: the test's.  It must never need a busy machine: the kernel's counts are written by hand.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from edge_agent.demo import main
from edge_agent.demo.evening import Evening
from edge_agent.demo.judge import pressure
from edge_agent.demo.judge.pressure import Pressure, waited_by_threads
from edge_agent.demo.judge.verdict import ActResult
from edge_agent.demo.play import Act, Play
from edge_agent.demo.show.view import print_results
from edge_agent.demo.stage import StageError

LIMIT_MS = 350.0


class Kernel:
    """Counts of two threads, and the time at which they are read."""

    def __init__(self) -> None:
        self.at = 0.0
        self.waited = {1: 0.0, 2: 0.0}

    def pressure(self) -> Pressure:
        return Pressure(lambda: self.at, lambda: dict(self.waited))

    def passes(self, pressure: Pressure, seconds: float, share: float) -> None:
        """Time goes by in which both threads wait for `share` of it, side by side."""
        for _ in range(round(seconds / pressure_step())):
            self.at += pressure_step()
            for thread in self.waited:
                self.waited[thread] += share * pressure_step()
            pressure.look()


def pressure_step() -> float:
    return pressure.STEP_S


def act_that_took(seconds: float) -> ActResult:
    act = ActResult(4, "talked_over", "Talked over", "", begin=0.0, end=3.0, played=True)
    act.within("it falls silent at once", (1.0, 1.0 + seconds), LIMIT_MS)
    return act


@pytest.mark.parametrize(
    ("share", "took_s", "verdict"),
    [
        pytest.param(0.0, 0.30, "good", id="in time"),
        pytest.param(0.0, 0.47, "bad", id="late on a quiet machine"),
        pytest.param(0.1, 0.47, "bad", id="late by more than was waited"),
        pytest.param(0.4, 0.47, "busy", id="late by less than was waited"),
        pytest.param(0.9, 2.00, "busy", id="a machine that is crowded"),
    ],
)
def test_what_was_waited_is_taken_off(share: float, took_s: float, verdict: str) -> None:
    kernel = Kernel()
    seen = kernel.pressure()
    seen.look()
    kernel.passes(seen, 3.0, share)
    act = act_that_took(took_s)
    act.excuse(seen.waited_s, crowded=seen.crowded(act.begin, act.end))
    assert act.verdict == verdict


def test_threads_that_wait_side_by_side_are_not_added_up() -> None:
    kernel = Kernel()
    seen = kernel.pressure()
    seen.look()
    kernel.passes(seen, 1.0, 0.4)
    assert seen.waited_s(0.0, 1.0) == pytest.approx(0.4)


def test_a_late_look_does_not_make_a_crowd() -> None:
    """A look that comes two seconds late has seen little waiting: somebody of us held it up."""
    kernel = Kernel()
    seen = kernel.pressure()
    seen.look()
    kernel.at, kernel.waited = 2.0, {1: 0.3, 2: 0.3}
    seen.look()
    kernel.passes(seen, 1.0, 0.0)
    assert not seen.crowded(0.0, 3.0)


def test_an_ordinary_check_is_excused_only_in_a_crowd() -> None:
    act = ActResult(2, "one_breath", "Asked", "", end=3.0, played=True)
    act.check("the words reached the model whole", False, "all", "half")
    act.excuse(lambda _begin, _end: 3.0, crowded=False)
    assert act.verdict == "bad"
    act.excuse(lambda _begin, _end: 0.0, crowded=True)
    assert act.verdict == "busy"


def test_one_failure_outweighs_what_could_not_be_judged() -> None:
    act = act_that_took(0.47)
    act.excuse(lambda _begin, _end: 1.0, crowded=False)
    act.check("the model is told where it was cut", False, "1", "0")
    assert act.verdict == "bad"


def test_the_kernel_counts_on_this_machine(tmp_path: Path) -> None:
    counted = waited_by_threads()
    assert counted is not None
    assert all(seconds >= 0 for seconds in counted.values())
    assert waited_by_threads(tmp_path / "none") is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "schedstat").write_text("12 3000000000 4\n")
    (tmp_path / "8").mkdir()  # a thread that has just ended
    assert waited_by_threads(tmp_path) == {7: 3.0}


def test_what_was_too_busy_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: an act gets stuck on a crowded machine; the verdict, the words, the code."""

    async def stuck(_play: Play, _act: ActResult) -> None:
        raise StageError("Waited 15 s for this and it did not happen: the wake word is heard.")

    def crowded(play: Play, act: ActResult) -> None:
        del play
        act.excuse(lambda _begin, _end: 0.0, crowded=True)

    monkeypatch.setattr(Play, "_excuse", crowded)
    text = io.StringIO()
    acts = [Act(key, key, "", stuck) for key in ("one", "two")]
    code = main(fast=True, out=tmp_path, acts=acts, console=Console(file=text, width=100))
    said = text.getvalue()
    assert code == 3
    assert "0 of 2 acts as they must be, 1 not judged: this machine was too busy" in said
    assert "too busy: 1 one" in said
    assert "failed:" not in said
    assert "--fast" in said
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "machine too busy" in page
    assert "not played" in page


def test_a_failure_is_printed_as_one() -> None:
    text = io.StringIO()
    print_results(Console(file=text, width=100), [act_that_took(0.47)])
    assert "failed: 4 Talked over" in text.getvalue()
    assert "too busy" not in text.getvalue()


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (("good", "good"), "good"),
        (("good", "busy"), "busy"),
        (("busy", "none"), "busy"),
        (("busy", "bad"), "bad"),
        (("good", "none"), "bad"),
    ],
)
def test_the_evening_is_as_its_acts(verdicts: tuple[str, ...], whole: str) -> None:
    acts = []
    for number, verdict in enumerate(verdicts, 1):
        act = ActResult(number, "", "", "", played=verdict != "none")
        act.check("a promise", verdict == "good", "", "")
        if verdict == "busy":
            act.excuse(lambda _begin, _end: 0.0, crowded=True)
        acts.append(act)
    assert [act.verdict for act in acts] == list(verdicts)
    evening = Evening.__new__(Evening)
    object.__setattr__(evening, "acts", acts)
    assert evening.verdict == whole
