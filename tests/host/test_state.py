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
    UNKNOWN,
    Saved,
    StateFile,
    is_saved_as_muted,
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
    assert sorted(os.listdir(path.parent)) == ["state.json", "state.json.known"]  # noqa: PTH208


def test_a_first_start_is_open_and_quiet(tmp_path: Path) -> None:
    notes = Notes()
    usage = tmp_path / "usage.json"
    assert StateFile(tmp_path / "state.json", notes, beside=[usage]).load() == Saved()
    usage.write_text("{}")  # written later: the state was there before it
    assert StateFile(tmp_path / "state.json", notes, beside=[usage]).load() == Saved()
    assert notes.codes == []


DAMAGED = [  # content, the mute and the guest mode that must hold
    (b"", True, True),
    (b"\0" * 60, True, True),
    (b"{", True, True),
    (b'{"version": 1, "muted": tr', True, True),
    (b"[]", True, True),
    (b"\xff\xfe\x00", True, True),
    (b"[" * 50_000, True, True),
    (b" " * (FILE_MAX_BYTES + 1), True, True),
    (b"{}", True, True),
    (b'{"version": 1}', True, True),
    (b'{"version": 1, "muted": "no"}', True, True),
    (b'{"version": 1, "muted": "no", "guest": false}', True, False),
    (b'{"version": 1, "muted": false, "guest": 3}', False, True),
    (b'{"version": 1, "muted": false, "volume_percent": 101, "guest": false}', False, False),
    (b'{"version": 1, "muted": false, "volume_percent": 101, "guest": true}', False, True),
    (b'{"version": 1, "muted": true, "volume_percent": true}', True, True),
    (b'{"version": true, "muted": false, "guest": false}', False, False),
    (b'{"version": 2, "muted": false}', False, True),
    (b'{"version": 2, "muted": true, "guest": false}', True, False),
]


@pytest.mark.parametrize(("content", "muted", "guest"), DAMAGED)
def test_what_a_damaged_file_leaves_unknown_is_muted_and_guest_at_every_boot(
    tmp_path: Path, content: bytes, muted: bool, guest: bool
) -> None:
    notes = Notes()
    path = tmp_path / "state.json"
    path.write_bytes(content)
    boots = [StateFile(path, notes).load() for _boot in range(3)]
    assert boots == [Saved(muted=muted, guest=guest)] * 3
    assert notes.codes == ["state.repaired"]
    assert (tmp_path / "state.json.unusable").read_bytes() == content
    state = StateFile(path, notes)
    assert state.save(Saved())
    assert state.load() == Saved()
    assert notes.codes == ["state.repaired"]


TRACES = ["usage.json", "state.json.unusable", "state.json.new", "state.json.known"]


@pytest.mark.parametrize("trace", TRACES)
def test_a_file_that_is_missing_beside_others_was_lost(tmp_path: Path, trace: str) -> None:
    notes = Notes()
    (tmp_path / trace).write_text("{}")
    path, beside = tmp_path / "state.json", [tmp_path / "usage.json"]
    boots = [StateFile(path, notes, beside=beside).load() for _boot in range(3)]
    assert boots == [UNKNOWN] * 3
    assert notes.codes == ["state.repaired"]


@pytest.mark.parametrize("begun_by", ["a first start", "the program before"])
def test_a_state_that_is_lost_alone_is_known_to_be_lost(tmp_path: Path, begun_by: str) -> None:
    path = tmp_path / "state.json"
    if begun_by == "the program before":  # it left no mark
        path.write_bytes(b'{"version": 1, "muted": false}')
    assert StateFile(path, Notes()).load() == Saved()
    path.unlink()
    assert [StateFile(path, Notes()).load() for _boot in range(3)] == [UNKNOWN] * 3


def test_the_mark_comes_after_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power that goes in a first start leaves a first start."""
    path = tmp_path / "state.json"

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        StateFile(path, Notes()).load()
    (tmp_path / "state.json.new").unlink()  # what the disk never had
    assert StateFile(path, Notes()).load() == Saved()


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_two_power_cuts_in_a_row_open_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The first cut left half a file; the second comes while the repair is written."""
    path = tmp_path / "state.json"
    path.write_bytes(b'{"muted": tr')

    class PowerCut(BaseException):
        pass

    def cut(*_given: object) -> None:
        raise PowerCut

    real_replace = os.replace

    def cut_at_the_end(source: Path | str, target: Path | str, **folders: int) -> None:
        if Path(source).suffix == ".new":
            raise PowerCut
        real_replace(source, target, **folders)

    with monkeypatch.context() as broken:
        if call == "fsync":
            broken.setattr(os, "fsync", cut)
        else:
            broken.setattr(os, "replace", cut_at_the_end)
        with pytest.raises(PowerCut):
            StateFile(path, Notes()).load()
    assert not path.exists(), "the cut came in between"
    assert [StateFile(path, Notes()).load() for _boot in range(3)] == [UNKNOWN] * 3


def test_a_file_that_cannot_be_moved_aside_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b'{"muted": tr')
    (tmp_path / "state.json.unusable" / "x").mkdir(parents=True)  # nothing can take its place
    assert [StateFile(path, Notes()).load() for _boot in range(3)] == [UNKNOWN] * 3


def test_a_file_of_an_older_program_knows_no_guests(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b'{"version": 1, "muted": false, "volume_percent": 40}')
    assert StateFile(path, Notes()).load() == Saved(False, 40, guest=False)


def test_an_unreadable_file_is_a_mute(tmp_path: Path) -> None:
    notes = Notes()
    (tmp_path / "state.json").mkdir()
    boots = [StateFile(tmp_path / "state.json", notes).load() for _boot in range(3)]
    assert boots == [UNKNOWN] * 3
    assert set(notes.codes) == {"state.repaired"}


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
            st.sampled_from(["version", "muted", "guest", "volume_percent"]), inner, max_size=4
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
    known = tree if isinstance(tree, dict) else {}
    assert saved.muted or known.get("muted") is False
    assert saved.guest or known.get("guest", False) is False


def test_a_link_in_the_new_files_place_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "state.json.new").symlink_to(tmp_path / "precious")
    assert StateFile(tmp_path / "state.json", Notes()).save(Saved(True))
    assert (tmp_path / "precious").read_text() == "precious"
    assert StateFile(tmp_path / "state.json", Notes()).load() == Saved(True)


@pytest.mark.parametrize("lost", ["mark", "link", "pipe"])
def test_what_the_next_start_holds_for_muted_is_muted_for_whoever_asks(
    tmp_path: Path, lost: str
) -> None:
    path = tmp_path / "state.json"
    if lost == "mark":
        StateFile(path, lambda _code, **_fields: None).load()
        path.unlink()
    elif lost == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    assert is_saved_as_muted(path)
    assert StateFile(path, lambda _code, **_fields: None).load().muted
