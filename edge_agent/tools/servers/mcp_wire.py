"""MCP's two wires: a program's standard input and output, and streamable HTTP.

Thread: event loop.  It must never hand our own secrets to a server (a program gets a small
environment and what its owner configured; a token goes to the configured address only), never
buffer without a bound, and never leave a program behind.

Both yield the streams that the `mcp` package's client works on.  The package's own stdio wire is
not used: it keeps a line of any length, and waits longer for a program's end than we may.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from edge_agent.contract import net_faults
from edge_agent.contract.errors import ToolError
from edge_agent.contract.pace import Pace
from edge_agent.contract.quota import Quota
from edge_agent.tools.servers.mcp_shorten import LINE_MAX_BYTES, MESSAGE_MAX_BYTES, TooMuch, shorten

Streams = tuple[Any, Any]
"""What the package's client reads, and what it writes to."""
Trouble = Callable[[str], None]
"""Told in words what seems wrong with a connection; whether it still works has to be looked at."""
OpenWire = Callable[[Trouble], AbstractAsyncContextManager[Streams]]
"""Opens one connection."""

INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TZ", "TMPDIR", "USER")
"""All that a program needs of ours to run; keys are in other variables."""
NO_MESSAGE_MAX_LINES = 200
"""Programs greet on standard output by mistake; one that goes on is not a tool server."""
STDERR_LINE_MAX_CHARS = 300
"""Of what a program complains of, where anybody reads it."""
MARK = "EDGE_AGENT_TOOL_SERVER"
"""Environment variable that tells what a program has started, whoever its parent is by then."""
NICENESS = 5
"""Ours is -11 as a service, for the sake of sound; a tool may wait."""
GOODBYE_S = 0.5
"""Between each of: input closed, asked to end, killed.  The whole daemon has 8 s to stop."""
CONNECT_MAX_S = 10.0
"""For a TCP and TLS connection in or out of the house."""
IDLE_MAX_S = 300.0
"""A server may be silent this long on an open stream; calls have their own, shorter limits."""
UNITS_PER_S_MAX = 200
"""Messages that are read; a larger one counts as several.  A server that sends more is read no
faster: 5 % of a processor, at the dearest."""
UNIT_BYTES = 16 * 1024
LINES_PER_UNIT = 50
"""Of an event over HTTP, which has three; also of one that never ends."""
LINES_PER_TURN = 32
"""Before others get a turn."""
FLOODS = "it says more than it is read"
"""What `trouble` is told then, once for each connection."""
ASKED_MAX = 16
"""Questions of a server that wait for our answers.  We offer nothing, so only "ping" makes sense;
one who asks on and reads nothing would have us keep them all."""
WEB_CONNECTIONS_MAX = 16
"""At once, calls that nobody waits for any more among them."""
WEB_RETURNS_PER_MIN = 6
"""How often a server may have us ask for the rest of an answer that broke off."""
ID_NEAR_BYTES = 300
"""A message's identifier stands near its beginning or its end."""
TOO_MUCH = -32603
"""JSON-RPC's code for an internal error, in the place of an answer that is too long."""


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """What a server's program is given: little of ours, and what the owner configured."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, **own}


# --- a program --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def program_wire(
    command: tuple[str, ...],
    env: Mapping[str, str],
    trouble: Trouble,
    complain: Callable[[str], None] | None = None,
) -> AsyncIterator[Streams]:
    """Start a program and talk to it line by line.

    `complain` gets the lines of its standard error, which may hold anything; else they go
    nowhere.  Raises `ToolError` when it cannot be started.
    """
    import anyio

    mark = secrets.token_hex(8)
    error_to = asyncio.subprocess.DEVNULL if complain is None else asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=error_to,
            env={**environment(env), MARK: mark},
            limit=LINE_MAX_BYTES,  # of one line; the reader holds twice that at most
            start_new_session=True,  # so that what it starts ends with it
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ToolError(f"the program {command[0]} cannot be started: {why}") from error
    with contextlib.suppress(OSError):  # it has ended already, or we may not
        os.setpriority(os.PRIO_PGRP, process.pid, NICENESS)
    assert process.stdin is not None, "it was started with pipes"
    assert process.stdout is not None, "it was started with pipes"
    inbound, heard = anyio.create_memory_object_stream[Any](0)
    to_say, outbound = anyio.create_memory_object_stream[Any](0)
    asked = Asked()
    tasks = [
        asyncio.create_task(
            listen(process.stdout, inbound, trouble, asked), name="tool server, its words"
        ),
        asyncio.create_task(speak(process.stdin, outbound, asked), name="tool server, our words"),
    ]
    if complain is not None:
        tasks.append(asyncio.create_task(_overhear(process, complain), name="tool server, errors"))
    try:
        yield heard, to_say
    finally:
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for stream in (inbound, heard, to_say, outbound):
                stream.close()
            await _end(process, mark)


class Asked:
    """How many of a server's questions are not answered yet."""

    def __init__(self) -> None:
        self.count = 0

    def came(self, message: Any) -> None:
        """The server says this."""
        self.count += hasattr(message, "method") and hasattr(message, "id")

    def goes(self, message: Any) -> None:
        """The server was told this."""
        self.count -= not hasattr(message, "method")


