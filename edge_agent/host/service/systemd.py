"""systemd: telling the service manager how we are.

Thread: the event loop.  It must never raise or wait: a manager that does not listen is no reason to
stop talking to the household.  sd_notify(3) is one datagram, sent here without blocking:
`systemd.daemon.notify` waits for a manager that leaves its messages unread (seen: the daemon stood
still at the 11th), and so does nothing that a watchdog may rely on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

STATUS_MAX_CHARS = 200
"""One line of `systemctl status`."""

MICROSECONDS_PER_S = 1_000_000


class Notifier:
    """Speaks to `$NOTIFY_SOCKET`; without one every call does nothing and returns False."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """`environ`: another one than the process's own."""
        env = os.environ if environ is None else environ
        self._watchdog_interval_s = _watchdog_interval_s(env)
        address = env.get("NOTIFY_SOCKET", "")
        self._notify: Callable[[str], object] | None = None
        if address:
            self._notify = _plain(address)

    @property
    def connected(self) -> bool:
        """Whether a manager asked to be told."""
        return self._notify is not None

    def ready(self, status: str = "") -> bool:
        """The service is up; with Type=notify `systemctl start` returns now."""
        return self._send("READY=1", *_status(status))

    def reloading(self) -> bool:
        """Settings are read anew; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, text: str) -> bool:
        """The one line that `systemctl status` shows."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """Still healthy.  Call at least every `watchdog_interval_s()`."""
        return self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> bool:
        """An orderly stop began."""
        return self._send("STOPPING=1", *_status(status))

    def watchdog_interval_s(self) -> float | None:
        """How often `watchdog` must be called: half of what the manager allows, as
        sd_watchdog_enabled(3) advises.  None: nobody watches."""
        return self._watchdog_interval_s

    def close(self) -> None:
        """Say nothing any more.  Safe to call twice."""
        self._notify = None

    def _send(self, *lines: str) -> bool:
        if self._notify is None:
            return False
        try:
            self._notify("\n".join(lines))
        except OSError:
            return False
        return True


def _plain(address: str) -> Callable[[str], object] | None:
    if address[0] not in "/@":
        return None
    # "@" stands for the zero byte of an abstract socket.
    path = "\0" + address[1:] if address[0] == "@" else address

    def notify(text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), path)

    return notify


def _status(text: str) -> list[str]:
    line = " ".join(text.split())[:STATUS_MAX_CHARS]
    return [f"STATUS={line}"] if line else []


def _watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    with contextlib.suppress(ValueError):
        interval_us = int(environ.get("WATCHDOG_USEC", ""))
        pid = environ.get("WATCHDOG_PID", "")
        # Meant for one process only: a child that inherits the variables must keep quiet.
        if interval_us > 0 and (not pid or int(pid) == os.getpid()):
            return interval_us / MICROSECONDS_PER_S / 2
    return None
