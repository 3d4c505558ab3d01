"""The judge: what must hold after a household has lived through faults (purpose).

Owner thread: the test's.  Must never ask the speaker how it did: what was said, what the model
was given and what the loudspeaker emitted decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos_house import Asked, Said
from chaos_world import World

from edge_agent.dialogue.state import Deadline

HEARD_MS = 500.0
"""Less of an answer than this is not an answer that one has heard."""
WHOLE = 0.97
"""Share of an utterance's pieces that the model must have been given."""
MAX_QUEUED_MS = 30_500.0
"""The outbox holds 30 s of sound."""
LONG_SLEEP = {Deadline.SETTLED, Deadline.FORGET}
"""Deadlines that a speaker at rest may have."""


@dataclass
class Verdict:
    """What became of the utterances."""

    answered: int = 0
    told: int = 0
    superseded: int = 0
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    torn: list[int] = field(default_factory=list)
    """Answered although the model had only a part of the words."""
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Nothing lost, doubled, torn or broken."""
        return not (self.lost or self.doubled or self.torn or self.problems)

    def __str__(self) -> str:
        parts = [f"{name} {getattr(self, name)}" for name in ("lost", "doubled", "torn")]
        return "; ".join([*parts, *self.problems])


def judge(world: World) -> Verdict:
    """Look at everything that was said in this world."""
    verdict = Verdict(problems=list(world.problems))
    for said in world.said.values():
        if said.is_expected:
            _judge_one(world, said, verdict)
    begun = [a for a in world.asked if a.began_at is not None and a.primary]
    begun.sort(key=lambda asked: asked.began_at or 0.0)
    order = [asked.primary for asked in begun]
    if order != sorted(order):
        verdict.problems.append(f"answers out of order: {order}")
    return verdict


def _judge_one(world: World, said: Said, verdict: Verdict) -> None:
    about = [a for a in world.asked if a.primary == said.number and a.kind != "tool"]
    audible = [a for a in about if a.began_at is not None]
    anew = [a for a in audible if a.kind != "continuation" and a.heard_ms >= HEARD_MS]
    if len(anew) > 1:
        verdict.doubled.append(said.number)
    if audible:
        verdict.answered += 1
        given = max(
            (a.pieces.get(said.number, 0) for a in _sources(world, said, audible)), default=0
        )
        if given < said.frames * WHOLE:
            verdict.torn.append(said.number)
    elif was_told(world, said):
        verdict.told += 1
    elif said.interrupted:
        verdict.superseded += 1
    else:
        verdict.lost.append(said.number)


def _sources(world: World, said: Said, audible: list[Asked]) -> list[Asked]:
    """Where the words came from that were answered: with a fresh answer they came along, before
    a tool's answer or a continuation they had come earlier."""
    fresh = [a for a in audible if a.kind == "fresh"]
    return fresh or [a for a in world.asked if said.number in a.pieces]


def was_told(world: World, said: Said) -> bool:
    """Whether a sentence said why there is no answer: one with which the talk ended, or one
    about the answer."""
    return any(
        at >= said.begin_at - 2.0 and (is_last or name.startswith(("response.", "too_old")))
        for at, name, is_last in world.sentences
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
