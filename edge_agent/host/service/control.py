"""Control: a socket on this machine to ask the speaker and to mute it.

Thread: the event loop for the server; `ask` blocks and is for the command line.  It must never stop
the speaker, wait for a slow asker, or carry a word that was said, sound or a key.

One line of JSON each way, then the connection ends: `{"do": "status"}` → `{"ok": true, …}` or
`{"ok": false, "error": "…", "fix": "…"}`.  Who may ask is decided by the file's owner and group.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from edge_agent.contract.errors import AgentError
from edge_agent.contract.quota import Quota

SERVICE_FOLDER = Path("/run/edge-agent")
"""What the shipped unit's RuntimeDirectory becomes."""
SOCKET_NAME = "control.sock"
SOCKET_MODE = 0o660
"""The service's account and its group: others in the house may not mute or look."""
REQUEST_MAX_BYTES = 4096
ANSWER_MAX_BYTES = 65_536
"""A status is some 1 kB."""
ASKERS_MAX = 32
"""At once; one more takes the place of the one that has been silent longest."""
ACCEPTED_AT_ONCE_MAX = ASKERS_MAX // 2
"""In one round of the loop: so whoever asks at once is read before he could be displaced."""
REFUSALS_NOTED_PER_MIN = 10
"""More is a loop in somebody's script."""
ASKED_BY = "asked_by"
"""The key of a request under which a handler finds the asker's user id, which the kernel tells."""
ASKER_PATIENCE_S = 2.0
"""For a request to arrive and an answer to be taken."""
PATH_MAX_BYTES = 107
"""What a Unix socket's address holds (unix(7), sun_path without its final zero)."""

_CREDENTIALS = struct.Struct("=iII")
"""What the kernel tells of a socket's other end (unix(7), ucred): process, user, group."""

Answer = dict[str, Any]
Handler = Callable[[Answer], Answer | Awaitable[Answer]]
NoteFunction = Callable[..., None]


class ControlError(AgentError):
    """The speaker did not answer, or said no."""

    code = "control.failed"


class NotRunning(ControlError):
    """Nobody listens at the socket."""

    code = "control.not_running"


def server_path(setting: str, environ: Mapping[str, str] | None = None) -> Path:
    """Where the daemon listens: the setting, else systemd's `$RUNTIME_DIRECTORY`, else the
    account's own `$XDG_RUNTIME_DIR`, else the service's folder."""
    return client_paths(setting, environ)[0]


def client_paths(setting: str, environ: Mapping[str, str] | None = None) -> list[Path]:
    """Where it may be listening, the likeliest first: the service, then one run by hand."""
    if setting:
        return [Path(setting)]
    env = os.environ if environ is None else environ
    paths = []
    # systemd joins several directories with ":"; the unit asks for one.
    if folder := env.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        paths.append(Path(folder) / SOCKET_NAME)
    if folder := env.get("XDG_RUNTIME_DIR", ""):
        paths.append(Path(folder) / "edge-agent" / SOCKET_NAME)
    return [*paths, SERVICE_FOLDER / SOCKET_NAME]


