"""The real daemon against hostile servers and askers, over null sinks: `scripts/hostile.sh`.

Every case is a daemon of its own against `simulate-server --as …` in a process of its own; what is
judged is seen from outside (memory, journal, status, the end) and by the probe in the loop.

Thread: main.  It never runs in the process that it measures.
"""

# ruff: noqa: T201 (a program: printing is its job)
from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hostile_tools
import numpy as np
from fuzz_frames import frames
from house_config import household_provider
from pulse import PATIENCE_S, PulseServer, prepare_environment, wait_for
from scenes import ready

from benchmarks.household import answer
from edge_agent.host.journal.limits import OTHERS_PER_MIN, is_ours
from edge_agent.realtime.protocol.session import Phase
from edge_agent.simulation.sound import acoustics
from edge_agent.simulation.traits import TRAITS

HERE = Path(__file__).parent
KEYS = {
    "azure, 32 hex": "0123456789abcdef0123456789abcdef",
    "azure, 84": "A1b2C3d4" * 10 + "E5f6",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJob21lIn0.dozjgNryP4J3jVmNHl0w5N",
    "google": "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "hugging face": "hf_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
    "the owner's own": "correct-horse-battery-staple",
}
"""Made up."""
CODE = re.compile(r"\[([a-z]+\.[a-z_]+)\]$")
RSS_MAX_MIB, STEP_MAX_MS, STOP_MAX_S, FUZZED = 160.0, 100.0, 2.0, 100_000
QUESTION_S, PAUSE_S = 1.5, 1.5
CALLS_PLAY = """
[[line]]
call = "hostile__echo"
[[line.after_tool]]
say = "That was it."
"""
SETTLE_S = 3.0
"""From READY: what starts late is nobody's attack."""


@dataclass
class Case:
    """What one run came to."""

    name: str
    what: str
    rss_mib: float = 0.0
    step_ms: float = 0.0
    status_s: float = 0.0
    lines: int = 0
    gaps: int = 0
    """Holes that our own doing left in what was played."""
    late: int = 0
    """Times at which the server's sound was not there yet."""
    is_servers: bool = False
    """It is the server that floods: its sound stands behind its own flood."""
    stop_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def judge(self) -> None:
        """Say what is not as promised."""
        for value, limit, what in (
            (self.rss_mib, RSS_MAX_MIB, "memory"),
            (self.step_ms, STEP_MAX_MS, "step"),
            (self.lines, OTHERS_PER_MIN, "lines"),
            (self.stop_s, STOP_MAX_S, "stop"),
            (self.gaps, 0, "gaps"),
            (0 if self.is_servers else self.late, 0, "late"),
        ):
            if value > limit:
                self.wrong.append(what)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edge_agent.cli.main", *arguments]


@dataclass(frozen=True)
class Plan:
    """What is to be tried."""

    name: str
    what: str
    traits: tuple[str, ...] = ()
    key: str = KEYS["azure, 32 hex"]
    crowded: bool = False
    tools: str = ""
    """A way of a tool server, which the model has called for every question."""


def plans() -> list[Plan]:
    hostile = {name: trait for name, trait in TRAITS.items() if trait.manner is None}
    out = [Plan(name, trait.what, (name,)) for name, trait in hostile.items() if name != "echo"]
    out += [
        Plan(f"echo ({kind})", f"{TRAITS['echo'].what}: {kind}", ("echo",), key)
        for kind, key in KEYS.items()
    ]
    out.append(
        Plan(
            "crowd at the control socket",
            "sixteen silent askers, renewed, and nonsense, beside error events without end",
            ("flood",),
            KEYS["google"],
            crowded=True,
        )
    )
    ways = {name: way.what for name, way in hostile_tools.WAYS.items()}
    ways |= {name: way.what for name, way in hostile_tools.WEB_WAYS.items()}
    out += [
        Plan(f"tools: {name}", f"tool server: {what}", tools=name) for name, what in ways.items()
    ]
    return out


