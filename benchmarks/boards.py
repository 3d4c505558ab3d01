"""Boards: what the speaker costs on Raspberry Pis, from instructions that were counted on arm64.

Thread: main.  It must never measure by itself: `scripts/lab-arm.sh cost` counts in an emulated
machine and hands its lines over; the instructions are exact, the boards are arithmetic with the
assumption named in the page.

    python -m benchmarks.boards LINES     # adds counts to boards.json, writes boards.md
    python -m benchmarks.boards           # writes boards.md anew
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SHOWN_MIPS = 0.1


@dataclass(frozen=True)
class Board:
    """A board at its stock clock, and what we assume of its processor."""

    name: str
    core: str
    mhz: int
    per_cycle: float
    """Instructions in a clock cycle on such code."""

    @property
    def mips(self) -> float:
        """Million instructions that one core does in a second."""
        return self.mhz * self.per_cycle


BOARDS = (
    Board("Pi 5", "A76, 2.4 GHz", 2400, 1.8),
    Board("Pi 4", "A72, 1.5 GHz", 1500, 1.0),
    Board("Pi 3 B+", "A53, 1.4 GHz", 1400, 0.55),
    Board("Zero 2 W", "A53, 1.0 GHz", 1000, 0.55),
)

HEAD = """# The cost on small boards

Counted in an emulated arm64 machine (`scripts/lab-arm.sh cost`: Debian 13, Python 3.13, ALSA
loopback cards as room, a quiet room's noise at the microphone, the wake model hearing all of it).
The counts are exact and no other program can change them; the boards were not within reach.
Of the threads that wait for work the busiest is the front end's.  Its stages were counted with the
front end alone, an answer as its reference and a twentieth of it in the microphone.

## Counted

"""

ASSUMPTION = """
## Boards, by arithmetic

**Assumption:** {assumed} instructions per clock cycle on such code (Python, numpy on small arrays,
models in NEON), at the stock clock, without throttling. That is the weak point: give or take 30 %.
"Speaking" is the dearest moment, for as long as an answer sounds. Percentages are of one core.

"""


def share(mips: float, board: Board) -> str:
    """Of one core."""
    percent = 100 * mips / board.mips
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def by_thread(when: str, threads: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table of the threads that do anything; none without threads."""
    shown = [row for row in threads if row["mips"] >= SHOWN_MIPS]
    lines = ["", f"| {when}: thread | million instructions a second | wakes a second |"]
    lines.append("|---|--:|--:|")
    lines += [f"| {row['thread']} | {row['mips']:g} | {row['wakes_per_s']:g} |" for row in shown]
    return lines if shown else []


def by_stage(counted: Mapping[str, Any] | None) -> list[str]:
    """A table of what the front end does; none if that was not counted."""
    if counted is None:
        return []
    rows = sorted(counted["stages"].items(), key=lambda row: -row[1])
    lines = ["", "| the front end, speaking: stage | million instructions a second |", "|---|--:|"]
    lines += [f"| {stage} | {mips:g} |" for stage, mips in rows if mips >= SHOWN_MIPS]
    return [*lines, f"| all of it | {counted['mips']:g} |"]


def page(counts: Mapping[str, Any]) -> str:
    """Both tables, of what has been counted."""
    idle, talk, start = counts["idle-20"], counts["talk"], counts["start"]
    rows = [(f"asleep, blocks of 20 ms{idle.get('remark', '')}", idle["mips"])]
    if "idle-10" in counts:
        rows.insert(0, ("asleep, blocks of 10 ms", counts["idle-10"]["mips"]))
    rows += [
        (f"a talk, on average{talk.get('remark', '')}", talk["talk_mips"]),
        (f"speaking{talk.get('remark', '')}", talk["speaking_mips"]),
    ]
    counted = [f"At the commit “{counts['commit']}”{counts.get('remark', '')}.", ""]
    counted += ["| what | million instructions a second |", "|---|--:|"]
    counted += [f"| {what} | {mips:g} |" for what, mips in rows]
    counted += by_thread("asleep, 20 ms", idle.get("threads", ()))
    counted += by_thread("speaking", talk.get("speaking_threads", ()))
    counted += by_stage(counts.get("stages"))
    more = (
        f"\nStart of the process → READY: {start['million_instructions']:,} million instructions"
        f"{start.get('remark', '')}.\n"
    )
    more += f"Memory (RSS), asleep: {idle['rss_mib']:g} MiB.\n"
    by_core = {board.core.split(",")[0]: board.per_cycle for board in BOARDS}
    assumed = ", ".join(f"{per_cycle:g} on {core}" for core, per_cycle in by_core.items())
    boards = ["| board | core | asleep | a talk | speaking | start → READY |"]
    boards.append("|---|---|--:|--:|--:|--:|")
    boards += [
        f"| {board.name} | {board.core} | {share(idle['mips'], board)} | "
        f"{share(talk['talk_mips'], board)} | {share(talk['speaking_mips'], board)} | "
        f"{start['million_instructions'] / board.mips:.1f} s |"
        for board in BOARDS
    ]
    return (
        HEAD
        + "\n".join([*counted, more])
        + ASSUMPTION.format(assumed=assumed)
        + "\n".join([*boards, ""])
    )


def main(arguments: Sequence[str]) -> int:
    """Take counts, if there are any, and write the page."""
    kept = FOLDER / "boards.json"
    counts = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for name in arguments:
        for line in Path(name).read_text(encoding="utf-8").splitlines():
            counts |= json.loads(line)
    kept.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "boards.md").write_text(page(counts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
