"""Dialer: the real WebSocket, and what its failures mean.

Thread: the event loop's; names are resolved, and the library is imported, on asyncio's executor.
It must never log (the library's own log would show the key), never follow a redirect (it would
carry an `api-key` header to a stranger) and let no library exception out.

Proxies come from the environment, in upper or lower case: `WSS_PROXY`, `SOCKS_PROXY` and
`HTTPS_PROXY` in this order for `wss://`, the same with `WS_PROXY` and `HTTP_PROXY` for `ws://`,
then `ALL_PROXY`; hosts in `NO_PROXY` and this machine itself are dialled directly.  User and
password may stand in the proxy's URL.  SOCKS needs the package `python-socks`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import math
import socket
import ssl
import struct
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from edge_agent.contract import net_faults
from edge_agent.contract.errors import LinkError, LinkRefused, WireClosed
from edge_agent.contract.hosts import is_loopback
from edge_agent.contract.ports import Wire
from edge_agent.realtime.link.feed import Feed
from edge_agent.realtime.protocol.faults import PROVIDER
from edge_agent.realtime.protocol.messages import FRAME_MAX_BYTES

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.http11 import Response

FRAMES_AHEAD_MAX = 0
"""More frames than this wait for us, and the library stops reading: each may have
`FRAME_MAX_BYTES`, and the kernel holds the rest."""

HAPPY_EYEBALLS_DELAY_S = 0.25
"""RFC 8305's pause before the next address is tried beside one that does not answer."""

UNSENT_LIMIT_BYTES = 32 * 1024
"""Half a second of audio in the kernel; the rest waits in our outbox, where it is counted."""

WRITE_LIMIT_BYTES = 32 * 1024
"""The same in the library's own buffer."""

_TCP_NOTSENT_LOWAT = 25  # linux/tcp.h; not in the socket module before 3.12
_LAST_ACK_OFFSET_BYTES = 56  # of tcpi_last_ack_recv (u32, ms) in struct tcp_info
_TAKEN_OFFSET_BYTES = 120  # of tcpi_bytes_acked (u64) there
_TCP_INFO_BYTES = 128


@dataclass(frozen=True, slots=True)
class DialTimings:
    """Limits of the library itself, in seconds."""

    open_s: float
    close_s: float


class WebSocketWire:
    """A `Wire` over a WebSocket, which also answers whether somebody is still there."""

    def __init__(self, connection: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        self._connection = connection
        self._closed_error: type[Exception] = ConnectionClosed
        self._socket: socket.socket | None = connection.transport.get_extra_info("socket")
        self._ping_end = 0.0
        """Where our last ping ends, counted in bytes since the connection began."""
        self.feed: Feed = connection.feed  # type: ignore[attr-defined]

    async def send(self, text: str) -> None:
        """As in `contract.ports.Wire`."""
        try:
            await self._connection.send(text)
        except self._closed_error as error:
            raise _closed(error) from error

    async def receive(self) -> str | bytes:
        """As in `contract.ports.Wire`."""
        try:
            return await self._connection.recv()
        except self._closed_error as error:
            raise _closed(error) from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """As in `contract.ports.Wire`; bounded by `DialTimings.close_s`."""
        await self._connection.close(code, reason)

    def abort(self) -> None:
        """Drop the connection without a word: the other side is not listening."""
        self._connection.transport.abort()

    async def ping(self) -> None:
        """Return when a ping was answered; raises `WireClosed`."""
        self._ping_end = math.inf
        try:
            pong = await self._connection.ping()
            sent = self._sent()
            self._ping_end = sent.taken + sent.waiting if sent is not None else 0
            await pong
        except self._closed_error as error:
            raise _closed(error) from error

    def quiet_s(self) -> float | None:
        """Seconds since the peer's kernel last took anything, while our last ping waits to be.

        A full uplink goes on being taken; in a black hole nothing is.  None: the ping was taken
        (so the peer owes an answer, whatever else we are sending), or there is no telling.
        """
        sent = self._sent()
        if sent is None or sent.taken >= self._ping_end or not sent.waiting:
            return None
        return sent.silent_s

    def _sent(self) -> _Sent | None:
        """How far our bytes have come; None where the system does not tell."""
        if self._socket is None or not sys.platform.startswith("linux"):
            return None
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            unacked = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return None
        if len(info) < _TCP_INFO_BYTES:  # before Linux 4.1
            return None
        (silent_ms,) = struct.unpack_from("=I", info, _LAST_ACK_OFFSET_BYTES)
        (taken,) = struct.unpack_from("=Q", info, _TAKEN_OFFSET_BYTES)
        (waiting,) = struct.unpack("=i", unacked)
        waiting += self._connection.transport.get_write_buffer_size()
        return _Sent(taken, waiting, silent_ms / 1000)


class _Sent(NamedTuple):
    """Bytes that the peer's kernel has taken, and that wait; seconds since it took any."""

    taken: int
    waiting: int
    silent_s: float


def _closed(error: Any) -> WireClosed:
    """`error` is a `ConnectionClosed`: what the peer said, else what we had to say."""
    for frame in (error.rcvd, error.sent if not error.rcvd_then_sent else None):
        if frame is not None:
            return WireClosed(int(frame.code), frame.reason)
    return WireClosed(1006, "")


class WebSocketDialer:
    """A `contract.ports.Dialer` over the `websockets` library.

    `ca_file`: a PEM file of authorities that are trusted besides the system's; "": none.
    `user_agent`: what the provider sees.
    """

    def __init__(
        self,
        *,
        timings: DialTimings,
        ca_file: str = "",
        user_agent: str = "edge-agent",
    ) -> None:
        self._timings = timings
        self._ca_file = ca_file
        self._user_agent = user_agent
        self._tls: ssl.SSLContext | None = None

    async def __call__(self, url: str, headers: Mapping[str, str]) -> Wire:
        """As in `contract.ports.Dialer`; `translated` says which failure gets which code."""
        try:
            # Both take tens of milliseconds, which the loop does not have.
            await asyncio.to_thread(_import_library)
            tls = None
            if url.startswith("wss:"):
                tls = self._tls = self._tls or await asyncio.to_thread(self._tls_context)
            connection = await self._connect(url, headers, tls)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise translated(error) from error
        wire = WebSocketWire(connection)
        sock = connection.transport.get_extra_info("socket")
        if sock is not None and sys.platform.startswith("linux"):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT_LIMIT_BYTES)
        return wire

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context()
            if self._ca_file:
                context.load_verify_locations(self._ca_file)
            return context
        except (OSError, ssl.SSLError) as error:
            raise LinkRefused(
                f"The file of trusted authorities {self._ca_file} cannot be used.",
                fix="Correct realtime.ca_file: it must be a readable PEM file.",
                code=net_faults.UNTRUSTED.code,
            ) from error

    async def _connect(
        self, url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None
    ) -> ClientConnection:
        from websockets.asyncio.client import ClientConnection, connect

        class Connection(ClientConnection):
            """Fed a little at a time (`link.feed`), whatever the peer sends."""

            feed: Feed

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                self.feed = Feed(self.transport, super().data_received)
                self.recv_messages.pause = self.feed.hold
                self.recv_messages.resume = self.feed.release

            def data_received(self, data: bytes) -> None:
                self.feed.take(data)

            def process_event(self, event: Any) -> None:
                self.feed.frames += 1
                super().process_event(event)

            def connection_lost(self, exc: Exception | None) -> None:
                self.feed.end()
                super().connection_lost(exc)

        class Connect(connect):
            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        options: dict[str, Any] = {"ssl": tls} if tls is not None else {}
        return await Connect(
            url,
            create_connection=Connection,
            additional_headers=dict(headers),
            user_agent_header=self._user_agent,
            compression=None,  # base64 of PCM does not shrink; it would only cost latency
            open_timeout=self._timings.open_s,
            close_timeout=self._timings.close_s,
            ping_interval=None,  # `liveness` pings: it knows whether a turn is active
            # A larger one ends the connection with 1009 (`link.frame_too_big`), and we dial anew.
            max_size=FRAME_MAX_BYTES,
            max_queue=FRAMES_AHEAD_MAX,
            write_limit=WRITE_LIMIT_BYTES,
            logger=_silent_logger(),
            happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S,
            proxy=proxy_for(url),
            **options,
        )


