"""`privacy --watch`: the kernel's bytes beside what the running speaker says of itself."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.cli.owner import watching
from edge_agent.host.service.control import ControlServer, Handler
from edge_agent.host.service.status import Status

LINE = re.compile(
    r"\d\d:\d\d:\d\d  (?P<state>.+): (?P<out>[\d,]+) B out, (?P<into>[\d,]+) B in; "
    r"in all (?P<all>[\d,]+) B out, .*\[(?P<peers>.*)\]"
)
SENT = 12_345


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file, path = tmp_path / "edge-agent.toml", tmp_path / "control.sock"
    file.write_text(f'[control]\npath = "{path}"\n')
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(file))
    return path


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        near = socket.create_connection(door.getsockname())
        far, _ = door.accept()
    with near, far:
        yield near, far


def invoke() -> Result:
    return CliRunner().invoke(cli.app, ["privacy", "--watch", "--seconds", "2"])


def watched(path: Path, muted: bool) -> Result:
    """By somebody else's thread, while this process is the speaker."""
    status = Status(microphone="muted" if muted else "open", capture_closed=muted, link="ready")

    async def evening() -> Result:
        doors: dict[str, Handler] = {"status": lambda _: status.plain()}
        server = ControlServer(path, doors)
        assert await server.start()
        try:
            return await asyncio.to_thread(invoke)
        finally:
            await server.stop()

    return asyncio.run(evening())


def instead_of_sleep(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    monkeypatch.setattr(watching, "pause", lambda _seconds: do())


@pytest.mark.parametrize("muted", [True, False])
def test_what_was_sent_between_two_looks_is_told(
    muted: bool,
    control: Path,
    line: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    near, far = line

    def send() -> None:
        near.sendall(bytes(SENT))
        left = SENT
        while left:
            left -= len(far.recv(left))

    near.sendall(b"before")
    instead_of_sleep(monkeypatch, send)
    result = watched(control, muted)
    assert result.exit_code == 0, result.output
    looks = [found for text in result.output.splitlines() if (found := LINE.fullmatch(text))]
    assert len(looks) == 3
    # Both ends are ours here, so what one sends the other is given.
    assert [look["out"] for look in looks] == ["0", f"{SENT:,}", f"{SENT:,}"]
    assert [look["into"] for look in looks] == ["0", f"{SENT:,}", f"{SENT:,}"]
    assert looks[-1]["all"] == f"{2 * SENT:,}"
    microphone = "microphone muted and closed" if muted else "microphone open"
    assert looks[0]["state"] == f"{microphone}, asleep, link ready"
    assert f"127.0.0.1 port {near.getpeername()[1]}" in looks[0]["peers"]


def test_without_a_speaker_there_is_nothing_to_watch(control: Path) -> None:
    assert not control.exists()
    result = invoke()
    assert result.exit_code == 69
    assert "not running" in result.stderr
