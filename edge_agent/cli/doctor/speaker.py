"""The speaker itself: its unit, what it says of itself, and the sound cards it would take.

Call `unit`, `running` and `sound`.  Thread: main; `unit` starts `systemctl`.  It must never open a
card beside a running speaker, nor a microphone that the household has muted.
"""

from __future__ import annotations

import array
import math
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edge_agent.cli.doctor.findings import Finding, State, fail, not_seen, ok, warn
from edge_agent.contract.errors import DeviceError

if TYPE_CHECKING:
    from edge_agent.audio.device.cards import Cards
    from edge_agent.audio.device.devices import DeviceEntry
    from edge_agent.contract.ports import SoundDevice
    from edge_agent.host.service.status import Status
    from edge_agent.host.settings.root import Settings

UNIT = "edge-agent.service"
SYSTEMCTL_MAX_S = 10.0
LISTEN_S = 2.0
"""Of the room, for its level; nothing of it is kept."""
FRAMES_MAX_S = 5.0
"""A sound server that has just started takes a second or two."""
SILENT_DBFS = -90.0
"""Below it there is no microphone behind the card: even a quiet room gives noise."""
FAINT_DBFS = -70.0
CLIPPED = 32_700
"""Samples from here on have met the limit."""


def unit() -> Iterator[Finding]:
    """Is the service installed, and does it run?"""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        yield not_seen("Unit", "there is no systemctl here")
        return
    wanted = ("LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts")
    try:
        told = subprocess.run(  # noqa: S603 - names of our own
            [systemctl, "show", UNIT, *(f"--property={name}" for name in wanted)],
            capture_output=True,
            text=True,
            timeout=SYSTEMCTL_MAX_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        yield not_seen("Unit", "systemctl does not answer")
        return
    yield unit_finding(dict(line.split("=", 1) for line in told.splitlines() if "=" in line))


def unit_finding(known: dict[str, str]) -> Finding:
    """What `systemctl show` means."""
    if not known:
        return not_seen("Unit", "systemd does not run here")
    if known.get("LoadState") != "loaded":
        return not_seen("Unit", "the service is not installed (scripts/install.sh)")
    state, result = known.get("ActiveState", ""), known.get("Result", "success")
    again = known.get("NRestarts", "0")
    if state == "failed" or (state != "active" and result != "success"):
        why = f"it failed ({result}, {again} restarts)"
        return fail(
            "Unit",
            why,
            "journalctl -u edge-agent -p err -n 20, then: sudo systemctl "
            "reset-failed edge-agent; sudo systemctl restart edge-agent",
        )
    if state != "active":
        return warn("Unit", f"it does not run ({state})", "sudo systemctl start edge-agent")
    said = f"{state} ({known.get('SubState', '')})"
    if known.get("UnitFileState") == "disabled":
        return warn("Unit", f"{said}, not started at boot", "sudo systemctl enable edge-agent")
    if again not in ("", "0"):
        return warn("Unit", f"{said}, restarted {again} times", "journalctl -u edge-agent -p err")
    return ok("Unit", said)


def running(status: Status) -> Iterator[Finding]:
    """What the speaker that runs says of itself."""
    from edge_agent.host.service.status import duration
    from edge_agent.host.service.troubles import troubles

    found = troubles(status)
    for trouble in found:
        state = State.FAIL if trouble.is_serious else State.WARN
        yield Finding("Speaker", state, f"{trouble.said} [{trouble.code}]", trouble.fix)
    if not found:
        muted = ", its microphone muted" if status.microphone == "muted" else ""
        yield ok("Speaker", f"runs for {duration(status.uptime_s)}{muted}")
    if status.device_present:
        capture = "closed" if status.capture_closed else status.capture_name
        yield ok("Sound", f"microphone {capture}, loudspeaker {status.render_name}")
    if status.mic_clipped:
        yield warn(
            "Gain",
            f"the microphone was too loud {status.mic_clipped} times",
            "Turn its gain down: alsamixer, F4",
        )


def cards(entries: Sequence[DeviceEntry], known: Cards, settings: Settings) -> Iterator[Finding]:
    """Which microphone and loudspeaker would be taken.  Opens nothing."""
    from edge_agent.audio.device.choice import Wishes, choose

    wishes = Wishes(settings.device.capture_device, settings.device.render_device)
    for about, capture in (("Microphone", True), ("Loudspeaker", False)):
        try:
            chosen = choose(entries, known, wishes, capture=capture)
            yield ok(about, f"{chosen.entry.name} ({chosen.why})")
        except DeviceError as problem:
            yield fail(about, problem.message, problem.fix)


def level(device: SoundDevice) -> Finding:
    """Listen to the room for two seconds, and forget it."""
    blocks: list[bytes] = []
    wanted = threading.Event()
    rate_hz = 48_000

    def hear(block: bytes, _at: float) -> None:
        blocks.append(block)
        if len(blocks) * len(block) >= 2 * rate_hz * LISTEN_S:
            wanted.set()

    try:
        rate_hz = device.open(hear, lambda frames, _at: bytes(2 * frames)).capture_rate_hz
        wanted.wait(FRAMES_MAX_S)
    except DeviceError as problem:
        return fail("Level", problem.message, problem.fix)
    finally:
        device.close()
    return level_finding(b"".join(blocks))


def level_finding(pcm: bytes) -> Finding:
    """What the level of a room's sound (PCM16 mono) means."""
    samples = array.array("h", pcm)
    if not samples:
        return fail(
            "Level",
            "the microphone opens and delivers nothing",
            "Try another card or USB port: edge-agent devices",
        )
    peak = max(map(abs, samples))
    mean = math.sqrt(sum(sample * sample for sample in samples) / len(samples))
    dbfs = 20 * math.log10(max(mean, 0.01) / 32_768)
    said = f"the room has {dbfs:.0f} dBFS"
    if dbfs < SILENT_DBFS:
        return fail(
            "Level",
            "the microphone delivers zeros",
            "Is it switched off at the device, or muted in alsamixer (F4)?",
        )
    if dbfs < FAINT_DBFS:
        return warn("Level", f"{said}: faint", "Turn the gain up: alsamixer, F4")
    if peak >= CLIPPED:
        return warn("Level", f"{said}, and it clips", "Turn the gain down: alsamixer, F4")
    return ok("Level", said)
