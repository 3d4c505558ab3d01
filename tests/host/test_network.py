"""News from the kernel: what is heard, and what it means for us.

It must never change a network; `tests/realtime/test_namespaces.py` does, in one of its own.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.host.service import network
from edge_agent.host.service.network import (
    NetworkNews,
    NetworkWatch,
    is_ours,
    messages,
    relevant,
    ways_out,
)

V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)


def message(kind: int, body: bytes) -> bytes:
    whole = struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body
    return whole + bytes(-len(whole) % 4)


def link(index: int) -> bytes:
    return message(16, struct.pack("=BxHiII", 0, 1, index, 0, 0))


def address(index: int) -> bytes:
    return message(20, struct.pack("=BBBBI", 2, 24, 0, 0, index))


def route(table: int, flags: int = 0) -> bytes:
    return message(24, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, table, 0, 0, 1, flags))


@pytest.mark.parametrize(
    ("data", "is_relevant"),
    [
        (link(2), True),
        (link(1), False),
        (address(3), True),
        (address(1), False),
        (route(254), True),
        (route(255), False),
        (route(254, 0x200), False),
        (link(1) + address(1) + route(254), True),
        (message(2, b"error"), False),
        (message(16, b""), False),
        (b"", False),
        (link(2)[:15], False),
        (struct.pack("=IHHII", 0, 16, 0, 0, 0), False),
    ],
)
def test_what_concerns_us(data: bytes, is_relevant: bool) -> None:
    assert relevant(data) is is_relevant


@given(st.binary(max_size=200))
def test_any_datagram_is_survived(data: bytes) -> None:
    relevant(data)
    assert sum(len(body) + 16 for _, body in messages(data)) <= len(data)


class House:
    """Addresses as a test wants them."""

    def __init__(self) -> None:
        self.ways: dict[int, str] = {}
        self.assigned: set[str] = set()
        self.watch = NetworkWatch(
            lambda _news: None,
            lambda _code, **_fields: None,
            look=lambda: dict(self.ways),
            owns=lambda _family, address: address in self.assigned,
        )

    def now(self, ways: dict[int, str], *also: str) -> NetworkNews:
        self.ways, self.assigned = ways, {*ways.values(), *also}
        return self.watch._judge()


def test_what_the_news_are() -> None:
    async def main() -> None:
        house = House()
        assert house.now({V4: "10.0.0.1"}) == NetworkNews(came_up=True)
        assert house.now({V4: "10.0.0.1"}) == NetworkNews()
        # A cable beside the wireless: the old address still carries our connection.
        assert house.now({V4: "10.0.0.2"}, "10.0.0.1") == NetworkNews()
        assert house.now({V4: "10.0.0.2"}) == NetworkNews(moved=True)
        # Out, and back with the same address; then with another one.
        assert house.now({}) == NetworkNews()
        assert house.now({V4: "10.0.0.2"}) == NetworkNews(came_up=True)
        assert house.now({}) == NetworkNews()
        assert house.now({V4: "10.0.0.9"}) == NetworkNews(moved=True, came_up=True)
        # A privacy address of IPv6 comes beside the old one, which stays for a week.
        assert house.now({V4: "10.0.0.9", V6: "fd00::1"}) == NetworkNews()
        assert house.now({V4: "10.0.0.9", V6: "fd00::2"}, "fd00::1") == NetworkNews()

    asyncio.run(main())


def test_addresses_of_this_machine() -> None:
    assert is_ours(V4, "127.0.0.1")
    assert not is_ours(V4, "192.0.2.7")
    assert all(is_ours(family, address) for family, address in ways_out().items())


def test_where_the_kernel_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "sandboxed")

    notes: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(network, "_open_netlink", refused)

    async def main() -> None:
        watch = NetworkWatch(
            lambda _news: None, lambda code, **fields: notes.append((code, fields))
        )
        await watch.run()

    asyncio.run(main())
    assert notes == [("network.unwatched", {"error": "EAFNOSUPPORT"})]


def test_a_burst_is_one_piece_of_news() -> None:
    told: list[NetworkNews] = []

    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        watch = NetworkWatch(told.append, lambda _code, **_fields: None, settle_s=0.02)

        class Kernel:
            """A datagram socket whose sender is named as netlink names the kernel."""

            fileno = ours.fileno
            close = ours.close

            def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
                data = ours.recv(size)
                return data[1:], (data[0], 0)

        original = network._open_netlink
        network._open_netlink = Kernel  # type: ignore[assignment]
        try:
            running = asyncio.create_task(watch.run())
            await asyncio.sleep(0.01)
            for _ in range(5):
                theirs.send(b"\x00" + link(2))
            theirs.send(b"\x07" + link(2))
            await asyncio.sleep(0.1)
            assert len(told) == 1
            theirs.send(b"\x07" + link(2))  # another program's, not the kernel's
            theirs.send(b"\x00" + link(1))
            await asyncio.sleep(0.05)
            assert len(told) == 1
            theirs.send(b"\x00" + route(254))
            await asyncio.sleep(0.1)
            assert len(told) == 2
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        finally:
            network._open_netlink = original
            theirs.close()

    asyncio.run(main())
