"""Secrets of others in small files: a token, or lines of names and values (purpose).

Owner thread: any that may block on a disk.  Must never repeat a value in an error, or take one
that could smuggle a second header or variable in.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from edge_agent.contract.errors import ConfigError
from edge_agent.contract.secrets import in_use

FILE_MAX_BYTES = 65_536
"""A page of tokens; whatever is longer is another file."""
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""RFC 9110 section 5.6.2."""
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_token(path: Path) -> str:
    """The one token in the file.  Raises `ConfigError`."""
    token = _text(path).strip()
    if not token:
        raise ConfigError(f"{path} is empty", code="secret.empty")
    if not _fits_a_header(token) or " " in token:
        raise ConfigError(f"{path} holds more than a token", code="secret.bad")
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


def is_open_to_others(path: Path) -> bool:
    """Whether other accounts may read it; False when that cannot be known."""
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


def _pairs(path: Path, separator: str, names: re.Pattern[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
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


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
        if len(raw) > FILE_MAX_BYTES:
            raise ConfigError(f"{path} is too long to be what it should be", code="secret.bad")
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", code="secret.unread") from (
            error
        )
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not text", code="secret.bad") from error
    if "\0" in text:
        raise ConfigError(f"{path} is not text", code="secret.bad")
    return text


def _fits_a_header(value: str) -> bool:
    return value.isascii() and value.isprintable()
