"""The server on a real port: WebSocket over TCP or TLS.

Thread: the event loop it was started on.  It must never know what is said on the wire: it turns
connections into `Wire`s, refusals into HTTP answers, and can misbehave below the messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl as ssl_module
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Protocol

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from edge_agent.contract.errors import WireClosed
from edge_agent.contract.ports import Wire
from edge_agent.simulation.faults import Faults
from edge_agent.simulation.late_pongs import LatePongs
from edge_agent.simulation.realtime_server.peer import Refusal

MAX_FRAME_BYTES = 32 * 1024 * 1024  # 15 MiB of audio are 20 MiB of base64; with room
CLOSE_TIMEOUT_S = 2.0  # a client that does not answer our close is dropped
STOP_POLL_S = 0.02
PONG_OPCODE = 0x0A
BACKLOG = 100  # asyncio's default, stated because dials of a whole test suite may queue
SUBPROTOCOL = Subprotocol("realtime")


class Admits(Protocol):
    """A server, as the port sees it."""

    faults: Faults
    late_pongs: LatePongs | None

    def admit(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Whether a dial is let through to the upgrade."""

    async def serve_wire(self, wire: Wire, path: str, headers: Mapping[str, str]) -> None:
        """Serve one admitted connection to its end."""


class _Connection(ServerConnection):
    """A connection that can play dead: see `Faults.black_hole`, `Faults.ignore_pings` and
    `LatePongs`."""

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        faults: Faults,
        late_pongs: LatePongs | None,
    ) -> None:
        # No pings from this side: in a black hole the server, too, must not notice.
        super().__init__(
            protocol, server, ping_interval=None, close_timeout=CLOSE_TIMEOUT_S, max_queue=64
        )
        self._faults = faults
        self._late_pongs = late_pongs
        self._pong_at = 0.0
        self._unread = bytearray()

    def data_received(self, data: bytes) -> None:
        if self._faults.black_hole:
            if not self._unread:
                self.loop.call_later(STOP_POLL_S, self._retry)
            self._unread += data
        elif self._unread:
            self._unread += data
        else:
            super().data_received(data)

    def _retry(self) -> None:
        if self._faults.black_hole:
            self.loop.call_later(STOP_POLL_S, self._retry)
            return
        data, self._unread = bytes(self._unread), bytearray()
        super().data_received(data)

    def send_data(self) -> None:
        if not self._faults.ignore_pings and self._late_pongs is None:
            super().send_data()
            return
        for data in self.protocol.data_to_send():
            if not data:
                self.transport.close()
            elif data[0] & 0x0F != PONG_OPCODE:
                self.transport.write(data)
            elif not self._faults.ignore_pings and self._late_pongs is not None:
                now = self.loop.time()
                self._pong_at = max(self._pong_at, now + self._late_pongs.after_s(now))
                self.loop.call_at(self._pong_at, self._pong, data)

    def _pong(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


class SocketWire:
    """A `Wire` over one WebSocket connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def send(self, text: str | bytes) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed as exc:
            raise self._gone() from exc

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as exc:
            raise self._gone() from exc

    async def send_raw(self, data: bytes) -> None:
        """Frames of the WebSocket, as they are."""
        self._connection.transport.write(data)
        await self._connection.drain()
        await asyncio.sleep(0)
        if self._connection.transport.is_closing():
            raise self._gone()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._connection.close(code, reason)

    def abort(self) -> None:
        """Reset the TCP connection (RST), as a crashed host or a middlebox does."""
        transport = self._connection.transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    def _gone(self) -> WireClosed:
        code = self._connection.close_code
        return WireClosed(1006 if code is None else code, self._connection.close_reason or "")


class Listening:
    """A port that answers; `await stop()` or leave the `async with` to close it."""

    def __init__(self, server: Server, host: str, *, tls: bool) -> None:
        self._server = server
        sockets = list(server.sockets)
        self.port: int = sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'wss' if tls else 'ws'}://{shown}:{self.port}/v1/realtime"

    async def stop(self) -> None:
        """Close the port and all connections (code 1001); safe to call twice."""
        self._server.close()
        for connection in list(self._server.connections):
            if getattr(connection, "_unread", b""):
                connection.transport.abort()  # in a black hole nobody answers a close
        await self._server.wait_closed()


def _choose(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Echo `realtime`; the key that browsers put beside it is not a protocol."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


@contextlib.asynccontextmanager
async def listen(
    server: Admits,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl: ssl_module.SSLContext | None = None,
) -> AsyncIterator[Listening]:
    """Serve `server` on a port (0 = any free one); raises `OSError` when it is taken."""

    def refuse(_: ServerConnection, request: Request) -> Response | None:
        refusal = server.admit(request.path, dict(request.headers.raw_items()))
        if refusal is None:
            return None
        body = refusal.body.encode()
        headers = Headers(
            [
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
                *refusal.headers.items(),
            ]
        )
        return Response(refusal.status, HTTPStatus(refusal.status).phrase, headers, body)

    async def serve_one(connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        headers = dict(request.headers.raw_items())
        await server.serve_wire(SocketWire(connection), request.path, headers)

    def connect(protocol: ServerProtocol, ws_server: Server, **_: object) -> ServerConnection:
        return _Connection(protocol, ws_server, server.faults, server.late_pongs)

    opened = await serve(
        serve_one,
        host,
        port,
        ssl=ssl,
        process_request=refuse,
        select_subprotocol=_choose,
        create_connection=connect,  # type: ignore[arg-type]
        max_size=MAX_FRAME_BYTES,
        compression="deflate",
        backlog=BACKLOG,
    )
    listening = Listening(opened, host, tls=ssl is not None)
    try:
        yield listening
    finally:
        await asyncio.shield(listening.stop())
