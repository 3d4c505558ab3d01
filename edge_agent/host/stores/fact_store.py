"""Fact store: what the household asked to be remembered, in a small SQLite file.

Thread: whichever calls; it blocks, so the daemon calls it on its worker for the disk.  It must
never keep a connection between two calls (the owner's commands work while the speaker runs), never
throw away what it cannot read, and never put a fact into an error or a note.

Each call opens the file, does one short transaction and closes it.  No write-ahead log: it would
leave two more files behind with words in them.  What is forgotten is overwritten
(`secure_delete`), not only unlinked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

from edge_agent.contract.errors import ToolError
from edge_agent.host.stores.json_file import NoteFunction, state_folder

VERSION = 1
"""Grows when an older program could misread the file; `PRAGMA user_version` holds it."""
BUSY_S = 2.0
"""Longest wait for another process's transaction: far below a tool's time limit of 10 s."""
FACT_MAX_CHARS = 300
"""A sentence or two; whoever wants to keep more wants a note, not a fact."""
FILE_MODE = 0o600
"""The speaker's account alone: these are the household's words."""

_TABLE = """
CREATE TABLE fact (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given to another fact
    text TEXT NOT NULL UNIQUE,
    day TEXT NOT NULL                      -- ISO 8601, local
)
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, its number and the local day on which it was told (ISO 8601)."""

    id: int
    text: str
    day: str


def count_facts(path: Path) -> int:
    """How many there are, 0 if that is not to be known; never touches the file."""
    try:
        base = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
        with contextlib.closing(base):
            return int(base.execute("SELECT count(*) FROM fact").fetchone()[0])
    except sqlite3.Error:
        return 0


class FactsError(ToolError):
    """The facts are out of reach; the text is for the model and for the owner alike.

    Codes: `facts.full`, `facts.locked`, `facts.unwritable`, `facts.unreadable`, `facts.newer`,
    `facts.broken`.
    """

    code = "facts.unreadable"

    def __init__(self, message: str, *, why: str, fix: str = "", code: str | None = None) -> None:
        super().__init__(message, fix=fix, code=code)
        self.why = why
        """A few words for the journal."""


def facts_path(state_setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Beside the state file."""
    folder = Path(state_setting).parent if state_setting else state_folder(environ)
    return folder / "facts.sqlite"


def one_line(text: str) -> str:
    """`text` as it is kept: one line, composed letters, nothing that cannot be seen."""
    seen = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(unicodedata.normalize("NFC", seen).split())


