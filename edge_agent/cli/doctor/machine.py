"""The machine: its processor, clock, memory, disk, heat, power and Wi-Fi, read from files.

Call `machine`; the account's rights are in `rights`.  Pure but for reading below `root` and asking
how full a disk is.  It must never start a program, write, or contact anybody.
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
FUTURE_S = 120.0
"""A file of ours that is newer than now by more: the clock was set back after it was written."""
MEMORY_LOW_MB, MEMORY_FULL_MB = 150, 60
"""The speaker takes 90 to 110 MB."""
TIME_KEEPERS = {
    "run/systemd/timesync/synchronized": "by the network",
    "run/chrony": "by chrony",
    "run/chronyd.pid": "by chrony",
    "run/ntpd.pid": "by ntpd",
    "run/openntpd.pid": "by openntpd",
    "run/systemd/container": "by the host",
    ".dockerenv": "by the host",
}
"""What is there while somebody sets the clock.  timesyncd alone says whether it has."""

TEMPERATURE = "sys/class/thermal/thermal_zone0/temp"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def machine(root: Path, state_folder: Path, now: datetime) -> Iterator[Finding]:
    """All of it.  `state_folder`: where the service keeps what it knows."""
    yield _program()
    yield _clock(root, state_folder, now)
    yield _disk(state_folder)
    yield from _mount(root, state_folder)
    yield from _memory(root)
    yield from _heat(root)
    yield from _power(root)
    yield from _wifi(root)


def _program() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    bits = struct.calcsize("P") * 8
    said = f"Python {version}, {bits} bits"
    if sys.version_info < PYTHON_MIN:
        return fail("Python", said, "Install Python 3.11 or newer, then run scripts/install.sh.")
    if bits < 64:
        return fail("Python", said, "Use a 64-bit system: several packages are made for no other.")
    return ok("Python", said)


def _clock(root: Path, state_folder: Path, now: datetime) -> Finding:
    said = f"{now:%Y-%m-%d %H:%M %Z}".strip()
    fix = "timedatectl set-ntp true, and see: timedatectl status"
    if now.year < YEAR_MIN:
        return fail("Clock", f"{said}: no certificate is valid at that time", fix)
    ahead_s = _newest(state_folder) - now.timestamp()
    if ahead_s > FUTURE_S:
        jump = f"files in {state_folder} are {ahead_s / 60:.0f} min newer: it was set back"
        return warn("Clock", f"{said}, and it jumps ({jump})", "timedatectl timesync-status")
    by = next((by for name, by in TIME_KEEPERS.items() if (root / name).exists()), "")
    if by:
        return ok("Clock", f"{said}, set {by}")
    if (root / "run/systemd/timesync").exists():
        return warn("Clock", f"{said}, not set by the network yet", "timedatectl timesync-status")
    return warn("Clock", f"{said}, and nobody sets it", "sudo apt-get install -y systemd-timesyncd")


def _newest(folder: Path) -> float:
    """When the newest file of the folder was written; 0 where none can be seen."""
    newest = 0.0
    with suppress(OSError):
        for entry in folder.iterdir():
            newest = max(newest, entry.lstat().st_mtime)
    return newest


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
    """By the board's own firmware, or by the kernel's driver for it."""
    fix = "Use the board's own power supply and a short cable; hang hungry USB devices on a hub."
    bits = None
    with suppress(ValueError):
        bits = int(_read(root / THROTTLED), 16)
    for monitor in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if _read(monitor / "name").strip() == "rpi_volt":
            low = _read(monitor / "in0_lcrit_alarm").strip() == "1"
            bits = (bits or 0) | (UNDER_VOLTAGE_NOW if low else 0)
    if bits is None:
        return
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
    told = {name for name, _level in rows}
    for radio in sorted((root / "sys/class/net").glob("*/phy80211")):
        if radio.parent.name not in told:
            name = radio.parent.name
            yield not_seen("Wi-Fi", f"{name} tells no level here; see: iw dev {name} link")


def _memory(root: Path) -> Iterator[Finding]:
    kilobytes = dict(re.findall(r"^(\w+):\s+(\d+) kB", _read(root / "proc/meminfo"), re.M))
    if "MemAvailable" not in kilobytes:
        return
    free_mb, total_mb = (int(kilobytes[name]) // 1000 for name in ("MemAvailable", "MemTotal"))
    swap_mb = int(kilobytes.get("SwapFree", 0)) // 1000
    said = f"{free_mb} of {total_mb} MB free"
    said += f", {swap_mb} MB of swap" if swap_mb else ", no swap"
    fix = "See what takes it: ps aux --sort=-rss | head"
    if free_mb + swap_mb < MEMORY_FULL_MB:
        yield fail("Memory", said, fix)
    else:
        yield warn("Memory", said, fix) if free_mb < MEMORY_LOW_MB else ok("Memory", said)


def _mount(root: Path, folder: Path) -> Iterator[Finding]:
    """A worn-out SD card turns read-only: all seems well until something has to be kept."""
    mounts = {
        row[1].replace("\\040", " "): (row[2], row[3].split(","))
        for row in map(str.split, _read(root / "proc/mounts").splitlines())
        if len(row) > 3
    }
    place = next((str(at) for at in (folder, *folder.parents) if str(at) in mounts), "")
    if not place:
        return
    kind, options = mounts[place]
    if "ro" in options:
        yield fail(
            "Disk",
            f"{place}, with {folder}, is read-only: nothing can be kept",
            "See why: sudo dmesg | grep -iE 'mmc|ext4'; then: sudo mount -o remount,rw " + place,
        )
    elif kind in ("tmpfs", "overlay"):
        yield warn(
            "Disk",
            f"{folder} is in memory ({kind}): mute, timers and facts are gone after a restart",
            "Put state.path on a real disk, or leave it so if that is meant.",
        )


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
