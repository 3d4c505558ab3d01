"""Keys: what signs the next dial in, and what to do where the key cannot be read.

Call `headers` before each dial.  Thread: the event loop.  It must never keep a key of its owner's:
the route has the one that was used, and `contract.secrets` leaves it out of every text.
"""

from __future__ import annotations

from edge_agent.contract.errors import LinkRefused
from edge_agent.contract.secrets import in_use
from edge_agent.realtime.link.channel import NoteSink
from edge_agent.realtime.link.endpoints import Route
from edge_agent.realtime.protocol.faults import KEY_UNREADABLE, NO_KEY
from edge_agent.realtime.providers import SecretHeaders, build_headers


class KeyReader:
    """Reads the keys of all routes; one that cannot be read is noted once."""

    def __init__(self, note: NoteSink) -> None:
        self._note = note
        self._unreadable = ""

    def headers(self, route: Route) -> SecretHeaders:
        """What signs a dial in, with the key of this moment.  Raises `LinkRefused`."""
        route.used_key = self.read(route)
        try:
            return build_headers(route.endpoint.provider, route.used_key)
        except LinkRefused as refused:
            if refused.code != NO_KEY or not self._unreadable:
                raise
            raise LinkRefused(
                f"The key cannot be read: {self._unreadable}.",
                fix="Let the service read it: sudo chgrp edge-agent /etc/edge-agent/openai_api_key "
                "&& sudo chmod 640 /etc/edge-agent/openai_api_key",
                code=KEY_UNREADABLE,
            ) from None

    def read(self, route: Route) -> str | None:
        """The key for a dial; None without one."""
        try:
            key = route.endpoint.key()
        except (OSError, ValueError) as error:  # ValueError: not text
            why = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
            if self._unreadable != why:
                self._unreadable = why
                self._note("link.key_unreadable", error=why)
            return None
        self._unreadable = ""
        return key and in_use(key)

    def has_new(self, route: Route) -> bool:
        """Whether there is another key than the one that was used last."""
        return self.read(route) != route.used_key
