"""Tool servers that no honest one is like, as programs: `python hostile_tools.py NAME [PORT]`.

Each greets and lists one tool, `echo`, as a good one does; what it does besides stands in `WAYS`
and `WEB_WAYS`.  With a port it serves streamable HTTP there.

Thread: main, a thread for each connection over HTTP.  It never uses the official package.
"""

from __future__ import annotations

import itertools
import json
import os
import socketserver
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
ECHO: Json = {"name": "echo", "description": "Says it.", "inputSchema": {"type": "object"}}
LOG = json.dumps(
    {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
)
CHANGED = json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})


def tool(name: str, **schema: Any) -> Json:
    return {"name": name, "description": "", "inputSchema": {"type": "object", **schema}}


@dataclass(frozen=True, slots=True)
class Way:
    """What it does: in words, and the text that follows each method; None: an honest answer."""

    what: str
    listed: Callable[[Json], Json] = lambda _message: {"tools": [ECHO]}
    greeting: Callable[[], Iterator[str]] = lambda: iter(())
    """Said once, after the first answer to `tools/list`."""
    result: Callable[[Json], Iterator[str]] | None = None
    """Said in answer to a call."""
    is_deaf: bool = False
    """It reads nothing once it has greeted."""
    ends: bool = False


def _answer(message: Json, result: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})


def _text(message: Json, words: str) -> str:
    return _answer(message, {"content": [{"type": "text", "text": words}]})


def _endless_line() -> Iterator[str]:
    yield '{"jsonrpc": "2.0", "method": "'
    yield from itertools.repeat("x" * 65_536)


def _pings() -> Iterator[str]:
    for number in itertools.count():
        yield json.dumps({"jsonrpc": "2.0", "id": f"p{number}", "method": "ping"}) + "\n"


def _pages(message: Json) -> Json:
    cursor = int((message.get("params") or {}).get("cursor") or 0)
    many = [tool(f"t{cursor}_{n}") for n in range(2500)]
    return {"tools": [ECHO, *many], "nextCursor": str(cursor + 1)}


def _schemas(message: Json) -> Json:
    cursor = int((message.get("params") or {}).get("cursor") or 0)
    wide = {f"p{n}": {"type": "object", "properties": {"a": {}}} for n in range(4500)}
    return {"tools": [tool(f"wide{cursor}", properties=wide)], "nextCursor": str(cursor + 1)}


_lists = itertools.count()


def _others(_message: Json) -> Json:
    return {"tools": [ECHO, tool(f"new_{next(_lists)}")]}


def _progress(message: Json) -> Iterator[str]:
    token = (message["params"].get("_meta") or {}).get("progressToken", message["id"])
    for number in itertools.count():
        params = {"progressToken": token, "progress": number}
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        yield json.dumps(note) + "\n"


def _endless_result(message: Json) -> Iterator[str]:
    yield _text(message, "")[:-6]
    yield from itertools.repeat("word " * 10_000)


WAYS: dict[str, Way] = {
    "honest": Way("nothing"),
    "line": Way("a line without end", greeting=_endless_line),
    "noise": Way(
        "lines that are no messages, without end", greeting=lambda: itertools.repeat("\n")
    ),
    "notes": Way("notifications without end", greeting=lambda: itertools.repeat(LOG + "\n")),
    "changes": Way(
        "says without end that its tools are others, and they are",
        listed=_others,
        greeting=lambda: itertools.repeat(CHANGED + "\n"),
    ),
    "asks": Way("pings without end, and reads no answer", greeting=_pings, is_deaf=True),
    "pages": Way("a list of tools without end", listed=_pages),
    "schemas": Way("schemas of 200 kB, without end", listed=_schemas),
    "big": Way(
        "a result of 50 MB", result=lambda m: iter((_text(m, "word " * 10_000_000) + "\n",))
    ),
    "endless": Way("a result without end", result=_endless_result),
    "progress": Way("tells of progress without end, and never the result", result=_progress),
    "ends": Way("ends as soon as it has listed its tools", ends=True),
}
"""Name → way, for programs."""


