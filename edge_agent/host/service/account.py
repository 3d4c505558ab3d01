"""Account: a command of root becomes the account whose folder it works in.

Call `become_owner(folder)` when the settings are read and before anything below `folder` is
touched.  The account of the service may put links, pipes and devices into its own folders; root
must never follow them.  As the account itself a command can do no more than the account can.

Thread: main, in the command line; there is no way back to root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import sys
from pathlib import Path

from edge_agent.contract.errors import AgentError

ROOT = 0
LINKS_MAX = 40
"""As the kernel (path_resolution(7)): more of them is a circle."""
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class AccountError(AgentError):
    """Root must not work there, or cannot become the account."""

    code = "account.refused"


class SharedFolder(AccountError):
    """A folder of root's in which others may write: there is no account to become."""

    code = "account.shared"


def become_owner(folder: Path, *, given: Path | None = None) -> None:
    """Where root runs this, go on as the owner of `folder`; else change nothing.

    `given`: a folder that only root can make; the account gets it, if it is not there yet.

    Raises `SharedFolder` where others may write although it is root's, `AccountError` where the
    account cannot be taken on.
    """
    if os.geteuid() != ROOT:
        return
    owner = first_owner(folder)
    if owner is None:
        return
    if given is not None and first_owner(given.parent) is None:
        with contextlib.suppress(OSError):  # there already, or no place for it
            given.mkdir()
            os.chown(given, owner.st_uid, owner.st_gid)
    _become(owner.st_uid, owner.st_gid)


def first_owner(folder: Path) -> os.stat_result | None:
    """The first entry on the way to `folder` that is not root's; None: root's alone, or root is
    about to make it.  Whoever owns a folder decides what its names lead to."""
    rest = list(reversed(folder.absolute().parts[1:]))
    way, links = Path("/"), 0
    while rest:
        way /= rest.pop()
        try:
            found = way.lstat()
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise AccountError(f"{way} cannot be reached: {problem.strerror}.") from None
        if found.st_uid != ROOT:
            return found
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > LINKS_MAX:
                raise AccountError(f"{folder} leads nowhere: its links form a circle.")
            target = way.parent / way.readlink()
            rest += reversed(target.parts[1:])
            way = Path("/")
        elif _is_shared(found, is_last=not rest):
            raise SharedFolder(
                f"{way} belongs to root, but others may write in it: root does not work there.",
                fix=f"Close it: sudo chmod go-w {way}     Or name another place in the settings.",
            )
    return None


def _is_shared(found: os.stat_result, *, is_last: bool) -> bool:
    others = stat.S_IWOTH if found.st_gid == ROOT else OTHERS_MAY_WRITE
    # In a sticky folder others may add names, but not change ours.
    is_passage = not is_last and found.st_mode & stat.S_ISVTX
    return bool(found.st_mode & others) and not is_passage


def _become(uid: int, gid: int) -> None:
    """Take on the account for good, with its groups (sound, GPIO) and its home."""
    try:
        entry = pwd.getpwuid(uid)
        name, home, gid = entry.pw_name, entry.pw_dir, entry.pw_gid
        groups = os.getgrouplist(name, gid)
    except KeyError:  # an account that exists only while a service runs
        name, home, groups = str(uid), "/", []
    try:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as problem:
        raise AccountError(
            f"root cannot become the account {name}: {problem.strerror}.",
            fix=f"Start it as that account: sudo -u {name} edge-agent …",
        ) from None
    os.environ["HOME"] = home
    os.environ.pop("XDG_RUNTIME_DIR", None)  # root's own
    for place in (Path(__file__), Path(sys.executable)):
        if not os.access(place, os.R_OK):
            raise AccountError(
                f"The account {name} may not read the program, which is in {place.parent}.",
                fix="Use the installed one: sudo /usr/local/bin/edge-agent …",
            )
