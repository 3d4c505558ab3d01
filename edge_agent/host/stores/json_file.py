"""JSON file: a small file that is whole or absent, also after a power cut.

Thread: whichever calls; two at once are put in order.  It must never raise to its owner on `save`,
and never throw away what it cannot read: that file is moved aside.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from edge_agent.contract.errors import AgentError

DEFAULT_FOLDER = Path("/var/lib/edge-agent")
PRIVATE_MODE = 0o600
"""What a household named, said or left is nobody's but the program's and root's."""

ASIDE = ".unusable"
"""End of the name of a file that could not be read and was moved out of the way."""
HALF_WRITTEN = ".new"
"""End of the name of a file that has not yet taken the place of the old one."""

NoteFunction = Callable[..., None]
T = TypeVar("T")
Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
"""More than any household has of anything; a larger number is not ours."""


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where state lives: systemd's `$STATE_DIRECTORY`, else the default."""
    env = os.environ if environ is None else environ
    # systemd joins several directories with ":"; the unit asks for one.
    folder = env.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(folder) if folder else DEFAULT_FOLDER


class JsonFile:
    """One JSON object with a `version`.  `note` is `Journal.note`; the codes are `repaired`
    (fields `why`, `path`) and `unwritable` (field `why`)."""

    def __init__(
        self,
        path: Path,
        note: NoteFunction,
        *,
        repaired: str,
        unwritable: str,
        version: int,
        max_bytes: int,
    ) -> None:
        self.path = path
        self._note = note
        self._repaired = repaired
        self._unwritable = unwritable
        self._version = version
        self._max_bytes = max_bytes
        self._complained = False
        self._writing = threading.Lock()

    def load(self, kind: type[T]) -> T | None:
        """What is there, as a `kind`: a dataclass whose types say what may be in the file.  None
        if there is nothing, or nothing of use: that is moved aside."""
        try:
            raw = self.read()
            return None if raw is None else self.decode(raw, kind)
        except OSError:
            return None
        except ValueError as problem:
            self.set_aside(str(problem))
            return None

    def decode(self, raw: bytes, kind: type[T]) -> T:
        """`raw` as a `kind`.  Raises ValueError; its words quote nothing of the content."""
        entry = self.object_in(raw)
        found = msgspec.convert(entry, kind)
        if entry["version"] < self._version:
            self._keep_version(entry["version"])
        return found

    def _keep_version(self, version: int) -> None:
        """The next `save` puts a file of our version in the place of this one, which the program
        before could read: it keeps a name of its own, for the way back."""
        kept = self.path.with_name(f"{self.path.name}.v{version}")
        with contextlib.suppress(OSError):
            kept.unlink(missing_ok=True)
            os.link(self.path, kept, follow_symlinks=False)

    def read(self) -> bytes | None:
        """What is there; None if there is no file.  Raises OSError, noted already."""
        try:
            return _read(self.path, self._max_bytes)
        except OSError as problem:
            why = problem.strerror or "unreadable"
            self._note(self._repaired, why=why, path="(unread)")
            raise

    def object_in(self, raw: bytes) -> dict[str, Any]:
        """The object of a readable version in `raw`.  Raises ValueError with the reason."""
        return _object_in(raw, self._version, self._max_bytes)

    def set_aside(self, why: str) -> None:
        """Move a file that is of no use out of the way, and say so."""
        aside = self.path.with_name(self.path.name + ASIDE)
        try:
            self.path.replace(aside)
        except OSError:
            aside = self.path
        self._note(self._repaired, why=why, path=str(aside))

    def save(self, entry: Mapping[str, object]) -> bool:
        """Write all of it or nothing (a power cut leaves the old or the new file, never half).
        False, and one note, if it cannot be written."""
        text = json.dumps({"version": self._version, **entry}) + "\n"
        with self._writing:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _put(self.path, text.encode())
            except OSError as problem:
                if not self._complained:  # once: a full disk must not fill the journal as well
                    self._note(self._unwritable, why=problem.strerror or type(problem).__name__)
                self._complained = True
                return False
            self._complained = False
        return True


def look_into(path: Path, kind: type[T], *, version: int, max_bytes: int) -> T | None:
    """What is in the file of a speaker that may be running: nothing is moved, changed or noted.
    None if there is no file.  Raises AgentError where it cannot be read."""
    try:
        raw = _read(path, max_bytes)
        if raw is None:
            return None
        return msgspec.convert(_object_in(raw, version, max_bytes), kind)
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is broken"
        raise AgentError(
            f"{path} cannot be read: {why}.", fix="Start it with sudo.", code="store.unreadable"
        ) from None


def _read(path: Path, max_bytes: int) -> bytes | None:
    """What is there, None if there is no file, one byte more than allowed if it is too large."""
    # A pipe is not waited for, a link not followed: neither is ours.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            return file.read(max_bytes + 1)
    except FileNotFoundError:
        return None


def _object_in(raw: bytes, newest: int, max_bytes: int) -> dict[str, Any]:
    if len(raw) > max_bytes:
        raise ValueError("too large")
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(entry, dict):
        raise ValueError("not an object")
    version = entry.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError("no version")
    if version > newest:
        raise ValueError("written by a newer program")
    if version < newest - 1:
        raise ValueError("written by a much older program")
    return entry


def _put(path: Path, content: bytes) -> None:
    """Into place in one step.  The file beside it is always a fresh one: whatever has its name,
    a link perhaps, is removed, never written to."""
    beside = path.name + HALF_WRITTEN
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(beside, flags, PRIVATE_MODE, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)  # the rename itself reaches the disk only with its folder
    finally:
        os.close(folder)


def check_time(text: str, *, zone: bool) -> None:
    """Raises ValueError for what is no date and time, with a zone or without one."""
    msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=zone)])
