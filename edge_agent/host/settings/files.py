"""Files of settings, read with care: `read_toml` for tables, `read_bytes` for a key or a persona.

A pipe or a device is refused before it is opened, since a start must neither hang nor fill the
memory; so is whatever is larger or nested deeper than settings ever are.

It blocks.  It must never put a file's content into an error.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE_MAX_BYTES = 1_000_000
"""The documented file with every key has some 20 kB."""
DEPTH_MAX = 12
"""Tables in tables: `mcp.servers.NAME.env` is the deepest of ours."""
INTEGER_MAX = 2**63 - 1
"""What TOML promises to carry; Python cannot even print some that are larger."""

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnreadableFile(ValueError):
    """Why a file cannot be used and what to do, in words that follow its name."""


def read_bytes(path: Path, max_bytes: int = FILE_MAX_BYTES) -> bytes:
    """All of a plain file.  Raises `UnreadableFile`, and OSError as it comes."""
    _check_kind(path.stat().st_mode)
    # Whatever was put in its place since is not waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _check_kind(os.fstat(descriptor).st_mode)
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise UnreadableFile(
            f"is longer than {max_bytes} bytes; nothing of this kind is: take away what does not "
            "belong there"
        )
    return raw


def read_toml(path: Path, parse_float: Callable[[str], Any] = float) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file and its tree.  Raises as `read_bytes`, and UnicodeDecodeError."""
    text = read_bytes(path).decode("utf-8-sig")  # Windows editors put a mark first
    try:
        tree = tomllib.loads(text, parse_float=parse_float)
    except tomllib.TOMLDecodeError as problem:
        raise UnreadableFile(f"is not TOML: {problem}") from None
    except RecursionError:
        raise UnreadableFile(TOO_DEEP) from None
    except ValueError:  # of Python's own, for a number of thousands of digits
        raise UnreadableFile(TOO_LARGE) from None
    _check_tree(tree)
    return text, tree


TOO_DEEP = f"is nested too deeply; no setting has more than {DEPTH_MAX} tables or lists in another"
TOO_LARGE = "holds a number that is too large; no setting needs more than 19 digits"


def _check_kind(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in KINDS if is_kind(mode)), "something else")
        raise UnreadableFile(f"is {kind}, not a file; put a plain file there, or take it away")


def _check_tree(tree: dict[str, Any]) -> None:
    """Without recursion: dotted keys reach any depth without a complaint of the parser."""
    level: list[Any] = [tree]
    for _ in range(DEPTH_MAX):
        inside = [
            value for one in level for value in (one.values() if isinstance(one, dict) else one)
        ]
        if any(isinstance(value, int) and abs(value) > INTEGER_MAX for value in inside):
            raise UnreadableFile(TOO_LARGE)
        level = [value for value in inside if isinstance(value, (dict, list))]
        if not level:
            return
    raise UnreadableFile(TOO_DEEP)
