"""Tool servers to test against: one in memory for virtual time, one as a plain program.

Neither uses the official package: what it calls MCP is then compared with what the protocol says.
As a program: `python tool_servers.py '{"behaviour": …}'`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Json = dict[str, Any]


def described(*names: str, **schema: Any) -> list[Json]:
    """Tools of these names, as `tools/list` describes them."""
    shape = schema or {"type": "object", "properties": {"text": {"type": "string"}}}
    return [{"name": n, "description": f"Does {n}.", "inputSchema": shape} for n in names]


def handshake(message: Json) -> Json | None:
    """The answer to `initialize`, as a server of 2025 gives it; None for anything else."""
    if message.get("method") != "initialize":
        return None
    return {
        "protocolVersion": message["params"]["protocolVersion"],
        "capabilities": {"tools": {"listChanged": True}},
        "serverInfo": {"name": "plain", "version": "1"},
    }


def answer(message: Json, result: Any = None, *, error: str = "", code: int = -32601) -> Json:
    """A response to a request."""
    body = {"error": {"code": code, "message": error}} if error else {"result": result}
    return {"jsonrpc": "2.0", "id": message["id"], **body}


def text(words: str, *, is_error: bool = False) -> Json:
    """What `tools/call` gives back."""
    return {"content": [{"type": "text", "text": words}], "isError": is_error}


CHANGED: Json = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


# --- in memory ---------------------------------------------------------------------------------


@dataclass
class MemoryServer:
    """A server without a process, under the test's hand; it can be killed and comes back."""

    tools: list[Json] = field(default_factory=lambda: described("echo"))
    call: Callable[[str, Json], Any] = lambda name, arguments: text(f"{name} {arguments}")
    """Gives the result, or a coroutine for it."""
    page: int = 100
    start_s: float = 0.0
    is_deaf: bool = False
    """It reads and never answers."""
    refuses: str = ""
    """It cannot be started, for this reason."""
    connections: int = 0
    cancelled: list[Any] = field(default_factory=list)
    called: list[tuple[str, Json]] = field(default_factory=list)
    _say: Any = None
    _trouble: Any = None

    @contextlib.asynccontextmanager
    async def wire(self, trouble: Callable[[str], None]) -> AsyncIterator[tuple[Any, Any]]:
        """One connection (`tools.servers.mcp_wire.OpenWire`)."""
        import anyio

        from edge_agent.contract.errors import ToolError

        if self.refuses:
            raise ToolError(self.refuses)
        self.connections += 1
        say, heard = anyio.create_memory_object_stream[Any](100)
        to_say, asked = anyio.create_memory_object_stream[Any](100)
        self._say, self._trouble = say, trouble
        tasks: list[asyncio.Task[None]] = []
        tasks.append(asyncio.create_task(self._serve(say, asked, tasks.append)))
        try:
            yield heard, to_say
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for stream in (say, heard, to_say, asked):
                stream.close()

    def kill(self) -> None:
        """It dies in the middle of whatever it does."""
        self._say.close()
        self._trouble("its program ended")

    def tell(self, message: Json) -> None:
        """It says something unasked."""
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        self._say.send_nowait(SessionMessage(jsonrpc_message_adapter.validate_python(message)))

    async def _serve(self, say: Any, asked: Any, keep: Callable[[Any], None]) -> None:
        await asyncio.sleep(self.start_s)
        async for sent in asked:
            message = json.loads(sent.message.model_dump_json(by_alias=True, exclude_unset=True))
            if message.get("method") == "notifications/cancelled":
                self.cancelled.append(message["params"]["requestId"])
            if "id" in message and "method" in message and not self.is_deaf:
                keep(asyncio.create_task(self._answer(say, message)))

    async def _answer(self, say: Any, message: Json) -> None:
        import anyio

        reply = await self._reply(message)
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            if not self.is_deaf and say is self._say:
                self.tell(reply)

    async def _reply(self, message: Json) -> Json:
        method, params = message["method"], message.get("params") or {}
        if (greeting := handshake(message)) is not None:
            return answer(message, greeting)
        if method == "tools/list":
            begin = int(params.get("cursor") or 0)
            end = begin + self.page
            page: Json = {"tools": self.tools[begin:end]}
            if end < len(self.tools):
                page["nextCursor"] = str(end)
            return answer(message, page)
        if method == "tools/call":
            arguments = params.get("arguments") or {}
            self.called.append((params["name"], arguments))
            result = self.call(params["name"], arguments)
            return answer(message, await result if asyncio.iscoroutine(result) else result)
        return answer(message, error="Method not found")


