"""Network: what the kernel tells of interfaces, addresses and routes.

Thread: the event loop's.  It must never send anything, need a privilege, or fail: where the kernel
does not tell (a container, a sandbox) there is one note, and timers have to do.

The kernel multicasts every change over a netlink socket (rtnetlink(7)).  Most of them are not
about us, so they are gathered for a moment and then compared with the addresses from which we
would reach the internet.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

SETTLE_S = 0.3
"""A cable or a DHCP lease is a burst of messages; what follows it is looked at once."""

SETTLE_MAX_S = 1.0
"""A host with a busy container engine never falls silent; look all the same."""

_NETLINK_ROUTE = 0
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE of linux/rtnetlink.h."""

_LINKS, _ADDRESSES, _ROUTES = (16, 17), (20, 21), (24, 25)
"""RTM_NEW… and RTM_DEL… of each."""

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFADDR = struct.Struct("=BBBBI")  # family, prefix, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst, src, tos, table, protocol, scope, type, flags
_LOOPBACK_INDEX = 1
_LOCAL_TABLE = 255
_CLONED = 0x200  # RTM_F_CLONED: a cache entry, not a route

_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Documentation addresses (RFC 5737, RFC 3849): nobody is there, every default route leads
there, and connecting a datagram socket sends nothing."""

Ways = Mapping[int, str]
"""Address family → the address of ours from which far-away hosts are reached."""


@dataclass(frozen=True, slots=True)
class NetworkNews:
    """What a burst of changes came to."""

    moved: bool = False
    """An address that we used is gone, and there is another way out."""
    came_up: bool = False
    """There was no way out, and now there is one."""


def relevant(data: bytes) -> bool:
    """Whether a netlink datagram tells of anything beyond this machine's inside."""
    return any(_is_relevant(kind, body) for kind, body in messages(data))


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message in a netlink datagram; stops at what makes no sense."""
    while len(data) >= _HEADER.size:
        length, kind, *_rest = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _is_relevant(kind: int, body: bytes) -> bool:
    with contextlib.suppress(struct.error):  # shorter than its kind says
        if kind in _LINKS:
            return bool(_IFINFO.unpack_from(body)[2] != _LOOPBACK_INDEX)
        if kind in _ADDRESSES:
            return bool(_IFADDR.unpack_from(body)[4] != _LOOPBACK_INDEX)
        if kind in _ROUTES:
            _family, _dst, _src, _tos, table, *_rest, flags = _ROUTE.unpack_from(body)
            return table != _LOCAL_TABLE and not flags & _CLONED
    return False


def ways_out() -> dict[int, str]:
    """The ways out that there are now."""
    ways = {}
    for family, far in _FAR_AWAY:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            ways[int(family)] = str(probe.getsockname()[0])
    return ways


def is_ours(family: int, address: str) -> bool:
    """Whether an address still belongs to this machine."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


class NetworkWatch:
    """Calls `changed` after every burst of changes; run it as a task.

    `look` and `owns` are `ways_out` and `is_ours`; tests replace them.
    """

    def __init__(
        self,
        changed: Callable[[NetworkNews], None],
        note: Callable[..., None],
        *,
        look: Callable[[], Ways] = ways_out,
        owns: Callable[[int, str], bool] = is_ours,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._changed = changed
        self._note = note
        self._look = look
        self._owns = owns
        self._settle_s = settle_s
        self._stirred = asyncio.Event()
        self._ways: Ways = {}
        self._used: dict[int, str] = {}
        """The last way out of each family, also while there is none."""

    async def run(self) -> None:
        """Watch until cancelled; returns at once where the kernel does not tell."""
        try:
            sock = _open_netlink()
        except OSError as error:
            self._note("network.unwatched", error=errno.errorcode.get(error.errno or 0, "unknown"))
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(sock.fileno(), self._readable, sock)
        try:
            self._judge()
            while True:
                await self._stirred.wait()
                await self._settle()
                self._changed(self._judge())
        finally:
            loop.remove_reader(sock.fileno())
            sock.close()

    async def _settle(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + max(SETTLE_MAX_S, self._settle_s)
        while self._stirred.is_set() and loop.time() < until:
            self._stirred.clear()
            await asyncio.sleep(self._settle_s)
        self._stirred.clear()

    def _readable(self, sock: socket.socket) -> None:
        while True:
            try:
                data, sender = sock.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # too many at once: something did change
                    self._stirred.set()
                    continue
                return
            from_kernel = sender[0] == 0
            if from_kernel and relevant(data):
                self._stirred.set()

    def _judge(self) -> NetworkNews:
        """Compare with the last look."""
        before, self._ways = self._ways, self._look()
        gone = [item for item in self._used.items() if not self._owns(*item)]
        if self._ways:
            for family, _address in gone:
                del self._used[family]
            for family, address in self._ways.items():
                # An address that is still ours may carry a connection: keep it in mind.
                self._used.setdefault(family, address)
        return NetworkNews(moved=bool(gone and self._ways), came_up=bool(self._ways and not before))


def _open_netlink() -> socket.socket:
    """Raises `OSError` where there is no such thing, or no right to it."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError(errno.EAFNOSUPPORT, "no netlink on this system")
    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
    try:
        sock.setblocking(False)
        sock.bind((0, _GROUPS))
    except OSError:
        sock.close()
        raise
    return sock
