"""What a person and an admin can do and see in the machine: button, light, voice, journal, status.

Runs as root in the guest.  Every wait has a limit and is in the guest's own time.
"""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OUT = Path("/var/lib/lab")
ROOM = Path("/run/lab")
ASSETS = Path("/home/pi/edge-agent/edge_agent/simulation/assets")
CONFIG = Path("/etc/edge-agent/config.d")
CONTROL = "/run/edge-agent/control.sock"
SERVICE = "edge-agent.service"
TALK_PIN, LIGHT_PIN = 17, 27
LOUD = 100.0
"""Root mean square of 16-bit samples at the loudspeaker: an answer has a thousand and more."""
LOOK_S = 0.25


class Wrong(AssertionError):
    """A check does not hold."""


def tell(text: str) -> None:
    """A line for whoever watches."""
    print(text, flush=True)  # noqa: T201


def run(*command: str, check: bool = True, limit_s: float = 300.0) -> str:
    """Run a program; its output, stripped."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    if check and done.returncode:
        raise Wrong(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr[-300:]}")
    return done.stdout.strip()


def expect(holds: bool, what: str) -> None:
    """Fail with these words unless it holds."""
    if not holds:
        raise Wrong(what)


def wait_for(what: str, holds: Callable[[], bool], limit_s: float) -> float:
    """Seconds until it holds."""
    begun = time.monotonic()
    while not holds():
        waited = time.monotonic() - begun
        expect(waited < limit_s, f"{what}: not within {limit_s:g} s; {brief()}")
        time.sleep(LOOK_S)
    return time.monotonic() - begun


# --- the speaker -------------------------------------------------------------------------------


def ask(**request: object) -> dict[str, Any]:
    """A request to the speaker's control socket; an empty answer if nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(10.0)
        try:
            sock.connect(CONTROL)
            sock.sendall(json.dumps(request).encode() + b"\n")
            raw = b""
            while piece := sock.recv(65536):
                raw += piece
        except OSError:
            return {}
    try:
        answer = json.loads(raw)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def status() -> dict[str, Any]:
    """What the speaker says of itself."""
    return ask(do="status")


def state(name: str) -> Any:
    """One field of the status; None if the speaker does not answer."""
    return status().get(name)


def brief() -> str:
    """The status, for an error."""
    now = status()
    names = ("talk", "microphone", "link", "link_code", "device_present", "capture_name", "failure")
    return ", ".join(f"{name}={now.get(name)}" for name in names) if now else "it does not answer"


def unit(name: str) -> str:
    """A property of the service's unit."""
    return run("systemctl", "show", "-P", name, SERVICE)


def pid() -> int:
    """The speaker's process."""
    return int(unit("MainPID"))


def restarts() -> int:
    """How often systemd has started it again."""
    return int(unit("NRestarts"))


def restart() -> float:
    """Restart the service; how long systemctl took."""
    begun = time.monotonic()
    run("systemctl", "restart", SERVICE)
    return time.monotonic() - begun


def settle(limit_s: float = 60.0) -> None:
    """Until the speaker is connected, has sound, and sleeps."""
    wait_for("a quiet speaker", is_settled, limit_s)


def is_settled() -> bool:
    """Connected, with sound, asleep."""
    now = status()
    is_well = now.get("link") == "ready" and now.get("device_present") is True
    return is_well and now.get("talk") == "asleep"


def journal(since: float, code: str = "") -> list[dict[str, Any]]:
    """The speaker's lines since a time of `time.time()`, with this code."""
    raw = run("journalctl", "-u", SERVICE, "-o", "json", "--since", f"@{since:.3f}")
    lines = [json.loads(line) for line in raw.splitlines()]
    return [line for line in lines if not code or line.get("EDGE_CODE") == code]


def noted(since: float, code: str) -> bool:
    """Has the journal such a line?"""
    return bool(journal(since, code))


def configure(text: str, name: str = "zz-lab.toml") -> None:
    """Settings of a check, over those of the lab; "" takes them away."""
    if text:
        (CONFIG / name).write_text(text, encoding="utf-8")
    else:
        (CONFIG / name).unlink(missing_ok=True)


# --- button and light --------------------------------------------------------------------------


def line(pin: int) -> Path:
    """The folder of a simulated GPIO line."""
    (found,) = Path("/sys/devices/platform").glob(f"gpio-sim*/gpiochip*/sim_gpio{pin}")
    return found


def press(seconds: float = 0.2) -> None:
    """Press the talk button, and let go."""
    pull = line(TALK_PIN) / "pull"
    pull.write_text("pull-down", encoding="ascii")
    time.sleep(seconds)
    pull.write_text("pull-up", encoding="ascii")


def is_lit() -> bool:
    """Is the light on?"""
    return (line(LIGHT_PIN) / "value").read_text(encoding="ascii").strip() == "1"


def light(seconds: float = 4.0) -> tuple[float, int]:
    """Watch the light: the share of the time that it was on, and how often it went on."""
    value = line(LIGHT_PIN) / "value"
    until = time.monotonic() + seconds
    seen = []
    while time.monotonic() < until:
        seen.append(value.read_text(encoding="ascii").strip() == "1")
        time.sleep(0.02)
    rises = sum(after and not before for before, after in itertools.pairwise(seen))
    return sum(seen) / len(seen), rises


# --- voice -------------------------------------------------------------------------------------


def say(clip: str) -> None:
    """Somebody says a clip into the room's microphone; returns at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(str(ASSETS / clip).encode(), str(ROOM / "say"))


def heard(since: float) -> float:
    """For how many seconds the loudspeaker has sounded since a time of `time.monotonic()`."""
    rows = [row.split() for row in (ROOM / "loudspeaker").read_text().splitlines()]
    step_s = 0.1
    return sum(step_s for at, level in rows if float(at) >= since and float(level) > LOUD)


def answer(since: float, limit_s: float = 40.0) -> float:
    """Until an answer was heard and the speaker sleeps again; the seconds that sounded."""
    wait_for("an answer", lambda: heard(since) >= 0.5, limit_s)
    wait_for("sleep after the answer", lambda: state("talk") == "asleep", limit_s)
    return heard(since)
