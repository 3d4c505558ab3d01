"""World: what stands between the program and the world, and this machine's own.

Thread: main, before anything runs.  It must never decide anything.  `real_world` makes the one of
this machine; tests and the demo hand the daemon a `World` of their own.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from edge_agent.app.wiring import panel_config
from edge_agent.contract.events import Event
from edge_agent.contract.ports import Dialer, Panel, SoundDevice
from edge_agent.host.service.control import server_path
from edge_agent.host.service.systemd import Notifier
from edge_agent.host.settings.root import Settings
from edge_agent.panel.gpio import open_panel
from edge_agent.tools.servers.mcp_tools import ServerPlan
from edge_agent.tools.servers.mcp_wire import OpenWire


@dataclass
class World:
    """What stands between the program and the world; tests and the demo put in their own."""

    device: SoundDevice
    dial: Dialer
    panel: Callable[[Callable[[Event], None]], Panel]
    """Makes the panel; it is given the thread-safe `post`."""
    notifier: Notifier = field(default_factory=Notifier)
    threads: bool = True
    """False: everything runs on the loop, as virtual time needs it."""
    rng: random.Random = field(default_factory=random.Random)
    now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    """Local time with its zone: for the clock tool and the day's budget, never for durations."""
    tool_servers: Callable[[ServerPlan], OpenWire] | None = None
    """How tool servers are reached; None: as this machine does."""
    voice: Callable[[str], bytes] | None = None
    """Words to 24 kHz PCM16 mono, where nothing is recorded; None: that of espeak-ng, if any."""
    watch_network: bool = False
    """Listen to the kernel for changes of addresses and routes."""
    reload: Callable[[], Settings] | None = None
    """Reads all layers of the settings anew; None: there are none."""
    control: Path | None = None
    """Where the control socket is put; None: nowhere."""


def spare_the_state(environ: MutableMapping[str, str]) -> None:
    """Give libpulse another place for its cookie than the state folder of a service, where it would
    complain of a full disk in a dozen lines; one that is there already goes on to count."""
    folder = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    cookie = Path(environ.get("HOME", "/")) / ".config" / "pulse" / "cookie"
    if folder and "XDG_CONFIG_HOME" not in environ and not cookie.exists():
        environ["XDG_CONFIG_HOME"] = folder


def real_world(settings: Settings) -> World:
    """This machine's sound card, network, pins and service manager."""
    from edge_agent.audio.device.portaudio import PortAudioDevice

    spare_the_state(os.environ)
    device = settings.device
    return World(
        device=PortAudioDevice(
            device.capture_device,
            device.render_device,
            capture_rate_hz=device.rate_hz,
            render_rate_hz=device.rate_hz,
            block_ms=device.block_ms,
            capture_channel=device.capture_channel,
        ),
        dial=real_dialer(settings),
        panel=lambda post: open_panel(panel_config(settings), asyncio.get_running_loop(), post),
        watch_network=True,
        control=server_path(settings.control.path),
    )


def real_dialer(settings: Settings) -> Dialer:
    """Real sockets, as patient and trusting as the owner wants them."""
    from edge_agent.realtime.link.dialer import DialTimings, WebSocketDialer

    realtime = settings.realtime
    return WebSocketDialer(
        timings=DialTimings(open_s=realtime.dial_timeout_s, close_s=realtime.close_timeout_s),
        ca_file=realtime.ca_file,
    )
