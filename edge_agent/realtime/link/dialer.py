"""Dialer: the real WebSocket, and what its failures mean (purpose).

Owner thread: the event loop's; names are resolved, and the library is imported, on asyncio's
executor.  Must never log (the library's own log would show the key), never follow a redirect
(it would carry an `api-key` header to a stranger) and let no library exception out.

Proxies come from the environment, in upper or lower case: `WSS_PROXY`, `SOCKS_PROXY` and
`HTTPS_PROXY` in this order for `wss://`, the same with `WS_PROXY` and `HTTP_PROXY` for `ws://`,
then `ALL_PROXY`; hosts in `NO_PROXY` and this machine itself are dialled directly.  User and
password may stand in the proxy's URL.  SOCKS needs the package `python-socks`.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
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

from edge_agent.contract.errors import LinkError, LinkLost, LinkRefused, WireClosed
from edge_agent.contract.hosts import is_loopback
from edge_agent.contract.ports import Wire
from edge_agent.realtime.link.feed import Feed
from edge_agent.realtime.protocol import faults
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
_CERT_NOT_YET_VALID, _CERT_EXPIRED = 9, 10  # X509_V_ERR_* of OpenSSL


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
                code="link.tls",
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
    """Our error for anything that dialling can raise."""
    if isinstance(error, LinkError):
        return error
    return (
        _translated_handshake(error)
        or _translated_tls(error)
        or _translated_network(error)
        or LinkLost(f"Dialling failed ({type(error).__name__}).", code="link.lost")
    )


def _translated_handshake(error: Exception) -> LinkError | None:
    from websockets import exceptions as wsx

    if isinstance(error, wsx.InvalidStatus):
        return _from_response(error.response)
    if isinstance(error, wsx.InvalidProxyStatus):
        return _proxy_error(error.response.status_code)
    if isinstance(error, (wsx.ProxyError, wsx.InvalidProxy)) or (
        isinstance(error, ImportError) and "socks" in str(error)
    ):
        return LinkRefused(
            f"The proxy cannot be used ({type(error).__name__}).",
            fix="Check HTTPS_PROXY and NO_PROXY; SOCKS needs the package python-socks.",
            code="link.proxy",
        )
    if isinstance(error, wsx.InvalidURI):
        return LinkRefused("The URL cannot be dialled.", fix="Check the URL.", code="link.bad_url")
    if isinstance(error, wsx.InvalidMessage) and _is_cut(error):
        return LinkLost("The connection was cut during the handshake.", code="link.lost")
    if isinstance(error, wsx.InvalidHandshake):
        return LinkRefused(
            "What answers at this address is not a WebSocket server.",
            fix="Check host and port in the URL.",
            code="link.bad_url",
        )
    return None


def _is_cut(error: BaseException) -> bool:
    """Whether the connection ended, rather than said something wrong."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (EOFError, ConnectionError)):
            return True
        cause = cause.__cause__
    return False


def _proxy_error(status: int) -> LinkError:
    if status == 407:
        return faults.from_http_status(407, "", html=False, retry_after_s=None)
    return LinkLost(
        f"The proxy could not reach the provider (HTTP {status}).",
        fix="Check HTTPS_PROXY and the network behind the proxy.",
        code="link.proxy",
    )


def _from_response(response: Response) -> LinkError:
    content_type = (response.headers.get("Content-Type") or "").lower()
    body = bytes(response.body or b"")[:4096].decode("utf-8", "replace")
    return faults.from_http_status(
        response.status_code,
        body,
        html="html" in content_type or body.lstrip()[:5].lower() in ("<html", "<!doc"),
        retry_after_s=retry_after_s(response.headers.get("Retry-After")),
    )


def retry_after_s(value: str | None) -> float | None:
    """Seconds from a `Retry-After` header (a number or a date); None if it makes no sense."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(value).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
        # The one wall clock here: a date cannot be compared with anything else.
        seconds = when - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _translated_tls(error: Exception) -> LinkError | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_CERT_NOT_YET_VALID, _CERT_EXPIRED):
            when = "not valid yet" if error.verify_code == _CERT_NOT_YET_VALID else "expired"
            # Not a refusal: a Pi without a clock battery gets the time from the network soon.
            return LinkLost(
                f"The provider's certificate is {when}, as far as our clock tells.",
                fix="Check date and time of this device.",
                code="link.clock",
            )
        return LinkRefused(
            f"The provider's certificate is not trusted ({error.verify_message}).",
            fix="Check the URL; something may stand between us and the provider. A service of "
            "your own needs its authority in realtime.ca_file.",
            code="link.tls",
        )
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return LinkLost("The connection was cut during the TLS handshake.", code="link.lost")
    if isinstance(error, ssl.SSLError):
        return LinkRefused(
            f"No encrypted connection is possible ({error.reason or 'TLS error'}).",
            fix="Check the URL: wss:// needs a server that speaks TLS on that port.",
            code="link.tls",
        )
    return None


def _translated_network(error: Exception) -> LinkError | None:
    if isinstance(error, socket.gaierror):
        return LinkLost(
            "The provider's name cannot be resolved.",
            fix="Check the network and its DNS server, and the host in the URL.",
            code="link.dns",
        )
    if isinstance(error, TimeoutError):
        return LinkLost(
            "The provider did not answer in time.", fix="Check the network.", code="link.timeout"
        )
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)):
        return LinkLost("The connection was cut during the handshake.", code="link.lost")
    if isinstance(error, OSError):
        return LinkLost(
            "The provider cannot be reached.", fix="Check the network.", code="link.unreachable"
        )
    return None
