"""Usage store: every token is found again, and no file can stop the speaker."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.events import Usage
from edge_agent.host.stores.usage_store import (
    ANSWERS_KEPT,
    DAYS_KEPT,
    FILE_MAX_BYTES,
    Kept,
    Spent,
    UsageStore,
    spent_by,
    usage_path,
)

DAY = date(2026, 11, 20)
ANSWER = spent_by(Usage(text_in=10, audio_in=600, cached_audio_in=100, audio_out=1200), 95_000)


class Notes:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def __call__(self, code: str, **fields: object) -> None:
        self.lines.append((code, fields))


def store_at(path: Path) -> tuple[UsageStore, Notes]:
    notes = Notes()
    return UsageStore(path, notes), notes


def test_the_file_lives_beside_the_state() -> None:
    assert usage_path("/x/state.json") == Path("/x/usage.json")
    assert usage_path("", {"STATE_DIRECTORY": "/s"}) == Path("/s/usage.json")


def test_an_answer_without_figures_is_of_unknown_cost() -> None:
    assert spent_by(None, None) == Spent(answers=1, unpriced=1)
    assert spent_by(Usage(text_in=5), None).unpriced == 1
    assert (ANSWER.unpriced, ANSWER.tokens_in, ANSWER.tokens_out) == (0, 610, 1200)


def test_what_is_used_beside_the_answers_is_in_the_sums_and_told_apart(tmp_path: Path) -> None:
    store, _ = store_at(tmp_path / "usage.json")
    store.add(ANSWER, Kept(DAY, 95_000))
    store.add(spent_by(Usage(text_in=36, text_out=87), 500, beside=True), Kept(DAY, 95_500))
    store.add(spent_by(None, None, beside=True), Kept(DAY, 95_500, 1))
    assert store.save()
    again, _ = store_at(tmp_path / "usage.json")
    again.load()
    today = again.today
    assert (today.answers, today.beside, today.unpriced) == (1, 2, 1)
    assert (today.cost_microusd, today.beside_microusd) == (95_500, 500)
    assert (today.tokens_in, today.tokens_out) == (646, 1287)
    assert list(again.answers) == [ANSWER]


def test_what_is_counted_comes_back_after_a_restart(tmp_path: Path) -> None:
    store, notes = store_at(tmp_path / "deep" / "usage.json")
    assert store.load() == Kept()
    kept = Kept(DAY, 190_000, 1, True)
    store.add(ANSWER, Kept(DAY, 95_000))
    store.add(spent_by(None, None), kept)
    assert store.save()
    again, _ = store_at(tmp_path / "deep" / "usage.json")
    assert again.load() == kept
    assert again.days == {DAY: ANSWER.plus(Spent(answers=1, unpriced=1))}
    assert again.today.answers == 2
    assert list(again.answers) == [ANSWER, Spent(answers=1, unpriced=1)]
    assert notes.lines == []


def test_a_month_is_kept_and_no_more(tmp_path: Path) -> None:
    store, _ = store_at(tmp_path / "usage.json")
    for number in range(100):
        day = DAY + timedelta(days=number)
        for _ in range(2):
            store.add(ANSWER, Kept(day, 1))
    assert len(store.days) == DAYS_KEPT
    assert max(store.days) == DAY + timedelta(days=99)
    assert len(store.answers) == ANSWERS_KEPT
    assert store.save()
    assert (tmp_path / "usage.json").stat().st_size < FILE_MAX_BYTES / 4


def test_days_of_a_clock_that_was_ahead_become_today(tmp_path: Path) -> None:
    store, _ = store_at(tmp_path / "usage.json")
    store.add(ANSWER, Kept(date(2099, 1, 1), 95_000))
    store.add(ANSWER, Kept(DAY, 190_000))
    assert store.days == {DAY: ANSWER.plus(ANSWER)}
    assert store.today.cost_microusd == 190_000


GOOD = {
    "version": 1,
    "day": "2026-11-20",
    "spent_microusd": 5,
    "unpriced": 0,
    "warned": False,
    "days": {"2026-11-20": asdict(ANSWER)},
    "answers": [asdict(ANSWER)],
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2}, "written by a newer program"),
        ({"version": None}, "no version"),
        ({"day": "soon"}, "Invalid RFC3339 encoded date - at `$.day`"),
        ({"day": 3}, "Expected `date | null`, got `int` - at `$.day`"),
        ({"spent_microusd": -1}, "Expected `int` >= 0 - at `$.spent_microusd`"),
        ({"spent_microusd": 1.5}, "Expected `int`, got `float` - at `$.spent_microusd`"),
        ({"spent_microusd": 10**16}, f"Expected `int` <= {10**15} - at `$.spent_microusd`"),
        ({"warned": 1}, "Expected `bool`, got `int` - at `$.warned`"),
        ({"days": []}, "Expected `object`, got `array` - at `$.days`"),
        ({"days": {"2026-11-20": 3}}, "Expected `object`, got `int` - at `$.days[...]`"),
        ({"days": {"x": {}}}, "Invalid RFC3339 encoded date - at `key` in `$.days`"),
        (
            {"days": {"2026-11-20": {"text_in": "x"}}},
            "Expected `int`, got `str` - at `$.days[...].text_in`",
        ),
        ({"answers": {}}, "Expected `array`, got `object` - at `$.answers`"),
    ],
)
def test_a_file_that_is_of_no_use_is_moved_aside(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    path = tmp_path / "usage.json"
    path.write_text(json.dumps(GOOD | change))
    store, notes = store_at(path)
    assert store.load() == Kept()
    assert (store.days, list(store.answers)) == ({}, [])
    aside = path.with_name("usage.json.unusable")
    assert notes.lines == [("usage.repaired", {"why": why, "path": str(aside)})]
    assert aside.exists()
    store.add(ANSWER, Kept(DAY, 1))
    assert store.save()
    assert store_at(path)[0].load() == Kept(DAY, 1)


@given(st.one_of(st.binary(max_size=200), st.just(b"[" * 50_000), st.just(b" " * 300_000)))
def test_noise_is_moved_aside_and_never_a_crash(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.json"
        path.write_bytes(raw)
        store, notes = store_at(path)
        assert store.load() == Kept()
        assert [code for code, _ in notes.lines] == ["usage.repaired"]
        assert path.with_name("usage.json.unusable").read_bytes() == raw


def test_unknown_counts_of_a_later_program_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    path.write_text(json.dumps(GOOD | {"days": {"2026-11-20": {"answers": 3, "video_in": 9}}}))
    store, notes = store_at(path)
    store.load()
    assert store.today == Spent(answers=3)
    assert notes.lines == []


def test_a_folder_in_the_way_is_a_note_and_not_a_stop(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    path.mkdir()
    store, notes = store_at(path)
    assert store.load() == Kept()
    store.add(ANSWER, Kept(DAY, 1))
    assert not store.save()
    assert not store.save()
    assert [code for code, _ in notes.lines] == ["usage.repaired", "usage.unwritable"]