@contextlib.contextmanager
def tool_server(way: str) -> Iterator[str]:
    """Settings of `mcp.servers`, for a tool server of this way."""
    program = [sys.executable, hostile_tools.__file__, way]
    terms = {"tools": {"echo": "low"}, "timeout_s": 3}
    if way in hostile_tools.WAYS:
        yield json.dumps({"hostile": {"command": program, **terms}})
        return
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    process = subprocess.Popen([*program, str(port)], stderr=subprocess.DEVNULL)
    try:
        yield json.dumps({"hostile": {"url": f"http://127.0.0.1:{port}/mcp", **terms}})
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def hostile_server(traits: tuple[str, ...], play: Path) -> Iterator[str]:
    """The address of a server with these traits; without, it is an honest one that plays."""
    asked = [word for trait in traits for word in ("--as", trait)]
    process = subprocess.Popen(
        command("simulate-server", "--port", "0", *(asked or ("--play", str(play)))),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def proc_mib(process: subprocess.Popen[bytes], name: str) -> float:
    """A figure of /proc/…/status."""
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def asked(path: Path, request: dict[str, object]) -> tuple[dict[str, object], float]:
    """An answer of the control socket, and how long it took."""
    begin = time.monotonic()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20.0)
        sock.connect(str(path))
        sock.sendall(json.dumps(request).encode() + b"\n")
        with sock.makefile() as answer:
            text = answer.readline()
    return json.loads(text or "{}"), time.monotonic() - begin


def crowd(path: Path, held: list[socket.socket]) -> None:
    """Sixteen silent askers, renewed, and some nonsense."""
    for number in range(16):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(1.0)
        with contextlib.suppress(OSError):
            sock.connect(str(path))
            sock.sendall(b"" if number % 2 else b"{}\n")
        held.append(sock)
    while len(held) > 64:
        held.pop(0).close()


@contextlib.contextmanager
def household(pulse: PulseServer, seconds: float) -> Iterator[None]:
    """Questions at the microphone: so answers are waited for, and played."""
    question = acoustics.from_pcm(answer(QUESTION_S))
    once = np.concatenate([question, np.zeros(round(PAUSE_S * 24_000), np.float32)])
    sound = np.tile(once, int(seconds / (QUESTION_S + PAUSE_S)))
    pcm = acoustics.to_pcm(sound).tobytes()
    thread = threading.Thread(target=pulse.say, args=(pcm, 24_000), name="the household")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def count_of(what: str, told: dict[str, object]) -> int:
    """A count of a status."""
    count = told.get(what)
    return count if isinstance(count, int) else 0


def run_case(pulse: PulseServer, plan: Plan, seconds: float) -> Case:
    """One daemon against it."""
    case, key = Case(plan.name, plan.what, is_servers=bool(plan.traits)), plan.key
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-hostile-")))
        (folder / "play.toml").write_text(CALLS_PLAY)
        url = stack.enter_context(hostile_server(plan.traits, folder / "play.toml"))
        tools = stack.enter_context(tool_server(plan.tools)) if plan.tools else "{}"
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        stack.callback(manager.close)
        manager.bind(str(folder / "notify"))
        manager.settimeout(PATIENCE_S)
        control = folder / "control.sock"
        environment = os.environ | {
            "NOTIFY_SOCKET": str(folder / "notify"),
            "EDGE_AGENT_REALTIME__PROVIDER": "openai",
            "EDGE_AGENT_REALTIME__URL": url,
            "OPENAI_API_KEY": key,
            "EDGE_AGENT_STATE__PATH": str(folder / "state.json"),
            "EDGE_AGENT_PANEL__ENABLED": "off",
            "EDGE_AGENT_LISTEN__MODE": "always",
            "EDGE_AGENT_CONTROL__PATH": str(control),
            "EDGE_AGENT_MCP__SERVERS": tools,
        }
        log_path, report = folder / "log", folder / "report"
        log = stack.enter_context(log_path.open("wb"))
        probe = [sys.executable, str(HERE / "probed_daemon.py"), str(report)]
        process = subprocess.Popen(probe, env=environment, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        begin = time.monotonic()
        while b"READY=1" not in manager.recv(4096):
            pass
        ready_s = time.monotonic() - begin
        manager.setblocking(False)
        time.sleep(SETTLE_S)
        before, _ = asked(control, {"do": "status"})
        stack.enter_context(household(pulse, seconds))
        until = time.monotonic() + seconds
        held: list[socket.socket] = []
        told: dict[str, object] = {}
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(BlockingIOError):
                while True:  # a daemon waits for a manager that does not listen
                    manager.recv(4096)
            if plan.crowded:
                crowd(control, held)
            try:
                told, took_s = asked(control, {"do": "status"})
            except (OSError, ValueError):
                took_s = 20.0
            if told.get("ok") is not True:
                case.wrong.append("status refused")
            case.status_s = max(case.status_s, took_s)
            if key in json.dumps(told):
                case.wrong.append("key in status")
            time.sleep(0.05)
        for sock in held:
            sock.close()
        if process.poll() is not None:
            case.wrong.append(f"ended with {process.returncode}")
            return case
        case.gaps, case.late = (
            count_of(what, told) - count_of(what, before) for what in ("underflows", "underruns")
        )
        case.rss_mib = proc_mib(process, "VmHWM")
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15.0)
        case.stop_s = time.monotonic() - begin
        text = log_path.read_text(encoding="utf-8", errors="replace")
        codes = [found[1] for line in text.splitlines() if (found := CODE.search(line))]
        case.lines = sum(not is_ours(code) for code in codes)
        if key in text:
            case.wrong.append("key in the journal")
        if "Traceback" in text or "agent.fault" in codes or "link.internal_error" in codes:
            case.wrong.append("a fault of ours")
        if report.exists():
            probed = json.loads(report.read_text())
            late = [ms for second, ms in probed["steps_ms"].items() if float(second) > ready_s + 2]
            case.step_ms = max(late, default=0.0)
            case.wrong += [f"raised {kind}" for kind in sorted(set(probed["raised"]))]
        else:
            case.wrong.append("killed")
    case.judge()
    return case


