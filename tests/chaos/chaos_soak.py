"""The soak: days of household life in virtual time, and what might grow meanwhile.

Thread: the event loop of `simulation.clock`.  It must never keep what it has judged: the memory
that grows must be the speaker's or the server's, not this program's.

    python chaos_soak.py --hours 24 --full-minutes 10 --out benchmarks
"""

# ruff: noqa: T201 (a program: printing is its job)
from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import os
import platform
import random
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from chaos_acts import false_wake
from chaos_faults import FAULTS, Fault
from chaos_house import Options
from chaos_judge import judge, left_over
from chaos_life import PHASES, control_question, forget_the_past, strike
from chaos_watch import SENTENCES
from chaos_world import World

from edge_agent.app.wiring import memory_turns
from edge_agent.host.settings.root import Settings
from edge_agent.simulation import clock
from edge_agent.simulation import server as server_module

HOUR_S = 3600.0
WAKES_UP_H, GOES_TO_BED_H = 7, 23
DAY_GAP_S, NIGHT_GAP_S = 120.0, 2 * HOUR_S
SAMPLE_EVERY_S = 600.0
WARM_UP_H = 2.0
"""Until every kind of fault and every code path has been seen, and caches are full."""
RSS_GROWTH_MAX_MB = 2.0
ITEMS_WITH_SOUND = 8
"""The server keeps an hour of conversation with its sound; all but the last items lose theirs."""

NOTHING = Fault("nothing", "noise", lambda _world, _rng: None, (0, 0))
TROUBLES = tuple(fault for fault in FAULTS if fault.family == "network")
ODDITIES = tuple(fault for fault in FAULTS if fault.family in ("noise", "response"))


@dataclass(frozen=True, slots=True)
class Sample:
    """What was there at one moment of virtual time; of the two queues of sound, the most since
    the last sample."""

    hours: float
    rss_mb: float
    tasks: int
    threads: int
    files: int
    inbox: int
    uplink_ms: float
    playout_s: float
    memory_turns: int
    deadlines: int
    sessions: int
    turns: int


