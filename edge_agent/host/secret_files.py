"""Secret files: the one reader of small files with a key, a token, or lines of names and values.

Call `read_token` for a file that holds one secret, `KeySource` for a key that may change,
`read_headers` or `read_variables` for lines of them, and `read_text` with `why_not` where the
caller has its own words for a mistake.  Thread: any that may block on a disk.  It must never
repeat a value in an error, or take one that could smuggle a second header or variable in.
"""

from __future__ import annotations

import grp
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.contract.errors import ConfigError
from edge_agent.contract.secrets import in_use
from edge_agent.host.settings.files import read_bytes

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Realtime

NOT_A_KEY = "\N{REPLACEMENT CHARACTER}"
"""Stands for what is no text: it is refused as a key, with the sentence for a bad one."""
SERVICE_GROUP = "edge-agent"
"""Of the account that scripts/install.sh makes."""
FILE_MAX_BYTES = 65_536
"""A page of tokens; whatever is longer is another file."""
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""RFC 9110 section 5.6.2."""
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_text(path: Path) -> str:
    """What the file holds, without blanks around it.

    Raises `OSError`, and `ValueError` for what is no short text; `why_not` has words for both.
    """
    raw = read_bytes(path, FILE_MAX_BYTES)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:  # whose text and object hold what was read
        raise ValueError("is not text") from None
    if "\0" in text:
        raise ValueError("is not text")
    return text.strip()


def why_not(problem: OSError | ValueError) -> str:
    """What was wrong with a file, as the end of a sentence that begins with its name."""
    if isinstance(problem, OSError):
        return f"cannot be read: {problem.strerror or 'no reason given'}"
    return str(problem)


def read_token(path: Path, setting: str = "") -> str:
    """The one key or token in the file.  Raises `ConfigError`, which begins with `setting`."""
    where = f"{setting}: {path}" if setting else f"{path}"
    token = _text(path, where)
    if not token:
        raise ConfigError(f"{where} is empty", code="secret.empty")
    if not _fits_a_header(token) or " " in token:
        raise ConfigError(f"{where} holds more than a token", code="secret.bad")
    in_use(token)
    return token


def read_headers(path: Path) -> dict[str, str]:
    """`Name: value` in each line; empty lines and those with a # first are left out.

    Raises `ConfigError`.
    """
    return _pairs(path, ":", HEADER_NAME)


def read_variables(path: Path) -> dict[str, str]:
    """`NAME=value` in each line, as `read_headers`.  Raises `ConfigError`."""
    return _pairs(path, "=", VARIABLE_NAME)


class KeySource:
    """The key for the next dial.  One that came from `realtime.api_key_file` is read anew every
    time, so that a key put in place later is found without a restart."""

    def __init__(self, key: str, file: str) -> None:
        self._key = key
        self._file = Path(file) if file else None
        # Environment and credential are stronger than the file: then it is not followed.
        if self._file is not None and key and self._try_read() != key:
            self._file = None

    @classmethod
    def of(cls, realtime: Realtime) -> KeySource:
        """That of the service in `[realtime]`, and of all that share its key."""
        return cls(realtime.api_key.get_secret_value(), realtime.api_key_file)

    @property
    def file(self) -> Path | None:
        """The file that is followed; None: the key is the one of the start."""
        return self._file

    def __call__(self) -> str | None:
        """The key, None without one.  Raises `OSError` if its file cannot be read now."""
        try:
            return (self._read(self._file) if self._file is not None else self._key) or None
        except FileNotFoundError:
            return None

    def _try_read(self) -> str:
        try:
            return self._read(self._file) if self._file is not None else ""
        except OSError:
            return ""

    @staticmethod
    def _read(path: Path) -> str:
        try:
            return read_text(path)
        except ValueError:
            return NOT_A_KEY


def is_open_to_others(path: Path) -> bool:
    """Whether other accounts than the service's may read it; False when that cannot be known."""
    try:
        status = path.stat()
    except OSError:
        return False
    others = stat.S_IROTH if _is_service(status.st_gid) else stat.S_IRGRP | stat.S_IROTH
    return bool(status.st_mode & others)


def _is_service(gid: int) -> bool:
    """Whether that is the group under which the service reads root's files."""
    try:
        return grp.getgrgid(gid).gr_name == SERVICE_GROUP
    except KeyError:
        return False


def _pairs(path: Path, separator: str, names: re.Pattern[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(_text(path, str(path)).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, is_there, value = line.partition(separator)
        name, value = name.strip(), value.strip()
        if not is_there or not names.fullmatch(name):
            raise ConfigError(f"{path} line {number} is no name{separator}value", code="secret.bad")
        if not _fits_a_header(value) and separator == ":":
            raise ConfigError(f"{path} line {number} holds a strange letter", code="secret.bad")
        found[name] = value
        in_use(value)
        in_use(value.rpartition(" ")[2])  # of "Bearer ..."
    return found


def _text(path: Path, where: str) -> str:
    try:
        return read_text(path)
    except OSError as problem:
        raise ConfigError(f"{where} {why_not(problem)}", code="secret.unread") from problem
    except ValueError as problem:
        raise ConfigError(f"{where} {why_not(problem)}", code="secret.bad") from None


def _fits_a_header(value: str) -> bool:
    return value.isascii() and value.isprintable()
