"""The doctor before the installation: `scripts/doctor.sh`, with Python's own library alone.

It must never import a package that is not installed yet, nor contact anybody but the one host that
it is given (the usual provider's, or that of a server of your own).

Thread: main.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from edge_agent.audio.device.cards import Cards, Kind, read_cards
from edge_agent.audio.device.choice import Wishes, choose
from edge_agent.audio.device.devices import DeviceEntry
from edge_agent.cli.doctor.findings import (
    Finding,
    fail,
    has_failed,
    is_clock_wrong,
    not_seen,
    ok,
    shown,
    warn,
)
from edge_agent.cli.doctor.machine import machine
from edge_agent.cli.doctor.rights import rights
from edge_agent.cli.doctor.way import Goal, way
from edge_agent.contract.errors import DeviceError

ROOT = Path("/")
STATE_FOLDER = Path("/var/lib/edge-agent")
HOST = "api.openai.com"
"""Of the provider that the settings name until the owner changes them."""
PORT = 443
SETTINGS = Path("/etc/edge-agent/edge-agent.toml")
"""There already where the speaker was installed before."""
PACKAGES = ("gcc", "libc6-dev", "pkg-config", "portaudio19-dev", "libsystemd-dev", "espeak-ng")
RATE_HZ = 48_000


def sound(known: Cards) -> Iterator[Finding]:
    """What would be taken of the cards that the kernel knows."""
    entries = [
        DeviceEntry(
            f"{side.card_name} (hw:CARD={side.card_id},DEV={side.device})",
            "ALSA",
            int(side.is_capture),
            int(not side.is_capture),
            RATE_HZ,
            pcm=(side.card, side.device),
        )
        for side in known.sides
        if not side.holder and side.kind is not Kind.VIRTUAL
        if side.has_monitor or side.kind is not Kind.HDMI
    ]
    for about, capture in (("Microphone", True), ("Loudspeaker", False)):
        own = [entry for entry in entries if bool(entry.capture_channels) is capture]
        try:
            chosen = choose(own, known, Wishes(), capture=capture)
            yield ok(about, f"{chosen.entry.name} ({chosen.why})")
        except DeviceError as problem:
            yield fail(
                about, problem.message, problem.fix.replace("`edge-agent devices`", "`aplay -l`")
            )


def packages(root: Path) -> Iterator[Finding]:
    """What `scripts/install.sh` would fetch of Debian's packages."""
    if not (root / "usr/bin/apt-get").exists():
        fix = "Use Debian 12 or 13, or Raspberry Pi OS of the same age."
        yield fail("Packages", "there is no apt-get here", fix)
        return
    status = _read(root / "var/lib/dpkg/status")
    there = set(re.findall(r"^Package: (\S+)\nStatus: \S+ \S+ installed", status, re.M))
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    wanted = [*PACKAGES, f"{version}-dev", f"{version}-venv"]
    missing = [name for name in wanted if name not in there]
    if missing:
        yield ok("Packages", f"scripts/install.sh fetches: {' '.join(missing)}")
    else:
        yield ok("Packages", "all are there")
    if (root / "run/systemd/system").exists():
        yield ok("systemd", "runs here")
    else:
        yield warn(
            "systemd",
            "does not run here: no service can be installed",
            "Run the speaker by hand: scripts/demo.sh shows how.",
        )


def host_of(file: Path) -> tuple[str, int, bool]:
    """Host and port of the settings' `realtime.url`, and whether it is encrypted; the usual
    provider's where they name none."""
    try:
        section = tomllib.loads(_read(file)).get("realtime", {})
    except tomllib.TOMLDecodeError:
        section = {}
    url = section.get("url", "") if isinstance(section, dict) else ""
    parts = urlsplit(url if isinstance(url, str) else "")
    is_tls = parts.scheme != "ws"
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.hostname or HOST, port or (PORT if is_tls else 80), is_tls


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def main() -> int:
    """The command line; the exit code is 1 if something would keep a speaker from working."""
    parser = argparse.ArgumentParser(
        prog="scripts/doctor.sh", description="Is this machine fit for edge-agent?"
    )
    parser.add_argument("--host", help=f"host of the service (default: realtime.url, else {HOST})")
    parser.add_argument("--port", type=int)
    parser.add_argument("--offline", action="store_true", help="contact nobody")
    parser.add_argument("--json", action="store_true", help="for programs")
    wish = parser.parse_args()
    host, port, is_tls = host_of(SETTINGS)
    if wish.host or wish.port:
        host, port, is_tls = wish.host or host, wish.port or PORT, True
    found = []
    for finding in visits(None if wish.offline else Goal(host, port, is_tls)):
        found.append(finding)
        if not wish.json:
            print(*shown(finding), sep="\n", flush=True)  # noqa: T201 - a program of its own
    if wish.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))  # noqa: T201
    return int(has_failed(found))


def visits(goal: Goal | None) -> Iterator[Finding]:
    """Everything, as it is seen; None: contact nobody."""
    seen = list(machine(ROOT, STATE_FOLDER, datetime.now().astimezone()))
    yield from seen
    yield from packages(ROOT)
    yield from rights(ROOT, STATE_FOLDER)
    yield from sound(read_cards(ROOT))
    if goal is None:
        yield not_seen("Network", "not contacted (--offline)")
    else:
        yield from way(goal, clock_is_wrong=is_clock_wrong(seen))


if __name__ == "__main__":
    sys.exit(main())
