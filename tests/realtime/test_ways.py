"""Ways to a provider: TLS with an authority of one's own, proxies, dead addresses (purpose).

Owner thread: the test's.  Must never reach beyond this machine; real time passes here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from house_config import household_dialer, household_provider, household_session, household_timings
from real_sockets import free_port, raw_server

from edge_agent.contract import commands as cmd
from edge_agent.contract import events as ev
from edge_agent.contract.errors import LinkError, LinkLost, LinkRefused
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.link.dialer import WebSocketDialer
from edge_agent.simulation.brains import ParrotBrain
from edge_agent.simulation.server import RealtimeServer, listen


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def talk(url: str, dialer: WebSocketDialer) -> list[ev.Event]:
    """One answer over a link; returns the events, the first `LinkDown` being the last."""
    events: list[ev.Event] = []
    link = RealtimeLink(
        timings=household_timings(),
        dial=dialer,
        provider=household_provider(),
        config=household_session(turn_detection=None),
        key=lambda: "sk-test",
        post=events.append,
        note=lambda _code, **_fields: None,
        rng=random.Random(3),
        url=url,
    )
    running = asyncio.create_task(link.run())
    asked = False
    try:
        async with asyncio.timeout(20):
            while not any(isinstance(e, ev.LinkDown | ev.ResponseEnded) for e in events):
                if link.is_ready and not asked:
                    asked = True
                    link.execute(cmd.AddMessage("", "user", "hello"))
                    link.execute(cmd.RequestResponse())
                await asyncio.sleep(0.005)
    finally:
        await link.close()
        await running
    return events


def outcome(events: list[ev.Event]) -> str:
    last = next(e for e in events if isinstance(e, ev.LinkDown | ev.ResponseEnded))
    return last.code if isinstance(last, ev.LinkDown) else last.status


# --- TLS ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, "completed"),
        ({"names": "DNS:somewhere.example"}, "link.tls"),
        ({"start": "20000101000000Z", "end": "20010101000000Z"}, "link.clock"),
        ({"start": "20480101000000Z", "end": "20490101000000Z"}, "link.clock"),
    ],
    ids=["good", "wrong host name", "expired", "not yet valid"],
)
def test_a_chain_of_an_authority_of_ones_own(
    how: dict[str, str], expected: str, authority: Authority
) -> None:
    async def main() -> str:
        server = RealtimeServer(ParrotBrain())
        async with listen(server, "127.0.0.1", 0, ssl=authority.server(**how)) as port:
            dialer = household_dialer(ca_file=str(authority.ca_file))
            url = f"wss://localhost:{port.port}/v1/realtime"
            return outcome(await talk(url, dialer))

    assert asyncio.run(main()) == expected


@pytest.mark.parametrize("trusts_another", [False, True])
def test_an_authority_that_is_not_trusted(
    trusts_another: bool, authority: Authority, tmp_path: Path
) -> None:
    async def main() -> str:
        server = RealtimeServer(ParrotBrain())
        other = str(Authority(tmp_path / "other").ca_file) if trusts_another else ""
        async with listen(server, "127.0.0.1", 0, ssl=authority.server()) as port:
            dialer = household_dialer(ca_file=other)
            return outcome(await talk(f"wss://localhost:{port.port}/v1/realtime", dialer))

    assert asyncio.run(main()) == "link.tls"


# --- proxies -----------------------------------------------------------------------------


class Proxy:
    """An HTTP CONNECT proxy that knows where each name leads."""

    def __init__(self, leads_to: int, password: str = "") -> None:
        self.asked: list[str] = []
        self._port = leads_to
        self._password = password

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split("\r\n")[0])
        signed = base64.b64encode(f"house:{self._password}".encode()).decode()
        if self._password and f"basic {signed}".lower() not in head.lower():
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="house"\r\nContent-Length: 0\r\n\r\n'
            )
            await writer.drain()
            return
        if not head.startswith("CONNECT "):
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        finally:
            there_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def behind_a_proxy(
    authority: Authority, names: str, password: str = ""
) -> AsyncIterator[tuple[int, Proxy]]:
    """A provider over TLS that only the proxy can reach by its name."""
    server = RealtimeServer(ParrotBrain())
    async with listen(server, "127.0.0.1", 0, ssl=authority.server(names)) as port:
        proxy = Proxy(port.port, password)
        async with raw_server(proxy) as proxy_port:
            yield proxy_port, proxy


@pytest.mark.parametrize(
    ("credentials", "password", "expected"),
    [
        ("", "", "completed"),
        ("house:open@", "open", "completed"),
        ("", "open", "link.proxy"),
        ("house:shut@", "open", "link.proxy"),
    ],
    ids=["open", "signed in", "not signed in", "wrong password"],
)
@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_talk_through_a_proxy(
    credentials: str,
    password: str,
    expected: str,
    variable: str,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> tuple[str, Proxy]:
        async with behind_a_proxy(authority, "DNS:provider.invalid", password) as (port, proxy):
            monkeypatch.setenv(variable, f"http://{credentials}127.0.0.1:{port}")
            dialer = household_dialer(ca_file=str(authority.ca_file))
            events = await talk("wss://provider.invalid/v1/realtime", dialer)
            assert not any("open" in str(event) for event in events if password)
            return outcome(events), proxy

    got, proxy = asyncio.run(main())
    assert got == expected
    # The name is resolved by the proxy: the house may have no DNS of its own.
    assert set(proxy.asked) == {"CONNECT provider.invalid:443 HTTP/1.1"}


def test_a_proxy_that_is_down_or_cannot_reach_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[tuple[type, str]]:
        told = []
        async with raw_server(Proxy(free_port())) as port:
            for proxy_port in (port, free_port()):
                monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy_port}")
                with pytest.raises(LinkError) as caught:
                    await household_dialer()("wss://provider.invalid/v1/realtime", {})
                told.append((type(caught.value), caught.value.code))
        return told

    assert asyncio.run(main()) == [(LinkLost, "link.proxy"), (LinkLost, "link.unreachable")]


@pytest.mark.parametrize("variable", ["https_proxy", "all_proxy"])
@pytest.mark.parametrize(
    ("host", "listed"), [("provider.invalid", "provider.invalid"), ("localhost", "elsewhere")]
)
def test_a_host_in_no_proxy_and_this_machine_are_dialled_directly(
    host: str, listed: str, variable: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> str:
        server = RealtimeServer(ParrotBrain())
        async with listen(server, "127.0.0.1", 0, ssl=authority.server(f"DNS:{host}")) as port:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
            monkeypatch.setenv("no_proxy", f"other.example,{listed}")
            loop = asyncio.get_running_loop()
            where = resolves_to((socket.AF_INET, "127.0.0.1", port.port))
            loop.getaddrinfo = where  # type: ignore[method-assign]
            dialer = household_dialer(ca_file=str(authority.ca_file))
            return outcome(await talk(f"wss://{host}:{port.port}/v1/realtime", dialer))

    assert asyncio.run(main()) == "completed"


def test_socks_without_its_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> LinkError:
        monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:1080")
        with pytest.raises(LinkRefused) as caught:
            await household_dialer()("wss://provider.invalid/v1/realtime", {})
        return caught.value

    error = asyncio.run(main())
    assert error.code == "link.proxy"
    assert "python-socks" in error.fix


# --- dead addresses ------------------------------------------------------------------------


@contextlib.contextmanager
def hole(family: int, host: str) -> Any:
    """A port that takes a connection attempt and never answers it: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((host, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(family))
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        time.sleep(0.02)
        yield port


Resolver = Callable[..., Any]


def resolves_to(*addresses: tuple[int, str, int]) -> Resolver:
    async def getaddrinfo(_host: object, _port: object, **_options: object) -> list[Any]:
        found = []
        for family, address, real_port in addresses:
            where: Any = (address, real_port)
            if family == socket.AF_INET6:
                where += (0, 0)
            found.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where))
        return found

    return getaddrinfo


