"""The way to each service: name, route, encryption, key and model, as a session needs them.

Call `services`.  A session is opened and closed again before anything is said in it, so that it
costs nothing; every failure has the words that the journal has for it.  It must never contact
anybody but the configured services, and never show a key.

Thread: main; runs an event loop of its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_agent.cli.doctor.findings import Finding, fail, ok, warn
from edge_agent.contract.errors import LinkError, WireClosed
from edge_agent.contract.ports import Dialer, Wire

if TYPE_CHECKING:
    from edge_agent.realtime.link.endpoints import Endpoint

PINGS = 3
PONG_SLOW_S = 0.4
"""An answer begins so much later; still fine, and worth a word."""
WAIT_S = 10.0
"""For the first event of a session and for each pong."""
HELLO_MAX = 5
"""Events before the session's own; a service sends one."""


def services(endpoints: Sequence[Endpoint], dial: Dialer) -> list[Finding]:
    """A line for each, the first one first."""
    return asyncio.run(_all(endpoints, dial))


async def _all(endpoints: Sequence[Endpoint], dial: Dialer) -> list[Finding]:
    return [await _one(endpoint, dial, is_first=not at) for at, endpoint in enumerate(endpoints)]


async def _one(endpoint: Endpoint, dial: Dialer, *, is_first: bool) -> Finding:
    from edge_agent.realtime.providers import build_headers

    about = "Service" if is_first else "Fallback"
    where = f"{endpoint.provider.name} at {urlsplit(endpoint.url).hostname}, {endpoint.model}"
    bad = fail if is_first else warn
    try:
        headers = build_headers(endpoint.provider, endpoint.key())
    except OSError as problem:
        return bad(
            about,
            f"{where}: the key cannot be read ({problem.strerror}).",
            "Run this with sudo; the service itself is handed the key by systemd.",
        )
    except LinkError as problem:
        return bad(about, f"{where}: {problem.message}", problem.fix)
    began = time.monotonic()
    try:
        wire = await dial(endpoint.url, headers)
    except LinkError as problem:
        return bad(about, f"{where}: {problem.message} [{problem.code}]", problem.fix)
    try:
        complaint = await asyncio.wait_for(_hello(wire), WAIT_S)
        ready_s = time.monotonic() - began
        pongs_s = [await _pong_s(wire) for _ in range(PINGS)]
    except (TimeoutError, WireClosed) as problem:
        what = "answered nothing" if isinstance(problem, TimeoutError) else "closed the session"
        return bad(
            about,
            f"{where}: it took the connection and {what}.",
            "Is it a Realtime service? See realtime.provider and realtime.url.",
        )
    finally:
        await wire.close()
    if complaint:
        return bad(
            about,
            f"{where}: it refuses the session ({complaint}).",
            f"See: journalctl -u edge-agent, or {endpoint.provider.name}'s own pages.",
        )
    pong_s = sorted(pongs_s)[PINGS // 2]
    said = f"{where}: a session after {ready_s:.1f} s, pings {pong_s * 1000:.0f} ms"
    if pong_s > PONG_SLOW_S:
        return warn(about, said, "The way there is slow; see whether Wi-Fi or the line is busy.")
    return ok(about, said)


async def _hello(wire: Wire) -> str:
    """Wait for the session; what the service complains of instead ("" if nothing)."""
    from edge_agent.contract.foreign import id_of

    for _ in range(HELLO_MAX):
        try:
            event = json.loads(await wire.receive())
        except ValueError:
            return "no JSON"
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "session.created":
            return ""
        if kind == "error":
            error = event.get("error")
            code = error.get("code") or error.get("type") if isinstance(error, dict) else ""
            return id_of(str(code or "error"))
    return "no session"


async def _pong_s(wire: Wire) -> float:
    from edge_agent.realtime.link.liveness import ProbedWire

    began = time.monotonic()
    if isinstance(wire, ProbedWire):
        await asyncio.wait_for(wire.ping(), WAIT_S)
    return time.monotonic() - began
