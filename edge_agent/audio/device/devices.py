"""Sound devices by names that stay the same.

`distinct` makes them; `choice` picks one.  Pure but for reading card ids from `/proc/asound` and
`/sys`.  It must never open a device, and never let an index leave this room: indexes change with
every plug.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

CARD_NUMBER = re.compile(r"\(hw:(\d+),(\d+)\)")
"""PortAudio's ALSA back end appends this to a card's name; the first number is the one that
moves when something else was plugged in first."""

PROC_ASOUND = Path("/proc/asound")
SYS_SOUND = Path("/sys/class/sound")


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One sound device as the operating system offers it."""

    name: str
    """Stable and distinct: use it (or a part of it) in the settings."""
    host_api: str
    capture_channels: int
    render_channels: int
    default_rate_hz: int
    default_capture: bool = False
    default_render: bool = False
    index: int = field(default=-1, compare=False, repr=False)
    """PortAudio's index, valid until its next start only: never store it."""
    pcm: tuple[int, int] | None = field(default=None, compare=False, repr=False)
    """ALSA's numbers of card and device, as short-lived; None for what is no card's own."""


def stable_name(name: str, *, proc: Path = PROC_ASOUND) -> str:
    """Replace an ALSA card number by the card's id: `hw:1,0` → `hw:CARD=Device,DEV=0`."""

    def by_id(match: re.Match[str]) -> str:
        try:
            card = (proc / f"card{match[1]}" / "id").read_text().strip()
        except OSError:
            return match[0]
        return f"(hw:CARD={card},DEV={match[2]})"

    return CARD_NUMBER.sub(by_id, name)


def pcm_of(name: str) -> tuple[int, int] | None:
    """Card and device number in a name of PortAudio's, if it has them."""
    match = CARD_NUMBER.search(name)
    return (int(match[1]), int(match[2])) if match else None


def port_of(name: str, *, sys: Path = SYS_SOUND) -> str:
    """Where the card of this PortAudio name is plugged in (`1-1.2:1.0`), "" if unknown."""
    match = CARD_NUMBER.search(name)
    if match is None:
        return ""
    device = sys / f"card{match[1]}" / "device"
    return device.resolve().name if device.exists() else ""


def distinct(
    entries: Iterable[DeviceEntry], *, proc: Path = PROC_ASOUND, sys: Path = SYS_SOUND
) -> list[DeviceEntry]:
    """Give every entry a stable name of its own.

    Twin cards get ids in the order in which the kernel finds them, so they are told apart by
    the port they are plugged into; what has no port is numbered in PortAudio's order.
    """
    raw = list(entries)
    models = Counter(CARD_NUMBER.sub("", entry.name) for entry in raw)
    named: list[DeviceEntry] = []
    used: Counter[str] = Counter()
    for entry in raw:
        name = stable_name(entry.name, proc=proc)
        port = port_of(entry.name, sys=sys)
        if port and models[CARD_NUMBER.sub("", entry.name)] > 1:
            name = f"{CARD_NUMBER.sub('', entry.name).rstrip()} @ {port}"
            device = CARD_NUMBER.search(entry.name)
            if device is not None and device[2] != "0":
                name += f",{device[2]}"
        used[name] += 1
        if used[name] > 1:
            name = f"{name} #{used[name]}"
        named.append(replace(entry, name=name, pcm=pcm_of(entry.name)))
    return named
