"""Life with faults: schedules from a seed, and one fault at one phase.

Thread: the event loop of `simulation.clock`.  Must give the same life for the same seed.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chaos_acts import YES, agrees, asked_about, disturb, put_right
from chaos_faults import BY_NAME, FAULTS, Fault
from chaos_house import FRAME_S, Options, Said
from chaos_judge import MAX_QUEUED_MS, Verdict, judge, left_over
from chaos_world import World
from house_config import household_summaries
from replay import record

from edge_agent.contract import events as e
from edge_agent.simulation import clock

PHASES = (
    "asleep",
    "listening",
    "mid utterance",
    "after commit",
    "thinking",
    "mid answer",
    "done, still playing",
    "follow-up",
    "mid follow-up",
    "mid barge-in",
    "tool pending",
    "confirming",
    "asking",
    "agreeing",
    "ringing",
)
TOOLS = {
    "tool pending": "look_up",
    "confirming": "unlock",
    "asking": "shop",
    "agreeing": "shop",
}
"""What the model is to call, in the phases that need it."""
READY_WITHIN_S = {"network": 40.0, "refusal": 700.0, "response": 60.0, "noise": 40.0}
"""From a healthy world to READY: the cap of the pauses, and a dial."""
ANSWER_WITHIN_S = 5.0
"""From the last word of a question to the first of its answer, in a healthy world."""
ASLEEP_WITHIN_S = 240.0
REASON_WITHIN_S = 3.0
"""The promise: a wake that cannot be served is explained within this."""


@dataclass
class Strike:
    """One fault, and what came of it."""

    fault: str
    phase: str
    reached: bool
    at: float
    healed_at: float = 0.0
    ready_s: float | None = None
    """From then to READY; None: the link never went down."""


@dataclass
class Outcome:
    """One schedule."""

    seed: int
    strikes: list[Strike] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    said: int = 0
    virtual_s: float = 0.0
    timeline: str = ""
    codes: set[str] = field(default_factory=set)
    reasons_s: list[float] = field(default_factory=list)
    recovered: bool = False
    keep_timeline: bool = False
    service: str = ""
    tape: str = ""
    """Where a schedule that failed was written to: `python tests/replay.py` plays it again."""
    so_far: Callable[[], str] = field(default=str, repr=False)
    write_tape: Callable[[], str] = field(default=str, repr=False)

    @property
    def is_good(self) -> bool:
        """Every promise was kept, and the speaker needed nobody's help."""
        return self.verdict.is_good and self.recovered

    def told(self) -> str:
        """What was wrong, and how to see it again."""
        again = f"scripts/chaos.sh --seed {self.seed}"
        if self.service:
            again += f" --as {self.service}"
        if self.tape:
            again += f", or its events alone: python tests/replay.py {self.tape}"
        return f"seed {self.seed}: {self.verdict}\n{again}\n{self.timeline}"


# --- phases ---------------------------------------------------------------------------------


async def reach(world: World, phase: str, rng: random.Random) -> bool:
    """Bring the talk to a phase; False if it did not come to that."""
    if phase == "asleep":
        await asyncio.sleep(rng.uniform(0, 3))
        return world.talk == "asleep"
    if phase == "ringing":
        world.wants(e.AlarmDue(at=world.now(), name="pasta"))
        await asyncio.sleep(rng.uniform(0.1, 3))
        return world.light == "alarm"
    tool = TOOLS.get(phase, "")
    how = "paused" if phase == "listening" else rng.choice(("wake", "wake", "paused", "pressed"))
    said = world.speak(
        how,
        in_s=rng.uniform(0.05, 2.5),
        words_s=rng.uniform(0.6, 2.5),
        answer_s=rng.uniform(1.5, 5.0),
        tool=tool,
    )
    return await _REACH[phase](world, said, rng)


async def _listening(world: World, said: Said, rng: random.Random) -> bool:
    await _sleep_until(world, said.begin_at - rng.uniform(0.1, 0.8))
    return world.talk == "listening"