@pytest.mark.parametrize(
    "holes",
    [
        [(socket.AF_INET6, "::1")],
        [(socket.AF_INET, "127.0.0.1")],
        [(socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")],
    ],
    ids=["IPv6", "IPv4", "three of them"],
)
def test_dead_addresses_do_not_add_seconds(holes: list[tuple[int, str]]) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        server = RealtimeServer(ParrotBrain())
        with contextlib.ExitStack() as stack:
            dead = [(f, host, stack.enter_context(hole(f, host))) for f, host in holes]
            async with listen(server, "127.0.0.1", 0) as port:
                alive = (socket.AF_INET, "127.0.0.1", port.port)
                loop.getaddrinfo = resolves_to(*dead, alive)  # type: ignore[method-assign]
                start = loop.time()
                url = f"ws://provider.localhost:{port.port}/v1/realtime"
                assert outcome(await talk(url, household_dialer())) == "completed"
                return loop.time() - start

    assert asyncio.run(main()) < 0.25 * len(holes) + 2


def test_only_dead_addresses_end_in_a_time_out_and_not_in_two_minutes() -> None:

    async def main() -> LinkError:
        with hole(socket.AF_INET, "127.0.0.1") as port:
            dialer = household_dialer(open_s=0.4)
            with pytest.raises(LinkLost) as caught:
                await dialer(f"ws://127.0.0.1:{port}/v1/realtime", {})
            return caught.value

    assert asyncio.run(main()).code == "link.timeout"
