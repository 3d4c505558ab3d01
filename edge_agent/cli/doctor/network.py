"""Each service: the way there (`way`), then a session with key and model.

Call `services`.  A session is opened and closed again before anything is said in it, so that it
costs nothing; every failure has the words that the journal has for it.  It must never contact
anybody but the configured services, and never show a key.

Thread: main; runs an event loop of its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from edge_agent.cli.doctor.findings import Finding, State, fail, not_seen, ok, warn
from edge_agent.cli.doctor.way import Goal, is_open, way
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


class Go(Protocol):
    """See `way`."""

    def __call__(self, goal: Goal, *, clock_is_wrong: bool) -> Iterable[Finding]:
        """Findings of each step."""


def services(
    endpoints: Sequence[Endpoint],
    dial: Dialer,
    *,
    ca_file: str = "",
    clock_is_wrong: bool = False,
    connected: str = "",
    key_is_hidden: bool = False,
    go: Go = way,
) -> Iterator[Finding]:
    """The way to each and a line for its session, the first one first.

    `connected`: what the running speaker says of the session that it has; a second one beside it
    would take a place that some servers have only one of.  `key_is_hidden`: there is a key for the
    first, and this account may not read it.  `go`: how the way is gone.
    """
    for at, endpoint in enumerate(endpoints):
        proxy, goal = goal_for(endpoint.url, ca_file)
        if proxy:
            yield ok("Proxy", f"{goal.host}, port {goal.port}, leads to {proxy}")
        steps = list(go(goal, clock_is_wrong=clock_is_wrong))
        yield from steps if not at else (_softened(step) for step in steps)
        if not at and connected:
            yield ok("Service", connected)
        elif not at and key_is_hidden:
            yield not_seen("Service", "this account may not read its key; run this with sudo")
        elif is_open(steps):
            yield asyncio.run(_one(endpoint, dial, is_first=not at))


def goal_for(url: str, ca_file: str) -> tuple[str, Goal]:
    """Who is called for an address: the service, or the proxy that leads to it (then the service's
    name is told, too)."""
    from edge_agent.realtime.link.dialer import proxy_url

    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "wss"
    proxy = proxy_url(url)
    if not proxy:
        return "", Goal(host, parts.port or (443 if is_tls else 80), is_tls, ca_file)
    at = urlsplit(proxy)
    port = at.port or (443 if at.scheme == "https" else 1080 if "socks" in at.scheme else 80)
    return host, Goal(at.hostname or "", port, at.scheme == "https", via="the proxy")


def _softened(finding: Finding) -> Finding:
    """A fallback out of reach keeps nobody from talking."""
    state = State.WARN if finding.state is State.FAIL else finding.state
    return replace(finding, state=state)


async def _one(endpoint: Endpoint, dial: Dialer, *, is_first: bool) -> Finding:
    from edge_agent.realtime.providers import build_headers

    about = "Service" if is_first else "Fallback"
    where = f"{endpoint.provider.name} at {urlsplit(endpoint.url).hostname}, {endpoint.model}"
    bad = fail if is_first else warn
    try:
        headers = build_headers(endpoint.provider, endpoint.key())
    except OSError as problem:
        why = f"the key cannot be read ({problem.strerror}); run this with sudo"
        return not_seen(about, f"{where}: {why}")
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
