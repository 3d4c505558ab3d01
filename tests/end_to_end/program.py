"""The real program as a process of its own, and what it writes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pulse import wait_for

COMMAND = (sys.executable, "-m", "edge_agent.cli.main")
END_S = 20.0
"""An orderly stop takes 8 s at most, and a loaded machine is slow."""

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3}  .+  \[[a-z_.]+\]")
"""How the journal looks outside systemd."""


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, with settings and a state of its own."""
    empty = folder / "empty.toml"
    empty.touch()
    return os.environ | {
        "EDGE_AGENT_CONFIG": str(empty),
        "EDGE_AGENT_STATE__PATH": str(folder / "state.json"),
        "EDGE_AGENT_PANEL__ENABLED": "off",
        "PYTHONUNBUFFERED": "1",
        **(more or {}),
    }


class Program:
    """`edge-agent …`, running; `lines` grows with what it says on either stream."""

    def __init__(self, *arguments: str, env: Mapping[str, str]) -> None:
        if (
            arguments[0] == "run"
        ):  # several tests at a time, and perhaps the speaker of this machine
            arguments = ("run", "--beside", *arguments[1:])
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, name="program's output")
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def count(self, what: str) -> int:
        return sum(what in line for line in self.lines)

    def wait_for(self, what: str, times: int = 1) -> str:
        """Wait until `what` was written so often; returns the line."""

        def happened() -> bool:
            if self.count(what) < times and self.process.poll() is not None:
                self._reader.join()
                assert self.count(what) >= times, f"it ended without {what!r}:\n{self.text}"
            return self.count(what) >= times

        try:
            wait_for(happened, f"{what!r}, {times} times")
        except AssertionError as vain:
            raise AssertionError(f"{vain}:\n{self.text}") from None
        return [line for line in self.lines if what in line][times - 1]

    def end(self, number: int | None = signal.SIGTERM) -> int:
        """Send a signal (None: none) and wait for the end; returns the exit code."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end within {END_S:g} s:\n{self.text}") from None
        finally:
            self._reader.join()
            assert self.process.stdout is not None
            self.process.stdout.close()
        return self.process.returncode


class Manager:
    """A service manager: reads what the program tells it, as systemd does."""

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._reader = threading.Thread(target=self._read, name="service manager")
        self._reader.start()

    def _read(self) -> None:
        while datagram := self._socket.recv(4096):
            self.lines += datagram.decode().split("\n")

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._socket.getsockname())
        self._reader.join()
        self._socket.close()


@contextmanager
def program(*arguments: str, env: Mapping[str, str]) -> Iterator[Program]:
    """A program that is gone when the block ends, however it ends."""
    running = Program(*arguments, env=env)
    try:
        yield running
    finally:
        if not (running.process.stdout and running.process.stdout.closed):
            running.process.kill()
            running.end(None)


@contextmanager
def simulated_server(env: Mapping[str, str], *arguments: str) -> Iterator[tuple[Program, str]]:
    """`edge-agent simulate-server` on a free port, and its URL."""
    with program("simulate-server", "--port", "0", "--events", *arguments, env=env) as server:
        line = server.wait_for("Serving ")
        found = re.search(r"ws://\S+", line)
        assert found
        yield server, found[0]
