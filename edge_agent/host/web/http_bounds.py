"""HTTP bounds: an answer that is over by a time and after so many bytes, however slowly it comes.

`urllib` bounds the wait for the next byte only: a peer that sends one in time, in a header, in the
size of a piece or after one "100 Continue" too many, would hold a worker for days.  Give `handlers`
to an opener, and open a `BoundedRequest`.

Thread: the thread that asks, which blocks.  It never reads a byte past a bound.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HEAD_MAX_BYTES = 262_144
"""Status, headers and what is around the pieces of a body; they have some kilobytes."""


class TooMuch(http.client.HTTPException):
    """More bytes came than were asked for."""


@dataclass(slots=True)
class Bounds:
    """What one answer may take; `seconds` is the clock of `until_s`."""

    silence_s: float
    until_s: float
    left_bytes: int
    seconds: Callable[[], float]


class BoundedRequest(urllib.request.Request):
    """A request whose answer has bounds."""

    bounds: Bounds


class BoundedReader(io.RawIOBase):
    """The bytes of a socket within bounds."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, bounds: Bounds) -> None:
        self._raw = raw
        self._sock = sock
        self._bounds = bounds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        bounds = self._bounds
        left_s = bounds.until_s - bounds.seconds()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(min(bounds.silence_s, left_s))
        count: int | None = self._raw.readinto(buffer)
        bounds.left_bytes -= count or 0
        if bounds.left_bytes < 0:
            raise TooMuch
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _bounded(
    connect: Callable[..., Any], bounds: Bounds, made: list[http.client.HTTPResponse]
) -> Callable[..., Any]:
    """`connect` makes a connection; its answers, a proxy's among them, get these bounds, and are
    put into `made`."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
            super().__init__(sock, *arguments, **options)
            made.append(self)
            raw = self.fp.detach()
            self.fp = io.BufferedReader(BoundedReader(raw, sock, bounds))

    def connected(*arguments: Any, **options: Any) -> Any:
        connection = connect(*arguments, **options)
        connection.response_class = Response
        return connection

    return connected


def _opened(
    do_open: Callable[..., http.client.HTTPResponse],
    http_class: Any,
    req: Any,
    options: dict[str, Any],
) -> http.client.HTTPResponse:
    made: list[http.client.HTTPResponse] = []
    try:
        return do_open(_bounded(http_class, req.bounds, made), req, **options)
    except BaseException:
        for answer in made:  # Python before 3.11.4 leaves a proxy's refusal open, and its socket
            answer.close()
        raise


class _Http(urllib.request.HTTPHandler):
    def do_open(self, http_class: Any, req: Any, **options: Any) -> http.client.HTTPResponse:
        return _opened(super().do_open, http_class, req, options)


class _Https(urllib.request.HTTPSHandler):
    def do_open(self, http_class: Any, req: Any, **options: Any) -> http.client.HTTPResponse:
        return _opened(super().do_open, http_class, req, options)


def handlers(tls: ssl.SSLContext) -> tuple[urllib.request.BaseHandler, ...]:
    """What an opener needs for `http` and `https`."""
    return _Http(), _Https(context=tls)
