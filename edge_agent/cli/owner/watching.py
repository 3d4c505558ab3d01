"""`edge-agent privacy --watch`: what leaves the running speaker, by the kernel's count.

`watch` prints a line a second: the speaker's state as it says it, and beside it the bytes that the
kernel has counted on its connections, which nobody can talk away.

Thread: main thread, the speaker runs meanwhile.  It never becomes another account: only root may
see whose a socket of the service is, and of the account's folder nothing is opened but the control
socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from edge_agent.cli.outcome import harmless

if TYPE_CHECKING:
    from edge_agent.host.service.sockets import Connection
    from edge_agent.host.settings.root import Settings

LOOK_EVERY_S = 1.0
"""A connection that lives shorter than this can be missed; ours lives for minutes."""


pause: Callable[[float], None] = time.sleep


def watch(settings: Settings, *, seconds: int) -> None:
    """Print a line a second, `seconds` of them after the first (0: until Ctrl-C)."""
    from edge_agent.host.service.control import ask, client_paths, speaker_pid
    from edge_agent.host.service.sockets import Totals, connections_of

    paths, totals = client_paths(settings.control.path), Totals()
    typer.echo(
        "TCP payload of the speaker's process, as the kernel counts it (tool servers are other "
        "processes).  Ctrl-C ends it."
    )
    looks = 0
    while True:
        connections = connections_of(speaker_pid(paths))
        out, into = totals.look(connections)
        state = harmless(_state(ask({"do": "status"}, paths)))
        typer.echo(
            f"{time.strftime('%H:%M:%S')}  {state}: {_bytes(out)} out, {_bytes(into)} in; "
            f"in all {_bytes(totals.out)} out, {_bytes(totals.into)} in  "
            f"[{_peers(connections)}]"
        )
        if seconds and looks >= seconds:
            return
        looks += 1
        pause(LOOK_EVERY_S)


def _state(answer: dict[str, object]) -> str:
    microphone = str(answer.get("microphone"))
    if answer.get("capture_closed") is True:
        microphone += " and closed"
    return f"microphone {microphone}, {answer.get('talk')}, link {answer.get('link')}"


def _bytes(count: int) -> str:
    return f"{count:,} B"


def _peers(connections: list[Connection]) -> str:
    far = sorted({f"{address} port {port}" for address, port in (one.far for one in connections)})
    return ", ".join(far) or "no connection"