# --- over HTTP -------------------------------------------------------------------------------


class Plain(BaseHTTPRequestHandler):
    """A small MCP server over HTTP that writes down what it is asked with."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[dict[str, str]]] = []
    answer_with: ClassVar[Callable[[Any], tuple[int, dict[str, str], bytes]] | None] = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).seen.append({key.lower(): value for key, value in self.headers.items()})
        message = json.loads(body)
        special = type(self).answer_with
        if special is not None:
            status, headers, out = special(message)
        elif "id" not in message:
            status, headers, out = 202, {}, b""
        else:
            status, headers, out = 200, {"content-type": "application/json"}, _reply(message)
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(out))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(out)

    def do_GET(self) -> None:
        self.send_error(405)

    do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _reply(message: dict[str, Any]) -> bytes:
    if (greeting := handshake(message)) is not None:
        return json.dumps(answer(message, greeting)).encode()
    if message["method"] == "tools/list":
        return json.dumps(answer(message, {"tools": described("echo", "rows")})).encode()
    if message["method"] == "tools/call":
        if message["params"]["name"] == "rows":
            rows = [{"a": n} for n in range(100_000)]
            result = {"content": [], "structuredContent": {"rows": rows}}
            return json.dumps(answer(message, result), indent=1).encode()
        return json.dumps(answer(message, text("hello"))).encode()
    return json.dumps(answer(message, error="Method not found")).encode()


@contextlib.contextmanager
def plain_web(tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, type[Plain]]]:
    class Handler(Plain):
        seen: ClassVar[list[dict[str, str]]] = []

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no fault."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1], Handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- as a program ------------------------------------------------------------------------------


def main(behaviour: Json) -> None:
    """Serve standard input and output until it ends, misbehaving as told."""
    import os

    def say(message: Json | str) -> None:
        line = message if isinstance(message, str) else json.dumps(message)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    for _ in range(behaviour.get("noise", 0)):
        say("Welcome to the \x00 best server! {not json")
    if behaviour.get("ignores_sigterm"):
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stderr.write(behaviour.get("complaint", ""))
    sys.stderr.flush()
    names = ["echo", "die", "hang", "huge_text", "huge_structure", "change", "env", "picture"]
    tools = described(*names)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        method, params = message["method"], message.get("params") or {}
        if (greeting := handshake(message)) is not None:
            say(answer(message, greeting))
        elif method == "tools/list":
            say(answer(message, {"tools": tools}))
        elif method != "tools/call":
            say(answer(message, error="Method not found"))
        elif params["name"] == "die":
            os._exit(3)
        elif params["name"] == "hang":
            time.sleep(60)
        elif params["name"] == "huge_text":
            say(answer(message, text("word " * 1_000_000)))
        elif params["name"] == "huge_structure":
            rows = [{"a": n} for n in range(100_000)]
            say(answer(message, {"content": [], "structuredContent": {"rows": rows}}))
        elif params["name"] == "endless":
            sys.stdout.write("x" * 20_000_000)
            sys.stdout.flush()
        elif params["name"] == "change":
            tools = [*tools, *described("fresh")]
            say(answer(message, text("changed")))
            say(CHANGED)
        elif params["name"] == "env":
            say(answer(message, text(json.dumps(dict(os.environ)))))
        elif params["name"] == "picture":
            data = "QUJD" * 250_000
            picture = {"type": "image", "data": data, "mimeType": "image/png"}
            say(answer(message, {"content": [picture]}))
        else:
            say(answer(message, text(str(params.get("arguments")))))
    if behaviour.get("stays"):
        time.sleep(60)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
