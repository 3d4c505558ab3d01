"""What a household has on its speaker is still there after an update, and after the way back."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import kept_files
import pytest

from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.json_file import JsonFile
from edge_agent.host.stores.message_store import MessageStore, messages_path
from edge_agent.host.stores.state import StateFile
from edge_agent.host.stores.stored_data import stored_data
from edge_agent.host.stores.timer_store import TimerStore, timers_path
from edge_agent.host.stores.usage_store import UsageStore, usage_path

MADE = Path(__file__).parent / "fixtures_944647c"
REWORDED = {
    ("listen", "chime", "true"): "on_pause",
    ("echo", "mode", '"aec3"'): "linear",
}
"""What meant one thing then is told so now, and means the same."""


@pytest.fixture
def household(tmp_path: Path) -> Path:
    """A copy of what the program of commit 944647c wrote."""
    return Path(shutil.copytree(MADE, tmp_path / "household"))


def test_everything_that_the_program_before_kept_is_read(household: Path) -> None:
    then = json.loads((MADE / "read.json").read_text(encoding="utf-8"))
    now = kept_files.read(household)
    settings = now.pop("settings")
    for section, keys in then.pop("settings").items():
        for key, value in keys.items():
            same = REWORDED.get((section, key, json.dumps(value)), value)
            assert settings[section][key] == same, f"{section}.{key}"
    assert now == then
    there = {file.name for file in household.iterdir()} - {"state.json.known"}  # it left no mark
    assert there == {file.name for file in MADE.iterdir()}


@pytest.mark.parametrize("name", ["state", "usage", "timers", "messages"])
def test_what_is_saved_again_is_what_the_program_before_can_read(
    household: Path, name: str
) -> None:
    place, note = str(household / "state.json"), kept_files.note
    file = household / f"{name}.json"
    before = file.read_text(encoding="utf-8")
    if name == "state":
        state = StateFile(file, note)
        assert state.save(state.load())
    elif name == "usage":
        usage = UsageStore(usage_path(place), note)
        usage.load()
        assert usage.save()
    elif name == "timers":
        timers = TimerStore(timers_path(place), note)
        assert timers.save(timers.load())
    else:
        messages = MessageStore(messages_path(place), note)
        assert messages.save(messages.load())
    assert file.read_text(encoding="utf-8") == before


# --- a version of its own -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lamp:
    is_on: bool
    colour: str = "white"


class Notes(list[tuple[str, dict[str, object]]]):
    def __call__(self, code: str, **fields: object) -> None:
        self.append((code, fields))


def lamp_file(path: Path, notes: Notes, version: int) -> JsonFile:
    return JsonFile(
        path, notes, repaired="broken", unwritable="full", version=version, max_bytes=1000
    )


def test_the_file_of_the_version_before_is_read_and_kept_for_the_way_back(tmp_path: Path) -> None:
    path, notes = tmp_path / "messages.json", Notes()
    assert lamp_file(path, notes, 4).save({"is_on": True})
    before = path.read_bytes()
    file = lamp_file(path, notes, 5)
    assert file.load(Lamp) == Lamp(True)
    assert file.save({"is_on": False, "colour": "red"})
    assert file.load(Lamp) == Lamp(False, "red")
    kept = tmp_path / "messages.json.v4"
    assert kept.read_bytes() == before
    assert notes == []
    # An owner is told of it, and can have it deleted.
    settings = Settings.model_validate({"state": {"path": str(tmp_path / "state.json")}})
    assert [kept in one.files for one in stored_data(settings) if one.key == "messages"] == [True]


def test_two_versions_back_is_put_aside(tmp_path: Path) -> None:
    path, notes = tmp_path / "lamp.json", Notes()
    lamp_file(path, notes, 3).save({"is_on": True})
    assert lamp_file(path, notes, 5).load(Lamp) is None
    aside = tmp_path / "lamp.json.unusable"
    assert notes == [("broken", {"why": "written by a much older program", "path": str(aside)})]
    assert aside.exists()


def test_a_file_of_the_version_before_that_is_broken_is_not_kept_twice(tmp_path: Path) -> None:
    path, notes = tmp_path / "lamp.json", Notes()
    lamp_file(path, notes, 4).save({"is_on": "secret"})
    assert lamp_file(path, notes, 5).load(Lamp) is None
    assert "secret" not in str(notes)
    assert [file.name for file in tmp_path.iterdir()] == ["lamp.json.unusable"]
