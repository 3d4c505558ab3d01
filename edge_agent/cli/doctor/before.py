"""The doctor before the installation: `scripts/doctor.sh`, with Python's own library alone.

It must never import a package that is not installed yet, nor contact anybody but the one host that
it is given (the usual provider's, or that of a server of your own).

Thread: main.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from edge_agent.audio.device.cards import Cards, Kind, read_cards
from edge_agent.audio.device.choice import Wishes, choose
from edge_agent.audio.device.devices import DeviceEntry
from edge_agent.cli.doctor.findings import Finding, fail, has_failed, not_seen, ok, shown
from edge_agent.cli.doctor.machine import machine
from edge_agent.contract import net_faults
from edge_agent.contract.errors import DeviceError

ROOT = Path("/")
STATE_FOLDER = Path("/var/lib/edge-agent")
HOST = "api.openai.com"
"""Of the provider that the settings name until the owner changes them."""
PORT = 443
PATIENCE_S = 10.0
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


def way_to(host: str, port: int) -> Finding:
    """Can a secure connection be made from here?"""
    began = time.monotonic()
    try:
        context = ssl.create_default_context()
        with (
            socket.create_connection((host, port), PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            pass
    except OSError as problem:
        row = net_faults.of_exception(problem) or net_faults.UNREACHABLE
        peer = net_faults.Peer("service", "link", "its address", "HOST", retries=True)
        error = net_faults.error_for(row, peer, net_faults.detail_of(problem))
        return fail(
            "Network", f"{host}: {error.message}", error.fix or "See: ip route; ping " + host
        )
    return ok(
        "Network",
        f"{host} answers, with a valid certificate, after {time.monotonic() - began:.1f} s",
    )


def main() -> int:
    """The command line; the exit code is 1 if something would keep a speaker from working."""
    parser = argparse.ArgumentParser(
        prog="scripts/doctor.sh", description="Is this machine fit for edge-agent?"
    )
    parser.add_argument("--host", default=HOST, help=f"host of the service (default: {HOST})")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--offline", action="store_true", help="contact nobody")
    wish = parser.parse_args()
    found = []
    for finding in visits(wish.host, wish.port, offline=wish.offline):
        found.append(finding)
        print(*shown(finding), sep="\n", flush=True)  # noqa: T201 - a program of its own
    return int(has_failed(found))


def visits(host: str, port: int, *, offline: bool) -> Iterator[Finding]:
    """Everything, as it is seen."""
    yield from machine(ROOT, STATE_FOLDER, datetime.now().astimezone())
    yield from sound(read_cards(ROOT))
    yield not_seen("Network", "not contacted (--offline)") if offline else way_to(host, port)


if __name__ == "__main__":
    sys.exit(main())
