"""Webhook: a message as JSON to an address of the owner's (purpose).

Owner thread: a worker's; never the event loop (it blocks).  Must never follow a redirect, put the
token or the message into an error, or decide when to try again by a clock of its own.

`POST messages.webhook_url` with `Content-Type: application/json` and `Idempotency-Key`, the id:
whatever ends in doubt is sent again, and the other side can tell.  Any 2xx means taken; what else
it answers is not read.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from edge_agent.contract.backoff import Backoff
from edge_agent.contract.errors import AgentError, LinkBusy, LinkRefused
from edge_agent.contract.net_faults import Peer
from edge_agent.host.secret_files import read_token
from edge_agent.host.stores.message_store import Message
from edge_agent.host.web.http_api import HttpApi

PEER = Peer(
    name="webhook",
    code="messages",
    url="messages.webhook_url",
    example="https://home.example/hooks/speaker",
    key="Correct the token in the file of messages.webhook_token_file.",
    doubt="Does it take JSON by POST? See README for the fields.",
)
FIRST_PAUSE_S = 5.0
"""After the first failure; it doubles."""
PAUSE_MAX_S = 900.0
"""A message to an owner may be a quarter of an hour late, but not a day."""
REFUSED_PAUSE_S = 3600.0
"""Where only the owner can help."""


def send(
    url: str, token_file: str, timeout_s: float, message: Message, *, ca_file: str = ""
) -> None:
    """Deliver one message; returns when it was taken.  Raises AgentError."""
    token = read_token(Path(token_file), "messages.webhook_token_file") if token_file else ""
    http = HttpApi(
        url,
        token,
        peer=PEER,
        ca_file=ca_file,
        silence_timeout_s=timeout_s,
        call_timeout_s=timeout_s,
    )
    http.post(
        "",
        json.dumps(body(message), ensure_ascii=False).encode(),
        "application/json",
        0,
        headers={"Idempotency-Key": message.id},
    )


def body(message: Message) -> dict[str, str]:
    """What is sent: `type`, `id`, `created_at` (ISO 8601), `from`, `text`, `urgency`."""
    return {
        "type": "edge-agent.message",
        "id": message.id,
        "created_at": message.at,
        "from": message.sender,
        "text": message.text,
        "urgency": message.urgency,
    }


def is_about_this_message(error: AgentError) -> bool:
    """The other side works and does not like this one: the next may go through."""
    return error.code == f"{PEER.code}.refused"


class Pauses:
    """How long to wait after each round that did not deliver everything."""

    def __init__(self, rng: Random) -> None:
        """`rng` spreads the speakers of a house that lost the same server."""
        self._trouble = Backoff(FIRST_PAUSE_S, PAUSE_MAX_S, uniform=rng.uniform, least=0.5)
        self._refused = Backoff(REFUSED_PAUSE_S, REFUSED_PAUSE_S, uniform=rng.uniform, least=0.5)

    def reset(self) -> None:
        """Everything was delivered."""
        self._trouble.reset()

    def next_s(self, error: AgentError) -> float:
        """Seconds until the next try."""
        pause_s = self._trouble.next_s()
        if isinstance(error, LinkRefused) or is_about_this_message(error):
            return self._refused.next_s()
        if isinstance(error, LinkBusy) and error.retry_after_s is not None:
            return min(max(error.retry_after_s, 1.0), REFUSED_PAUSE_S)
        return pause_s