class ControlServer:
    """`handlers`: request name → function from the request's object to the answer's.  It runs on
    the loop and must be quick; what it awaits takes less than `ASKER_PATIENCE_S`.  An `AgentError`
    from it becomes a refusal with its words."""

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        note: NoteFunction = lambda _code, **_fields: None,
        fault: Callable[[BaseException], None] = lambda _problem: None,
    ) -> None:
        self.path = path
        self._handlers = handlers
        self._note = note
        self._fault = fault
        self._server: asyncio.Server | None = None
        self._askers: dict[asyncio.Task[None], bool] = {}
        """Who is connected, the oldest first, and whether his request is still awaited."""
        self._refusals = Quota(REFUSALS_NOTED_PER_MIN)

    async def start(self) -> bool:
        """Listen.  False, and a note, if that is not possible: the speaker goes on without."""
        try:
            self._server = await asyncio.start_unix_server(
                self._serve,
                sock=self._bound(),
                limit=REQUEST_MAX_BYTES,
                backlog=ACCEPTED_AT_ONCE_MAX,
            )
        except OSError as problem:
            why = problem.strerror or str(problem) or type(problem).__name__
            self._note("control.unavailable", path=str(self.path), why=why)
            return False
        return True

    async def stop(self) -> None:
        """Stop listening and remove the socket.  Safe to call twice."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
        for task in tuple(self._askers):
            task.cancel()
        await asyncio.gather(*self._askers, return_exceptions=True)

    def _bound(self) -> socket.socket:
        """The listening socket.  Raises OSError, also when another speaker has the place."""
        if len(os.fsencode(self.path)) > PATH_MAX_BYTES:
            raise OSError(f"the path is longer than {PATH_MAX_BYTES} bytes")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_socket():
            if _somebody_listens(self.path):
                raise OSError("another edge-agent listens there")
            self.path.unlink()  # left behind by a crash
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.bind(str(self.path))
            self.path.chmod(SOCKET_MODE)
        except OSError:
            sock.close()
            raise
        return sock

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._server is None:
            writer.transport.abort()
            return
        self._make_room()
        self._askers[task] = True
        try:
            async with asyncio.timeout(ASKER_PATIENCE_S):
                request = await _request(reader)
                if not request:
                    return  # somebody looked whether a speaker listens here
                self._askers[task] = False
                answer = await self._answer(request, _user_of(writer))
                writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError):
            pass  # gone, or too slow to be worth waiting for
        except asyncio.CancelledError:
            if task in self._askers:  # else: somebody else has his place, which is no fault
                raise
        finally:
            self._askers.pop(task, None)
            writer.close()

    def _make_room(self) -> None:
        """End the oldest silent asker if there are too many, else the oldest that takes nothing."""
        if len(self._askers) < ASKERS_MAX:
            return
        silent = (asker for asker, is_silent in self._askers.items() if is_silent)
        oldest = next(silent, next(iter(self._askers)))
        del self._askers[oldest]
        oldest.cancel()

    async def _answer(self, raw: bytes, uid: int) -> Answer:
        try:
            request = json.loads(raw)
        except (ValueError, RecursionError):
            request = None
        name = request.get("do") if isinstance(request, dict) else None
        if not isinstance(name, str):
            return self._refusal("that is not a request", 'Send one line: {"do": "status"}')
        handler = self._handlers.get(name)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            return self._refusal("there is no such request", f"There are: {known}.")
        try:
            answer = handler({**request, ASKED_BY: uid})
            return {"ok": True, **(await answer if inspect.isawaitable(answer) else answer)}
        except AgentError as problem:
            return {"ok": False, "error": problem.message, "fix": problem.fix}
        except Exception as problem:
            # a question must not end the speaker; it is told where faults are told
            self._fault(problem)
            return {"ok": False, "error": "A fault in the program.", "fix": "See the journal."}

    def _refusal(self, why: str, fix: str) -> Answer:
        if self._refusals.takes(asyncio.get_running_loop().time()):
            more = str(self._refusals.left_out() or "")
            self._note("control.refused", why=why, more=more)
        return {"ok": False, "error": f"The speaker refused: {why}.", "fix": fix}


def _user_of(writer: asyncio.StreamWriter) -> int:
    """The account at the other end; -1 if the kernel does not say."""
    sock = writer.get_extra_info("socket")
    try:
        peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return -1
    _pid, uid, _gid = _CREDENTIALS.unpack(peer)
    return int(uid)


async def _request(reader: asyncio.StreamReader) -> bytes:
    """One line of at most the limit, b"?" if it is longer; b"" from whoever leaves without one."""
    try:
        return await reader.readline()
    except ValueError:
        return b"?"


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full queue is somebody as well
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


# --- the asking side -------------------------------------------------------------------------


def ask(request: Mapping[str, object], paths: list[Path]) -> Answer:
    """Ask the speaker at the first of `paths` where one listens.

    Raises `NotRunning` when there is none, `ControlError` when it refuses, is out of reach for
    this account, or does not answer.
    """
    with _reach(paths) as sock:
        return _told(sock, request)


def _reach(paths: list[Path]) -> socket.socket:
    """A socket to the speaker."""
    for path in paths:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(ASKER_PATIENCE_S)
        try:
            sock.connect(str(path))
        except PermissionError:
            sock.close()
            raise ControlError(
                "This account may not ask the speaker: it is not in the group edge-agent, or was "
                "not when you signed in.",
                fix="Ask as root (sudo), or join the group: sudo usermod -a -G edge-agent "
                "YOUR-NAME, and sign in again.",
            ) from None
        except OSError:
            sock.close()
            continue
        return sock
    raise NotRunning(
        "The speaker is not running.",
        fix="Start it: sudo systemctl start edge-agent     Why it stopped: journalctl -u "
        "edge-agent -n 30",
    )


def _told(sock: socket.socket, request: Mapping[str, object]) -> Answer:
    raw = b""
    try:
        sock.sendall(json.dumps(request).encode() + b"\n")
        while not raw.endswith(b"\n") and len(raw) <= ANSWER_MAX_BYTES:
            piece = sock.recv(ANSWER_MAX_BYTES)
            if not piece:
                break
            raw += piece
        answer = json.loads(raw)
    except (OSError, ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ControlError(
            "The speaker runs, but it did not answer.", fix="See: journalctl -u edge-agent -n 30"
        ) from None
    if answer.get("ok") is not True:
        raise ControlError(str(answer.get("error", "It refused.")), fix=str(answer.get("fix", "")))
    return answer


def speaker_pid(paths: list[Path]) -> int:
    """The process that listens at the first of `paths` where one does, as the kernel knows it.
    Raises as `ask` does."""
    with _reach(paths) as sock:
        peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _uid, _gid = _CREDENTIALS.unpack(peer)
    return int(pid)