async def _mid_utterance(world: World, said: Said, rng: random.Random) -> bool:
    await _sleep_until(world, said.begin_at + rng.uniform(0.0, 1.1) * said.frames * FRAME_S)
    return world.talk == "listening"


async def _after_commit(world: World, said: Said, rng: random.Random) -> bool:
    sent = world.note_counts["talk.turn_sent"]
    ok = await world.until(lambda: world.note_counts["talk.turn_sent"] > sent, 30)
    await asyncio.sleep(rng.choice((0.0, 0.005, 0.02)))
    return ok


async def _thinking(world: World, said: Said, rng: random.Random) -> bool:
    ok = await world.until(lambda: world.talk == "thinking" and world.responding, 30)
    await asyncio.sleep(rng.uniform(0, 0.2))
    return ok


async def _mid_answer(world: World, said: Said, rng: random.Random) -> bool:
    ok = await world.until(lambda: world.talk == "speaking" and world.responding, 30)
    await asyncio.sleep(rng.uniform(0, 1.5))
    return ok and world.talk == "speaking"


async def _still_playing(world: World, said: Said, rng: random.Random) -> bool:
    ended = world.responses_ended
    ok = await world.until(lambda: world.talk == "speaking" and world.responses_ended > ended, 40)
    await asyncio.sleep(rng.uniform(0, 0.3))
    return ok and world.talk == "speaking"


async def _follow_up(world: World, said: Said, rng: random.Random) -> bool:
    await world.until_talk("speaking", within_s=30)
    ok = await world.until_talk("listening", within_s=40)
    await asyncio.sleep(rng.uniform(0, 2.5))
    return ok and world.talk == "listening"


async def _mid_follow_up(world: World, said: Said, rng: random.Random) -> bool:
    if not await _follow_up(world, said, rng):
        return False
    more = world.speak(
        "follow-up", in_s=0.1, words_s=rng.uniform(0.6, 2.0), answer_s=rng.uniform(1, 4)
    )
    return await _mid_utterance(world, more, rng)


async def _mid_barge_in(world: World, said: Said, rng: random.Random) -> bool:
    if not await world.until(lambda: world.talk == "speaking" and world.playout.audible, 30):
        return False
    more = world.speak(
        "barge-in",
        in_s=rng.uniform(0.3, 1.0),
        words_s=rng.uniform(0.6, 2.0),
        answer_s=rng.uniform(1, 4),
    )
    return await _mid_utterance(world, more, rng)


async def _tool_pending(world: World, said: Said, rng: random.Random) -> bool:
    ok = await world.until(lambda: world.hands.running > 0, 30)
    await asyncio.sleep(rng.uniform(0, 1.0))
    return ok


async def _confirming(world: World, said: Said, rng: random.Random) -> bool:
    ok = await world.until_talk("confirming", within_s=30)
    await asyncio.sleep(rng.uniform(0, 3.0))
    if rng.random() < 0.5:
        world.later(agrees(world, said, rng))
    return ok


async def _asking(world: World, said: Said, rng: random.Random) -> bool:
    ok = await world.until(lambda: world.dialogue.parts.tools.consent.pending, 30)
    ok = ok and await world.until(lambda: world.light == "speaking", 30)
    await asyncio.sleep(rng.uniform(0, 0.8))
    world.later(agrees(world, said, rng))
    return ok and world.light == "speaking"


async def _agreeing(world: World, said: Said, rng: random.Random) -> bool:
    ok = await world.until_talk("confirming", within_s=30)
    await asyncio.sleep(rng.uniform(0.2, 2.0))
    about = asked_about(world, said) if ok else 0  # a yes to no question is about nothing else
    more = world.speak("agree", words_s=0.8, words=rng.choice(YES), about=about)
    await _sleep_until(world, more.begin_at + rng.uniform(0.2, 2.0))
    return ok


_REACH = {
    "listening": _listening,
    "mid utterance": _mid_utterance,
    "after commit": _after_commit,
    "thinking": _thinking,
    "mid answer": _mid_answer,
    "done, still playing": _still_playing,
    "follow-up": _follow_up,
    "mid follow-up": _mid_follow_up,
    "mid barge-in": _mid_barge_in,
    "tool pending": _tool_pending,
    "confirming": _confirming,
    "asking": _asking,
    "agreeing": _agreeing,
}


