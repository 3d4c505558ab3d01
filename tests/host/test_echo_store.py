"""The echo store: what was found of a pair of cards outlives a restart, and is no other pair's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.contract.ports import EchoPath
from edge_agent.host.stores.echo_store import (
    FILE_MAX_BYTES,
    PAIRS_MAX,
    EchoStore,
    echo_path_file,
    pair,
)


class Notes(list[str]):
    def __call__(self, code: str, **fields: object) -> None:
        del fields
        self.append(code)


def test_what_was_found_is_the_same_after_a_restart(tmp_path: Path) -> None:
    path, notes = echo_path_file(str(tmp_path / "state.json")), Notes()
    assert path == tmp_path / "echo.json"
    store = EchoStore(path, notes)
    assert store.load() == {}
    known = {pair("jack", "usb"): EchoPath(0.0312, -14.5), pair("bt", "usb"): EchoPath(-0.05, 3.0)}
    assert store.save(known)
    assert EchoStore(path, notes).load() == known
    assert notes == []
    assert json.loads(path.read_text())["cards"]["jack → usb"] == {
        "delay_s": 0.0312,
        "strength_db": -14.5,
    }


def test_the_newest_cards_are_kept(tmp_path: Path) -> None:
    store = EchoStore(tmp_path / "echo.json", Notes())
    store.save({str(number): EchoPath(0.0, 0.0) for number in range(PAIRS_MAX + 5)})
    assert list(store.load()) == [str(number) for number in range(5, PAIRS_MAX + 5)]


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        '{"version": 1, "cards": {"a": {"delay_s": 9.0, "strength_db": 0}}}',
        '{"version": 1, "cards": {"a": {"delay_s": 0.0, "strength_db": 1e400}}}',
        '{"version": 1, "cards": {"a": {"delay_s": 0.0}}}',
        '{"version": 9, "cards": {}}',
        " " * (FILE_MAX_BYTES + 1),
    ],
    ids=["no JSON", "too late", "endless", "half", "newer", "large"],
)
def test_a_file_of_no_use_is_put_aside(tmp_path: Path, broken: str) -> None:
    path, notes = tmp_path / "echo.json", Notes()
    path.write_text(broken)
    assert EchoStore(path, notes).load() == {}
    assert notes == ["echo.repaired"]
    assert not path.exists()
