"""`--fix`: what can be mended without a choice of the owner's.

Call `repaired` as root, before the doctor looks.  It touches the service's own account, folders,
key file and unit, and says what it did.  It must never change settings, follow a link of the
account's, or give away a file that has a second name: others may have put that there.

Thread: main; starts `usermod` and `systemctl`.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from edge_agent.cli.doctor.findings import Finding, fail, fixed, not_seen
from edge_agent.cli.doctor.rights import (
    ACCOUNT,
    OTHERS,
    PROGRAM_FOLDER,
    SETTINGS_FOLDER,
    Account,
    account,
)
from edge_agent.cli.doctor.service import Run, properties
from edge_agent.host.secret_files import is_open_to_others

KEY_NAME = "openai_api_key"
RUN_FOLDER = "run/edge-agent"
STATE_FOLDER = "var/lib/edge-agent"
"""The shipped unit's.  Another one (state.path) is its owner's business."""
SOCKET_NAME = "control.sock"
LEFT_OVER = ".installing"
"""End of the name of a file that an installation was writing when it broke off."""
KEY_MODE, STATE_MODE, PUBLIC_MODE = 0o640, 0o700, 0o755

Own = Callable[[int, int, int], None]
"""`os.fchown`, or what a test puts in its place."""


def repaired(
    root: Path, run: Run, *, own: Own = os.fchown, is_root: bool = True, roots_uid: int = 0
) -> Iterator[Finding]:
    """Mend, and tell what was mended.  The service is started last, over a mended house.

    `roots_uid`: whose files in the service's folder were left there by mistake.
    """
    if not is_root:
        yield fail("Fix", "only root may mend", "sudo edge-agent doctor --fix")
        return
    known = account(root)
    if known is None or not (root / PROGRAM_FOLDER).exists():
        yield not_seen("Fix", "the service is not installed here (sudo scripts/install.sh)")
        return
    state_folder = root / STATE_FOLDER
    done = [
        *_groups(known, run),
        *_folders(root, state_folder, known, own),
        *_key(root, known, own),
        *_state(state_folder, known, own, roots_uid),
        *_left_over(root),
    ]
    yield from done
    # Groups count from a start on; for the rest nobody's talk is ended.
    started = list(_unit(run, regrouped=bool(known.lacks)))
    yield from started
    if not done and not started:
        yield not_seen("Fix", "nothing that is safe to mend without you")


def _groups(known: Account, run: Run) -> Iterator[Finding]:
    if known.lacks:
        names = ",".join(known.lacks)
        run(["usermod", "-a", "-G", names, ACCOUNT])
        yield fixed("Rights", f"{ACCOUNT} is in {names} now")


def _folders(root: Path, state_folder: Path, known: Account, own: Own) -> Iterator[Finding]:
    wanted = (
        (root / SETTINGS_FOLDER, PUBLIC_MODE, (0, 0)),
        (root / SETTINGS_FOLDER / "config.d", PUBLIC_MODE, (0, 0)),
        (state_folder, STATE_MODE, (known.uid, known.gid)),
    )
    for folder, mode, (uid, gid) in wanted:
        if folder.exists() or folder.is_symlink() or not folder.parent.is_dir():
            continue
        folder.mkdir(mode)
        _change(folder, mode, uid, gid, own)
        yield fixed("Folder", f"made {folder}")


def _key(root: Path, known: Account, own: Own) -> Iterator[Finding]:
    """Root's, for the service's group to read, as the installer leaves it."""
    path = root / SETTINGS_FOLDER / KEY_NAME
    with suppress(OSError):
        found = path.lstat()
        if (
            stat.S_ISREG(found.st_mode)
            and is_open_to_others(path)
            and _change(path, KEY_MODE, found.st_uid, known.gid, own)
        ):
            yield fixed("Key", f"{path} can be read by root and {ACCOUNT} only now")


def _state(folder: Path, known: Account, own: Own, roots_uid: int) -> Iterator[Finding]:
    """What a command of root's left behind there goes back to the account.  Files of a third
    account are none of ours."""
    if folder.is_symlink():
        return
    count = 0
    # By handles of folders: the account may swap a name for a link while we look.
    for _top, folders, files, handle in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            with suppress(OSError):
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                is_plain = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
                if found.st_uid != roots_uid or known.uid == roots_uid or not is_plain:
                    continue
                mode = stat.S_IMODE(found.st_mode) & STATE_MODE
                count += _change(name, mode, known.uid, known.gid, own, folder=handle)
    if count:
        yield fixed("Folder", f"{count} entries of {folder} belong to {ACCOUNT} again")
    with suppress(OSError):
        found = folder.lstat()
        is_foreign = found.st_uid == roots_uid != known.uid
        if is_foreign or found.st_mode & OTHERS:
            uid, gid = (known.uid, known.gid) if is_foreign else (found.st_uid, found.st_gid)
            if _change(folder, STATE_MODE, uid, gid, own):
                yield fixed("Folder", f"{folder} is {ACCOUNT}'s alone now")


def _left_over(root: Path) -> Iterator[Finding]:
    for folder in (SETTINGS_FOLDER, PROGRAM_FOLDER):
        for entry in sorted((root / folder).glob(f"*{LEFT_OVER}")):
            if entry.is_file() and not entry.is_symlink():
                entry.unlink()
                yield fixed("Left over", f"removed {entry}")
    door = root / RUN_FOLDER / SOCKET_NAME
    with suppress(OSError):
        if stat.S_ISSOCK(door.lstat().st_mode) and not _listens(door):
            door.unlink()
            yield fixed("Left over", f"removed {door}, at which nobody listened")


def _listens(door: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(door))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # busy, or not for us to judge
    return True


def _unit(run: Run, *, regrouped: bool) -> Iterator[Finding]:
    known = properties(run)
    if known.get("LoadState") != "loaded":
        return
    if known.get("NeedDaemonReload") == "yes":
        run(["systemctl", "daemon-reload"])
        yield fixed("Unit", "systemd has read the unit file anew")
    state = known.get("ActiveState")
    if state == "failed":
        run(["systemctl", "reset-failed", "edge-agent.service"])
        run(["systemctl", "start", "edge-agent.service"])
    elif state == "active" and regrouped:
        run(["systemctl", "restart", "edge-agent.service"])
    else:
        return
    now = properties(run).get("ActiveState", "unknown")
    yield fixed("Unit", f"{'started' if state == 'failed' else 'restarted'} the service: {now}")


def _change(
    path: Path | str, mode: int, uid: int, gid: int, own: Own, *, folder: int | None = None
) -> bool:
    """Set owner and mode of exactly what was looked at: no link is followed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode) and found.st_nlink != 1:
            return False
        own(handle, uid, gid)
        os.fchmod(handle, mode)
    finally:
        os.close(handle)
    return True
