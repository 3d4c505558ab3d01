"""Sockets: how many bytes the kernel has counted on the TCP connections of a process.

`connections_of` a process id.  The speaker is not asked: the numbers are the kernel's own
(sock_diag(7), the bytes sent and received of its tcp_info), and which socket is whose is read from
`/proc`.

Thread: any thread; no state.  It never sends anything but the question to the kernel.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from edge_agent.contract.errors import AgentError
from edge_agent.host.service.network import messages

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_DONE, _ERROR = 3, 2  # NLMSG_DONE, NLMSG_ERROR
_REQUEST_ALL = 0x1 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
_WITH_INFO = 1 << 1  # INET_DIAG_INFO is 2: its bit
_EVERY_STATE = 0xFFFFFFFF

_REQUEST = struct.Struct("=IHHIIBBBxI48x")
"""nlmsghdr, then inet_diag_req_v2: family, protocol, what else to tell, states, any socket."""
_FOUND = struct.Struct("=BBxx")  # inet_diag_msg: family, state
_ENDS = struct.Struct("!HH16s16s")  # ports and addresses of both ends
_OWNER = struct.Struct("=4xQ")  # interface, cookie
_INODE = struct.Struct("=16xI")  # expires, both queues, uid, inode
_MESSAGE_BYTES = 72
_ATTRIBUTE = struct.Struct("=HH")

_ACKED, _RECEIVED, _SENT = 120, 128, 200
"""Where linux/tcp.h has them in tcp_info; the bytes sent, and after them those sent again, came
with Linux 4.19."""
_U64, _TWO_U64 = struct.Struct("=Q"), struct.Struct("=QQ")

_ANSWER_MAX_BYTES = 1 << 18
"""More than the kernel puts into one datagram."""


class SocketsUnknown(AgentError):
    """The kernel does not tell, or not this account."""

    code = "sockets.unknown"


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection: what left by it and what came, each byte once, since it was opened."""

    cookie: int
    """The kernel's name for it; never used again."""
    near: tuple[str, int]
    far: tuple[str, int]
    bytes_out: int
    bytes_in: int


class Totals:
    """Bytes out and in since the first look, over connections that come and go."""

    def __init__(self) -> None:
        self.out = self.into = 0
        self._seen: dict[int, Connection] | None = None

    def look(self, connections: list[Connection]) -> tuple[int, int]:
        """Bytes out and in since the last look; what was there at the first one began before."""
        now = {one.cookie: one for one in connections}
        before = now if self._seen is None else self._seen
        out = into = 0
        for cookie, one in now.items():
            old = before.get(cookie)
            out += one.bytes_out - (old.bytes_out if old else 0)
            into += one.bytes_in - (old.bytes_in if old else 0)
        self._seen = now
        self.out += out
        self.into += into
        return out, into


def connections_of(pid: int) -> list[Connection]:
    """The TCP connections of a process.  Raises `SocketsUnknown`."""
    inodes = _inodes_of(pid)
    return [found for inode, found in _all_connections() if inode in inodes]


def _inodes_of(pid: int) -> set[int]:
    folder = Path(f"/proc/{pid}/fd")
    inodes = set()
    try:
        for entry in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                kind, _, number = str(entry.readlink()).partition(":")
                if kind == "socket":
                    inodes.add(int(number.strip("[]")))
    except PermissionError:
        raise SocketsUnknown(
            "This account may not see which sockets are the speaker's.",
            fix="Ask as root (sudo).",
        ) from None
    except OSError:
        raise SocketsUnknown("The speaker has ended.", fix="Ask again.") from None
    return inodes


def _all_connections() -> list[tuple[int, Connection]]:
    """`(inode, connection)` of every TCP socket with a far end in this network namespace."""
    found: list[tuple[int, Connection]] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            for family in (socket.AF_INET, socket.AF_INET6):
                found += _ask(kernel, family)
    except OSError as problem:
        raise SocketsUnknown(
            f"The kernel does not tell of its sockets: {problem.strerror}.",
            fix="It needs the module inet_diag (tcp_diag): sudo modprobe tcp_diag",
        ) from None
    return found


def _ask(kernel: socket.socket, family: int) -> list[tuple[int, Connection]]:
    kernel.send(
        _REQUEST.pack(
            _REQUEST.size,
            _BY_FAMILY,
            _REQUEST_ALL,
            1,
            0,
            family,
            socket.IPPROTO_TCP,
            _WITH_INFO,
            _EVERY_STATE,
        )
    )
    found: list[tuple[int, Connection]] = []
    while True:
        for kind, body in messages(kernel.recv(_ANSWER_MAX_BYTES)):
            if kind == _DONE:
                return found
            if kind == _ERROR:
                number = -int(struct.unpack_from("=i", body)[0])
                raise OSError(number, os.strerror(number))
            read = _read(body)
            if read is not None and read[1].far[1]:
                found.append(read)


def _read(body: bytes) -> tuple[int, Connection] | None:
    """Inode and connection of one inet_diag_msg; None where the kernel left out the counters."""
    family, _state = _FOUND.unpack_from(body)
    near_port, far_port, near, far = _ENDS.unpack_from(body, _FOUND.size)
    at = _FOUND.size + _ENDS.size
    (cookie,) = _OWNER.unpack_from(body, at)
    (inode,) = _INODE.unpack_from(body, at + _OWNER.size)
    info = _info(body[_MESSAGE_BYTES:])
    if len(info) < _RECEIVED + _U64.size:
        return None
    length = 4 if family == socket.AF_INET else 16
    near_text, far_text = (socket.inet_ntop(family, end[:length]) for end in (near, far))
    (received,) = _U64.unpack_from(info, _RECEIVED)
    if len(info) >= _SENT + _TWO_U64.size:
        sent, again = _TWO_U64.unpack_from(info, _SENT)
        out = sent - again
    else:
        (out,) = _U64.unpack_from(info, _ACKED)
    return inode, Connection(cookie, (near_text, near_port), (far_text, far_port), out, received)


def _info(attributes: bytes) -> bytes:
    """The tcp_info among the attributes of a message."""
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if length < _ATTRIBUTE.size:
            break
        if kind == 2:  # INET_DIAG_INFO
            return attributes[_ATTRIBUTE.size : length]
        attributes = attributes[(length + 3) & ~3 :]
    return b""
