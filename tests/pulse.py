"""A sound server of the suite's own: PulseAudio with null sinks.

It must never touch the machine's own sound: `prepare_environment` runs before anything loads ALSA,
and from then on this process sees the private server only, whether it runs or not.

What there is: the sink `spk` (our loudspeaker; what it gets is in `spk.monitor`), the sink
`micfeed` and the source `mic` which hears what is played into `micfeed` (our microphone).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_agent.demo.judge.pressure import Pressure, waited_by_threads

RATE_HZ = 48_000
"""Of sinks and source: at this rate nothing between writer and reader resamples."""

PATIENCE_S = 30.0
"""Waiting for a fact on a loaded machine; the fact is what is judged, not the time."""

POLL_S = 0.02
"""Between two looks at a fact; one PulseAudio round trip is shorter."""

PROGRAMS = ("pulseaudio", "pactl", "pacat", "parec")

ALSA_CONFIG = """\
pcm.default { type pulse }
ctl.default { type pulse }
pcm.pulse { type pulse }
ctl.pulse { type pulse }
"""

# norewinds: without it a stream on a null sink needs seconds until sound flows.
MODULES = (
    "module-null-sink norewinds=1 sink_name=spk rate=48000 format=s16le channels=1",
    "module-null-sink norewinds=1 sink_name=micfeed rate=48000 format=s16le channels=1",
    "module-remap-source master=micfeed.monitor source_name=mic",
)


def prepare_environment() -> Path:
    """Point ALSA and PulseAudio clients of this process at a new private folder."""
    folder = Path(tempfile.mkdtemp(prefix="edge-agent-sound-"))
    (folder / "alsa.conf").write_text(ALSA_CONFIG)
    # A client must never start a server of its own accord, nor use the user's.
    (folder / "client.conf").write_text("autospawn = no\nenable-shm = no\n")
    os.environ["ALSA_CONFIG_PATH"] = str(folder / "alsa.conf")
    os.environ["PULSE_CLIENTCONFIG"] = str(folder / "client.conf")
    os.environ["PULSE_COOKIE"] = str(folder / "cookie")
    os.environ["PULSE_SERVER"] = f"unix:{folder / 'native'}"
    return folder


def wait_for(fact: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until `fact()` holds; fail with `what` if it does not for a long time."""
    deadline = time.monotonic() + patience_s
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience_s:.0f} s in vain for {what}")
        time.sleep(POLL_S)


CLIENT_PRIORITY = 10
SERVER_PRIORITY = 11
"""Above its clients: a client that polls for a server that gets no turn polls for ever."""


@contextmanager
def real_time_priority(priority: int = CLIENT_PRIORITY) -> Iterator[None]:
    """This thread, and threads and programs started inside, run before ordinary work, where this
    machine allows it.

    In turns (SCHED_RR): of two that never wait, SCHED_FIFO would let one have the core for good.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(PermissionError, OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(priority))
    try:
        yield
    finally:
        with suppress(PermissionError, OSError):
            os.sched_setscheduler(0, *before)


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other suite of this user makes sound, and keep others waiting meanwhile.

    Real-time threads of several suites take the cores from one another, and sound gets holes.
    """
    path = Path(tempfile.gettempdir()) / f"edge-agent-tests-{os.getuid()}.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, even by a crash
        yield


@contextmanager
def kept_waiting(*processes: int) -> Iterator[Callable[[], float]]:
    """Gives for how many seconds since then the most hindered of them waited for a processor: its
    sound may have holes that are nobody's fault."""

    def reader(pid: int) -> Callable[[], dict[int, float] | None]:
        return lambda: waited_by_threads(Path(f"/proc/{pid}/task"))

    begin = time.monotonic()
    watches = [Pressure(time.monotonic, reader(pid)) for pid in processes]
    for watch in watches:
        watch.start()
    try:
        yield lambda: max(watch.waited_s(begin, time.monotonic()) for watch in watches)
    finally:
        for watch in watches:
            watch.stop()


