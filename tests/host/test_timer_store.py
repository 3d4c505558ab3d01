"""Timer store: whole or absent, and never in the way of a start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.host.stores.timer_store import (
    SavedRang,
    SavedTimer,
    SavedTimers,
    TimerStore,
    timers_path,
)

SAVED = SavedTimers(
    (
        SavedTimer("pasta", "timer", 600.0, 1_800_000_000.5),
        SavedTimer("Schule", "alarm", due_wall="2026-11-21T06:45:00", repeat="weekdays"),
    ),
    (SavedRang("tea", "timer", "2026-11-20T18:00:00.250000"),),
)


class Notes:
    def __init__(self) -> None:
        self.codes: list[str] = []
        self.texts: list[str] = []

    def __call__(self, code: str, **fields: object) -> None:
        self.codes.append(code)
        self.texts.append(str(fields))


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    notes = Notes()
    store = TimerStore(tmp_path / "deep" / "timers.json", notes)
    assert store.load() == SavedTimers()
    assert store.save(SAVED)
    assert TimerStore(tmp_path / "deep" / "timers.json", notes).load() == SAVED
    assert store.save(SavedTimers())
    assert store.load() == SavedTimers()
    assert notes.codes == []


def broken(where: str, **changes: Any) -> bytes:
    entry = {
        "version": 1,
        "timers": [{"name": "secret", "kind": "timer", "length_s": 5.0, "due_unix_s": 1.0}],
        "rang": [{"name": "secret", "kind": "alarm", "wall": "2026-11-20T18:00:00"}],
    }
    target: Any = entry if where == "" else entry[where][0]  # type: ignore[index]
    target.update(changes)
    return json.dumps(entry).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b"[" * 50_000,
        b" " * 70_000,
        broken("", version=2),
        broken("", timers=None),
        broken("", timers=[5]),
        broken("", rang={}),
        b'{"version": 1}',
        broken("", timers=[{"name": "a", "kind": "timer", "length_s": 1}] * 101),
        broken("timers", name=""),
        broken("timers", name="x" * 201),
        broken("timers", kind="bomb"),
        broken("timers", length_s=0),
        broken("timers", length_s=True),
        broken("timers", length_s=float("nan")),
        broken("timers", due_unix_s=1e300),
        broken("timers", due_unix_s=float("-inf")),
        broken("timers", due_wall="2026-11-20T18:00:00"),
        broken("timers", due_unix_s="soon"),
        broken("timers", kind="alarm"),
        broken("timers", kind="alarm", due_wall="2026-11-20T18:00:00+01:00"),
        broken("timers", repeat="hourly"),
        broken("timers", repeat=["once"]),
        broken("rang", wall="yesterday"),
    ],
)
def test_a_file_of_no_use_is_moved_aside_with_a_note(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "timers.json"
    path.write_bytes(raw)
    notes = Notes()
    store = TimerStore(path, notes)
    assert store.load() == SavedTimers()
    assert notes.codes == ["timers.repaired"]
    assert "secret" not in notes.texts[0]
    assert (tmp_path / "timers.json.unusable").read_bytes() == raw
    assert store.save(SAVED)
    assert store.load() == SAVED


@given(st.binary(max_size=300))
def test_no_bytes_stop_a_start(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("timers") / "timers.json"
    path.write_bytes(raw)
    assert TimerStore(path, Notes()).load() == SavedTimers()


def test_a_place_that_cannot_be_written_costs_one_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    notes = Notes()
    store = TimerStore(tmp_path / "file" / "timers.json", notes)
    assert store.load() == SavedTimers()
    assert not store.save(SAVED)
    assert not store.save(SAVED)
    assert notes.codes.count("timers.unwritable") == 1


def test_the_file_is_beside_the_state() -> None:
    assert timers_path("/srv/speaker/state.json") == Path("/srv/speaker/timers.json")
    assert timers_path("", {"STATE_DIRECTORY": "/var/lib/x"}) == Path("/var/lib/x/timers.json")