async def listen(
    reader: asyncio.StreamReader, inbound: Any, trouble: Trouble, asked: Asked
) -> None:
    """What a program says, message by message; at its end everybody who waits is told."""
    import anyio

    why = "its program ended"
    pace, loop = Pace(UNITS_PER_S_MAX), asyncio.get_running_loop()
    try:
        no_message = 0
        while line := await _line(reader):
            message = _parsed(line)
            if message is None:
                no_message += 1
                if no_message > NO_MESSAGE_MAX_LINES:
                    why = "what it sends is not MCP"
                    break
            else:
                no_message = 0
                asked.came(message.message)
                if asked.count > ASKED_MAX:
                    why = "it asks and does not listen"
                    break
                await inbound.send(message)
            was_exceeded = pace.is_exceeded
            if rest_s := pace.rest_s(1 + len(line) / UNIT_BYTES, loop.time()):
                if not was_exceeded:
                    trouble(FLOODS)
                await asyncio.sleep(rest_s)
    except ValueError:
        why = "it sent more than can be read"
    except anyio.BrokenResourceError:
        why = "it was not listened to any more"
    finally:
        inbound.close()
        trouble(why)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except ConnectionError:
        return b""
    await asyncio.sleep(0)  # a program that floods us must not keep the loop to itself
    return line


def _parsed(line: bytes) -> Any:
    """The message of a line; None for what is no message."""
    from mcp.shared.message import SessionMessage
    from mcp_types import jsonrpc_message_adapter

    try:
        return SessionMessage(
            jsonrpc_message_adapter.validate_json(shorten(line.strip()), by_name=False)
        )
    except TooMuch:
        return _refusal(line)
    except ValueError:
        return None


def _refusal(line: bytes) -> Any:
    """An error in the place of an answer that is too long, so that nobody waits for it."""
    from mcp.shared.message import SessionMessage
    from mcp_types import ErrorData, JSONRPCError

    found = re.search(rb'"id"\s*:\s*(\d{1,9})\b', line[:ID_NEAR_BYTES] + line[-ID_NEAR_BYTES:])
    if found is None:
        return None
    error = ErrorData(code=TOO_MUCH, message=f"the answer is {len(line)} bytes long, too many")
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))


async def speak(writer: asyncio.StreamWriter, outbound: Any, asked: Asked) -> None:
    """To a program.  That it hears no more is told by its end."""
    with contextlib.suppress(OSError):
        async for sent in outbound:
            text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
            writer.write(text.encode() + b"\n")
            await writer.drain()
            asked.goes(sent.message)


async def _overhear(process: asyncio.subprocess.Process, complain: Callable[[str], None]) -> None:
    assert process.stderr is not None, "it was started with a pipe"
    with contextlib.suppress(ValueError):  # a line without end: enough was heard
        while line := await process.stderr.readline():
            complain(line.decode("utf-8", "replace").strip()[:STDERR_LINE_MAX_CHARS])