def fuzz(count: int) -> tuple[int, float, float]:
    """`(raised, longest step in ms, seconds)` of so many frames into a session."""
    raised, longest, begin = 0, 0.0, time.monotonic()
    session = ready(household_provider())
    for text in frames(20261129, count):
        cpu_s = time.thread_time()
        try:
            session.receive(text, 1.0)
        except Exception:
            raised += 1
        longest = max(longest, time.thread_time() - cpu_s)
        session.take_notes()
        session.take_outgoing()
        raised += session.counts["unread"]
        if session.phase is Phase.CLOSED:
            session = ready(household_provider())
    return raised, longest * 1000, time.monotonic() - begin


def page(cases: list[Case], fuzzed: tuple[int, float, float], count: int, seconds: float) -> str:
    raised, step_ms, took_s = fuzzed
    wrong = [case for case in cases if case.wrong]
    rows = "\n".join(
        f"| {case.name} | {case.what} | {case.rss_mib:.0f} | {case.step_ms:.0f} "
        f"| {case.status_s:.2f} | {case.lines} | {case.gaps} | {case.late} | {case.stop_s:.2f} "
        f"| {', '.join(sorted(set(case.wrong))) or 'held'} |"
        for case in cases
    )
    return f"""# Hostile servers and askers

`scripts/hostile.sh`: the real daemon with its shipped settings over PyAudio and null sinks, each
case {seconds:g} s against `edge-agent simulate-server --as NAME` in a process of its own, or with a
tool server of `tests/hostile/hostile_tools.py` that the model calls for every question. Memory is
the peak of the whole life, a step is the longest of the event loop in processor time after the
start, lines are those about what others do. While somebody asks and is answered
(`listen.mode = "always"`), gaps are times at which the loudspeaker was not given in time what
there was to play, late those at which the server's sound was not there yet: behind its own flood,
of which no more than 1,000 frames a second are read. Limits: {RSS_MAX_MIB:.0f} MiB,
{STEP_MAX_MS:.0f} ms, {OTHERS_PER_MIN} lines, no gap, nothing late where the server is honest,
{STOP_MAX_S:g} s from SIGTERM to the end, no key anywhere, no exception.

{len(cases)} cases, {len(cases) - len(wrong)} held.

| case | what it does | MiB | step, ms | status, s | lines | gaps | late | stop, s | verdict |
|---|---|--:|--:|--:|--:|--:|--:|--:|---|
{rows}

{count} fuzzed frames into a session: {raised} raised, longest {step_ms:.1f} ms, {took_s:.0f} s.
"""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="*", help="cases, by name")
    options.add_argument("--seconds", type=float, default=8.0)
    options.add_argument("--frames", type=int, default=FUZZED)
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    folder = prepare_environment()
    pulse = PulseServer(folder)
    pulse.start()
    cases: list[Case] = []
    try:
        wait_for(lambda: pulse.running, "the sound server")
        for plan in plans():
            if chosen.only and plan.name not in chosen.only:
                continue
            case = run_case(pulse, plan, chosen.seconds)
            print(case, flush=True)
            cases.append(case)
    finally:
        pulse.stop()
    text = page(cases, fuzz(chosen.frames), chosen.frames, chosen.seconds)
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(case.wrong for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())
