"""Slow pongs: healthy sessions cut, and turns lost, with a service that answers pings late.

Call `measure` for one household's life, or run the module for the published page.

    nice python -m benchmarks.slow_pong            # writes benchmarks/slow_pong.md

Thread: the event loop, in virtual time.  It never tells the speaker what is the matter: only the
service is late, or dead.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.contract import events as ev
from edge_agent.dialogue.state import Talk
from edge_agent.realtime.link.pongs import Kept, PongBook, Pongs
from edge_agent.simulation import clock
from edge_agent.simulation.brains import BYTES_PER_MS, Brain, Reply, Speech, Turn
from edge_agent.simulation.late_pongs import LatePongs

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from house_config import household_timings
from lab.long_talk import LIMIT_S as ANSWER_LIMIT_S
from lab.long_talk import LongTalk, LongTalkError

RESULT = Path(__file__).parent / "slow_pong.md"
TURNS = 10_000
HOUSEHOLDS = 8
"""Each with a service whose bursts come at other times."""
IMPATIENT_TURNS = 100
TAUGHT_SHARE = 12
"""One part in so many is lived again after a restart, with a death in every tenth turn."""
SPEECH_MS, ANSWER_MS = 400, 600
QUICK_MS = (300, 1_000)
SLOW_MS = (2_000, 12_000)
SLOW_SHARE = 0.4
"""So many turns are answered after seconds of silence, in which a pong is the only sign."""
PAUSE_S = (0.0, 60.0)
TRAIT = "slow-pong"


class Thinker(Brain):
    """Answers every utterance after the time that chance gives it, and remembers which."""

    def __init__(self, words: Callable[[bytes], str], seed: int) -> None:
        self._words = words
        self._rng = random.Random(seed)
        self.asked: list[str] = []
        self.on_asked: Callable[[], None] = lambda: None

    def reply(self, turn: Turn) -> Reply:
        said = self._words(turn.heard[-1]) if turn.heard else ""
        self.asked.append(said)
        self.on_asked()
        is_slow = self._rng.random() < SLOW_SHARE
        delay_ms = self._rng.randint(*(SLOW_MS if is_slow else QUICK_MS))
        return Reply((Speech(bytes(ANSWER_MS * BYTES_PER_MS), said),), delay_ms)


class ImpatientPongs(Pongs):
    """The rule before: 1.8 s for every pong, and nothing is ever learnt."""

    def limit_s(self, untaught_s: float) -> float:
        del untaught_s
        return household_timings().pong_active_s


class ImpatientBook(PongBook):
    def of(self, provider: str) -> Pongs:
        return self._pongs.setdefault(provider, ImpatientPongs())


@dataclass(frozen=True)
class Case:
    """`turns` of a household; `deaths`: every so many turns the service dies while it thinks,
    behind a front that goes on acknowledging; 0: never."""

    name: str
    turns: int
    deaths: int = 0
    is_taught: bool = False
    is_impatient: bool = False


@dataclass
class Outcome:
    """What became of it."""

    turns: int = 0
    lost: int = 0
    twice: int = 0
    """Turns whose answer was heard more than once."""
    lessons: int = 0
    """Healthy sessions cut until the first of them had answered …"""
    cuts: int = 0
    """… and after that."""
    deaths: int = 0
    noticed_s: list[float] = field(default_factory=list)
    standbys: int = 0
    sessions: int = 0
    pongs: Pongs = field(default_factory=Pongs)
    known: Kept = field(default_factory=dict)
    hours: float = 0.0
    cpu_s: float = 0.0


class Life:
    """One household with one service."""

    def __init__(self, case: Case, seed: int, known: Kept) -> None:
        self._case = case
        self._rng = random.Random(seed)
        self._outcome = Outcome()
        kind = ImpatientBook if case.is_impatient else PongBook
        self._book = kind(known if case.is_taught else None, self._keep)
        self._brain: Thinker | None = None
        self._died_at: float | None = None
        self._seed = seed

    def _keep(self, known: Kept) -> None:
        self._outcome.known = dict(known)

    def _make_brain(self, words: Callable[[bytes], str]) -> Thinker:
        self._brain = Thinker(words, self._seed)
        return self._brain

    async def live(self) -> Outcome:
        """All turns, one after the other."""
        begun_at, outcome = time.process_time(), self._outcome
        talk = LongTalk(self._make_brain, pongs=self._book, seed=self._seed)
        talk.server.late_pongs = LatePongs(self._seed)
        started_at = talk.loop.time()
        async with talk:
            talk.agent.observers.append(lambda event, _commands, _at: self._see(event))
            for number in range(1, self._case.turns + 1):
                await self._turn(talk, number)
            outcome.sessions = talk.link.sessions
            outcome.standbys = talk.link.standby.dials
            outcome.pongs = talk.link.pongs
            self._book.keep()
        outcome.hours = (talk.loop.time() - started_at) / 3600
        outcome.cpu_s = time.process_time() - begun_at
        return outcome

    async def _turn(self, talk: LongTalk, number: int) -> None:
        case, outcome, brain = self._case, self._outcome, self._brain
        assert brain is not None
        cuts_before, is_taught = talk.link.pongs.healthy_cuts, outcome.lessons > 0
        if case.deaths and number % case.deaths == 0:
            brain.on_asked = lambda: self._die(talk)
        talk.notes.clear()
        brain.asked.clear()
        words = f"question {number}"
        try:
            await talk.say(words, speech_ms=SPEECH_MS)
        except LongTalkError:
            await talk.until(talk.is_idle, ANSWER_LIMIT_S)
        heard = len(talk.told("talk.answer_done"))
        outcome.turns += 1
        outcome.lost += heard == 0 or words not in brain.asked
        outcome.twice += heard > 1
        if self._rng.random() < 0.5:
            # Not at the moment at which the follow-up window ends: that would be another question.
            await talk.until(lambda: talk.dialogue.talk is Talk.ASLEEP)
            await talk.pause(self._rng.uniform(*PAUSE_S))
        new = talk.link.pongs.healthy_cuts - cuts_before
        if is_taught or case.is_taught:
            outcome.cuts += new
        else:
            outcome.lessons += new
        talk.used.clear()

    def _die(self, talk: LongTalk) -> None:
        assert self._brain is not None
        self._brain.on_asked = lambda: None
        self._outcome.deaths += 1
        self._died_at = talk.loop.time()
        for wire in talk.network.links:
            wire.stall()  # what is dialled from now on is fine

    def _see(self, event: ev.Event) -> None:
        if isinstance(event, ev.LinkDown) and self._died_at is not None:
            self._outcome.noticed_s.append(event.at - self._died_at)
            self._died_at = None


def measure(case: Case, seed: int = 1, known: Kept | None = None) -> Outcome:
    """Live it."""
    return clock.run(Life(case, seed, known or {}).live(), limit_s=200.0 * case.turns)


def row(case: Case, outcome: Outcome) -> str:
    """A line of the page."""
    noticed = sorted(outcome.noticed_s)
    death = f"{noticed[len(noticed) // 2]:.1f} / {noticed[-1]:.1f}" if noticed else "-"
    pongs = outcome.pongs
    p50_s, p99_s = pongs.quantile_s(0.5), pongs.quantile_s(0.99)
    cells = (
        case.name,
        f"{outcome.turns:,}".replace(",", " "),
        f"{outcome.hours:.0f}",
        outcome.lessons,
        outcome.cuts,
        outcome.lost,
        outcome.twice,
        outcome.deaths,
        death,
        outcome.standbys,
        f"{p50_s:.1f} / {p99_s:.1f}",
        f"{outcome.cpu_s / 60:.1f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


HEADS = (
    *("", "turns", "hours of life", "healthy sessions cut: lessons", "after the first lesson"),
    *("turns lost", "answers heard twice", "real deaths", "noticed after, s, median / max"),
    *("second sessions dialled", "pongs, s, p50 / p99", "processor, min"),
)


def report(rows: Sequence[str], command: str) -> str:
    """The page."""
    return "\n".join(
        (
            "# A service that answers pings late",
            "",
            f"`{command}`: the simulated service with the trait `{TRAIT}`: pongs 0.2 to 9 s late "
            "in bursts of up to 40 s, behind a front that acknowledges every byte at once, so the "
            "kernel's signs say that all is well. Real dialogue, pump and link in virtual time; "
            f"{SLOW_SHARE:.0%} of the turns are answered after 2 to 12 s of silence. A lesson is a "
            "healthy session that was cut before anything was known of the service; a turn is "
            "lost when its answer was not heard to the end.",
            "",
            "| " + " | ".join(HEADS) + " |",
            "|---" * len(HEADS) + "|",
            *rows,
            "",
            "* *as it was*: 1.8 s for every pong and nothing learnt, for comparison.",
            "* *real deaths*: the service falls silent for good in the middle of a turn, and its "
            "front goes on acknowledging. Where nothing was learnt that is noticed within 6 s of "
            "silence; a provider that is known to be slow is given up to 15 s.",
            "* A line that takes nothing any more is another case, and as quick as ever: see "
            "*black hole in a turn* in [RESULTS.md](RESULTS.md).",
            "",
        )
    )


def _household(seed: int, turns: int) -> list[str]:
    """One household's rows: its first days with the service, and the days after a restart."""
    first = Case(f"household {seed}, nothing known at first", turns)
    outcome = measure(first, seed)
    again = Case("the same after a restart", turns // TAUGHT_SHARE, deaths=10, is_taught=True)
    return [row(first, outcome), row(again, measure(again, seed, outcome.known))]


def main() -> None:
    """Measure all households and write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--turns", type=int, default=TURNS, help="of all households together")
    options.add_argument("--jobs", type=int, default=2, help="households lived at the same time")
    options.add_argument("--out", type=Path, default=RESULT)
    chosen = options.parse_args()
    turns = chosen.turns // HOUSEHOLDS
    with ProcessPoolExecutor(chosen.jobs) as pool:
        seeds = range(1, HOUSEHOLDS + 1)
        rows = [line for both in pool.map(_household, seeds, [turns] * HOUSEHOLDS) for line in both]
    before = Case("as it was", min(turns, IMPATIENT_TURNS), is_impatient=True)
    rows.append(row(before, measure(before)))
    command = "python -m benchmarks.slow_pong"
    command += "" if chosen.turns == TURNS else f" --turns {chosen.turns}"
    chosen.out.write_text(report(rows, command), encoding="utf-8")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
