"""A network of its own for the proof, and everything that passes in it.

`enter_own_network` first, before there are threads; then a `Capture` sees every packet.

Thread: the event loop's thread.  It never keeps what a packet says: sizes only, read from the first
bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from dataclasses import dataclass

from edge_agent.contract.errors import AgentError

LOOPBACK = "lo"
HEADERS_MAX_BYTES = 128
"""An IP header and a TCP header with all their options."""
CAPTURE_BUFFER_BYTES = 64 * 1024 * 1024
"""The packets of a minute of talk; what the kernel drops all the same makes the proof void."""

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # netdevice(7)
_IFREQ = struct.Struct("=16sh22x")
_ETH_P_ALL, _IPV4, _IPV6 = 0x0003, 0x0800, 0x86DD  # linux/if_ether.h
_OUTGOING = 4  # PACKET_OUTGOING: on the loopback each packet is also seen coming in
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_STATISTICS = struct.Struct("=II")  # packets seen, packets dropped
_IPV6_HEADER_BYTES = 40


class NoNetworkOfItsOwn(AgentError):
    """This kernel, or this account, makes no network namespace."""

    code = "proof.no_namespace"


def enter_own_network() -> None:
    """From here on this process has no network but a loopback of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise NoNetworkOfItsOwn(
            f"The kernel makes no network for the proof: {os.strerror(ctypes.get_errno())}.",
            fix="Run it as root: sudo edge-agent privacy --prove",
        )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = LOOPBACK.encode()
        _, flags = _IFREQ.unpack(fcntl.ioctl(sock, _SIOCGIFFLAGS, _IFREQ.pack(name, 0)))
        fcntl.ioctl(sock, _SIOCSIFFLAGS, _IFREQ.pack(name, flags | _IFF_UP))


@dataclass(frozen=True, slots=True)
class Passed:
    """TCP payload to the server and from it, and packets of anybody else."""

    up: int = 0
    down: int = 0
    others: int = 0

    def __sub__(self, other: Passed) -> Passed:
        return Passed(self.up - other.up, self.down - other.down, self.others - other.others)


class Capture:
    """Every packet on the loopback, counted.  Call `look` often: `lost` packets are not judged."""

    def __init__(self) -> None:
        self._sock = socket.socket(
            socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_ALL)
        )
        self._sock.bind((LOOPBACK, 0))
        with contextlib.suppress(PermissionError):  # then the default has to do
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, CAPTURE_BUFFER_BYTES)
        self._head = bytearray(HEADERS_MAX_BYTES)
        self._passed = Passed()
        self.port = 0
        """Of the server; until it is known every packet is one of others."""
        self.packets = 0
        self.lost = 0

    def fileno(self) -> int:
        """For the event loop."""
        return self._sock.fileno()

    def look(self) -> Passed:
        """What has passed so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                # With MSG_TRUNC the length is that of the whole packet.
                length, where = self._sock.recvfrom_into(self._head, 0, socket.MSG_TRUNC)
                if where[2] != _OUTGOING:
                    self._count(length, where[1])
        statistics = self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        self.lost += _STATISTICS.unpack(statistics)[1]  # since the last time they were read
        return self._passed

    def _count(self, length: int, protocol: int) -> None:
        self.packets += 1
        up, down, others = self._passed.up, self._passed.down, self._passed.others
        begin = self._tcp_header(protocol)
        near, far = struct.unpack_from("!HH", self._head, begin) if begin else (0, 0)
        if begin and self.port in (near, far):
            payload = length - begin - (self._head[begin + 12] >> 4) * 4
            if far == self.port:
                up += payload
            else:
                down += payload
        else:
            others += 1
        self._passed = Passed(up, down, others)

    def _tcp_header(self, protocol: int) -> int:
        """Where it begins; 0: it is no TCP."""
        if protocol == _IPV4 and self._head[9] == socket.IPPROTO_TCP:
            return (self._head[0] & 0xF) * 4
        if protocol == _IPV6 and self._head[6] == socket.IPPROTO_TCP:
            return _IPV6_HEADER_BYTES
        return 0

    def close(self) -> None:
        """End it."""
        self._sock.close()
