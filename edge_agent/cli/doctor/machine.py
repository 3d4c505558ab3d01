"""The machine: its processor, clock, heat, power, disk, Wi-Fi and accounts, read from files.

Call `machine`.  Pure but for reading below `root` and asking how full a disk is.  It must never
start a program, write, or contact anybody.
"""

from __future__ import annotations

import re
import shutil
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from edge_agent.cli.doctor.findings import Finding, fail, not_seen, ok, warn

ACCOUNT = "edge-agent"
GROUPS = {"audio": "sound", "gpio": "button and light"}

PYTHON_MIN = (3, 11)
DISK_LOW_MB, DISK_FULL_MB = 200, 20
"""State takes a few MB; an update and the journal want the rest."""
HOT_C, THROTTLED_C = 75.0, 82.0
"""A Raspberry Pi slows down from 80 °C on, and from then on sound has holes."""
UNDER_VOLTAGE_NOW, UNDER_VOLTAGE_SINCE = 1 << 0, 1 << 16
"""Bits of `get_throttled` (raspberrypi.com, vcgencmd)."""
WIFI_WEAK_DBM = -75
"""Below it, packets are lost in bursts."""
YEAR_MIN = 2026
"""A Pi without a clock battery starts in 1970 or at the date of its image: no certificate is valid
then."""

TEMPERATURE = "sys/class/thermal/thermal_zone0/temp"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def machine(root: Path, state_folder: Path, now: datetime) -> Iterator[Finding]:
    """All of it.  `state_folder`: where the service keeps what it knows."""
    yield _program()
    yield _clock(root, now)
    yield _disk(state_folder)
    yield from _heat(root)
    yield from _power(root)
    yield from _wifi(root)
    yield from _groups(root)


def _program() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    bits = struct.calcsize("P") * 8
    said = f"Python {version}, {bits} bits"
    if sys.version_info < PYTHON_MIN:
        return fail("Python", said, "Install Python 3.11 or newer, then run scripts/install.sh.")
    if bits < 64:
        return fail("Python", said, "Use a 64-bit system: several packages are made for no other.")
    return ok("Python", said)


def _clock(root: Path, now: datetime) -> Finding:
    said = f"{now:%Y-%m-%d %H:%M}"
    if now.year < YEAR_MIN:
        fix = "timedatectl set-ntp true, and see: timedatectl status"
        return fail("Clock", f"{said}: no certificate is valid at that time", fix)
    if (root / "run/systemd/timesync/synchronized").exists():
        return ok("Clock", f"{said}, set by the network")
    if (root / "run/systemd/timesync").exists():
        return warn("Clock", f"{said}, not set by the network yet", "timedatectl timesync-status")
    return ok("Clock", said)


def _disk(folder: Path) -> Finding:
    there = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    free_mb = shutil.disk_usage(there).free // 1_000_000
    said = f"{free_mb} MB free for {folder}"
    fix = "Make room: sudo apt-get clean; sudo journalctl --vacuum-size=100M"
    if free_mb < DISK_FULL_MB:
        return fail("Disk", said, fix)
    return warn("Disk", said, fix) if free_mb < DISK_LOW_MB else ok("Disk", said)


def _heat(root: Path) -> Iterator[Finding]:
    with suppress(ValueError):
        celsius = int(_read(root / TEMPERATURE)) / 1000
        said = f"{celsius:.0f} °C"
        fix = "Give the board air or a heat sink."
        if celsius >= THROTTLED_C:
            yield fail("Heat", f"{said}: the processor is slowed down", fix)
        else:
            yield warn("Heat", said, fix) if celsius >= HOT_C else ok("Heat", said)


def _power(root: Path) -> Iterator[Finding]:
    with suppress(ValueError):
        bits = int(_read(root / THROTTLED), 16)
        fix = (
            "Use the board's own power supply and a short cable; hang hungry USB devices on a hub."
        )
        if bits & UNDER_VOLTAGE_NOW:
            yield fail("Power", "too little voltage now", fix)
        elif bits & UNDER_VOLTAGE_SINCE:
            yield warn("Power", "there was too little voltage since the start", fix)
        else:
            yield ok("Power", "enough voltage")


def _wifi(root: Path) -> Iterator[Finding]:
    rows = re.findall(r"^\s*(\w+):\s+\S+\s+\S+\s+(-\d+)", _read(root / "proc/net/wireless"), re.M)
    for name, level in rows:
        said = f"{name} hears its access point with {level} dBm"
        if int(level) < WIFI_WEAK_DBM:
            yield warn("Wi-Fi", said, "Move speaker or access point, or use a cable.")
        else:
            yield ok("Wi-Fi", said)


def _groups(root: Path) -> Iterator[Finding]:
    groups = {
        name: members.split(",")
        for name, members in re.findall(
            r"^([\w-]+):[^:]*:\d+:(.*)$", _read(root / "etc/group"), re.M
        )
    }
    if ACCOUNT not in groups:
        yield not_seen("Rights", "the service is not installed here (scripts/install.sh)")
        return
    lacks = [
        f"{name} ({use})"
        for name, use in GROUPS.items()
        if ACCOUNT not in groups.get(name, []) and name in groups
    ]
    if lacks:
        names = ",".join(lack.split()[0] for lack in lacks)
        yield fail(
            "Rights",
            f"the account {ACCOUNT} is not in {', '.join(lacks)}",
            f"sudo usermod -a -G {names} {ACCOUNT} && sudo systemctl restart {ACCOUNT}",
        )
    else:
        yield ok("Rights", f"the account {ACCOUNT} may use sound and pins")


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
