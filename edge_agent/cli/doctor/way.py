"""The way to a service, step by step: its name, the route to it, its encryption, each with a time.

Call `way`.  Of the standard library alone: `before` runs where nothing is installed yet.  It must
never contact anybody but the host it is given (or the proxy that leads there), nor send a word.

Thread: main; it blocks for up to `PATIENCE_S` a step.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from edge_agent.cli.doctor.findings import Finding, State, fail, ok, warn
from edge_agent.contract import net_faults

PATIENCE_S = 10.0
SLOW_S = 1.0
"""For one step: it works, and every new session takes as long."""
PLAIN_ANSWERS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH")
"""OpenSSL's reasons when something else than TLS comes back: mostly a web page."""
EXPIRES_SOON_DAYS = 7
CLOCK_FIX = "Set the clock first: sudo timedatectl set-ntp true; see: timedatectl status"


@dataclass(frozen=True, slots=True)
class Goal:
    """Where to."""

    host: str
    port: int
    is_tls: bool = True
    ca_file: str = ""
    via: str = ""
    """How it is called in words, if it is not the service itself: "the proxy"."""


STEPS = {
    "Name": "Is the network up, and the name right? See: ip -brief address; resolvectl query HOST",
    "Route": "Is the network up, and no firewall in between? See: ip route; ping HOST",
}


def way(goal: Goal, *, clock_is_wrong: bool = False) -> Iterator[Finding]:
    """Name, route, encryption; ends at the first step that fails."""
    where = f"{goal.via} {goal.host}".strip()
    began = time.monotonic()
    try:
        found = socket.getaddrinfo(goal.host, goal.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        yield _failed(goal, "Name", where, problem)
        return
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    more = f" and {len(addresses) - 2} more" if len(addresses) > 2 else ""
    listed = ", ".join(addresses[:2]) + more
    yield _timed("Name", f"{where} is {listed}", time.monotonic() - began)
    began = time.monotonic()
    try:
        plain = socket.create_connection((goal.host, goal.port), PATIENCE_S)
    except OSError as problem:
        yield _failed(goal, "Route", f"{where}, port {goal.port}", problem)
        return
    with plain:
        seconds = time.monotonic() - began
        yield _timed("Route", f"{where} takes connections at port {goal.port}", seconds)
        if not goal.is_tls:
            return
        try:
            yield _secured(goal, plain, where)
        except OSError as problem:
            if clock_is_wrong:
                said = f"{where}: no certificate holds at this machine's time"
                yield fail("TLS", said, CLOCK_FIX)
            else:
                yield _failed(goal, "TLS", where, problem)


def _secured(goal: Goal, plain: socket.socket, where: str) -> Finding:
    began = time.monotonic()
    context = ssl.create_default_context()
    if goal.ca_file:
        context.load_verify_locations(goal.ca_file)
    with context.wrap_socket(plain, server_hostname=goal.host) as secure:
        certificate = secure.getpeercert() or {}
    seconds = time.monotonic() - began
    said = f"{where} has a valid certificate"
    if ends := str(certificate.get("notAfter", "")):
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
        said += f", until {until:%Y-%m-%d}"
        if (until - datetime.now(UTC)).days < EXPIRES_SOON_DAYS:
            return warn("TLS", said, "Whoever runs that server has to renew it.")
    return _timed("TLS", said, seconds)


def _failed(goal: Goal, about: str, where: str, problem: Exception) -> Finding:
    reason = str(getattr(problem, "reason", "") or "")
    if reason.startswith(PLAIN_ANSWERS):
        return fail(
            about,
            f"{where}: a plain answer came in place of encryption",
            "Sign in to this network with a browser (a captive portal answers so), or correct "
            "realtime.url: that port has no TLS.",
        )
    row = net_faults.of_exception(problem) or net_faults.UNREACHABLE
    peer = net_faults.Peer("service", "link", "realtime.url", "wss://…", retries=True)
    error = net_faults.error_for(row, peer, net_faults.detail_of(problem))
    said = f"{where}: {error.message.removesuffix('.')}"
    if row is net_faults.CLOCK:
        today = datetime.now(UTC)
        return fail(
            about,
            f"{said}; here it is {today:%Y-%m-%d}",
            "If that is today, whoever runs the server has to renew its certificate. If not: "
            "sudo timedatectl set-ntp true; see: timedatectl status",
        )
    if about == "Route" and isinstance(problem, OSError) and problem.strerror:
        said += f" ({problem.strerror})"
    fix = STEPS.get(about, "").replace("HOST", goal.host)
    return fail(about, said, fix or error.fix)


def is_open(found: list[Finding]) -> bool:
    """Whether the whole way could be gone."""
    return bool(found) and all(one.state is not State.FAIL for one in found)


def _timed(about: str, said: str, seconds: float) -> Finding:
    said = f"{said} ({seconds * 1000:.0f} ms)"
    if seconds > SLOW_S:
        return warn(about, f"{said}: slow", "See whether Wi-Fi or the line is busy.")
    return ok(about, said)