async def _sleep_until(world: World, at: float) -> None:
    await asyncio.sleep(max(0.0, at - world.now()))


# --- strikes --------------------------------------------------------------------------------


async def strike(
    world: World, fault: Fault, phase: str, rng: random.Random, *, lasts_s: float | None = None
) -> Strike:
    """Let a fault strike at a phase, heal the world, and let the talk come to its end."""
    acts = world.later(disturb(world, rng)) if world.options.acts else None
    reached = await reach(world, phase, rng)
    done = Strike(fault.name, phase, reached, world.now())
    downs, readies = len(world.downs), len(world.readies)
    world.tell("world", f"FAULT {fault.name} at '{phase}'" + ("" if reached else " (not reached)"))
    world.struck = True
    fault.start(world, rng)
    long_s = rng.uniform(*fault.lasts_s) if lasts_s is None else lasts_s
    if phase == "asleep":
        await asyncio.sleep(rng.uniform(0, 2))
        world.speak("wake", in_s=0.1, words_s=rng.uniform(0.6, 2.0))
    await _sleep_until(world, done.at + long_s)
    if long_s or fault.family != "network":
        world.heal()
    done.healed_at = world.now()
    limit_s = READY_WITHIN_S[fault.family]
    if not await world.until(lambda: world.is_ready, limit_s):
        world.problems.append(f"not READY {limit_s:g} s after '{fault.name}' was over")
    if len(world.downs) > downs and len(world.readies) > readies:
        done.ready_s = max(0.0, world.readies[-1] - done.healed_at)
    if acts is not None:
        await acts
    await world.rest()
    await put_right(world)
    if not await _quiet(world):
        world.problems.append(f"not asleep {ASLEEP_WITHIN_S:g} s after '{fault.name}'")
    return done


async def _quiet(world: World) -> bool:
    """Nobody speaks any more and the speaker sleeps."""
    return await world.until(
        lambda: world.talk == "asleep" and not world._planned and not world.playout.audible,
        ASLEEP_WITHIN_S,
    )


async def control_question(world: World) -> bool:
    """In a healthy world the next question is answered, soon and by the model."""
    world.heal()
    if not await world.until(lambda: world.is_ready, READY_WITHIN_S["refusal"]):
        world.problems.append("not READY in a healthy world")
        return False
    await _quiet(world)
    said = world.speak("wake", in_s=1.0, words_s=1.0, answer_s=1.5)
    await _sleep_until(world, said.end_at)

    def is_answered() -> bool:
        return any(a.primary == said.number and a.began_at is not None for a in world.asked)

    if not await world.until(is_answered, ANSWER_WITHIN_S):
        world.problems.append("the control question was not answered")
        return False
    await _quiet(world)
    return True


# --- schedules ------------------------------------------------------------------------------


def options_for(rng: random.Random) -> Options:
    """A household's settings."""
    return Options(
        server_turns=rng.random() < 0.8,
        transcription=rng.choice(("builtin", "builtin", "off", "off", "out_of_band")),
        mode=rng.choice(("wake",) * 9 + ("button",)),
        acts=rng.random() < 0.7,
        pings=rng.random() < 0.7,
        audio_speed=rng.choice((1.3, 3.0, 8.0)),
        first_delta_ms=rng.choice((100, 250, 900)),
        dialogue={"follow_up_s": rng.choice((3.0, 6.0))},
    )


