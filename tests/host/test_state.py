"""State: survives a reboot, a power cut, a newer program and a full disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.host.stores.state import (
    DEFAULT_FOLDER,
    FILE_MAX_BYTES,
    Saved,
    StateFile,
    state_path,
)


class Notes:
    def __init__(self) -> None:
        self.codes: list[str] = []

    def __call__(self, code: str, **fields: object) -> None:
        self.codes.append(code)


def test_the_path_follows_setting_then_systemd_then_default() -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}
    assert state_path("/x/y.json", environ) == Path("/x/y.json")
    assert state_path("", environ) == Path("/var/lib/a/state.json")
    assert state_path("", {}) == DEFAULT_FOLDER / "state.json"


@pytest.mark.parametrize(
    "saved", [Saved(), Saved(True, 0), Saved(False, 100), Saved(True), Saved(guest=True)]
)
def test_what_is_saved_comes_back(tmp_path: Path, saved: Saved) -> None:
    notes = Notes()
    path = tmp_path / "deep" / "state.json"
    assert StateFile(path, notes).save(saved)
    assert StateFile(path, notes).load() == saved
    assert notes.codes == []
    assert os.listdir(path.parent) == ["state.json"]  # noqa: PTH208


def test_a_first_start_is_open_and_quiet(tmp_path: Path) -> None:
    notes = Notes()
    assert StateFile(tmp_path / "state.json", notes).load() == Saved()
    assert notes.codes == []


@pytest.mark.parametrize(
    ("content", "muted"),
    [
        (b"", True),
        (b"{", True),
        (b"[]", True),
        (b"\xff\xfe\x00", True),
        (b"[" * 50_000, True),
        (b" " * (FILE_MAX_BYTES + 1), True),
        (b"{}", True),
        (b'{"version": 1}', True),
        (b'{"version": 1, "muted": "no"}', True),
        (b'{"version": 1, "muted": false, "volume_percent": 101}', False),
        (b'{"version": 1, "muted": true, "volume_percent": true}', True),
        (b'{"version": true, "muted": false}', False),
        (b'{"version": 2, "muted": false}', False),
        (b'{"version": 2, "muted": true}', True),
    ],
)
def test_an_unusable_file_is_kept_aside_and_an_unknown_mute_is_a_mute(
    tmp_path: Path, content: bytes, muted: bool
) -> None:
    notes = Notes()
    path = tmp_path / "state.json"
    path.write_bytes(content)
    state = StateFile(path, notes)
    assert state.load() == Saved(muted=muted)
    assert notes.codes == ["state.repaired"]
    assert (tmp_path / "state.json.unusable").read_bytes() == content
    assert state.save(Saved())
    assert state.load() == Saved()
    assert notes.codes == ["state.repaired"]


def test_a_file_of_an_older_program_knows_no_guests(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b'{"version": 1, "muted": false, "volume_percent": 40}')
    assert StateFile(path, Notes()).load() == Saved(False, 40, guest=False)


def test_an_unreadable_file_is_a_mute(tmp_path: Path) -> None:
    notes = Notes()
    (tmp_path / "state.json").mkdir()
    assert StateFile(tmp_path / "state.json", notes).load() == Saved(muted=True)
    assert notes.codes == ["state.repaired"]


def test_a_place_that_cannot_be_written_is_noted_once(tmp_path: Path) -> None:
    notes = Notes()
    (tmp_path / "file").write_text("in the way")
    state = StateFile(tmp_path / "file" / "state.json", notes)
    assert not state.save(Saved())
    assert not state.save(Saved())
    assert notes.codes == ["state.unwritable"]


def test_a_failing_write_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    state = StateFile(tmp_path / "state.json", notes)
    state.save(Saved(True, 40))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert not state.save(Saved(False, 90))
    assert state.load() == Saved(True, 40)
    assert notes.codes == ["state.unwritable"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-2, 200) | st.text("ab", max_size=2),
        lambda inner: st.dictionaries(
            st.sampled_from(["version", "muted", "volume_percent", "x"]), inner, max_size=4
        ),
        max_leaves=8,
    )
)
def test_any_json_loads_and_never_opens_a_mute(tree: object) -> None:
    path = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"edge-{os.getpid()}.json"
    path.write_text(json.dumps(tree))
    try:
        saved = StateFile(path, Notes()).load()
    finally:
        for file in (path, path.with_name(path.name + ".unusable")):
            file.unlink(missing_ok=True)
    assert saved.muted or (isinstance(tree, dict) and tree.get("muted") is False)


def test_a_link_in_the_new_files_place_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "state.json.new").symlink_to(tmp_path / "precious")
    assert StateFile(tmp_path / "state.json", Notes()).save(Saved(True))
    assert (tmp_path / "precious").read_text() == "precious"
    assert StateFile(tmp_path / "state.json", Notes()).load() == Saved(True)
