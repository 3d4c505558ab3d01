"""Button and light: are there GPIO lines, may the account use them, and does a press arrive?

`lines` looks; `tried` blinks the light and waits for a press, while no speaker runs; `pressed` says
what came of it, here or at the running speaker (`app.checks`).

Thread: main; `tried` runs an event loop of its own.  It must never claim a pin beside a running
speaker.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.cli.doctor.findings import Finding, fail, not_seen, ok, warn
from edge_agent.contract.errors import DeviceError

if TYPE_CHECKING:
    from edge_agent.host.settings.root import Settings

CHIPS = "gpiochip*"
GROUP = "gpio"
UDEV = (
    'echo \'SUBSYSTEM=="gpio", GROUP="gpio", MODE="0660"\' | '
    "sudo tee /etc/udev/rules.d/60-gpio.rules && sudo udevadm trigger"
)


def lines(root: Path, enabled: str, *, has_library: bool | None = None) -> Finding:
    """Are there lines for a button and a light?  `enabled`: `panel.enabled`."""
    if enabled == "off":
        return not_seen("Panel", "button and light are switched off (panel.enabled)")
    chips = sorted((root / "dev").glob(CHIPS))
    if not chips:
        if enabled == "on":
            fix = 'Set panel.enabled = "auto" or "off", or use a board that has them.'
            return fail("Panel", "this machine has no GPIO lines", fix)
        return not_seen("Panel", "this machine has no GPIO lines: no button, no light")
    if has_library is None:
        has_library = importlib.util.find_spec("lgpio") is not None
    if not has_library:
        return warn("Panel", "the package lgpio is missing", "sudo scripts/install.sh fetches it")
    entry = re.search(rf"^{GROUP}:[^:]*:(\d+):", _read(root / "etc/group"), re.M)
    gid = int(entry[1]) if entry else -1
    closed = [chip.name for chip in chips if chip.stat().st_gid != gid]
    if len(closed) == len(chips):
        make = "" if entry else "sudo groupadd --system gpio; sudo usermod -a -G gpio edge-agent; "
        said = f"{', '.join(closed)} cannot be opened by the group {GROUP}"
        return warn("Panel", said, make + UDEV)
    return ok("Panel", f"GPIO lines: {', '.join(chip.name for chip in chips)}")


def pressed(found: Mapping[str, Any]) -> Finding:
    """What came of blinking and waiting."""
    if not found.get("panel"):
        why = str(found.get("why", "")).rstrip(".")
        return not_seen("Button", f"there is no panel: {why}")
    buttons = list(dict.fromkeys(map(str, found.get("pressed", ()))))
    if not buttons:
        fix = "Press while the light blinks. Else see panel.button_pin, pull_up and the wires."
        return warn("Button", "no press arrived within 5 s", fix)
    return ok("Button", f"a press arrived: {', '.join(buttons)}")


def tried(settings: Settings) -> dict[str, Any]:
    """Blink and wait, as the running speaker would."""
    return asyncio.run(_try(settings))


async def _try(settings: Settings) -> dict[str, Any]:
    from edge_agent.app.checks import BLINKS, PRESS_S
    from edge_agent.app.wiring import panel_config
    from edge_agent.contract.events import ButtonPressed, Event
    from edge_agent.panel.gpio import NullPanel, open_panel

    buttons: list[str] = []
    came = asyncio.Event()

    def post(event: Event) -> None:
        if isinstance(event, ButtonPressed):
            buttons.append(event.button)
            came.set()

    os.environ.setdefault("LG_WD", "/tmp")  # noqa: S108 - lgpio keeps a pipe there
    try:
        panel = open_panel(panel_config(settings), asyncio.get_running_loop(), post)
    except DeviceError as problem:
        return {"panel": False, "why": problem.message}
    if isinstance(panel, NullPanel):
        return {"panel": False, "why": panel.why}
    try:
        panel.show(BLINKS)
        with suppress(TimeoutError):
            await asyncio.wait_for(came.wait(), PRESS_S)
    finally:
        panel.show("off")
        panel.close()
    return {"panel": True, "pressed": buttons}


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