@dataclass
class Soak:
    """All figures of a soak."""

    hours: float
    seed: int
    sums: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)
    """Known breaks that were seen: code → how often."""
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def warm(self) -> list[Sample]:
        """Samples after the warm-up."""
        begin = min(WARM_UP_H, self.hours / 2)
        return [s for s in self.samples if s.hours >= begin]

    @property
    def rss_growth_mb(self) -> float:
        """Least of the last quarter minus least of the first quarter of the warm samples.

        The least, because the server's conversation swells for an hour and then begins anew;
        what leaks raises the least as well.
        """
        warm = [s.rss_mb for s in self.warm]
        part = max(1, len(warm) // 4)
        return min(warm[-part:]) - min(warm[:part]) if warm else 0.0


def sample(world: World, soak: Soak, begun_at: float) -> Sample:
    """Look at everything that must not grow."""
    _tidy_up(world.server)
    process = psutil.Process()
    most_uplink_ms, world.most_queued_ms = world.most_queued_ms, 0.0
    most_playout_s, world.most_playout_s = world.most_playout_s, 0.0
    return Sample(
        hours=round((world.now() - begun_at) / HOUR_S, 3),
        rss_mb=round(process.memory_info().rss / 2**20, 2),
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        files=process.num_fds(),
        inbox=len(world.agent._inbox),
        uplink_ms=round(most_uplink_ms, 1),
        playout_s=round(most_playout_s, 2),
        memory_turns=len(world.dialogue.parts.memory),
        deadlines=len(world.dialogue.state.deadlines),
        sessions=world.link.sessions,
        turns=soak.sums["utterances"],
    )


def _tidy_up(server: server_module.RealtimeServer) -> None:
    """What is resident afterwards is in use: not the server's old sounds, not free heap."""
    for session in server.sessions:
        for item in session.items[:-ITEMS_WITH_SOUND]:
            item.audio.clear()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


async def one_event(world: World, rng: random.Random, soak: Soak) -> None:
    """A talk, with or without trouble; a mute; a false wake; or only trouble."""
    kind = rng.choices(
        ("talk", "trouble", "odd", "mute", "false wake"), weights=(66, 12, 10, 6, 6)
    )[0]
    soak.sums[kind] += 1
    if kind == "mute":
        world.press("mute")
        await asyncio.sleep(rng.uniform(30, 900))
        world.speak("wake", in_s=2.5, words_s=1.0)  # nobody may hear it
        await asyncio.sleep(8)
        world.press("mute")
        await asyncio.sleep(1)
        return
    if kind == "false wake":
        await false_wake(world, rng)
        await asyncio.sleep(12)
        return
    fault = {"talk": NOTHING, "trouble": rng.choice(TROUBLES), "odd": rng.choice(ODDITIES)}[kind]
    await strike(world, fault, rng.choice(PHASES), rng)


def settle(world: World, soak: Soak) -> None:
    """Judge what was said, and forget it."""
    verdict = judge(world)
    soak.sums.update(
        utterances=verdict.owed,
        answered=verdict.answered,
        explained=verdict.told,
        lost=len(verdict.lost),
        doubled=len(verdict.doubled),
        torn=len(verdict.torn),
        drops=len(world.downs),
        rollovers=world.note_counts.pop("link.rolled_over", 0),
    )
    if not verdict.is_good:
        soak.problems.append(
            f"after {world.now():.0f} s: {verdict}\n{world.told_timeline()[-6000:]}"
        )
    soak.excused.update(verdict.excused)
    world.problems.clear()
    soak.sums["summaries"] += sum(code == "memory.summarised" for _, code, _ in world.notes)
    world.forget()


async def live(soak: Soak) -> None:
    """The whole time."""
    rng = random.Random(soak.seed)
    server_module.ENDED_SESSIONS_KEPT = 1
    loop = asyncio.get_running_loop()
    async with World(soak.seed, Options(acts=True)) as world:
        begun_at = loop.time()
        next_sample = begun_at + SAMPLE_EVERY_S
        await world.until(lambda: world.is_ready, 10)
        next_event = begun_at + 60
        while loop.time() - begun_at < soak.hours * HOUR_S:
            await asyncio.sleep(max(0.0, min(next_sample, next_event) - loop.time()))
            if loop.time() >= next_event:
                await one_event(world, rng, soak)
                settle(world, soak)
                hour = (WAKES_UP_H + (loop.time() - begun_at) / HOUR_S) % 24
                is_day = WAKES_UP_H <= hour < GOES_TO_BED_H
                gap_s = rng.expovariate(1 / (DAY_GAP_S if is_day else NIGHT_GAP_S))
                next_event = loop.time() + 5 + gap_s
            if loop.time() >= next_sample:
                soak.samples.append(sample(world, soak, begun_at))
                next_sample += SAMPLE_EVERY_S
        if not await control_question(world):
            soak.problems.append("the last question was not answered")
        settle(world, soak)
        await asyncio.sleep(1)
        soak.problems += [f"left over: {what}" for what in left_over(world)]


def run(hours: float, seed: int = 1) -> Soak:
    """Live `hours` in virtual time; the clock itself finds leaked tasks."""
    soak = Soak(hours, seed)
    kept = server_module.ENDED_SESSIONS_KEPT
    for name in SENTENCES.texts:
        SENTENCES.pcm24k(name)  # each is read once and kept, maybe as late as in hour 20
    wall, cpu = time.monotonic(), time.process_time()
    try:
        clock.run(live(soak), limit_s=hours * HOUR_S + 10_000)
    except Exception as error:
        soak.problems.append(f"{type(error).__name__}: {error}")
    finally:
        server_module.ENDED_SESSIONS_KEPT = kept
    soak.wall_s = time.monotonic() - wall
    soak.cpu_s = time.process_time() - cpu
    judge_samples(soak)
    return soak


def judge_samples(soak: Soak) -> None:
    """Flat means flat."""
    warm = soak.warm
    if not warm:
        soak.problems.append("no sample after the warm-up")
        return
    if soak.rss_growth_mb > RSS_GROWTH_MAX_MB and soak.hours >= 2 * WARM_UP_H:
        soak.problems.append(f"resident memory grew by {soak.rss_growth_mb:.2f} MB")
    limits = {
        "tasks": 25,
        "inbox": 0,
        "uplink_ms": 30_500.0,
        "playout_s": 60.0,
        # Both sides of every turn that may be kept, and as many tool calls.
        "memory_turns": 4 * memory_turns(Settings()),
        "deadlines": 8,
    }
    for name, limit in limits.items():
        most = max(getattr(s, name) for s in warm)
        if most > limit:
            soak.problems.append(f"{name} reached {most}, more than {limit}")
    for name in ("threads", "files"):
        if getattr(warm[-1], name) > getattr(warm[0], name):
            soak.problems.append(f"{name} grew from {getattr(warm[0], name)}")


# --- the full stage ---------------------------------------------------------------------------


async def _full(minutes: float, rows: list[dict[str, float]]) -> None:
    from edge_agent.demo.stage import Stage

    process = psutil.Process()
    async with Stage(room={"record_s": 30.0}) as stage:
        # The stage writes down every event of the pump and of the wire: that would grow.
        stage.daemon.agent.observers.remove(stage._watch)
        stage.server.on_event = None
        begun_at = stage.now()
        minute = turns = 0
        while stage.now() - begun_at < minutes * 60:
            await stage.until_talk("asleep", 60)
            if minute % 3 == 2:
                await stage.network.down()
                await asyncio.sleep(2)
                await stage.network.up()
            await stage.say("wake_tea_second_voice")
            await asyncio.sleep(max(0.0, begun_at + (minute + 1) * 60 - stage.now()))
            minute += 1
            turns += len(stage.brain.answered)
            stage.brain.answered.clear()  # every sound that was heard and said
            _tidy_up(stage.server)
            rows.append(
                {
                    "minutes": minute,
                    "rss_mb": round(process.memory_info().rss / 2**20, 1),
                    "tasks": len(asyncio.all_tasks()),
                    "threads": threading.active_count(),
                    "files": process.num_fds(),
                    "turns": turns,
                }
            )


def full_stage(minutes: float, problems: list[str]) -> list[dict[str, float]]:
    """The whole daemon with its signal processing, in the virtual room."""
    rows: list[dict[str, float]] = []
    try:
        clock.run(_full(minutes, rows))
    except Exception as error:  # the figures of the light stage must not be lost with it
        problems.append(f"full stage: {type(error).__name__}: {error}")
    return rows


# --- the report -------------------------------------------------------------------------------


def report(soak: Soak, full: list[dict[str, float]]) -> dict[str, Any]:
    """All figures."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}",
        "hours": soak.hours,
        "seed": soak.seed,
        "wall_s": round(soak.wall_s, 1),
        "cpu_s": round(soak.cpu_s, 1),
        "times_realtime": round(soak.hours * HOUR_S / soak.cpu_s),
        "warm_up_hours": WARM_UP_H,
        "rss_growth_mb": round(soak.rss_growth_mb, 2),
        "sums": dict(soak.sums),
        "problems": soak.problems,
        "samples": [asdict(s) for s in soak.samples],
        "full_stage": full,
    }


def markdown(data: dict[str, Any], soak: Soak) -> str:
    """The report for people."""
    sums, warm = soak.sums, soak.warm
    lines = [
        "# Soak",
        "",
        f"`scripts/soak.sh --hours {data['hours']:g}` on {data['machine']}: {data['hours']:g} "
        f"hours of household life in {data['wall_s']:.0f} s ({data['times_realtime']} times "
        "realtime by CPU time).",
        "Turns, follow-ups, barge-ins, tools, silence, nights, mutes, false wakes, lost lines,",
        "odd servers, session roll-overs; the server is in the same process.  Memory is looked at",
        "every ten minutes after a garbage collection and `malloc_trim`: what is in use.",
        "",
        "![memory, queues, turns and sessions](soak.png)",
        "",
        "| what | number |",
        "|---|---:|",
    ]
    for name in (
        "utterances",
        "answered",
        "explained",
        "lost",
        "doubled",
        "torn",
        "drops",
        "rollovers",
        "summaries",
        "mute",
        "false wake",
    ):
        lines.append(f"| {name} | {sums[name]} |")
    lines += [
        f"| sessions | {soak.samples[-1].sessions} |",
        f"| **growth of the least resident memory, from the first to the last quarter after "
        f"{data['warm_up_hours']:g} h of warm-up** | "
        f"{data['rss_growth_mb']:+.2f} MB |",
        "",
        "| after the warm-up | first | last | least | most |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in (
        "rss_mb",
        "tasks",
        "threads",
        "files",
        "inbox",
        "uplink_ms",
        "playout_s",
        "memory_turns",
        "deadlines",
    ):
        values = [getattr(s, name) for s in warm]
        lines.append(f"| {name} | {values[0]} | {values[-1]} | {min(values)} | {max(values)} |")
    if data["full_stage"]:
        lines += [
            "",
            "The whole daemon with wake word, echo canceller and resamplers in the virtual room:",
            "",
            "| minute | " + " | ".join(k for k in data["full_stage"][0] if k != "minutes") + " |",
            "|---:|" + "---:|" * (len(data["full_stage"][0]) - 1),
        ]
        lines += [
            "| " + " | ".join(str(v) for v in row.values()) + " |" for row in data["full_stage"]
        ]
    lines += ["", "Problems: " + ("; ".join(p.splitlines()[0] for p in soak.problems) or "none.")]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Hours of household life in virtual time.")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full-minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    forget_the_past()
    soak = run(options.hours, options.seed)
    full = full_stage(options.full_minutes, soak.problems) if options.full_minutes else []
    data = report(soak, full)
    text = markdown(data, soak)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "soak.json").write_text(json.dumps(data, indent=1) + "\n")
        (options.out / "soak.md").write_text(text)
        from chaos_picture import picture

        picture(soak, WARM_UP_H, options.out / "soak.png")
    print(text)
    for problem in soak.problems[:5]:
        print(problem)
    return 1 if soak.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
