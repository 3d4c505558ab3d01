"""The pong store: what was learnt of a provider's pongs outlives a restart, or is learnt again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.host.stores.pong_store import FILE_MAX_BYTES, PongStore, pongs_path
from edge_agent.realtime.link.pongs import BUCKETS, PongBook, Pongs


class Notes(list[str]):
    def __call__(self, code: str, **fields: object) -> None:
        del fields
        self.append(code)


def test_a_book_of_pongs_is_the_same_after_a_restart(tmp_path: Path) -> None:
    notes = Notes()
    store = PongStore(tmp_path / "pongs.json", notes)
    assert store.load() == {}
    book = PongBook(store.load(), store.save)
    for after_s in (0.05, 0.4, 3.0):
        book.of("openai").came(after_s)
    book.of("local").cut_while_healthy(8.0)
    book.keep()
    again = PongBook(PongStore(tmp_path / "pongs.json", notes).load())
    for name in ("openai", "local"):
        assert again.of(name).counts == book.of(name).counts
        assert again.of(name).healthy_cuts == book.of(name).healthy_cuts
        assert again.of(name).limit_s(4.9) == book.of(name).limit_s(4.9)
    assert again.of("local").limit_s(4.9) > 10.0
    assert notes == []


def test_a_lesson_is_written_down_at_once(tmp_path: Path) -> None:
    store = PongStore(tmp_path / "pongs.json", Notes())
    PongBook(None, store.save).of("openai").cut_while_healthy(8.0)
    assert store.load()["openai"][1] == 1


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        '{"version": 1, "providers": {"openai": {"pongs": [-1], "healthy_cuts": 0}}}',
        '{"version": 1, "providers": {"openai": {"pongs": [1e400], "healthy_cuts": 0}}}',
        '{"version": 1, "providers": {"openai": [1]}}',
        '{"version": 9, "providers": {}}',
        " " * (FILE_MAX_BYTES + 1),
    ],
    ids=["no JSON", "below zero", "endless", "other shape", "newer", "large"],
)
def test_a_file_of_no_use_is_put_aside(tmp_path: Path, broken: str) -> None:
    path, notes = tmp_path / "pongs.json", Notes()
    path.write_text(broken)
    assert PongStore(path, notes).load() == {}
    assert notes == ["pongs.repaired"]
    assert not path.exists()


def test_more_or_fewer_counts_than_ours_do_no_harm() -> None:
    for counts in ([7], [1] * (2 * BUCKETS)):
        pongs = Pongs(counts)
        assert len(pongs.counts) == BUCKETS
        pongs.came(2.0)
        assert pongs.limit_s(4.9) >= 4.9


def test_it_lies_beside_the_state_file_and_holds_counts_only(tmp_path: Path) -> None:
    path = pongs_path(str(tmp_path / "state.json"))
    assert path == tmp_path / "pongs.json"
    assert PongStore(path, Notes()).save({"openai": ((0, 3), 1)})
    kept = json.loads(path.read_text())["providers"]
    assert kept == {"openai": {"pongs": [0, 3], "healthy_cuts": 1}}
