"""Keys: the key for the next dial, and what to do where it cannot be read.

Call `read` before each dial.  Thread: the event loop.  It never keeps a key: only
`contract.secrets` learns of it, so that it is left out of every text.
"""

from __future__ import annotations

from edge_agent.contract.secrets import in_use
from edge_agent.realtime.link.channel import NoteSink
from edge_agent.realtime.link.endpoints import Route


class KeyReader:
    """Reads the keys of all routes; one that cannot be read is noted once."""

    def __init__(self, note: NoteSink) -> None:
        self._note = note
        self._unreadable = ""

    def read(self, route: Route) -> str | None:
        """The key for a dial; None without one."""
        try:
            key = route.endpoint.key()
        except (OSError, ValueError) as error:  # ValueError: not text
            if self._unreadable != (kind := type(error).__name__):
                self._unreadable = kind
                self._note("link.key_unreadable", error=kind)
            return None
        self._unreadable = ""
        return key and in_use(key)

    def has_new(self, route: Route) -> bool:
        """Whether there is another key than the one that was used last."""
        return self.read(route) != route.used_key
