"""The speaker's place on a machine: two at one microphone would both answer.

Call `taken_place` before anything is opened, and keep what it returns until the end.  The place is
a name in the kernel (an abstract socket, unix(7)): it is gone with its process, however that ends,
and the same for root and for every account.

Thread: main, in the command line.  It must never keep the service from starting because another
account squats on the name: only root's process, or one of the same account, counts for it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import struct
from collections.abc import Mapping

from edge_agent.contract.errors import AgentError

NAME = "\0edge-agent/speaker"
WAITING_MAX = 4096
"""Others that have looked and were refused; nobody takes them out of the queue."""
_CREDENTIALS = struct.Struct("=iII")
"""What the kernel tells of a socket's other end (unix(7), ucred): process, user, group."""


class PlaceTaken(AgentError):
    """A speaker runs on this machine already."""

    code = "control.place_taken"


def taken_place(environ: Mapping[str, str] | None = None) -> socket.socket | None:
    """The place, to be kept; None: somebody squats on it who may not keep the service away.

    Raises `PlaceTaken`.
    """
    env = os.environ if environ is None else environ
    place = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        place.bind(NAME)
        place.listen(WAITING_MAX)
    except OSError:
        place.close()
    else:
        return place
    holder = _holder()
    if env.get("NOTIFY_SOCKET") and (holder is None or holder[1] not in (0, os.geteuid())):
        return None
    raise PlaceTaken(
        f"A speaker runs on this machine already{_who(holder)}: two would both hear and answer.",
        fix="Ask it: edge-agent status     End it: sudo systemctl stop edge-agent     For a test "
        "beside it, with devices of its own: edge-agent run --beside",
    )


def _holder() -> tuple[int, int] | None:
    """Process and account that hold the place; None where the kernel does not tell."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(NAME)
            peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    pid, uid, _gid = _CREDENTIALS.unpack(peer)
    return pid, uid


def _who(holder: tuple[int, int] | None) -> str:
    if holder is None:
        return ""
    pid, uid = holder
    account = str(uid)
    with contextlib.suppress(KeyError):
        account = pwd.getpwuid(uid).pw_name
    return f" (process {pid} of {account})"
