"""A service that drips is given up at a time, wherever in its answer it drips."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import threading
from collections.abc import Iterator

import pytest

from edge_agent.contract.errors import AgentError
from edge_agent.contract.net_faults import Peer
from edge_agent.host.web.http_api import HttpApi
from edge_agent.host.web.http_bounds import BoundedReader

PEER = Peer(name="service", code="service", url="service.url", example="https://a.example")
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CALL_S = 50
"""Seconds of a clock that goes on by one at every look."""
LIMIT_BYTES = 1_000_000


@contextlib.contextmanager
def saying(begin: bytes, again: bytes) -> Iterator[str]:
    """The address of one that answers with `begin`, then `again` for as long as it is heard."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()

        def serve() -> None:
            caller, _ = door.accept()
            with caller, contextlib.suppress(OSError):
                caller.recv(65_536)
                caller.sendall(begin)
                while True:
                    caller.sendall(again * 4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        thread.join()


def refused(
    begin: bytes, again: bytes, *, limit_bytes: int = LIMIT_BYTES, call_s: float = CALL_S
) -> tuple[str, int]:
    """The code of the refusal, and how often the clock was looked at: at every read."""
    looks = itertools.count()
    with saying(begin, again) as base:
        api = HttpApi(base, "", peer=PEER, call_timeout_s=call_s, seconds=lambda: next(looks))
        with pytest.raises(AgentError) as caught:
            api.post("", b"{}", "application/json", limit_bytes)
    return caught.value.code, next(looks)


def drip(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on every read finds one byte."""
    read = BoundedReader.readinto
    monkeypatch.setattr(
        BoundedReader, "readinto", lambda self, buffer: read(self, memoryview(buffer)[:1])
    )


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"", b"H"),
        (OK + b"X: ", b"a"),
        (OK, b"X: a\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CHUNKED, b"0"),
        (CHUNKED + b"1;", b"x"),
        (CHUNKED, b"1\r\na\r\n"),
        (CHUNKED + b"0\r\n", b"X: a\r\n"),
        (OK + b"\r\n", b"a"),
    ],
    ids=[
        *("status", "header", "headers", "continues", "size of a piece", "about a piece"),
        *("pieces", "trailer", "body"),
    ],
)
def test_what_never_ends_is_given_up(
    begin: bytes, again: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its bytes, if it comes fast; by the clock, if it comes one by one."""
    code, _ = refused(begin, again, call_s=100 * CALL_S)
    assert code in ("link.garbage", "link.lost", "link.bad_url")
    drip(monkeypatch)
    code, looks = refused(begin, again)
    assert code == "link.timeout"
    assert looks <= CALL_S + 3


def test_what_a_refusal_says_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    drip(monkeypatch)
    begin = b"HTTP/1.1 401 No\r\nContent-Length: 60000\r\n\r\n"
    code, looks = refused(begin, b"a", limit_bytes=0)
    assert code == "link.bad_key"  # its status says enough
    assert looks <= CALL_S + 3


def test_a_proxys_refusal_that_the_library_leaves_open_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Python 3.11.2, which is Debian 12's, does."""
    left = list[http.client.HTTPResponse]()

    def tunnel(connection: http.client.HTTPConnection) -> None:
        left.append(connection.response_class(connection.sock, method="CONNECT"))
        raise OSError("Tunnel connection failed: 403 Forbidden")

    monkeypatch.setattr(http.client.HTTPConnection, "_tunnel", tunnel)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        api = HttpApi("https://provider.invalid/v1", "", peer=PEER)
        with pytest.raises(AgentError):
            api.post("", b"", "text/plain", 0)
    assert [answer.isclosed() for answer in left] == [True]
