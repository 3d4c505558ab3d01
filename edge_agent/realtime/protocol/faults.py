"""Faults: what an `error` event and the end of a wire mean; the causes are `contract.net_faults`.

It must never do I/O, and never pass on a piece of a provider's text that could hold a key.  The
rules are PROTOCOL section 8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from edge_agent.contract import net_faults
from edge_agent.contract.error_codes import SERVER_ERROR
from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.contract.foreign import OTHER, code_of, text_of_others
from edge_agent.contract.net_faults import Peer

_TEXT_LIMIT_CHARS = 200
"""A provider's sentence, not a page: these texts end up in one journal line."""


def in_short(text: object) -> str:
    """A provider's text, short, on one line and without a key in use or what looks like one."""
    if not isinstance(text, str):
        return ""
    return text_of_others(" ".join(text.split()), _TEXT_LIMIT_CHARS)


_AGAIN = re.compile(r"try again in (\d{1,6}(?:\.\d{1,6})?) ?(ms|s)\b")


def again_in_s(text: str) -> float | None:
    """When the provider would take a request again, by its sentence; None: it does not say."""
    said = _AGAIN.search(text[:1000])
    return float(said[1]) / (1000 if said[2] == "ms" else 1) if said else None


NO_KEY = "link.no_key"
KEY_UNREADABLE = "link.key_unreadable"
PROVIDER = Peer(
    name="Realtime service",
    code="link",
    url="realtime.url",
    example="wss://host/v1/realtime",
    model="Check realtime.model and the key's project.",
    key="Put a valid key in place; from a file it is picked up at once, else restart the speaker.",
    retries=True,
)
"""The service in the sentences of an error."""

RECONNECT_CLOSE_CODES = frozenset({1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015})
"""Closes after which dialling again makes sense.  1000 is added to the SDK's list: a server
that says goodbye politely is still gone."""

PEER_SLIP_CLOSE_CODES = frozenset({1002, 1003, 1007, 1009, 1010})
"""Closes about one bad or oversized frame, by either side: a fresh session may do better."""

_NO_HINTS: Mapping[int, str] = {}


def from_error_event(code: str, message: str) -> LinkError | None:
    """What an `error` event means for the link; None: the session goes on.

    A rate limit reported this way concerns one request, so it is not fatal.
    """
    found = net_faults.of_word(code) or (net_faults.of_word(message) if not code else None)
    if found is None or found.kind is LinkBusy:
        return None
    return net_faults.error_for(found, PROVIDER)


def from_close(code: int, reason: str, hints: Mapping[int, str] = _NO_HINTS) -> LinkError:
    """What a closed connection means.

    `hints`: what this provider means by a close code without a reason (codes of
    `net_faults.NAMED`).
    """
    found = net_faults.of_word(reason)
    if found is None and not reason.strip():
        found = net_faults.NAMED.get(hints.get(code, ""))
    if found is not None:
        return net_faults.error_for(found, PROVIDER)
    # A reason that is a text may hold what was said in the room: its code is told, not its words.
    word = code_of(reason)
    said = f"close code {code}" + (f", reason {word}" if word and word != OTHER else "")
    if code == 1013:
        return net_faults.error_for(net_faults.LATER, PROVIDER, said)
    if code in RECONNECT_CLOSE_CODES or reason.startswith(f"{SERVER_ERROR}."):
        return LinkLost(f"The connection was closed ({said}).", code="link.closed")
    if code in PEER_SLIP_CLOSE_CODES:
        what = "a frame was too big" if code == 1009 else "a frame was not understood"
        return LinkLost(
            f"The connection was closed because {what} ({said}).",
            code="link.frame_too_big" if code == 1009 else "link.protocol",
        )
    return LinkRefused(
        f"The provider ended the session and does not want it back ({said}).",
        fix="Check the account, the model and the URL.",
    )
