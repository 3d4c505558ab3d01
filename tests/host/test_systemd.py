"""systemd: datagrams as the service manager reads them, over real sockets."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.host.service.systemd import STATUS_MAX_CHARS, Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        name = str(tmp_path / "notify") if request.param == "path" else f"@edge-{uuid.uuid4()}"
        server.bind("\0" + name[1:] if name.startswith("@") else name)
        server.settimeout(2)
        yield server, name


@pytest.fixture
def notifier(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Notifier]:
    monkeypatch.setenv("NOTIFY_SOCKET", manager[1])
    notifier = Notifier()
    yield notifier
    notifier.close()


def test_each_message_is_one_datagram(
    manager: tuple[socket.socket, str], notifier: Notifier
) -> None:
    server, _ = manager
    assert notifier.connected
    calls: list[tuple[Callable[[], bool], bytes]] = [
        (lambda: notifier.ready("listening"), b"READY=1\nSTATUS=listening"),
        (lambda: notifier.status("two\nlines"), b"STATUS=two lines"),
        (notifier.watchdog, b"WATCHDOG=1"),
        (notifier.stopping, b"STOPPING=1"),
    ]
    for call, wanted in calls:
        assert call()
        assert server.recv(4096) == wanted
    notifier.close()
    notifier.close()
    assert not notifier.watchdog()


def test_a_long_status_is_cut(manager: tuple[socket.socket, str], notifier: Notifier) -> None:
    notifier.status("x" * 5000)
    assert len(manager[0].recv(8192)) == len("STATUS=") + STATUS_MAX_CHARS


def test_a_manager_that_is_gone_does_not_stop_us(
    manager: tuple[socket.socket, str], notifier: Notifier
) -> None:
    manager[0].close()
    if manager[1].startswith("/"):
        Path(manager[1]).unlink()
    assert not notifier.watchdog()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    assert not notifier.connected
    assert not notifier.ready()
    notifier.close()


def test_a_manager_that_does_not_read_does_not_block_us(
    manager: tuple[socket.socket, str],
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager[1]})
    assert not all(notifier.watchdog() for _ in range(20_000))
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "x"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_half_of_what_is_allowed(
    environ: dict[str, str], interval_s: float | None
) -> None:
    assert Notifier(environ).watchdog_interval_s() == interval_s
