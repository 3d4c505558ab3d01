"""Help for tests on real sockets: servers that answer wrongly, certificates (purpose).

Owner thread: the test's loop.  Must never leave a server or a file behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_CA_CONFIG = """
[ca]
default_ca = one
[one]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = host
unique_subject = no
[any]
commonName = supplied
[host]
subjectAltName = DNS:localhost,IP:127.0.0.1
basicConstraints = critical,CA:TRUE
[req]
distinguished_name = name
prompt = no
[name]
CN = localhost
"""


def certificate(folder: Path, start: str, end: str) -> Path:
    """A self-signed certificate with key in one PEM file, valid from `start` to `end`.

    Both are ASN.1 dates like 20200101000000Z.
    """
    config = folder / "openssl.cnf"
    config.write_text(_CA_CONFIG.format(folder=folder))
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01\n")
    key, request, cert = folder / "key.pem", folder / "request.pem", folder / "cert.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make = ["req", "-new", *curve, "-config", config, "-keyout", key, "-out", request]
    sign = ["ca", "-selfsign", "-batch", "-notext", "-config", config, "-keyfile", key]
    sign += ["-in", request, "-out", cert, "-startdate", start, "-enddate", end]
    for command in (make, sign):
        subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=30)
    both = folder / "both.pem"
    both.write_text(key.read_text() + cert.read_text())
    return both


def server_tls(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@contextlib.asynccontextmanager
async def raw_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A TCP server that does just what `handler` does; yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answers(status: str, *headers: str, body: str = "") -> Handler:
    """A server that answers every request with this HTTP response."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", body]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()

    return handler


def says(data: bytes) -> Handler:
    """A server that waits for the request, says `data` and hangs up."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return handler


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that resets the connection when the request has come."""
    await reader.readuntil(b"\r\n\r\n")
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that takes the connection and says nothing."""
    await reader.read()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
