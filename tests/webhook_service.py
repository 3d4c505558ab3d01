"""A webhook on this machine: takes messages as JSON, or refuses them as told.

Thread: the server's own ones; a test reads `requests` when a call is over.  It must never share
code with `host/web/webhook`.
"""

from __future__ import annotations

import json
import ssl
from typing import Any

from speech_service import Handler, SpeechService

TOKEN = "hook-token-98765"
FIELDS = {"type", "id", "created_at", "from", "text", "urgency"}


class HookHandler(Handler):
    """One message."""

    service: Hook

    def answer(self) -> None:
        """204, as hooks do; what is no message of ours is refused."""
        message = json.loads(self.body)
        kind = self.headers["Content-Type"]
        if kind != "application/json" or set(message) != FIELDS:
            return self.send(400, b"no message")
        if self.headers["Idempotency-Key"] != message["id"]:
            return self.send(400, b"whose id?")
        if self.service.token and self.headers["Authorization"] != f"Bearer {self.service.token}":
            return self.send(401, b"who are you?")
        self.service.taken.append(message)
        return self.send(204, b"")


class Hook(SpeechService):
    """`with Hook() as hook:`; `taken` are the messages that arrived, `answers` as in the base."""

    handler = HookHandler

    def __init__(self, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.token = token
        self.taken: list[dict[str, Any]] = []
        self.url = self.base.replace("/v1", "/hooks/speaker")