async def _schedule(
    seed: int, outcome: Outcome, plan: list[tuple[Fault, str]] | None, service: str
) -> None:
    rng = random.Random(seed)
    options = options_for(rng) if plan is None else Options(audio_speed=3.0)
    options.service = service
    if plan is None:
        plan = [
            (rng.choice(FAULTS), rng.choice(PHASES)) for _ in range(rng.choice((1, 1, 2, 2, 3)))
        ]
        if seed % 2:  # in every other household notes are made of nearly every turn
            terms = household_summaries("session", after_turns=rng.choice((2, 3)), keep_turns=1)
            options.dialogue = {**options.dialogue, "summaries": terms, "forget_after_h": 1.0}
    begun_at = asyncio.get_running_loop().time()
    async with World(seed, options) as world:
        outcome.so_far = world.told_timeline
        outcome.write_tape = partial(_write_tape, world, seed)
        world.tell("world", f"seed {seed}, {options}")
        try:
            await world.until(lambda: world.is_ready, 10)
            for fault, phase in plan:
                outcome.strikes.append(await strike(world, fault, phase, rng))
            outcome.recovered = await control_question(world)
            await asyncio.sleep(1.0)
            # A question for notes may still be open with a server that thinks too long.
            await world.until(lambda: world.dialogue.parts.notes.making is None, 45)
            world.problems += [f"left over: {what}" for what in left_over(world)]
        except Exception:
            world.problems.append(traceback.format_exc())
        _look_back(world, outcome)
    outcome.virtual_s = asyncio.get_running_loop().time() - begun_at


def _look_back(world: World, outcome: Outcome) -> None:
    for woken_at in world.wakes_without_link:
        after = [at for at, _name in world.sentences if at >= woken_at]
        after += [at for at in world.readies if at >= woken_at]
        reason_s = min(after, default=float("inf")) - woken_at
        outcome.reasons_s.append(reason_s)
        if reason_s > REASON_WITHIN_S:
            world.problems.append(f"a failed wake was explained after {reason_s:.1f} s")
    if world.most_queued_ms > MAX_QUEUED_MS:
        world.problems.append(f"{world.most_queued_ms:.0f} ms of sound queued for the network")
    outcome.verdict = judge(world)
    families = {BY_NAME[s.fault].family for s in outcome.strikes if s.fault in BY_NAME}
    if outcome.verdict.told and families <= {"network", "noise"}:
        text = f"{outcome.verdict.told} turns only explained, though the line came back in time"
        outcome.verdict.problems.append(text)
    outcome.said = outcome.verdict.owed
    outcome.codes = {code for _at, code in world.downs}
    outcome.codes |= {str(f.get("code", "")) for _at, code, f in world.notes if "failed" in code}
    if outcome.keep_timeline or not outcome.verdict.is_good:
        outcome.timeline = world.told_timeline()


def _write_tape(world: World, seed: int) -> str:
    path = Path(tempfile.gettempdir()) / f"edge-agent-chaos-{seed}.tape"
    record(path, world.config, world.border.referee.events)
    return str(path)


def play(
    seed: int,
    plan: list[tuple[Fault, str]] | None = None,
    *,
    keep_timeline: bool = False,
    service: str = "",
) -> Outcome:
    """Live one schedule in virtual time: that of the seed, or the given faults at their phases.

    `service`: the server behaves as this one was recorded to (`chaos_world.SERVICES`)."""
    outcome = Outcome(seed, keep_timeline=keep_timeline, service=service)
    try:
        clock.run(_schedule(seed, outcome, plan, service), limit_s=20_000)
    except Exception as error:  # a leaked task, a deadlock, an unnoticed failure
        cause: BaseException | None = error
        while cause is not None:  # the last one may only be about cleaning up after the first
            outcome.verdict.problems.append(f"{type(cause).__name__}: {cause}")
            cause = cause.__context__
        outcome.timeline = outcome.so_far()
    if not outcome.is_good:
        outcome.tape = outcome.write_tape()
    outcome.so_far = outcome.write_tape = str  # the world itself must not be kept
    return outcome


def play_one(fault: str | Fault, phase: str, seed: int = 1) -> Outcome:
    """One fault at one phase."""
    fault = BY_NAME[fault] if isinstance(fault, str) else fault
    return play(seed, [(fault, phase)])


def forget_the_past() -> None:
    """Take what is loaded out of the garbage collector's sight: `clock.run` collects each time."""
    gc.collect()
    gc.freeze()
