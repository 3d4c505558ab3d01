"""The whole program as a process: start, load and memory, over a real sound server.

Thread: main.  It must never run in the process that it measures: the daemon, the simulated provider
and the sound server are processes of their own, and /proc tells what the daemon used.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, Sheet, Target
from benchmarks.household import answer
from edge_agent.simulation.sound import acoustics

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from pulse import PATIENCE_S, PulseServer, prepare_environment, wait_for

TITLE = "The daemon as a process"
SETTING = (
    "`edge-agent run` over PyAudio and a private PulseAudio with null sinks, 48 kHz, against "
    "`edge-agent simulate-server` (a parrot) in a process of its own; wake word on. "
    "Idle: asleep for more than 10 s, so that the loudspeaker's stream rests, pink "
    "noise of -55 dBFS at the microphone. Talking: an open microphone, questions of 2 s and the "
    "parrot's repetition of each."
)

IDLE_S = 15.0
TALK_S = 15.0
SETTLE_S = 3.0
"""After it is connected, before load is measured."""

JUST_ASLEEP_S = 5.0
RESTS_S = 6.0
"""Together with what came before, more than `device.rest_after_s` (10 s)."""

NOISE_DBFS = -55.0
QUESTION_S = 2.0
"""Said, then repeated by the parrot: half of the time is speaking."""

MEBIBYTE = 1024.0 * 1024.0


def figures() -> list[Figure]:
    """Start, load, memory."""
    return [
        Figure("process.ready", "start of the process → READY", "s", Target("max", "≤", 1.5)),
        Figure("process.connected", "start of the process → session confirmed", "s"),
        Figure("process.idle", "processor time, idle", "% of a core", Target("max", "≤", 3.0)),
        Figure("process.just_asleep", "the same, loudspeaker not at rest yet", "% of a core"),
        Figure("process.talking", "processor time, talking", "% of a core"),
        Figure("process.rss", "memory (RSS), idle", "MiB", Target("max", "≤", 120 / 1.048576)),
        Figure("process.rss_after", "memory (RSS), after talking", "MiB"),
        Figure("process.stop", "SIGTERM → end of the process", "s"),
    ]


def measure(sheet: Sheet, n: int, brief: bool = False) -> None:
    """`n` starts with load in the last, which idles; unless brief, one more that talks."""
    share = 1 / 3 if brief else 1.0
    folder = prepare_environment()
    pulse = PulseServer(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        pulse.start()
        stack.callback(pulse.stop)
        provider = stack.enter_context(_provider())
        for _ in range(n - 1):
            with _daemon(sheet, provider, "wake"):
                pass
        with _daemon(sheet, provider, "wake") as daemon, _noise(pulse, share):
            time.sleep(SETTLE_S)
            sheet["process.just_asleep"].add(daemon.load_percent(JUST_ASLEEP_S))
            time.sleep(RESTS_S)
            sheet["process.idle"].add(daemon.load_percent(IDLE_S * share))
            sheet["process.rss"].add(daemon.rss_mib())
        if brief:
            return
        with _daemon(sheet, provider, "always") as daemon:
            time.sleep(SETTLE_S)
            with _talk(pulse):
                time.sleep(QUESTION_S * 1.5)
                sheet["process.talking"].add(daemon.load_percent(TALK_S))
            sheet["process.rss_after"].add(daemon.rss_mib())


# --- the processes --------------------------------------------------------------------------------


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edge_agent.cli.main", *arguments]


class _Provider:
    """A simulated provider in a process of its own, and when it confirmed its last session."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        words = self._line().split()
        if len(words) < 2:
            raise RuntimeError("edge-agent simulate-server did not start")
        self.url = words[1]
        self.confirmed_at = 0.0
        """By the machine's monotonic clock, which both processes read."""
        self._reader = threading.Thread(target=self._read, name="provider's words")
        self._reader.start()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _read(self) -> None:
        while line := self._line():
            if line.endswith("session.updated\n"):
                self.confirmed_at = float(line.split()[0])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def _provider() -> Iterator[_Provider]:
    process = subprocess.Popen(
        _command("simulate-server", "--port", "0", "--events"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    provider = _Provider(process)
    try:
        yield provider
    finally:
        provider.stop()


class _Manager:
    """A service manager: hears what the daemon tells it, and when it was READY."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.ready_at = 0.0
        self._thread = threading.Thread(target=self._read, name="service manager")
        self._thread.start()

    def _read(self) -> None:
        # To the end: a daemon waits for a manager that does not listen.
        while message := self._socket.recv(4096):
            if b"READY=1" in message:
                self.ready_at = time.monotonic()

    def stop(self) -> None:
        """Hear the end."""
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()


class _Daemon:
    """A running daemon, looked at from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._proc = Path("/proc") / str(process.pid)

    def cpu_s(self) -> float:
        """User and system time so far, all threads."""
        fields = (self._proc / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load_percent(self, seconds: float) -> float:
        """Processor time per wall time over the next seconds, in percent of one core."""
        cpu_s, begin = self.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_s() - cpu_s) / (time.monotonic() - begin) * 100

    def rss_mib(self) -> float:
        """Resident memory."""
        for line in (self._proc / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / MEBIBYTE
        raise RuntimeError("the daemon has ended")


@contextlib.contextmanager
def _daemon(sheet: Sheet, provider: _Provider, mode: str) -> Iterator[_Daemon]:
    """Start a daemon, measure its start, hand it over, end it, measure its end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-agent-run-")))
        manager = _Manager(folder / "notify")
        stack.callback(manager.stop)
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "EDGE_AGENT_REALTIME__PROVIDER": "local",
            "EDGE_AGENT_REALTIME__URL": provider.url,
            "EDGE_AGENT_LISTEN__MODE": mode,
            "EDGE_AGENT_STATE__PATH": str(folder / "state.json"),
            "EDGE_AGENT_PANEL__ENABLED": "off",
        }
        log = stack.enter_context((folder / "log").open("w+", encoding="utf-8"))
        begin = time.monotonic()
        process = subprocess.Popen(
            _command("run", "--beside"), env=environment, stdout=log, stderr=log, text=True
        )
        stack.callback(_end, sheet["process.stop"], process)
        wait_for(lambda: manager.ready_at > 0, "READY")
        sheet["process.ready"].add(manager.ready_at - begin)
        daemon = _Daemon(process)
        wait_for(lambda: provider.confirmed_at > begin, "a confirmed session")
        sheet["process.connected"].add(provider.confirmed_at - begin)
        yield daemon


def _end(figure: Figure, process: subprocess.Popen[str]) -> None:
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE_S)
        figure.add(time.monotonic() - begin)
    except subprocess.TimeoutExpired:
        figure.trials_failed += 1
        process.kill()
        process.wait()


# --- the room ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _playing(pulse: PulseServer, pcm: bytes, rate_hz: int) -> Iterator[None]:
    """Play a sound into the microphone while the block runs."""
    thread = threading.Thread(target=pulse.say, args=(pcm, rate_hz), name="the room")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _noise(pulse: PulseServer, share: float) -> contextlib.AbstractContextManager[None]:
    seconds = SETTLE_S + JUST_ASLEEP_S + RESTS_S + IDLE_S * share + 1.0
    noise = np.resize(acoustics.pink_noise(24_000, 1), round(seconds * 24_000))
    noise = noise * acoustics.gain(NOISE_DBFS)
    return _playing(pulse, acoustics.to_pcm(noise).tobytes(), 24_000)


def _talk(pulse: PulseServer) -> contextlib.AbstractContextManager[None]:
    """Questions with room for the parrot's answer between them."""
    question = acoustics.from_pcm(answer(QUESTION_S))
    pause = np.zeros(round((QUESTION_S + 1.2) * 24_000), np.float32)
    rounds = int((TALK_S + QUESTION_S * 1.5) / (2 * QUESTION_S + 1.2)) + 1
    sound = np.tile(np.concatenate([question, pause]), rounds)
    return _playing(pulse, acoustics.to_pcm(sound).tobytes(), 24_000)