async def _end(process: asyncio.subprocess.Process, mark: str) -> None:
    """Input closed, asked to end, killed; what it started goes with it, in whatever session.

    A stop in the middle skips the waiting, never the killing.
    """
    transport: Any = getattr(process, "_transport", None)
    if transport is not None:
        # Its words are heard no more.  Else a flood of them, unread, would keep its end from us.
        for number in (1, 2):
            if (pipe := transport.get_pipe_transport(number)) is not None:
                pipe.close()
    gone = asyncio.ensure_future(process.wait())
    try:
        if process.stdin is not None:
            process.stdin.close()
        for last_word in (None, signal.SIGTERM, signal.SIGKILL):
            if last_word is not None:
                _signal_group(process.pid, last_word)
            # Not `asyncio.timeout`: in a task that is being cancelled, Python before 3.11.3 never
            # turns its end into a TimeoutError (Debian 12 has 3.11.2).
            done, _ = await asyncio.wait({gone}, timeout=GOODBYE_S)
            if done:
                break
    finally:
        _signal_group(process.pid, signal.SIGKILL)
        for pid in _marked(mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        # A grandchild that holds a pipe open would keep the transport, and warn at its end.
        if transport is not None:
            transport.close()
        gone.cancel()


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _marked(mark: str) -> Iterator[int]:
    """Processes that have inherited the mark of one program's environment."""
    needle = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended, or is not ours
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


# --- streamable HTTP --------------------------------------------------------------------------


def tls_context() -> ssl.SSLContext:
    """Encryption checked against the system's certificates; reads files, so not on the loop."""
    return ssl.create_default_context()


@contextlib.asynccontextmanager
async def web_wire(
    url: str,
    headers: Mapping[str, str],
    trouble: Trouble,
    tls: ssl.SSLContext,
) -> AsyncIterator[Streams]:
    """Talk to a server on the network.

    The package follows a redirect only to the same scheme, host and port, and so does the token.
    """
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    pace, returns = Pace(UNITS_PER_S_MAX), Quota(WEB_RETURNS_PER_MIN)

    class Bounded(httpx2.AsyncHTTPTransport):
        """Shortens what comes, and remembers why a server does not want us."""

        async def handle_async_request(self, request: Any) -> Any:
            try:
                now = asyncio.get_running_loop().time()
                if request.method == "GET" and not returns.takes(now):
                    raise httpx2.ReadError("its answers break off")
                response = await super().handle_async_request(request)
            except httpx2.TransportError as error:
                trouble(_network_words(error))
                raise
            if response.status_code in (401, 403):
                trouble(f"it refuses us (HTTP {response.status_code}); see its token")
            elif response.status_code >= 500:
                trouble(f"it has trouble of its own (HTTP {response.status_code})")
            elif response.is_redirect:
                trouble(f"it redirects us (HTTP {response.status_code}); see its url")
            if isinstance(response.stream, httpx2.AsyncByteStream):
                is_json = "json" in response.headers.get("content-type", "")
                response.stream = ShortStream(response.stream, is_one=is_json)
            # We asked for none; unpacked, 8 MB could come out of a few bytes.
            response.headers.pop("content-encoding", None)
            return response

    class ShortStream(httpx2.AsyncByteStream):
        """A response's body, line by line, each shortened."""

        def __init__(self, inner: Any, *, is_one: bool) -> None:
            self._inner = inner
            self._is_one = is_one

        async def __aiter__(self) -> AsyncIterator[bytes]:
            was_exceeded = pace.is_exceeded
            async for piece in short_lines(self._inner, is_one=self._is_one, pace=pace):
                yield piece
                if pace.is_exceeded and not was_exceeded:
                    was_exceeded = True
                    trouble(FLOODS)

        async def aclose(self) -> None:
            await self._inner.aclose()

    timeout = httpx2.Timeout(CONNECT_MAX_S, read=IDLE_MAX_S)
    given = {"accept-encoding": "identity", **headers}
    async with (
        httpx2.AsyncClient(
            headers=given,
            timeout=timeout,
            transport=Bounded(
                verify=tls,
                trust_env=False,
                limits=httpx2.Limits(max_connections=WEB_CONNECTIONS_MAX),
            ),
            trust_env=False,  # a proxy, or a password from .netrc: nobody has asked for them
        ) as client,
        streamable_http_client(
            url, http_client=client, max_sse_event_size=MESSAGE_MAX_BYTES
        ) as streams,
    ):
        yield streams


NO_JSON = b"data: too much"
"""In the place of what is too long: the package then tells the caller of an error at once."""


async def short_lines(pieces: Any, *, is_one: bool, pace: Pace) -> AsyncIterator[bytes]:
    """The same bytes, with the long strings of each line cut, as `shorten` does; no faster than
    `pace`.

    `is_one`: all lines are one message, and bounded together; else an empty line ends one.
    """
    waiting: list[bytes] = []
    ready: list[bytes] = []
    waiting_bytes = total_bytes = 0
    units = 0.0
    loop = asyncio.get_running_loop()
    async for piece in pieces:
        units += len(piece) / UNIT_BYTES
        for part in piece.splitlines(keepends=True):
            waiting_bytes += len(part)
            waiting.append(part)
            if waiting_bytes > LINE_MAX_BYTES or (is_one and total_bytes > 2 * MESSAGE_MAX_BYTES):
                yield NO_JSON  # it may never end
                return
            if part.endswith((b"\n", b"\r")):
                ready.append(_shortened(b"".join(waiting)))
                total_bytes += len(ready[-1])
                waiting, waiting_bytes = [], 0
                if not is_one:
                    units += 1.0 if len(part) <= 2 else 1.0 / LINES_PER_UNIT
            if len(ready) == LINES_PER_TURN:
                yield b"".join(ready)
                ready = []
                await asyncio.sleep(pace.rest_s(units, loop.time()))
                units = 0.0
        if ready:
            yield b"".join(ready)
            ready = []
        if rest_s := pace.rest_s(units, loop.time()):
            await asyncio.sleep(rest_s)
        units = 0.0
    if waiting:
        yield _shortened(b"".join(waiting))


def _shortened(line: bytes) -> bytes:
    try:
        return shorten(line)
    except TooMuch:
        return NO_JSON


def _network_words(error: Exception) -> str:
    """Why nobody answers, without the address, which may hold a secret."""
    cause: BaseException | None = error
    fault = None
    while cause is not None and fault is None:
        fault = net_faults.of_exception(cause)
        cause = cause.__cause__ or cause.__context__
    words = (fault or net_faults.CUT).message.format(name="server", url="its url", example="")
    return words[0].lower() + words[1:].removesuffix(".")
