"""systemd: telling the service manager how we are (purpose).

Owner thread: the event loop.  Must never block or raise: a manager that does not listen is no
reason to stop talking to the household.  Protocol: sd_notify(3), plain datagrams.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

STATUS_MAX_CHARS = 200
"""One line of `systemctl status`."""

MICROSECONDS_PER_S = 1_000_000


class Notifier:
    """Speaks to `$NOTIFY_SOCKET`; without one every call does nothing and returns False."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        env = os.environ if environ is None else environ
        self._socket: socket.socket | None = None
        self._watchdog_interval_s = _watchdog_interval_s(env)
        path = env.get("NOTIFY_SOCKET", "")
        if path[:1] not in ("/", "@"):
            return
        # "@" stands for the zero byte of an abstract socket.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    @property
    def connected(self) -> bool:
        """Whether a manager asked to be told."""
        return self._socket is not None

    def ready(self, status: str = "") -> bool:
        """The service is up; with Type=notify `systemctl start` returns now."""
        return self._send("READY=1", *_status(status))

    def status(self, text: str) -> bool:
        """The one line that `systemctl status` shows."""
        return self._send(*_status(text))

    def watchdog(self) -> bool:
        """Still healthy.  Call at least every `watchdog_interval_s()`."""
        return self._send("WATCHDOG=1")

    def give_up(self) -> bool:
        """Ask to be killed and restarted now, instead of when the watchdog runs out."""
        return self._send("WATCHDOG=trigger")

    def stopping(self, status: str = "") -> bool:
        """An orderly stop began."""
        return self._send("STOPPING=1", *_status(status))

    def reloading(self) -> bool:
        """Settings are read again; `ready` ends it."""
        # Newer managers (Type=notify-reload) want the time of the request beside it.
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now_us}")

    def extend_timeout(self, seconds: float) -> bool:
        """Starting or stopping takes longer than usual, but goes on."""
        return self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * MICROSECONDS_PER_S)}")

    def watchdog_interval_s(self) -> float | None:
        """How often `watchdog` must be called: half of what the manager allows, as
        sd_watchdog_enabled(3) advises.  None: nobody watches."""
        return self._watchdog_interval_s

    def close(self) -> None:
        """Release the socket.  Safe to call twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True


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