def proxy_for(url: str) -> str | Literal[True] | None:
    """The proxy for `url`; True: as the library reads it from the environment, None: none.

    What the library leaves open: a proxy cannot reach this machine's own loopback, and
    `ALL_PROXY` is for whatever has no proxy of its own.
    """
    from urllib.request import getproxies, proxy_bypass  # slow to load; the library needs it too

    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return None
    proxies = getproxies()
    own = ("wss", "socks", "https") if parts.scheme == "wss" else ("ws", "socks", "https", "http")
    if "all" not in proxies or any(name in proxies for name in own):
        return True
    return None if proxy_bypass(parts.netloc) else proxies["all"]


def proxy_url(url: str) -> str:
    """The proxy that is dialled for `url`; "" if none is."""
    proxy = proxy_for(url)
    if proxy is True:
        from websockets.proxy import get_proxy
        from websockets.uri import parse_uri

        proxy = get_proxy(parse_uri(url))
    return proxy or ""


def _import_library() -> None:
    import websockets.asyncio.client
    import websockets.exceptions  # noqa: F401


def _silent_logger() -> logging.Logger:
    """A logger that says nothing: the library's debug lines hold headers and audio."""
    logger = logging.Logger("edge-agent.websocket")
    logger.disabled = True
    return logger


# --- failures ----------------------------------------------------------------------------


def translated(error: Exception) -> LinkError:
    """Our error for anything that dialling can raise; the causes are `contract.net_faults`."""
    from websockets import exceptions as wsx

    if isinstance(error, LinkError):
        return error
    if isinstance(error, wsx.InvalidStatus):
        return _from_response(error.response)
    said = net_faults.detail_of(error)
    if isinstance(error, wsx.InvalidProxyStatus):
        status = error.response.status_code
        fault, said = net_faults.of_tunnel(status), f"HTTP {status}"
    elif isinstance(error, ImportError) and "socks" in str(error):
        fault = net_faults.BAD_PROXY
    else:
        found = net_faults.of_exception(error)
        fault, said = found or net_faults.CUT, said if found else type(error).__name__
    return net_faults.error_for(fault, PROVIDER, said)


def _from_response(response: Response) -> LinkError:
    """What an HTTP answer instead of an upgrade means."""
    content_type = (response.headers.get("Content-Type") or "").lower()
    body = bytes(response.body or b"")[:4096].decode("utf-8", "replace")
    html = "html" in content_type or body.lstrip()[:5].lower() in ("<html", "<!doc")
    status = response.status_code
    fault = net_faults.of_status(status, body, html=html) or net_faults.NOT_THERE
    # The one wall clock here: a date cannot be compared with anything else.
    wait_s = net_faults.retry_after_s(response.headers.get("Retry-After"), time.time())
    return net_faults.error_for(fault, PROVIDER, f"HTTP {status}", wait_s=wait_s)
