"""Fact store, on real SQLite files: what is told is kept, whatever happens to the file or disk."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import ToolError
from edge_agent.host.stores.fact_store import Fact, FactsError, FactStore, facts_path, one_line

DAY = "2026-11-20"
LIMIT = 5


class Notes:
    def __init__(self) -> None:
        self.codes: list[str] = []
        self.texts: list[str] = []

    def __call__(self, code: str, **fields: object) -> None:
        self.codes.append(code)
        self.texts.append(str(fields))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "facts.sqlite"


def store(path: Path, notes: Notes | None = None) -> FactStore:
    return FactStore(path, notes or Notes(), busy_s=0.02)


def texts(path: Path) -> list[str]:
    return [fact.text for fact in store(path).all()]


def failed(call: Callable[[], Any]) -> FactsError:
    with pytest.raises(FactsError) as caught:
        call()
    assert isinstance(caught.value, ToolError), "the model is told"
    assert caught.value.message.endswith(".")
    assert caught.value.fix.endswith(".")
    assert "key" not in str(caught.value), "no fact is in an error"
    return caught.value


def test_what_was_told_is_there_after_a_restart(path: Path) -> None:
    assert store(path).all() == []
    assert not path.exists(), "to look is not to write"
    kept = store(path).add("The key is at Mia's", DAY, limit=LIMIT)
    assert kept == Fact(1, "The key is at Mia's", DAY)
    store(path).add("Bins on Tuesday", DAY, limit=LIMIT)
    assert store(path).all() == [kept, Fact(2, "Bins on Tuesday", DAY)]
    assert sorted(file.name for file in path.parent.iterdir()) == ["facts.sqlite"]


def test_only_the_account_of_the_speaker_may_read_it(path: Path) -> None:
    store(path).add("The key is at Mia's", DAY, limit=LIMIT)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_known_is_not_kept_twice_and_there_is_an_end(path: Path) -> None:
    first = store(path).add("Bins on Tuesday", DAY, limit=LIMIT)
    assert store(path).add("BINS on tuesday", "2026-12-01", limit=LIMIT) == first
    for number in range(2, LIMIT + 1):
        assert store(path).add(f"fact {number}", DAY, limit=LIMIT)
    assert store(path).add("one more", DAY, limit=LIMIT) is None
    assert store(path).add("bins on Tuesday", DAY, limit=LIMIT) == first
    assert len(texts(path)) == LIMIT


def test_forgotten_is_gone_from_the_file_and_its_number_is_not_used_again(path: Path) -> None:
    store(path).add("The key is at Mia's", DAY, limit=LIMIT)
    assert b"Mia" in path.read_bytes()
    assert store(path).remove(7) is None
    gone = store(path).remove(1)
    assert gone is not None
    assert gone.text == "The key is at Mia's"
    assert b"Mia" not in path.read_bytes()
    later = store(path).add("Bins on Tuesday", DAY, limit=LIMIT)
    assert later is not None
    assert later.id == 2
    assert store(path).remove_all() == 1
    assert texts(path) == []
    assert b"Tuesday" not in path.read_bytes()


def test_nothing_is_forgotten_where_there_is_nothing(path: Path) -> None:
    assert store(path).remove(1) is None
    assert store(path).remove_all() == 0
    assert not store(path).change(1, "x")
    assert not path.exists()


def test_other_words_keep_the_number(path: Path) -> None:
    store(path).add("The key is at Mia's", DAY, limit=LIMIT)
    store(path).add("Bins on Tuesday", DAY, limit=LIMIT)
    assert store(path).change(1, "The key is at Tom's")
    assert not store(path).change(9, "x")
    assert texts(path) == ["The key is at Tom's", "Bins on Tuesday"]
    assert store(path).change(1, "Bins on Tuesday"), "then they are one"
    assert texts(path) == ["Bins on Tuesday"]


@given(st.text(min_size=1, max_size=50))
def test_any_words_come_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("facts") / "facts.sqlite"
    line = one_line(text)
    assert one_line(line) == line
    assert "\n" not in line
    kept = store(path).add(line, DAY, limit=LIMIT)
    assert kept is not None
    assert texts(path) == [line]


# --- the file ------------------------------------------------------------------------------------


def foreign(path: Path, *commands: str) -> bytes:
    path.parent.mkdir(exist_ok=True)
    base = sqlite3.connect(path)
    for command in commands:
        base.execute(command)
    base.commit()
    base.close()
    return path.read_bytes()


FOREIGN = [
    ("CREATE TABLE other (a)",),
    ("CREATE TABLE other (a)", "PRAGMA user_version = 1"),
    ("PRAGMA user_version = -3",),
    ("CREATE TABLE fact (a)", "PRAGMA user_version = 1"),
]


@pytest.mark.parametrize("commands", FOREIGN)
def test_a_file_of_somebody_else_is_put_aside(path: Path, commands: tuple[str, ...]) -> None:
    raw = foreign(path, *commands)
    notes = Notes()
    error = failed(lambda: store(path, notes).add("The key", DAY, limit=LIMIT))
    assert error.code == "facts.broken"
    assert path.with_name("facts.sqlite.unusable").read_bytes() == raw
    assert notes.codes == ["facts.repaired"]
    assert store(path, notes).add("The key", DAY, limit=LIMIT), "and the memory begins anew"
    assert texts(path) == ["The key"]


def damaged(path: Path) -> bytes:
    for number in range(60):
        store(path).add(f"The key {number} " + "x" * 200, DAY, limit=100)
    raw = bytearray(path.read_bytes())
    raw[4096:] = bytes(b ^ 0x5A for b in raw[4096:])
    path.write_bytes(raw)
    return bytes(raw)


@pytest.mark.parametrize("kind", ["damaged", "text", "cut"])
def test_a_damaged_file_is_kept_aside_and_told(path: Path, kind: str) -> None:
    raw = damaged(path)
    if kind != "damaged":
        raw = b"The key is at Mia's. " * 500 if kind == "text" else raw[:5000]
        path.write_bytes(raw)
    notes = Notes()
    error = failed(store(path, notes).all)
    assert error.code == "facts.broken"
    assert "put aside" in error.message
    assert notes.codes == ["facts.repaired"]
    aside = path.with_name("facts.sqlite.unusable")
    assert str(aside) in notes.texts[0]
    assert aside.read_bytes() == raw
    assert store(path).all() == []


def test_what_was_put_aside_before_is_not_lost(path: Path) -> None:
    path.parent.mkdir()
    for number in range(3):
        path.write_bytes(b"no database, number %d" % number * 50)
        failed(store(path).all)
    kept = sorted(file.name for file in path.parent.glob("facts.sqlite.unusable*"))
    assert kept == [f"facts.sqlite.unusable{number}" for number in ("", 1, 2)]
    assert b"number 0" in path.with_name("facts.sqlite.unusable").read_bytes()


def test_a_file_of_a_newer_program_is_left_alone(path: Path) -> None:
    raw = foreign(path, "CREATE TABLE fact (text TEXT, mood TEXT)", "PRAGMA user_version = 2")
    notes = Notes()
    facts = store(path, notes)
    for call in (facts.all, lambda: facts.add("x", DAY, limit=5), facts.remove_all):
        error = failed(call)
        assert error.code == "facts.newer"
        assert "newer" in error.message
    assert path.read_bytes() == raw
    assert notes.codes == ["facts.unusable"], "told once"


def test_letters_that_are_none_do_not_matter(path: Path) -> None:
    store(path).add("The key", DAY, limit=LIMIT)
    base = sqlite3.connect(path)
    base.execute("UPDATE fact SET text = CAST(X'ff41' AS TEXT)")
    base.commit()
    base.close()
    assert texts(path) == ["\ufffdA"]


CUT = """
import os, sqlite3, sys
base = sqlite3.connect(sys.argv[1], isolation_level=None)
base.execute("PRAGMA cache_size = 1")
base.execute("BEGIN")
base.execute("UPDATE fact SET text = text || 'half'")
many = [(str(number) * 90,) for number in range(999)]
base.executemany("INSERT INTO fact (text, day) VALUES (?, '')", many)
os._exit(0)  # the power is gone
"""


def test_a_power_cut_leaves_what_was_there_before(path: Path) -> None:
    for number in range(30):
        store(path).add(f"fact {number} " + "x" * 250, DAY, limit=100)
    before = texts(path)
    subprocess.run([sys.executable, "-c", CUT, str(path)], timeout=60, check=True)
    assert path.with_name("facts.sqlite-journal").exists()
    assert texts(path) == before
    assert not path.with_name("facts.sqlite-journal").exists()


# --- the place -----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["file", "/proc", "folder"])
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder" / "facts.sqlite").mkdir(parents=True)
    folder = Path(place) if place == "/proc" else tmp_path / place
    notes = Notes()
    facts = store(folder / "facts.sqlite", notes)
    assert facts.all() == []
    for _ in range(2):
        assert failed(lambda: facts.add("The key", DAY, limit=5)).code == "facts.unwritable"
    assert notes.codes == ["facts.unusable"], "told once"


def test_a_file_that_may_not_be_written_can_be_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(path).add("The key", DAY, limit=LIMIT)

    def opened(address: str, **options: Any) -> sqlite3.Connection:
        base: sqlite3.Connection = connect(address.replace("mode=rw", "mode=ro"), **options)
        return base

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", opened)
    assert failed(lambda: store(path).add("More", DAY, limit=5)).code == "facts.unwritable"
    assert texts(path) == ["The key"]


def test_an_account_without_the_right_is_told_to_ask_as_root(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_args: object, **_named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refused)
    error = failed(store(path).all)
    assert error.code == "facts.unwritable"
    assert "sudo" in error.fix


def test_a_full_disk_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(path).add("The key", DAY, limit=LIMIT)

    def full(address: str, **options: Any) -> sqlite3.Connection:
        base: sqlite3.Connection = connect(address, **options)
        (pages,) = base.execute("PRAGMA page_count").fetchone()
        base.execute(f"PRAGMA max_page_count = {pages}")
        return base

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", full)
    notes = Notes()
    facts = store(path, notes)
    for _ in range(2):
        error = failed(lambda: facts.add("x" * 20_000, DAY, limit=LIMIT))
        assert error.code == "facts.full"
        assert isinstance(error.__cause__, sqlite3.OperationalError)
        assert "full" in str(error.__cause__)
    assert notes.codes == ["facts.unusable"]
    assert [fact.text for fact in facts.all()] == ["The key"]
    assert facts.add("fits", DAY, limit=LIMIT), "and it works again where there is room"


FULL = """
import resource, sys
from pathlib import Path
from edge_agent.host.stores.fact_store import FactsError, FactStore
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
facts = FactStore(Path(sys.argv[1]), lambda code, **fields: print(code))
try:
    while True:
        facts.add("x" * 250 + str(len(facts.all())), "2026-11-20", limit=10_000)