def handshake(message: Json) -> Json:
    return {
        "protocolVersion": message["params"]["protocolVersion"],
        "capabilities": {"tools": {"listChanged": True}},
        "serverInfo": {"name": "hostile", "version": "1"},
    }


def serve(way: Way) -> None:
    """Standard input and output."""

    def say(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    has_greeted = False
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        if "id" not in message or method is None:
            continue
        if method == "initialize":
            say(_answer(message, handshake(message)) + "\n")
        elif method == "tools/list":
            say(_answer(message, way.listed(message)) + "\n")
            if way.ends:
                os._exit(3)
            if not has_greeted:
                has_greeted = True
                speak(way, say)
        elif method == "tools/call" and way.result is not None:
            for text in way.result(message):
                say(text)
        elif method == "tools/call":
            say(_text(message, "hello") + "\n")
        else:
            error = {"code": -32601, "message": "Method not found"}
            say(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}) + "\n")


def speak(way: Way, say: Callable[[str], None]) -> None:
    """What is said unasked, beside the honest answers unless it is deaf."""
    import threading

    def whole() -> None:
        for text in way.greeting():
            say(text)

    if way.is_deaf:
        whole()
    else:
        threading.Thread(target=whole, daemon=True).start()


# --- streamable HTTP ---------------------------------------------------------------------------

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
RETRY = b"id: 1\nretry: 0\ndata: \n\n"


@dataclass(frozen=True, slots=True)
class WebWay:
    """What it does: in words; the head of the answer to a call, and what follows, again and
    again."""

    what: str
    head: bytes
    again: bytes
    times: int | None = None


WEB_WAYS: dict[str, WebWay] = {
    "web-line": WebWay("a line without end", JSON_HEAD + b"\r\n", b"x" * 65_536),
    "web-lines": WebWay("empty lines without end", JSON_HEAD + b"\r\n", b"\n" * 65_536),
    "web-header": WebWay("a header without end", JSON_HEAD + b"X: ", b"a"),
    "web-events": WebWay(
        "events without end", EVENTS_HEAD + b"\r\n", b"data: " + LOG.encode() + b"\n\n"
    ),
    "web-data": WebWay("an event without end", EVENTS_HEAD + b"\r\n", b"data: x\n" * 8192),
    "web-again": WebWay(
        "an answer that breaks off and is to be asked for again, at once",
        EVENTS_HEAD + b"\r\n",
        RETRY,
        times=1,
    ),
}
"""Name → way, for addresses."""


class WebHandler(socketserver.StreamRequestHandler):
    """One request; the way of the server's."""

    def handle(self) -> None:
        way: WebWay = self.server.way  # type: ignore[attr-defined]
        first = self.rfile.readline()
        self.server.gets += first.startswith(b"GET")  # type: ignore[attr-defined]
        length = 0
        while (line := self.rfile.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        message = json.loads(self.rfile.read(length)) if length else {}
        method = message.get("method")
        if first.startswith(b"GET") and way.times is None:
            self.reply(b"HTTP/1.1 405 No\r\n", b"")
        elif first.startswith(b"POST") and "id" not in message:
            self.reply(b"HTTP/1.1 202 Yes\r\n", b"")
        elif method == "initialize":
            self.reply(JSON_HEAD, _answer(message, handshake(message)).encode())
        elif method == "tools/list":
            self.reply(JSON_HEAD, _answer(message, {"tools": [ECHO]}).encode())
        elif method == "tools/call" or first.startswith(b"GET"):
            self.wfile.write(way.head)
            for _ in itertools.repeat(None) if way.times is None else range(way.times):
                self.wfile.write(way.again)
        else:
            self.reply(b"HTTP/1.1 404 No\r\n", b"")

    def reply(self, head: bytes, body: bytes) -> None:
        self.wfile.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


class WebServer(socketserver.ThreadingTCPServer):
    """Serves one way on a port of this machine."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, way: WebWay, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), WebHandler)
        self.way = way
        self.gets = 0

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no fault."""


if __name__ == "__main__":
    if sys.argv[1] in WEB_WAYS:
        WebServer(WEB_WAYS[sys.argv[1]], int(sys.argv[2])).serve_forever()
    else:
        serve(WAYS[sys.argv[1]])
