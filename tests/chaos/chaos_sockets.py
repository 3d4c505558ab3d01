"""Real sockets between two network namespaces, with packets dropped and links taken down.

Thread: the event loop, real time.  It must never touch the machine's own network (`chaos_cable`),
and never leave out bad weather (`chaos_netem`) without saying so.
"""

# ruff: noqa: T201 (a program: printing is its job)
from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import chaos_netem
from chaos_cable import INSIDE, Cable, enter_namespaces, house
from chaos_judge import judge
from chaos_moments import Phase, answering, at_rest, talking, thinking
from chaos_netem import WEATHERS, WeatherRow, weather_round

DROP_S = 6.0
"""Longer than it takes to notice a black hole in a turn, shorter than one's patience."""
ROUNDS = 3


@dataclass
class Row:
    """One round of one case; seconds."""

    case: str
    noticed_s: float | None
    """From the fault to the link being told down; None: never."""
    ready_s: float | None
    """From the end of the fault to READY; None: the session survived."""
    code: str
    answered: bool
    verdict: str


CASES: tuple[tuple[str, Phase, str, float], ...] = (
    ("packets dropped, at rest", at_rest, "drop", 12.0),
    ("packets dropped, mid sentence", talking, "drop", DROP_S),
    ("packets dropped, thinking", thinking, "drop", DROP_S),
    ("packets dropped, mid answer", answering, "drop", DROP_S),
    ("connection reset, mid sentence", talking, "reset", 0.2),
    ("connection reset, at rest", at_rest, "reset", 8.0),
    ("cable out and in, at rest", at_rest, "unplug", 3.0),
    ("cable out and in, mid sentence", talking, "unplug", 4.0),
    ("a frame of 20 MB, mid answer", answering, "huge", 0.0),
)


async def one_round(cable: Cable, case: tuple[str, Phase, str, float], seed: int) -> Row:
    """A speaker with a server, one fault, the next question."""
    name, phase, how, lasts_s = case
    async with house(cable, seed) as world:
        await phase(world)
        struck_at = world.now()
        world.struck = True
        if how == "huge":
            world.server.faults.huge_frame_bytes = 20 * 1024 * 1024
        else:
            getattr(cable, how)()
        await asyncio.sleep(lasts_s)
        cable.heal()
        healed_at = world.now()
        if how == "huge":
            await world.until(lambda: world.downs, 10)
        await world.until(lambda: world.is_ready, 40)
        downs, readies = list(world.downs), list(world.readies)
        await world.until_talk("asleep", within_s=60)
        control = world.speak("wake", words_s=1.0, answer_s=1.0)
        await world.until(lambda: not world._planned, 10)
        answered = await world.until(
            lambda: any(a.primary == control.number and a.began_at for a in world.asked), 10
        )
        await world.until_talk("asleep", within_s=60)
        verdict = judge(world)
        text = "good" if verdict.is_good and not verdict.told else str(verdict)
        if text != "good":
            print(world.told_timeline())
    return Row(
        name,
        round(downs[0][0] - struck_at, 2) if downs else None,
        round(max(0.0, readies[-1] - healed_at), 2) if len(readies) > 1 else None,
        downs[0][1] if downs else "",
        answered,
        text,
    )


def markdown(rows: list[Row]) -> list[str]:
    """The table of the faults."""
    lines = [
        "| case | rounds | noticed after | READY after the end | code | lost or doubled turns |",
        "|---|---:|---:|---:|---|---:|",
    ]
    for name in dict.fromkeys(row.case for row in rows):
        mine = [row for row in rows if row.case == name]
        cells = []
        for field in ("noticed_s", "ready_s"):
            values = [v for row in mine if (v := getattr(row, field)) is not None]
            cells.append(
                f"{statistics.median(values):.2f} ({max(values):.2f})" if values else "never lost"
            )
        bad = sum(row.verdict != "good" or not row.answered for row in mine)
        codes = ", ".join(sorted({row.code for row in mine if row.code})) or "-"
        lines.append(f"| {name} | {len(mine)} | {cells[0]} | {cells[1]} | {codes} | {bad} |")
    return lines


def kernel() -> str:
    """The kernel that this runs on, and whose time."""
    text = f"{os.uname().sysname} {os.uname().release}"
    if "User Mode Linux" in Path("/proc/cpuinfo").read_text():
        own = "time-travel=inf-cpu" in Path("/proc/cmdline").read_text()
        text += " (User Mode Linux, " + ("in its own time)" if own else "in real time)")
    return text


def report(measured: dict[str, Any]) -> str:
    """Both tables, each with the kernel that it was measured on."""
    faults = [Row(**row) for row in measured.get("faults", {}).get("rows", ())]
    weather = [WeatherRow(**row) for row in measured.get("weather", {}).get("rows", ())]
    lines = [
        "# Chaos on real sockets",
        "",
        "The daemon's own link against our server, through two network namespaces; figures are",
        "medians (and the largest) in seconds.",
    ]
    if faults:
        where = measured["faults"]["kernel"]
        lines += ["", "## Faults", "", f"`scripts/chaos.sh --sockets` on {where}.", ""]
        lines += markdown(faults)
    if weather:
        where = measured["weather"]["kernel"]
        lines += ["", "## Bad weather", "", f"`scripts/lab.sh` on {where}, with netem.", ""]
        lines += chaos_netem.markdown(weather)
        lines += ["", *chaos_netem.LEGEND.splitlines()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Faults on real sockets.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument(
        "--weather", action="store_true", help="only what needs netem; fail without"
    )
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    if not os.environ.get(INSIDE):
        enter_namespaces()
    cable = Cable()
    rows: dict[str, list[Any]] = {"faults": [], "weather": []}
    try:
        for case in CASES if not options.weather else ():
            for number in range(options.rounds if options.only in case[0] else 0):
                rows["faults"].append(asyncio.run(one_round(cable, case, number + 1)))
                print(json.dumps(asdict(rows["faults"][-1])), flush=True)
        why_not = cable.why_no_weather()
        for weather in WEATHERS if not why_not else ():
            for number in range(options.rounds if options.only in weather.name else 0):
                rows["weather"].append(asyncio.run(weather_round(cable, weather, number + 1)))
                print(json.dumps(asdict(rows["weather"][-1])), flush=True)
    finally:
        cable.close()
    measured = {
        part: {"kernel": kernel(), "rows": [asdict(row) for row in some]}
        for part, some in rows.items()
        if some
    }
    print(report(measured))
    left_out = [w.name for w in WEATHERS if why_not and options.only in w.name]
    if left_out:
        print(
            f"chaos.sh: NOT RUN, as {kernel()} has no netem ({why_not}): {'; '.join(left_out)}. "
            "Run scripts/lab.sh, which brings a kernel that has it.",
            file=sys.stderr,
        )
    if options.out is not None and not options.only:  # a part would pass for the whole
        publish(options.out, measured)
    is_good = all(row.verdict == "good" for some in rows.values() for row in some)
    is_answered = all(row.answered for row in rows["faults"])
    return 0 if is_good and is_answered and not (options.weather and left_out) else 1


def publish(folder: Path, measured: dict[str, Any]) -> None:
    """Write the report; what was not measured this time stays as it was measured last."""
    data = folder / "chaos_sockets.json"
    known = json.loads(data.read_text()) if data.exists() else {}
    known = {**(known if isinstance(known, dict) else {}), **measured}
    data.write_text(json.dumps(known, indent=1) + "\n")
    (folder / "chaos_sockets.md").write_text(report(known))


if __name__ == "__main__":
    raise SystemExit(main())