class FactStore:
    """`note` is `Journal.note`; every call may raise `FactsError`."""

    def __init__(self, path: Path, note: NoteFunction, *, busy_s: float = BUSY_S) -> None:
        self.path = path
        self._note = note
        self._busy_s = busy_s
        self._told = ""
        """The trouble that the journal knows of."""

    def all(self) -> list[Fact]:
        """All facts, the oldest first."""
        return self._do(_all_or_none, writes=False) if self._exists() else []

    def add(self, text: str, day: str, *, limit: int) -> Fact | None:
        """Keep one; None if there are `limit` already.  One that is known keeps its number."""

        def add(base: sqlite3.Connection) -> Fact | None:
            known = _all(base)
            for fact in known:
                if fact.text.casefold() == text.casefold():
                    return fact
            if len(known) >= limit:
                return None
            done = base.execute("INSERT INTO fact (text, day) VALUES (?, ?)", (text, day))
            return Fact(done.lastrowid or 0, text, day)

        return self._do(add)

    def change(self, number: int, text: str) -> bool:
        """Put other words in the place of a fact's; False if there is no such fact."""

        def change(base: sqlite3.Connection) -> bool:
            done = base.execute("UPDATE OR REPLACE fact SET text = ? WHERE id = ?", (text, number))
            return done.rowcount > 0

        return self._exists() and self._do(change)

    def remove(self, number: int) -> Fact | None:
        """Forget one, and return it; None if there is no such fact."""

        def remove(base: sqlite3.Connection) -> Fact | None:
            found = next((fact for fact in _all(base) if fact.id == number), None)
            base.execute("DELETE FROM fact WHERE id = ?", (number,))
            return found

        return self._do(remove) if self._exists() else None

    def remove_all(self) -> int:
        """Forget everything; how many there were."""

        def remove_all(base: sqlite3.Connection) -> int:
            return base.execute("DELETE FROM fact").rowcount

        return self._do(remove_all) if self._exists() else 0

    # --- one transaction ------------------------------------------------------------------

    def _do(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        try:
            with self._open(writes=writes) as base:
                result = work(base)
        except sqlite3.Error as problem:
            raise self._trouble(_sqlite_trouble(problem)) from problem
        except OSError as problem:
            raise self._trouble(_os_trouble(problem)) from problem
        except FactsError as problem:
            self._trouble(problem)
            raise
        self._told = ""
        return result

    @contextlib.contextmanager
    def _open(self, *, writes: bool) -> Iterator[sqlite3.Connection]:
        """A connection inside a transaction of the right version, committed if all goes well."""
        if writes:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite would give the file what the umask leaves; it copies this to its journal.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            os.close(os.open(self.path, flags, FILE_MODE))
        # Also to read: a journal that a power cut left is played back first.
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        base = sqlite3.connect(address, uri=True, timeout=self._busy_s, isolation_level=None)
        try:
            base.text_factory = lambda raw: raw.decode("utf-8", "replace")
            base.execute("PRAGMA secure_delete = ON")
            base.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            if not _is_ready(base) and writes:
                base.execute(_TABLE)
                base.execute(f"PRAGMA user_version = {VERSION}")
            yield base
            base.execute("COMMIT")
        finally:
            base.close()  # and with it whatever was not committed

    def _exists(self) -> bool:
        try:
            return stat.S_ISREG(self.path.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as problem:
            raise self._trouble(_os_trouble(problem)) from problem

    def _trouble(self, error: FactsError) -> FactsError:
        """Tell the journal, once for each kind; a file that is of no use is moved aside."""
        if error.code == "facts.broken":
            self._note("facts.repaired", why=error.why, path=str(self._set_aside()))
        elif error.code not in (self._told, "facts.locked"):
            self._told = error.code
            self._note("facts.unusable", why=error.why)
        return error

    def _set_aside(self) -> Path:
        """Give the file a name of its own: nothing that was kept before is overwritten."""
        names = (f"{self.path.name}.unusable{number or ''}" for number in count())
        aside = next(path for name in names if not (path := self.path.with_name(name)).exists())
        with contextlib.suppress(OSError):
            self.path.replace(aside)
            return aside
        return self.path


def _is_ready(base: sqlite3.Connection) -> bool:
    """Whether the table is there; raises `FactsError` for a file that is not ours."""
    (version,) = base.execute("PRAGMA user_version").fetchone()
    (tables,) = base.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version > VERSION:
        raise FactsError(
            "The facts on this speaker were kept by a newer version of its program.",
            fix="Nothing is lost; the owner has to install the newer version again.",
            code="facts.newer",
            why="written by a newer program",
        )
    if version != VERSION and (version or tables):
        raise _broken("not a file of facts")
    return bool(version)


def _all_or_none(base: sqlite3.Connection) -> list[Fact]:
    return _all(base) if _is_ready(base) else []


def _all(base: sqlite3.Connection) -> list[Fact]:
    rows = base.execute("SELECT id, text, day FROM fact ORDER BY id")
    return [Fact(int(number), str(text), str(day)) for number, text, day in rows]


# --- trouble, in words -----------------------------------------------------------------------


def _sqlite_trouble(problem: sqlite3.Error) -> FactsError:
    # A result code's lowest byte is its kind (SQLite, "Result and Error Codes", section 1).
    kind = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF
    if kind == sqlite3.SQLITE_FULL:
        return _full()
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return FactsError(
            "Another program holds the facts just now; nothing was changed.",
            fix="Try again in a moment.",
            code="facts.locked",
            why="locked by another program",
        )
    if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return _unwritable("no permission, or a read-only place")
    # Plain SQLITE_ERROR is a table or a column that is not there: somebody else's file.
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return _broken("damaged, or not a file of facts")
    return FactsError(
        "The disk of this speaker makes errors; nothing was changed in the facts.",
        fix="The owner finds more in the journal.",
        why=getattr(problem, "sqlite_errorname", type(problem).__name__),
    )


def _os_trouble(problem: OSError) -> FactsError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full()
    return _unwritable(problem.strerror or type(problem).__name__)


def _full() -> FactsError:
    return FactsError(
        "The disk of this speaker is full: nothing was changed, and what it knew is still there.",
        fix="The owner has to make room on it.",
        code="facts.full",
        why="the disk is full",
    )


def _unwritable(why: str) -> FactsError:
    return FactsError(
        "The facts cannot be reached here: no permission, or a place that cannot be written.",
        fix="The owner has to look at state.path; on the command line, ask as root (sudo).",
        code="facts.unwritable",
        why=why,
    )


def _broken(why: str) -> FactsError:
    return FactsError(
        "The file with the facts was damaged; it was put aside, and the memory begins anew.",
        fix="Say it once more to have it remembered; the owner finds the old file's name in the "
        "journal.",
        code="facts.broken",
        why=why,
    )
