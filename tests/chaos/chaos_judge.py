"""The judge: the referee's findings as counts for the table, and what a sleeping speaker holds.

Runs in the test's thread.  It decides nothing: `tests/referee` does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chaos_world import World
from referee.rules_answers import Answers

from edge_agent.dialogue.state import Deadline

COUNTED = frozenset({"answers.lost", "answers.twice", "answers.torn"})
"""Codes that have a column of their own."""
MAX_QUEUED_MS = 30_500.0
"""The outbox holds 30 s of sound."""
LONG_SLEEP = {Deadline.SETTLED, Deadline.FORGET, Deadline.STEP}
"""Deadlines that a speaker at rest may have."""


@dataclass
class Verdict:
    """What became of the utterances."""

    answered: int = 0
    told: int = 0
    superseded: int = 0
    """Taken back by the household, or dropped by its mute."""
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    torn: list[int] = field(default_factory=list)
    """Answered although the model had only a part of the words."""
    problems: list[str] = field(default_factory=list)
    """Other promises that were broken, the first time each, and what must never happen."""
    excused: Counter[str] = field(default_factory=Counter)
    """Known breaks that were seen and do not count: code → how often."""

    @property
    def owed(self) -> int:
        """Utterances to which something was owed."""
        return self.answered + self.told + self.superseded + len(self.lost)

    @property
    def is_good(self) -> bool:
        """Nothing lost, doubled, torn or broken."""
        return not (self.lost or self.doubled or self.torn or self.problems)

    def __str__(self) -> str:
        parts = [f"{name} {getattr(self, name)}" for name in ("lost", "doubled", "torn")]
        return "; ".join([*parts, *self.problems])


def judge(world: World) -> Verdict:
    """What the referee found in this world so far, and what the world itself calls a problem."""
    referee = world.border.referee
    referee.end(world.now())
    answers = referee.rule(Answers)
    counts = answers.counts()
    first = {b.code: b for b in reversed(referee.broken) if b.code not in COUNTED}
    return Verdict(
        answered=counts["answered"],
        told=counts["told"],
        superseded=counts["taken back"] + counts["muted"],
        lost=sorted(number for number, fate in answers.fates.items() if fate == "lost"),
        doubled=list(answers.doubled),
        torn=list(answers.torn),
        problems=[*world.problems, *map(str, first.values())],
        excused=Counter(referee.excused_seen),
    )


def left_over(world: World) -> list[str]:
    """What a speaker that sleeps must not hold."""
    dialogue, playout = world.dialogue, world.playout
    rest = {
        "sound in the speaker": playout.queued_s,
        "sound for the network": world.link.queued_ms,
        "events in the inbox": len(world.agent._inbox),
        "tools that run": world.hands.running,
        "calls without output": int(dialogue.parts.tools.waiting),
        "answers in the speaker": len(dialogue.parts.answers.speaking),
        "deadlines": len(set(dialogue.state.deadlines) - LONG_SLEEP),
    }
    return [f"{what}: {much}" for what, much in rest.items() if much]
