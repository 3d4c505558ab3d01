"""A speaker in one file, and back again on a second machine.

Thread: the test's.  It must never need root: what root does otherwise is told by hand.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import stat
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.cli.owner import backup as verbs
from edge_agent.host.service import account, place
from edge_agent.host.settings.load import load
from edge_agent.host.stores import backup
from edge_agent.host.stores.backup import BackupError, Part
from edge_agent.host.stores.fact_store import FactStore
from edge_agent.host.stores.json_file import NoteFunction
from edge_agent.host.stores.message_store import Message, MessageStore
from edge_agent.host.stores.state import Saved, StateFile

KEY = "sk-proj-of-the-household"
AT = datetime(2026, 11, 29, 20, 0, tzinfo=UTC)


def quiet(*_codes: object, **_fields: object) -> None:
    return None


NOTE: NoteFunction = quiet


def invoke(*words: str) -> Result:
    return CliRunner().invoke(cli.app, words)


class Machine:
    """A folder of settings and one of state."""

    def __init__(self, root: Path, extra: str = "") -> None:
        self.main = root / "etc" / "edge-agent.toml"
        self.state = root / "var" / "state.json"
        self.socket = root / "control.sock"
        (root / "etc" / "config.d").mkdir(parents=True)
        self.state.parent.mkdir()
        self.main.write_text(
            f'[state]\npath = "{self.state}"\n[control]\npath = "{self.socket}"\n'
            f'[speech]\nvoice_pack_dir = "{self.state.parent}/voice-pack"\n{extra}'
        )

    def lived_in(self) -> Machine:
        """With everything that a household would miss."""
        folder = self.main.parent
        (folder / "config.d" / "10-room.toml").write_text("[listen]\npre_roll_ms = 900\n")
        (folder / "personas").mkdir()
        (folder / "personas" / "mine.toml").write_text('name = "mine"\n')
        (folder / "openai_api_key").write_text(KEY)
        StateFile(self.state, NOTE).save(Saved(muted=True, volume_percent=40))
        FactStore(self.state.parent / "facts.sqlite", NOTE).add(
            "The bins go out on Monday", "2026-11-20", limit=50
        )
        MessageStore(self.state.parent / "messages.json", NOTE).save(
            [Message("a1", "2026-11-20T18:00:00+00:00", "Milk please")]
        )
        (self.state.parent / "voice-pack" / "de").mkdir(parents=True)
        (self.state.parent / "voice-pack" / "de" / "muted.wav").write_bytes(b"RIFF")
        (self.state.parent / "transcripts").mkdir()
        (self.state.parent / "transcripts" / "2026-11-20.txt").write_text("what was said")
        return self

    def files(self) -> dict[str, bytes]:
        root = self.main.parents[1]
        found = (path for path in root.rglob("*") if path.is_file())
        return {str(path.relative_to(root)): path.read_bytes() for path in found}


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "here").lived_in()


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "there", '[realtime]\nvoice = "cedar"\n')


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "speaker.tar.gz"


def test_a_second_machine_is_the_first_again(here: Machine, there: Machine, file: Path) -> None:
    made = invoke("backup", str(file), "--with-key", "-c", str(here.main))
    assert made.exit_code == 0, made.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # The paths of the first machine are in its settings; the second one is laid out alike.
    back = invoke("restore", str(file), "--yes", "-c", str(there.main))
    assert back.exit_code == 0, back.output
    there_now, here_now = there.files(), here.files()
    for name in ("etc/edge-agent.toml", "etc/config.d/10-room.toml", "etc/personas/mine.toml"):
        assert there_now[name] == here_now[name]
    assert there_now["etc/openai_api_key"] == KEY.encode()
    assert stat.S_IMODE((there.main.parent / "openai_api_key").stat().st_mode) == 0o640
    assert load(there.main).settings.listen.pre_roll_ms == 900


def test_what_is_remembered_comes_back(here: Machine, file: Path) -> None:
    invoke("backup", str(file), "-c", str(here.main))
    kept = here.files()
    StateFile(here.state, NOTE).save(Saved())
    FactStore(here.state.parent / "facts.sqlite", NOTE).remove_all()
    (here.state.parent / "messages.json").unlink()
    (here.state.parent / "voice-pack" / "de" / "muted.wav").unlink()
    back = invoke("restore", str(file), "--yes", "-c", str(here.main))
    assert back.exit_code == 0, back.output
    assert StateFile(here.state, NOTE).load() == Saved(muted=True, volume_percent=40)
    facts = FactStore(here.state.parent / "facts.sqlite", NOTE).all()
    assert [fact.text for fact in facts] == ["The bins go out on Monday"]
    for name in ("var/messages.json", "var/voice-pack/de/muted.wav"):
        assert here.files()[name] == kept[name]
    assert stat.S_IMODE(here.state.stat().st_mode) == 0o600


def test_what_came_since_goes_and_is_kept_and_told(here: Machine, file: Path) -> None:
    """A file of settings that the backup has not would overrule it."""
    invoke("backup", str(file), "-c", str(here.main))
    card = here.main.parent / "config.d/card.toml"  # install.sh --card: this machine's
    card.write_text('[device]\ncapture_device = "Jabra"\n')
    kept = here.files()
    for name, text in (
        ("etc/config.d/20-more.toml", "[listen]\npre_roll_ms = 700\n"),
        ("var/timers.json", "{}"),
        ("var/facts.sqlite-journal", "of a write that was killed: it would be rolled back into"),
    ):
        (here.main.parents[1] / name).write_text(text)
    (here.state.parent / "facts.sqlite").unlink()
    back = invoke("restore", str(file), "--yes", "-c", str(here.main))
    assert back.exit_code == 0, back.output
    assert here.files() == kept
    assert load(here.main).settings.listen.pre_roll_ms == 900
    told = " ".join(back.output.split())
    assert "20-more.toml" in told
    assert "timers.json" in told
    [before] = file.parent.glob("edge-agent-before-restore-*.tar.gz")
    assert {part.name for part in backup.read(before).parts} >= {
        "settings/config.d/20-more.toml",
        "state/timers.json",
    }


def test_facts_in_whose_write_the_power_went_can_be_backed_up(here: Machine, file: Path) -> None:
    (here.state.parent / "facts.sqlite-journal").write_text("half a page")
    made = invoke("backup", str(file), "-c", str(here.main))
    assert made.exit_code == 0, made.output
    assert "state/facts.sqlite" in {part.name for part in backup.read(file).parts}


def test_without_being_asked_no_secret_and_no_talk_is_in_it(here: Machine, file: Path) -> None:
    said = invoke("backup", str(file), "-c", str(here.main)).output
    assert "--with-key" in said
    packed = gzip.decompress(file.read_bytes())
    assert KEY.encode() not in packed
    assert b"what was said" not in packed
    assert KEY not in said


def test_what_was_here_is_kept_first(here: Machine, there: Machine, file: Path) -> None:
    invoke("backup", str(file), "-c", str(here.main))
    there.lived_in()
    back = invoke("restore", str(file), "--yes", "-c", str(there.main))
    [kept] = file.parent.glob("edge-agent-before-restore-*.tar.gz")
    assert str(kept) in back.output
    assert {part.name for part in backup.read(kept).parts} >= {
        "settings/edge-agent.toml",
        "secrets/openai_api_key",
        "state/state.json",
    }
    assert (there.main.parent / "openai_api_key").read_text() == KEY  # the backup had none


def test_a_speaker_that_runs_is_in_the_way(here: Machine, file: Path) -> None:
    invoke("backup", str(file), "-c", str(here.main))
    before = here.files()
    with socket.socket(socket.AF_UNIX) as speaker:
        speaker.bind(str(here.socket))
        speaker.listen()
        refused = invoke("restore", str(file), "--yes", "-c", str(here.main))
    assert refused.exit_code == 1
    assert "systemctl stop" in refused.output
    here.socket.unlink()
    assert here.files() == before


def test_a_speaker_that_starts_is_in_the_way_and_one_that_wants_to_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "NAME", f"\0edge-agent/{tmp_path}")
    monkeypatch.setenv("EDGE_AGENT_CONTROL__PATH", str(tmp_path / "none.sock"))
    speaker = place.taken_place({})
    assert speaker is not None
    with pytest.raises(BackupError, match="The speaker runs"):
        verbs._stopped(None)
    speaker.close()
    held = verbs._stopped(None)
    assert held is not None
    with pytest.raises(place.PlaceTaken):
        place.taken_place({})
    held.close()


def test_settings_that_this_machine_does_not_take_change_nothing(
    here: Machine, there: Machine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with here.main.open("a") as settings:
        settings.write("[of_the_future]\nanything = 1\n")
    # With settings that have a mistake, the state is where a speaker has it that is installed here.
    monkeypatch.setattr("edge_agent.cli.owner.backup._state_parts", lambda *_: [])
    invoke("backup", str(file), "-c", str(here.main))
    before = there.files()
    refused = invoke("restore", str(file), "--yes", "-c", str(there.main))
    assert refused.exit_code == 1
    assert "Nothing was changed" in refused.output
    assert "of_the_future" in refused.output
    assert there.files() == before


def test_nobody_is_asked_without_a_terminal(here: Machine, file: Path) -> None:
    invoke("backup", str(file), "-c", str(here.main))
    before = here.files()
    assert invoke("restore", str(file), "-c", str(here.main)).exit_code == 2
    assert here.files() == before


# --- files that somebody brings -----------------------------------------------------------------


def archive(path: Path, *entries: tarfile.TarInfo, content: bytes = b"x", **about: object) -> Path:
    """A file with one good part, and what a test puts beside it."""
    sums = {"state/state.json": hashlib.sha256(b"x").hexdigest()}
    sums |= {entry.name: hashlib.sha256(content).hexdigest() for entry in entries}
    manifest = {"format": 1, "build": "b", "made_at": "t", "parts": sums, **about}
    named = {backup.MANIFEST: json.dumps(manifest).encode(), "state/state.json": b"x"}
    with tarfile.open(path, "w:gz") as out:
        for name, raw in named.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            out.addfile(entry, io.BytesIO(raw))
        for entry in entries:
            entry.size = len(content) if entry.isreg() else 0
            out.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, to
    return made


def test_a_good_one_is_read(file: Path) -> None:
    assert backup.read(archive(file)).parts == (Part("state/state.json", b"x"),)


@pytest.mark.parametrize(
    "hostile",
    [
        entry("../../etc/passwd"),
        entry("/etc/passwd"),
        entry("state/../settings/x.toml"),
        entry("state/other.json"),
        entry("state/voice-pack/../x"),
        entry("settings/.profile"),
        entry("settings/config.d/run.sh"),
        entry("settings/a/b/c.toml"),
        entry("secrets/deeper/key"),
        entry("state/timers.json", tarfile.SYMTYPE, "/etc/shadow"),
        entry("state/timers.json", tarfile.LNKTYPE, "state/state.json"),
        entry("state/timers.json", tarfile.CHRTYPE),
        entry("state/timers.json", tarfile.FIFOTYPE),
        entry("state/voice-pack", tarfile.DIRTYPE),
    ],
    ids=lambda one: f"{one.name} {one.type!r}",
)
def test_only_our_own_places_are_taken(file: Path, hostile: tarfile.TarInfo) -> None:
    with pytest.raises(BackupError, match="no backup of ours"):
        backup.read(archive(file, hostile))


def test_more_than_ours_ever_has_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "FILE_MAX_BYTES", 2000)
    with pytest.raises(BackupError, match="more than a backup"):
        backup.read(archive(file, entry("state/timers.json"), content=b"y" * 2001))
    monkeypatch.setattr(backup, "PARTS_MAX", 2)
    with pytest.raises(BackupError, match="more than a backup"):
        backup.read(archive(file, entry("state/timers.json")))


def test_what_is_damaged_is_named(file: Path) -> None:
    with pytest.raises(BackupError, match=r"damaged: 'state/state\.json'"):
        backup.read(archive(file, parts={"state/state.json": "0"}))
    sums = {"state/state.json": hashlib.sha256(b"x").hexdigest(), "state/timers.json": "0"}
    with pytest.raises(BackupError, match=r"damaged: 'state/timers\.json'"):
        backup.read(archive(file, parts=sums))  # it is missing


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no backup"),
        (b"not packed", "no whole tar.gz"),
        (gzip.compress(b"no archive" * 100), "no backup"),
        (gzip.compress(os.urandom(5000))[:900], "no whole tar.gz"),
    ],
    ids=["empty", "not packed", "no archive", "cut off"],
)
def test_what_is_no_backup_is_told(file: Path, raw: bytes, why: str) -> None:
    file.write_bytes(raw)
    with pytest.raises(BackupError, match=why):
        backup.read(file)
    with pytest.raises(BackupError, match="There is no file"):
        backup.read(file.parent / "none")


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[1]", b"[" * 50_000, b'{"parts": 1}'],
    ids=["empty", "a list", "deep", "of numbers"],
)
def test_a_manifest_that_is_none_is_told(file: Path, manifest: bytes) -> None:
    with tarfile.open(file, "w:gz") as out:
        made = tarfile.TarInfo(backup.MANIFEST)
        made.size = len(manifest)
        out.addfile(made, io.BytesIO(manifest))
    with pytest.raises(BackupError, match="is no backup"):
        backup.read(file)


def test_one_of_the_future_is_told(file: Path) -> None:
    with pytest.raises(BackupError, match="another edge-agent") as told:
        backup.read(archive(file, format=2))
    assert "Update this machine" in told.value.fix


# --- files that cannot be taken -----------------------------------------------------------------


def test_no_link_is_followed(here: Machine, file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    (here.state.parent / "usage.json").symlink_to(secret)
    refused = invoke("backup", str(file), "-c", str(here.main))
    assert refused.exit_code == 1
    assert "usage.json cannot be read" in refused.output
    assert not file.exists()


def test_a_pipe_is_not_waited_for(here: Machine, file: Path) -> None:
    os.mkfifo(here.state.parent / "usage.json")
    assert invoke("backup", str(file), "-c", str(here.main)).exit_code == 0
    assert "state/usage.json" not in {part.name for part in backup.read(file).parts}


def test_a_place_that_cannot_be_written_leaves_nothing(here: Machine, tmp_path: Path) -> None:
    refused = invoke("backup", str(tmp_path / "none" / "x.tar.gz"), "-c", str(here.main))
    assert refused.exit_code == 1
    assert "cannot be written: No such file or directory" in refused.output


def test_an_old_backup_stays_whole_when_the_disk_is_full(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(b"the old one")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackupError, match="No space left"):
        backup.write([Part("state/state.json", b"x")], file, AT, "0.2.0")
    assert file.read_bytes() == b"the old one"
    assert list(file.parent.iterdir()) == [file]


def test_root_reads_the_state_as_the_account(
    here: Machine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child becomes the account before it opens a file; the parent stays root."""
    became = here.main.parents[1] / "became"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "become_owner", lambda folder: became.write_text(str(folder)))
    made = invoke("backup", str(file), "-c", str(here.main))
    assert made.exit_code == 0, made.output
    assert became.read_text() == str(here.state.parent)
    assert "state/facts.sqlite" in {part.name for part in backup.read(file).parts}


def test_root_says_what_the_account_could_not_read(
    here: Machine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here.state.parent / "usage.json").symlink_to("/etc/passwd")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "become_owner", lambda _folder: None)
    refused = invoke("backup", str(file), "-c", str(here.main))
    assert refused.exit_code == 1
    assert "usage.json cannot be read" in refused.output
    assert not file.exists()


@pytest.mark.parametrize(
    ("account", "group"), [("root", 0), ("no-such-group", 0), ("nogroup", 65534)]
)
def test_a_key_is_for_root_and_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: str, group: int
) -> None:
    given: list[object] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((path, uid, gid)))
    monkeypatch.setattr(verbs, "ACCOUNT", account)
    verbs._for_the_service([tmp_path / "key"])
    assert given == [(tmp_path / "key", 0, group)]


def test_a_fresh_machine_gets_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    folder = tmp_path / "var" / "edge-agent"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "become_owner", made.append)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: made.append((path, uid, gid)))
    monkeypatch.setattr(verbs, "ACCOUNT", "nobody")
    verbs._own_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert isinstance(made[0], tuple)
    assert made[0][0] == folder
    assert made[1] == folder
