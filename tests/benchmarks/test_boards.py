"""The page of boards: arithmetic on what was counted, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import boards

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {
    "commit": "abc1234",
    "idle-10": {"mips": 40.0},
    "idle-20": {
        "mips": 33.0,
        "rss_mib": 88.0,
        "threads": [{"thread": "event loop", "mips": 5.0, "wakes_per_s": 12.0}],
    },
    "talk": {"talk_mips": 150.0, "speaking_mips": 300.0, "rss_mib": 90.0},
    "start": {"million_instructions": 2200},
}


def test_shares_of_a_board_are_instructions_over_what_its_core_does() -> None:
    page = boards.page(COUNTS)
    # 1000 MHz times 0.55: 33 of 550 million, 150, 300; 2200 million at the start.
    assert "| Zero 2 W | A53, 1.0 GHz | 6.0 % | 27 % | 55 % | 4.0 s |" in page
    assert "0.55 on A53" in page


def test_the_page_of_boards_is_what_was_counted() -> None:
    counts = json.loads((ROOT / "benchmarks" / "boards.json").read_text(encoding="utf-8"))
    page = (ROOT / "benchmarks" / "boards.md").read_text(encoding="utf-8")
    assert page == boards.page(counts)
