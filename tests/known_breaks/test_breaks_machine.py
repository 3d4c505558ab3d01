"""Known breaks around the machine: files, programs, socket, scripts, settings (F13, F15 to F19).

It must never harm the machine that runs the tests: scripts run as copies, with an `rm` that only
writes down what it was told, and never beyond the place under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from known import given
from scenes import REPO

from edge_agent.contract.errors import ConfigError
from edge_agent.host.service import control
from edge_agent.host.service.control import ControlServer
from edge_agent.host.settings.load import load
from edge_agent.host.stores.json_file import JsonFile
from edge_agent.tools.servers.mcp_wire import program_wire

LINES_MAX = 60
PATIENCE_S = 20.0
"""Real processes on a loaded machine; nothing waits so long when all is well."""

# --- F13: links ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plant",
    [pytest.param(plant, id=plant.__name__) for plant in (Path.symlink_to, Path.hardlink_to)],
)
def test_a_link_beside_a_store_is_not_written_through(
    plant: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    only_roots = tmp_path / "only-roots"
    only_roots.write_text("precious")
    only_roots.chmod(0o640)
    folder = tmp_path / "state"
    folder.mkdir()
    plant(folder / "messages.json.new", only_roots)
    file = JsonFile(
        folder / "messages.json",
        lambda _code, **_fields: None,
        repaired="state.repaired",
        unwritable="state.unwritable",
        version=1,
        max_bytes=1000,
    )
    file.save({"messages": []})
    assert only_roots.read_text() == "precious"
    assert only_roots.stat().st_mode & 0o777 == 0o640


# --- F15: programs ---------------------------------------------------------------------

STUBBORN = "import sys, time\nsys.stdin.read()\nwhile True: time.sleep(60)"
"""Goes on when its input ends."""

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
    start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
with open(sys.argv[1], "w") as file: file.write(f"{child.pid}\\n")
sys.stdin.read()
"""
"""Ends with its input, but for a child with a session of its own."""


def is_waited_for() -> bool:
    """Does a thread of asyncio (before Python 3.12) still wait for some program's end?"""
    return any(thread.name.startswith("asyncio-waitpid") for thread in threading.enumerate())


def test_a_second_stop_does_not_spare_the_program() -> None:
    async def is_spared() -> bool:
        before = set(psutil.Process().children())
        stands = asyncio.Event()

        async def hold() -> None:
            async with program_wire((sys.executable, "-c", STUBBORN), {}, lambda _why: None):
                stands.set()
                await asyncio.Event().wait()

        held = asyncio.create_task(hold())
        await stands.wait()
        programs = [p for p in psutil.Process().children() if p not in before]
        given(len(programs) == 1, "one program runs")
        held.cancel()
        for _ in range(50):  # far into the goodbye, and no time has passed
            await asyncio.sleep(0)
        given(not held.done(), "the goodbye goes on")
        held.cancel()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        [program] = programs
        spared = not await has_ended(program)
        with contextlib.suppress(psutil.NoSuchProcess):
            program.kill()
        async with asyncio.timeout(PATIENCE_S):
            while program.is_running() or is_waited_for():  # noqa: ASYNC110  (until it is reaped)
                await asyncio.sleep(0.01)
        for _ in range(5):  # and the loop has been told of it, in two turns before Python 3.12
            await asyncio.sleep(0)
        return spared

    assert not asyncio.run(is_spared())


