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


def test_what_speaking_takes_is_told_by_thread_and_by_stage() -> None:
    threads = [
        {"thread": "waits for work", "mips": 150.0, "wakes_per_s": 60.0},
        {"thread": "event loop", "mips": 0.05, "wakes_per_s": 3.0},
    ]
    stages = {"mips": 140.0, "stages": {"canceller": 50.0, "voice": 0.0}}
    talk = {**COUNTS["talk"], "speaking_threads": threads}  # type: ignore[dict-item]
    page = boards.page(COUNTS | {"talk": talk, "stages": stages})
    assert "| speaking: thread |" in page
    assert "| waits for work | 150 | 60 |" in page
    assert "| the front end, speaking: stage |" in page
    assert "| canceller | 50 |" in page
    assert "| all of it | 140 |" in page
    assert "0.05" not in page
    assert "| voice |" not in page


def test_the_page_of_boards_is_what_was_counted() -> None:
    counts = json.loads((ROOT / "benchmarks" / "boards.json").read_text(encoding="utf-8"))
    page = (ROOT / "benchmarks" / "boards.md").read_text(encoding="utf-8")
    assert page == boards.page(counts)
