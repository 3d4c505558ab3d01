"""Sockets: the kernel's count of a process's connections is exact, and only of that process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from edge_agent.host.service import sockets
from edge_agent.host.service.sockets import Connection, SocketsUnknown, connections_of


def pair(host: str) -> tuple[socket.socket, socket.socket]:
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as door:
        door.bind((host, 0))
        door.listen()
        near = socket.create_connection(door.getsockname()[:2])
        return near, door.accept()[0]


@pytest.fixture(params=["127.0.0.1", "::1"])
def line(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = pair(request.param)
    yield near, far
    near.close()
    far.close()


def read_all(sock: socket.socket, count: int) -> None:
    while count:
        count -= len(sock.recv(count))


def seen(sock: socket.socket) -> Connection:
    [found] = [one for one in connections_of(os.getpid()) if one.near == sock.getsockname()[:2]]
    return found


def test_every_byte_is_counted_once(line: tuple[socket.socket, socket.socket]) -> None:
    near, far = line
    assert (seen(near).bytes_out, seen(near).bytes_in) == (0, 0)
    near.sendall(bytes(100_003))
    read_all(far, 100_003)
    far.sendall(b"x" * 7)
    read_all(near, 7)
    assert (seen(near).bytes_out, seen(near).bytes_in) == (100_003, 7)
    assert (seen(far).bytes_out, seen(far).bytes_in) == (7, 100_003)
    assert seen(near).far == far.getsockname()[:2]
    assert seen(near).cookie != seen(far).cookie


def test_what_another_process_has_open_is_not_ours() -> None:
    near, far = pair("127.0.0.1")
    with closing(near), closing(far):
        waits = [sys.executable, "-c", "input()"]
        with subprocess.Popen(waits, stdin=subprocess.PIPE) as other:
            ours = {one.cookie for one in connections_of(os.getpid())}
            theirs = {one.cookie for one in connections_of(other.pid)}
            other.communicate(b"\n")
    assert ours
    assert not ours & theirs


def test_a_process_that_has_ended_is_told() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    with pytest.raises(SocketsUnknown, match="ended"):
        connections_of(done.pid)


def test_a_kernel_that_does_not_tell_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_NETLINK_SOCK_DIAG", 31)  # nobody is there
    with pytest.raises(SocketsUnknown, match="does not tell"):
        connections_of(os.getpid())
