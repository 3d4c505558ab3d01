"""Backup: what makes this speaker this household's, in one file, and back again.

`settings_parts` and `state_parts` say what belongs to it, `write` makes the file, `read` opens one
that somebody brings and checks all of it before anything is used, `put_back` writes parts.

Thread: main, in the command line.  It must never follow a link, put anything outside of the two
folders, or keep a secret that nobody asked for.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import sqlite3
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, cast

from edge_agent.contract.errors import AgentError
from edge_agent.host.settings.load import DROP_IN_FOLDER
from edge_agent.host.settings.root import Settings
from edge_agent.host.settings.sources import CREDENTIAL_NAME

FORMAT = 1
"""Grows when an older program could not put an archive back."""

MANIFEST = "edge-agent-backup.json"
SETTINGS, SECRETS, STATE = "settings", "secrets", "state"
"""Top folders of an archive."""

FILE_MAX_BYTES = 32 * 2**20
"""A voice pack's recording has 200 kB, a data base of facts some 50; whatever is larger is not
ours."""
WHOLE_MAX_BYTES = 512 * 2**20
"""Of all parts together: a voice pack has 10 MB per language."""
PARTS_MAX = 5000

STATE_FILES = (
    "state.json",
    "timers.json",
    "facts.sqlite",
    "messages.json",
    "usage.json",
    "pongs.json",
    "tools.json",
    "echo.json",
)
"""What a household would miss.  Not transcripts and recordings, which are kept for days and only
where the owner asked for it, and nothing that is made again by itself."""

VOICE_PACK = "voice-pack"

SQLITE_START = b"SQLite format 3\0"
SQLITE_COMPANIONS = ("-journal", "-wal", "-shm")
"""Left by a write that was killed; beside another data base they would be rolled into it."""


class BackupError(AgentError):
    """It cannot be made, or what was brought is no backup of ours."""

    code = "backup.refused"


@dataclass(frozen=True, slots=True)
class Part:
    """A file: `name` is its path in the archive, whose first folder says what it is."""

    name: str
    content: bytes

    @property
    def kind(self) -> str:
        """`settings`, `secrets` or `state`."""
        return PurePosixPath(self.name).parts[0]

    @property
    def place(self) -> PurePosixPath:
        """Where it belongs, below the folder of its kind."""
        return PurePosixPath(*PurePosixPath(self.name).parts[1:])


@dataclass(frozen=True, slots=True)
class Backup:
    """An archive that was checked.  `made_at` and `build` are what it says of itself."""

    parts: tuple[Part, ...]
    made_at: str
    build: str

    def of(self, *kinds: str) -> list[Part]:
        """The parts of these kinds."""
        return [part for part in self.parts if part.kind in kinds]


# --- what belongs to it -----------------------------------------------------------------------


def settings_parts(main: Path, settings: Settings, *, secrets: bool) -> Iterator[Part]:
    """The settings file, its drop-ins, prices, personas and certificates beside it; with `secrets`
    also the files there with keys and tokens.  Raises `BackupError`."""
    folder = main.parent
    named = dict(_named_files(settings.model_dump()))
    found = {main, folder / "providers.toml", *folder.glob(f"{DROP_IN_FOLDER}/*.toml")}
    found |= set(folder.glob("personas/*.toml"))
    found |= {path for path, is_secret in named.items() if not is_secret}
    for path in sorted(found):
        is_here = path.is_relative_to(folder)
        if is_here and (content := read_plain(path)) is not None:
            yield Part(f"{SETTINGS}/{path.relative_to(folder)}", content)
    if secrets:
        keys = {path for path, is_secret in named.items() if is_secret}
        for path in sorted(keys | {folder / CREDENTIAL_NAME}):
            if path.parent == folder and (content := read_plain(path)) is not None:
                yield Part(f"{SECRETS}/{path.name}", content)


def _named_files(tree: object) -> Iterator[tuple[Path, bool]]:
    """Files that settings name, and whether there is a secret in them."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if isinstance(value, str) and value and str(key).endswith("_file"):
                yield Path(value), not str(key).startswith(("ca_", "providers_"))
            yield from _named_files(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _named_files(value)


def state_parts(state: Path, voice_pack: Path) -> Iterator[Part]:
    """What the speaker remembers, and the owner's own recordings of its sentences.

    `state` is the state file, beside which the others are.  Raises `BackupError`.
    """
    for name in STATE_FILES:
        path = state_place(state, name)
        content = read_plain(path)
        if content is not None:
            if content.startswith(SQLITE_START):
                content = _whole_database(path)
            yield Part(f"{STATE}/{name}", content)
    for path in sorted(voice_pack.glob("*/*")):
        if not path.parent.name.startswith(".") and (content := read_plain(path)) is not None:
            yield Part(f"{STATE}/{VOICE_PACK}/{path.relative_to(voice_pack)}", content)


def state_place(state: Path, name: str) -> Path:
    """Where a file of `STATE_FILES` is; the state file itself may have any name."""
    return state if name == STATE_FILES[0] else state.parent / name


def read_plain(path: Path) -> bytes | None:
    """What is in a plain file; None where there is none.  Raises `BackupError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as problem:
        raise BackupError(
            f"{path} cannot be read: {problem.strerror}.", fix="Ask as root: sudo edge-agent …"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = file.read(FILE_MAX_BYTES + 1)
    if len(content) > FILE_MAX_BYTES:
        raise BackupError(f"{path} is larger than {FILE_MAX_BYTES // 2**20} MiB; it is not ours.")
    return content


def _whole_database(path: Path) -> bytes:
    """A copy as of one moment, also while the speaker writes."""
    # Not read-only: a write that was killed is rolled back first.
    source = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=5.0)
    try:
        return bytes(source.serialize())
    except sqlite3.Error as problem:
        raise BackupError(f"{path} cannot be copied: {problem}.") from None
    finally:
        source.close()


# --- the archive ------------------------------------------------------------------------------


def pack(parts: Iterable[Part], out: IO[bytes], at: datetime, build: str) -> None:
    """Write an archive, without compression, to a stream; `build` is the program that made it."""
    chosen = list(parts)
    manifest = {
        "format": FORMAT,
        "build": build,
        "made_at": at.isoformat(timespec="seconds"),
        "parts": {part.name: hashlib.sha256(part.content).hexdigest() for part in chosen},
    }
    about = Part(MANIFEST, json.dumps(manifest, indent=1).encode())
    with tarfile.open(fileobj=out, mode="w|") as archive:
        for part in (about, *chosen):
            entry = tarfile.TarInfo(part.name)
            entry.size, entry.mode, entry.mtime = len(part.content), 0o600, int(at.timestamp())
            archive.addfile(entry, io.BytesIO(part.content))


def write(parts: Iterable[Part], path: Path, at: datetime, build: str) -> None:
    """Make the file, whole or not at all, readable by nobody else.  Raises `BackupError`."""
    try:
        with _replaced(path, 0o600) as file, gzip.GzipFile(fileobj=file, mode="wb") as packed:
            pack(parts, cast("IO[bytes]", packed), at, build)
    except OSError as problem:
        raise BackupError(
            f"{path} cannot be written: {problem.strerror}.", fix="Name another file."
        ) from None


@contextlib.contextmanager
def _replaced(path: Path, mode: int) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` once it is whole and on the disk."""
    descriptor, unfinished = tempfile.mkstemp(prefix=".edge-agent-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink()
        raise


def read(path: Path) -> Backup:
    """Open a file and check every part of it.  Raises `BackupError`."""
    try:
        with gzip.open(path) as unpacked:
            return unpack(cast("IO[bytes]", unpacked), str(path))
    except FileNotFoundError:
        raise BackupError(f"There is no file {path}.") from None
    except (OSError, EOFError, zlib.error) as problem:
        why = getattr(problem, "strerror", None) or "it is no whole tar.gz"
        raise BackupError(f"{path} cannot be read: {why}.") from None


def unpack(stream: IO[bytes], named: str) -> Backup:
    """Read an archive from a stream; `named` is what errors call it.  Raises `BackupError`."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            found = dict(_members(archive))
    except tarfile.TarError:
        raise BackupError(f"{named} is no backup of edge-agent.") from None
    try:
        manifest = json.loads(found.pop(MANIFEST, b""))
        sums: Mapping[str, str] = dict(manifest["parts"])
        version, made_at, build = manifest["format"], manifest["made_at"], manifest["build"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BackupError(f"{named} is no backup of edge-agent.") from None
    if version != FORMAT:
        raise BackupError(
            f"{named} was made by another edge-agent ({str(build)[:80]}), whose backups this one "
            "does not know.",
            fix="Update this machine first.",
        )
    for name in sums.keys() | found.keys():
        if name not in found or hashlib.sha256(found[name]).hexdigest() != sums.get(name):
            raise BackupError(f"{named} is damaged: {name!r} is not as it was when it was made.")
    return Backup(
        tuple(Part(*item) for item in sorted(found.items())), str(made_at)[:40], str(build)[:80]
    )


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    whole = 0
    for count, entry in enumerate(archive, 1):
        whole += entry.size
        if count > PARTS_MAX or entry.size > FILE_MAX_BYTES or whole > WHOLE_MAX_BYTES:
            raise BackupError("This archive holds more than a backup of ours ever does.")
        file = archive.extractfile(entry) if entry.isreg() else None
        if file is None or not (entry.name == MANIFEST or _is_ours(entry.name)):
            raise BackupError(f"This archive holds what no backup of ours does: {entry.name!r}.")
        yield entry.name, file.read()


def _is_ours(name: str) -> bool:
    """Only these places are ever written."""
    match PurePosixPath(name).parts:
        case (("settings" | "secrets"), file):
            return not file.startswith(".")
        case ("settings", ("config.d" | "personas"), file):
            return file.endswith(".toml") and not file.startswith(".")
        case ("state", file):
            return file in STATE_FILES
        case ("state", "voice-pack", language, file):
            return not language.startswith(".") and not file.startswith(".")
    return False


# --- back again -------------------------------------------------------------------------------


def put_back(parts: Iterable[tuple[Part, Path]], mode: int) -> None:
    """Write each part to its place, in one step.  Raises `BackupError`."""
    for part, path in parts:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for tail in SQLITE_COMPANIONS if part.content.startswith(SQLITE_START) else ():
                path.with_name(path.name + tail).unlink(missing_ok=True)
            with _replaced(path, mode) as file:
                file.write(part.content)
        except OSError as problem:
            raise BackupError(f"{path} cannot be written: {problem.strerror}.") from None


def take_away(paths: Iterable[Path]) -> None:
    """Remove what a backup has not.  Raises `BackupError`."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as problem:
            raise BackupError(f"{path} cannot be removed: {problem.strerror}.") from None
