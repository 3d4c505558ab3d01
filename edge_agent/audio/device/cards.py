"""Cards: what the kernel knows of this machine's sound cards, and who holds them.

Call `read_cards`; `choice` decides by what it returns.  Pure but for reading `/proc` and `/sys`.
It must never open a card: one that is open elsewhere would refuse, and one that sleeps would wake.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path("/")

_CARD = re.compile(r"^\s*(\d+) \[(.*?)\s*\]: (\S+) - (.*)$", re.MULTILINE)
"""A card in `/proc/asound/cards`: number, id, driver and name."""
_PCM = re.compile(r"pcm(\d+)([pc])")
_FIELD = re.compile(r"^(\w+)\s*:\s*(.*?)\s*$", re.MULTILINE)
_HDMI = re.compile(r"HDMI|DisplayPort", re.IGNORECASE)
_MONITOR = re.compile(r"^monitor_present\s+1$", re.MULTILINE)
_VC4 = re.compile(r"vc4hdmi(\d*)")
_DEFAULT = re.compile(
    r"^(?:\s*(?:pcm\.!?default|defaults\.pcm\.!?(?:card|device))\b|[^#\n]*load_if_running)",
    re.MULTILINE,
)
"""What gives ALSA's name "default" another meaning than "the first card".  To refer to it
(`name defaults.pcm.card`, as plugins do) gives it none."""

UNNAMED = "another program"
"""A holder whose name this process may not read: the service sees no process but its own
(ProtectProc=invisible)."""
_UNNAMED = re.compile(rf"{UNNAMED} \(process (\d+)\)")

VIRTUAL_DRIVERS = ("Loopback", "Dummy")
"""Cards that no ear or mouth is behind: snd-aloop and snd-dummy."""


class Kind(Enum):
    """What a card is, as far as a speaker has to know."""

    USB = "USB"
    BOARD = "sound board"
    """Wired to the board's own audio bus (I2S), as a HAT or by the maker of the board."""
    BUILT_IN = "built in"
    """On the main board of a computer, or in a slot of it."""
    JACK = "headphone jack"
    """The Raspberry Pi's own: it has no microphone, and mostly nothing is plugged in."""
    HDMI = "HDMI"
    VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True)
class Side:
    """One direction of one device of a card."""

    card: int
    device: int
    is_capture: bool
    card_id: str
    card_name: str
    kind: Kind
    port: str = ""
    """Where its card is plugged in, as in the names of twins (`devices.port_of`); "" if unknown."""
    holder: str = ""
    """Which other program has all of it open, as `pipewire (process 812)`; "" if none has."""
    has_monitor: bool = False
    """HDMI: something is plugged in."""


@dataclass(frozen=True, slots=True)
class Cards:
    """What was found."""

    sides: tuple[Side, ...] = ()
    default_from: str = ""
    """The file that gives ALSA's "default" a meaning of its own; "" if none does."""

    def side(self, pcm: tuple[int, int] | None, *, is_capture: bool) -> Side | None:
        """The side with this card and device number."""
        for side in self.sides:
            if (side.card, side.device) == pcm and side.is_capture is is_capture:
                return side
        return None

    def is_two_way(self, side: Side) -> bool:
        """Does its card both hear and speak?"""
        directions = {one.is_capture for one in self.sides if one.card == side.card}
        return len(directions) == 2


def read_cards(root: Path = ROOT, *, own_process: int = 0) -> Cards:
    """The cards below `root`.  `own_process` (default: this one) holds no card against itself."""
    sides = tuple(_sides(root, own_process or os.getpid()))
    return Cards(sides, _default_from(root))


def name_holders(text: str, root: Path = ROOT) -> str:
    """A sentence of the service with the names of the programs that it could not name itself."""
    return _UNNAMED.sub(lambda match: _program(root, _process(root, match[1])), text)


def _sides(root: Path, own_process: int) -> Iterator[Side]:
    asound = root / "proc/asound"
    for match in _CARD.finditer(_read(asound / "cards")):
        number, card_id, driver, name = match.groups()
        folder = asound / f"card{number}"
        for pcm in sorted(folder.glob("pcm*[pc]")):
            found = _PCM.fullmatch(pcm.name)
            if found is None:
                continue
            info = dict(_FIELD.findall(_read(pcm / "info")))
            what = f"{info.get('id', '')} {info.get('name', '')} {card_id}"
            kind = _kind(root, folder, driver, what)
            yield Side(
                card=int(number),
                device=int(found[1]),
                is_capture=found[2] == "c",
                card_id=card_id,
                card_name=name.strip(),
                kind=kind,
                port=_port(root, folder),
                holder=_holder(root, pcm, own_process),
                has_monitor=kind is Kind.HDMI and _has_monitor(root, folder, card_id),
            )


def _kind(root: Path, folder: Path, driver: str, what: str) -> Kind:
    if _HDMI.search(what):
        return Kind.HDMI
    if (folder / "usbid").exists():
        return Kind.USB
    if driver in VIRTUAL_DRIVERS:
        return Kind.VIRTUAL
    if driver.startswith("bcm2835"):
        return Kind.JACK
    device = root / "sys/class/sound" / folder.name / "device"
    with suppress(OSError):
        parts = device.resolve().parts
        is_on_bus = any(part.startswith(("pci0", "usb")) for part in parts)
        if "platform" in parts and not is_on_bus:
            return Kind.BOARD
    return Kind.BUILT_IN


def _port(root: Path, folder: Path) -> str:
    device = root / "sys/class/sound" / folder.name / "device"
    return device.resolve().name if device.exists() else ""


def _has_monitor(root: Path, folder: Path, card_id: str) -> bool:
    """By the card's own account of the plug (ELD) or, on a Raspberry Pi, by the graphics'."""
    if any(_MONITOR.search(_read(eld)) for eld in folder.glob("eld#*")):
        return True
    socket = _VC4.fullmatch(card_id)
    if socket is None:
        return False
    number = int(socket[1] or 0) + 1
    states = (root / "sys/class/drm").glob(f"card*-HDMI-A-{number}/status")
    return any(_read(state).strip() == "connected" for state in states)


def _holder(root: Path, pcm: Path, own_process: int) -> str:
    """Who has it open, if nothing of it is free; "" also if that is us."""
    threads: list[str] = []
    for status in sorted(pcm.glob("sub*/status")):
        fields = dict(_FIELD.findall(_read(status)))
        if "owner_pid" not in fields:
            return ""
        threads.append(fields["owner_pid"])
    for thread in threads:  # the kernel names the thread that opened it
        process = _process(root, thread)
        return "" if process == str(own_process) else _program(root, process)
    return ""


def _process(root: Path, thread: str) -> str:
    """The process of a thread; the thread itself where that may not be read."""
    about: dict[str, str] = dict(_FIELD.findall(_read(root / "proc" / thread / "status")))
    return about.get("Tgid", thread)


def _program(root: Path, process: str) -> str:
    name = _read(root / "proc" / process / "comm").strip() or UNNAMED
    return f"{name} (process {process})"


def _default_from(root: Path) -> str:
    # Not Path.home(), which raises for an account that has none.
    home = root / os.path.expanduser("~").lstrip("/")  # noqa: PTH111
    places = [home / ".asoundrc", home / ".config/alsa/asoundrc"]
    places += [root / "etc/asound.conf", *sorted((root / "etc/alsa/conf.d").glob("*.conf"))]
    for place in places:
        if _DEFAULT.search(_read(place)):
            return f"/{place.relative_to(root)}"
    return ""


def _read(path: Path) -> str:
    """ "" for what is not there, or vanishes meanwhile."""
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
