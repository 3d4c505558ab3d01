"""Machines: sound cards as `/proc/asound`, `/sys` and PortAudio show them, from `machines.toml`.

`Machine(root, LAYOUTS[name])` puts the files below `root`; `cards` and `entries` are what a choice
is made of.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edge_agent.audio.device.cards import Cards, read_cards
from edge_agent.audio.device.devices import DeviceEntry, pcm_of

LAYOUTS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("machines.toml").read_text(encoding="utf-8")
)
OURS, THREAD, PROCESS = 77, 815, 812


class Machine:
    """A layout as a tree of files, and what PortAudio lists there."""

    def __init__(self, root: Path, layout: dict[str, Any]) -> None:
        self.root = root
        self.layout = layout
        self.put("proc/asound/cards", layout["cards"].lstrip("\n"))
        for folder, pcm_id, name, holder in layout["pcms"]:
            base = f"proc/asound/{folder}"
            self.put(f"{base}/info", f"card: 0\ndevice: 0\nid: {pcm_id}\nname: {name}\n")
            self.hold(folder, holder)
        for number in layout.get("usb", []):
            self.put(f"proc/asound/card{number}/usbid", "0b0e:0422\n")
        for number, place in enumerate(layout["device"]):
            device = root / "sys/devices" / place
            device.mkdir(parents=True, exist_ok=True)
            card = root / f"sys/class/sound/card{number}"
            card.mkdir(parents=True)
            (card / "device").symlink_to(device)
        for socket in ("HDMI-A-1", "HDMI-A-2"):
            state = "connected" if socket in layout.get("monitors", []) else "disconnected"
            self.put(f"sys/class/drm/card1-{socket}/status", f"{state}\n")
        for name, text in layout.get("eld", {}).items():
            self.put(f"proc/asound/{name}", text)
        for name, text in layout.get("files", {}).items():
            self.put(name, text)

    def put(self, name: str, text: str) -> None:
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def hold(self, folder: str, holder: str, thread: int = THREAD, process: int = PROCESS) -> None:
        """Let a program have a PCM open; "" for nobody."""
        status = f"state: RUNNING\nowner_pid   : {thread}\n" if holder else "closed\n"
        self.put(f"proc/asound/{folder}/sub0/status", status)
        if holder:
            self.put(f"proc/{thread}/status", f"Name:\tdata-loop.0\nTgid:\t{process}\n")
            self.put(f"proc/{process}/comm", f"{holder}\n")

    @property
    def cards(self) -> Cards:
        return read_cards(self.root, own_process=OURS)

    @property
    def entries(self) -> list[DeviceEntry]:
        return [
            DeviceEntry(name, "ALSA", captures, renders, 48_000, pcm=pcm_of(name))
            for name, captures, renders in self.layout["offered"]
        ]