def test_a_grandchild_with_a_session_of_its_own_ends_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    async def comes_and_goes() -> psutil.Process:
        command = (sys.executable, "-c", PARENT, str(note))
        async with program_wire(command, {}, lambda _why: None), asyncio.timeout(PATIENCE_S):
            while not (note.exists() and note.read_text().endswith("\n")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return psutil.Process(int(note.read_text()))

    grandchild = asyncio.run(comes_and_goes())
    try:
        assert asyncio.run(has_ended(grandchild))
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            grandchild.kill()


# --- F16: the control socket -----------------------------------------------------------


async def asked(path: Path, line: bytes) -> bytes:
    """What the speaker answers; b"" if it hangs up."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(line)
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def has_ended(process: psutil.Process) -> bool:
    """Within a moment of its SIGKILL; one that nobody has reaped yet has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for _ in range(100):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
            await asyncio.sleep(0.01)
        return False
    return True


def test_silent_askers_do_not_lock_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ASKER_PATIENCE_S", 600.0)  # none of them has left yet

    async def evening() -> bytes:
        server = ControlServer(tmp_path / "s", {"status": lambda _request: {"talk": "asleep"}})
        given(await server.start(), "the socket listens")
        given(await asked(server.path, b'{"do": "status"}\n'), "it answers")
        silent = [
            await asyncio.open_unix_connection(str(server.path)) for _ in range(control.ASKERS_MAX)
        ]
        try:
            return await asked(server.path, b'{"do": "status"}\n')
        finally:
            for _, writer in silent:
                writer.close()
            await server.stop()
            await asyncio.sleep(0)

    assert json.loads(asyncio.run(evening()) or b"{}").get("ok") is True


def test_bad_requests_do_not_fill_the_journal(tmp_path: Path) -> None:
    notes: list[str] = []

    async def evening() -> None:
        server = ControlServer(tmp_path / "s", {}, note=lambda code, **_fields: notes.append(code))
        given(await server.start(), "the socket listens")
        for _ in range(150):
            await asked(server.path, b"{}\n")
        await server.stop()

    asyncio.run(evening())
    given(notes, "a bad request is noted")
    assert len(notes) <= LINES_MAX


# --- F17, F18: scripts -----------------------------------------------------------------


@pytest.fixture
def rm(tmp_path: Path) -> Path:
    """A folder for PATH with an `rm` that removes nothing; what it was told is in `rm.told`."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    told = tmp_path / "rm.told"
    told.touch()
    stub = folder / "rm"
    stub.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{told}"\nexit 1\n')
    stub.chmod(0o755)
    return folder


def told(stubs: Path) -> str:
    """What `rm` was told to remove."""
    return (stubs.parent / "rm.told").read_text()


def copy_of(script: str, checkout: Path) -> Path:
    """A script, copied with what it reads; it reaches `rm` through PATH only."""
    folder = checkout / "scripts"
    folder.mkdir(parents=True)
    for source in (REPO / "scripts" / script, *(REPO / "scripts").glob("lib*.sh")):
        text = source.read_text()
        given("/rm " not in text, f"{source.name} names no rm of its own")
        (folder / source.name).write_text(text)
    return folder / script


LIVE_ROOTS = ("//", "//.")
"""The root of the live system, in other words."""


@pytest.mark.parametrize("root", LIVE_ROOTS)
def test_uninstall_refuses_the_live_root(root: str, rm: Path, tmp_path: Path) -> None:
    for name in ("bash", "basename", "dirname", "readlink"):  # and nothing else can be run
        (rm / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [rm / "bash", copy_of("uninstall.sh", tmp_path), "--purge", "--root", root],
        env={"PATH": str(rm)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told(rm) == ""
    assert done.returncode == 2, done.stderr


@pytest.mark.parametrize("root", LIVE_ROOTS)
def test_install_refuses_the_live_root(root: str, rm: Path, tmp_path: Path) -> None:
    script = copy_of("install.sh", tmp_path)
    options, guard, _rest = script.read_text().partition("\nname_places\n")
    given(guard, "the options are read before the first path is made")
    script.write_text(options + '\nprintf "on with %s\\n" "$SCRATCH"\n')
    for name in ("basename", "dirname"):
        (rm / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [str(shutil.which("bash")), script, "--root", root],
        env={"PATH": str(rm)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")


def test_setup_does_not_delete_a_folder_of_somebody_else(rm: Path, tmp_path: Path) -> None:
    script = copy_of("demo.sh", tmp_path / "checkout")
    mine = tmp_path / "mine"
    (mine / "photos").mkdir(parents=True)
    (mine / "thesis.txt").write_text("years of work")
    python = rm / "python3"  # tells its version, and can do nothing else
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] || exit 1\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for name in ("apt-get", "sudo", "pip"):
        (rm / name).symlink_to("/bin/false")
    done = subprocess.run(
        [str(shutil.which("bash")), script],
        env={
            "PATH": f"{rm}:{os.environ['PATH']}",
            "EDGE_AGENT_VENV": str(mine),
            "PYTHON": str(python),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    given(done.returncode, "set-up does not come to its end")
    assert str(mine) not in told(rm)
    assert sorted(path.name for path in mine.iterdir()) == ["photos", "thesis.txt"]


# --- F19: settings ---------------------------------------------------------------------


def complaint(path: Path) -> str:
    """What an owner is told of these settings; "" if they are taken."""
    try:
        load(path, environ={})
    except ConfigError as problem:
        return str(problem)
    return ""


def test_deeply_nested_settings_are_told(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.write_text("[listen]\nmode = " + "[" * 5000 + "]" * 5000 + "\n")
    assert str(file) in complaint(file)


@contextmanager
def somebody_writes(pipe: Path) -> Iterator[None]:
    """Whoever opens the pipe to read finds it empty, and does not wait for ever."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            try:
                os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError as problem:
                given(problem.errno == errno.ENXIO, "nobody reads yet")
            stop.wait(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def test_a_pipe_among_the_settings_is_told(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.touch()
    pipe = tmp_path / "config.d" / "10-pipe.toml"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    with somebody_writes(pipe):
        assert str(pipe) in complaint(file)


ROOM_BYTES = 64 * 1024 * 1024
"""For the process that reads without end, beside what it is already."""


def test_an_endless_device_among_the_settings_is_told(tmp_path: Path) -> None:
    file = tmp_path / "edge-agent.toml"
    file.touch()
    endless = tmp_path / "config.d" / "10-endless.toml"
    endless.parent.mkdir()
    endless.symlink_to("/dev/zero")
    code = (
        "import pathlib, resource, sys\n"
        "from edge_agent.contract.errors import ConfigError\n"
        "from edge_agent.host.settings.load import load\n"
        "pages = int(pathlib.Path('/proc/self/statm').read_text().split()[0])\n"
        f"most = pages * resource.getpagesize() + {ROOM_BYTES}\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "print('reads')\n"
        f"try: load(pathlib.Path({str(file)!r}), environ={{}})\n"
        "except ConfigError: sys.exit(78)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False
    )
    given(done.stdout == "reads\n", "all is there but the settings")
    assert done.returncode == 78, done.stderr[-300:]