except FactsError as error:
    print(error.code, len(facts.all()))
"""


def test_a_disk_that_takes_no_more_loses_nothing(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    note, told = done.stdout.splitlines()
    code, count = told.split()
    assert note == "facts.unusable"
    assert code in ("facts.full", "facts.unreadable")
    assert len(texts(path)) == int(count) > 20
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 40_000


def test_a_folder_that_is_full_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_args: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", no_room)
    assert failed(lambda: store(path).add("The key", DAY, limit=5)).code == "facts.full"


# --- two programs --------------------------------------------------------------------------------


def test_a_file_that_another_program_holds_is_told_and_left(path: Path) -> None:
    store(path).add("The key", DAY, limit=LIMIT)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    notes = Notes()
    facts = store(path, notes)
    for call in (facts.all, lambda: facts.add("More", DAY, limit=5), lambda: facts.remove(1)):
        error = failed(call)
        assert error.code == "facts.locked"
        assert "again" in error.fix
    assert notes.codes == [], "it passes by itself"
    other.execute("COMMIT")
    other.close()
    assert texts(path) == ["The key"]


def test_two_that_write_at_once_both_do(path: Path) -> None:
    def write(who: str) -> None:
        facts = FactStore(path, Notes())
        for number in range(10):
            facts.add(f"{who} {number}", DAY, limit=100)

    threads = [threading.Thread(target=write, args=(who,)) for who in ("speaker", "owner")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(texts(path))) == 20


def test_the_file_is_beside_the_state(tmp_path: Path) -> None:
    assert facts_path("/srv/speaker/state.json") == Path("/srv/speaker/facts.sqlite")
    assert facts_path("", {"STATE_DIRECTORY": "/var/lib/x"}) == Path("/var/lib/x/facts.sqlite")
    odd = tmp_path / "a b?c#d%20" / "facts.sqlite"
    store(odd).add("The key", DAY, limit=LIMIT)
    assert texts(odd) == ["The key"]
    shutil.rmtree(odd.parent)
