"""The speaker that runs, by its own account, and what it may be asked to try out.

Call `asked` for its status, `running` for what that means, `check` for a trial (`app.checks`).  It
must never open a card, a pin or a connection that the speaker has.

Thread: main.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from edge_agent.cli.doctor.findings import Finding, State, ok, warn

if TYPE_CHECKING:
    from edge_agent.host.service.status import Status

ASK_EVERY_S = 0.5
CHECK_MAX_S = 20.0
"""The longest check takes some 6 s, and a small board a few more to compute."""

Ask = Callable[[dict[str, object]], dict[str, Any]]
"""A request of the control socket to its answer; raises `ControlError`."""


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
        capture = _named(status.capture_name, status.capture_why)
        yield ok("Microphone", "closed: nothing records" if status.capture_closed else capture)
        yield ok("Loudspeaker", _named(status.render_name, status.render_why))
    if status.device_present and status.echo == "found":
        yield ok("Echo", f"known, and made {status.echo_quieter_db} dB quieter")
    if status.mic_clipped:
        yield warn(
            "Gain",
            f"the microphone was too loud {status.mic_clipped} times",
            "Turn its gain down: alsamixer, F4",
        )


def session_of(status: Status) -> str:
    """What it says of its session with the service; "" if there is none."""
    if status.link != "ready":
        return ""
    said = f"the speaker has a session with {status.provider}, {status.model}"
    if status.pongs:
        said += f"; pings {status.pong_p50_ms} ms, 99 of 100 within {status.pong_p99_ms} ms"
    return said


def check(name: str, ask: Ask, *, max_s: float = CHECK_MAX_S, **wishes: object) -> dict[str, Any]:
    """Have it try something out, with `wishes` in the request.  Raises `ControlError` where it may
    not, or does not end."""
    from edge_agent.host.service.control import ControlError

    ask({"do": name, "start": True, **wishes})
    until, between = time.monotonic() + max_s, threading.Event()
    while time.monotonic() < until:
        between.wait(ASK_EVERY_S)
        answer = ask({"do": name})
        if answer.get("done") is True:
            return answer
    raise ControlError("The check does not end.", fix="journalctl -u edge-agent -n 30")


def _named(name: str, why: str) -> str:
    return f"{name or 'default'} ({why})" if why else name or "default"