class PulseServer:
    """Starts, stops, feeds and records.  `start` again after `stop` or `kill` is fine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._daemon is not None and self._daemon.poll() is None

    @property
    def pid(self) -> int:
        """Of the daemon, which runs."""
        assert self._daemon is not None
        return self._daemon.pid

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            raise RuntimeError(
                f"The sound tests need {', '.join(missing)}: run `apt-get install pulseaudio "
                "pulseaudio-utils libasound2-plugins`, or use scripts/test.sh."
            )
        socket = self._folder / "native"
        socket.unlink(missing_ok=True)
        lines = [f"module-native-protocol-unix auth-anonymous=1 socket={socket}", *MODULES]
        script = "".join(f"load-module {line}\n" for line in lines)
        (self._folder / "start.pa").write_text(
            script + "set-default-sink spk\nset-default-source mic\n"
        )
        command = ["pulseaudio", "-n", "-F", str(self._folder / "start.pa"), "--daemonize=no"]
        command += ["--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
        command += ["--realtime=no", "--high-priority=no"]  # would ask a system bus for it
        private = {"HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "XDG_CONFIG_HOME"}
        environment = os.environ | dict.fromkeys(private, str(self._folder))
        environment.pop("PULSE_SERVER", None)  # or it takes itself for a client
        with (
            (self._folder / "pulseaudio.log").open("wb") as log,
            real_time_priority(SERVER_PRIORITY),
        ):
            self._daemon = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_for(self._answers, f"PulseAudio; see {log.name}")

    def _answers(self) -> bool:
        if not self.running:
            text = (self._folder / "pulseaudio.log").read_text(errors="replace")
            raise RuntimeError(f"PulseAudio ended at once: {text}")
        done = subprocess.run(
            ["pactl", "list", "short", "sources"], capture_output=True, check=False
        )
        return done.returncode == 0 and b"\tmic\t" in done.stdout

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the daemon; SIGKILL is the sound server that crashes."""
        if self._daemon is not None:
            if self.running:
                self._daemon.send_signal(how)
            try:
                self._daemon.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
            self._daemon = None

    def pactl(self, *arguments: str) -> str:
        """Run a `pactl` command and return what it printed."""
        return subprocess.run(
            ["pactl", *arguments], check=True, capture_output=True, text=True, timeout=PATIENCE_S
        ).stdout

    def recorders(self) -> int:
        """How many streams of programs record; the server's own (of `mic`) have no client."""
        listed = self.pactl("list", "short", "source-outputs").splitlines()
        return sum(line.split("\t")[2] != "-" for line in listed)

    def say(self, pcm: bytes, rate_hz: int = RATE_HZ) -> None:
        """Play PCM16 mono into the microphone; returns once all of it was heard."""
        file = self._folder / "said.raw"
        file.write_bytes(pcm)
        command = ["pacat", "--playback", "--device=micfeed", "--raw", "--format=s16le"]
        command += [f"--rate={rate_hz}", "--channels=1", "--latency-msec=500", str(file)]
        subprocess.run(command, check=True, timeout=PATIENCE_S + len(pcm) / rate_hz)

    @contextmanager
    def recording(self, source: str = "spk.monitor", rate_hz: int = RATE_HZ) -> Iterator[Recording]:
        """Record a source while the block runs; sound already flows when it begins."""
        file = self._folder / "tape.raw"
        command = ["parec", f"--device={source}", "--raw", "--format=s16le", "--channels=1"]
        command += [f"--rate={rate_hz}", "--latency-msec=20"]
        with file.open("wb") as tape:
            process = subprocess.Popen(command, stdout=tape)
        recording = Recording(process, file)
        try:
            wait_for(lambda: recording.size > 0, "the first recorded sound")
            yield recording
        finally:
            recording.stop()


class Recording:
    """What was recorded so far: `pcm` grows until the block ends.

    Sound goes from program to file and from file to program: through a pipe it would need a turn
    of this process now and then, which an ordinary process on a busy machine may not get in time.
    """

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self._process = process
        self._file = file
        self._whole: bytes | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def size(self) -> int:
        return self._file.stat().st_size if self._whole is None else len(self._whole)

    @property
    def pcm(self) -> bytes:
        return self._file.read_bytes() if self._whole is None else self._whole

    def wait_for_seconds(self, seconds: float, rate_hz: int = RATE_HZ) -> None:
        """Wait until that much more was recorded."""
        wanted = self.size + round(seconds * rate_hz) * 2
        wait_for(lambda: self.size >= wanted, f"{seconds} s of recording")

    def stop(self) -> None:
        """End the recording; what was recorded stays."""
        self._process.terminate()
        self._process.wait()
        self._whole = self._file.read_bytes()
