"""Rights: may the service's account use sound and pins, and are its folders its own?

Call `rights`.  Pure but for reading below `root` and looking at owners and modes.  It must never
change anything: `repairs` does.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge_agent.cli.doctor.findings import Finding, fail, not_seen, ok, warn

ACCOUNT = "edge-agent"
GROUPS = {"audio": "sound", "gpio": "button and light"}
OTHERS = 0o077
"""Rights of the group and of everybody."""
SETTINGS_FOLDER = "etc/edge-agent"
PROGRAM_FOLDER = "opt/edge-agent"
UNIT_FILES = (
    "etc/systemd/system/edge-agent.service",
    "lib/systemd/system/edge-agent.service",
    "usr/lib/systemd/system/edge-agent.service",
)


@dataclass(frozen=True, slots=True)
class Account:
    """The service's account, as the files of `/etc` know it."""

    uid: int
    gid: int
    lacks: tuple[str, ...] = ()
    """Groups of this machine that it should be in, and is not."""


def account(root: Path) -> Account | None:
    """The service's account; None where it is not installed."""
    entry = re.search(rf"^{ACCOUNT}:[^:]*:(\d+):(\d+):", _read(root / "etc/passwd"), re.M)
    if entry is None:
        return None
    groups = {
        name: members.split(",")
        for name, members in re.findall(
            r"^([\w-]+):[^:]*:\d+:(.*)$", _read(root / "etc/group"), re.M
        )
    }
    lacks = tuple(name for name in GROUPS if name in groups and ACCOUNT not in groups[name])
    return Account(int(entry[1]), int(entry[2]), lacks)


def rights(root: Path, state_folder: Path) -> Iterator[Finding]:
    """Of the account, and of what belongs to it."""
    known = account(root)
    if known is None:
        if (root / PROGRAM_FOLDER).exists() or any((root / unit).exists() for unit in UNIT_FILES):
            yield fail(
                "Rights", f"the account {ACCOUNT} is gone", "sudo scripts/install.sh makes it anew"
            )
        else:
            yield not_seen("Rights", "the service is not installed here (scripts/install.sh)")
        return
    if known.lacks:
        lacks = ", ".join(f"{name} ({GROUPS[name]})" for name in known.lacks)
        yield fail(
            "Rights",
            f"the account {ACCOUNT} is not in {lacks}",
            f"sudo usermod -a -G {','.join(known.lacks)} {ACCOUNT} && "
            f"sudo systemctl restart {ACCOUNT}",
        )
    else:
        yield ok("Rights", f"the account {ACCOUNT} may use sound and pins")
    yield from _folder(known, state_folder)


def _folder(known: Account, folder: Path) -> Iterator[Finding]:
    """What the service keeps has to be its own, and nobody else's to read."""
    found = [entry for entry in (folder, *_inside(folder)) if not entry.is_symlink()]
    try:
        foreign = [entry for entry in found if entry.lstat().st_uid != known.uid]
        mode = stat.S_IMODE(folder.lstat().st_mode)
    except OSError as problem:
        if isinstance(problem, FileNotFoundError):  # systemd makes it at the first start
            return
        yield not_seen("Folder", f"{folder}: {problem.strerror}")
        return
    mend = f"sudo chown -R {ACCOUNT}: {folder}"
    if folder in foreign:
        yield fail("Folder", f"{folder} does not belong to {ACCOUNT}: nothing is kept", mend)
    elif foreign:
        names = ", ".join(entry.name for entry in foreign[:3])
        yield warn("Folder", f"in {folder} belongs to somebody else: {names}", mend)
    elif mode & OTHERS:
        yield warn("Folder", f"{folder} is open to others ({mode:o})", f"sudo chmod 700 {folder}")
    else:
        yield ok("Folder", f"{folder} is {ACCOUNT}'s alone")


def _inside(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
