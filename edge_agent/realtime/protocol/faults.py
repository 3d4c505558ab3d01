"""Faults: which word of a provider means which error, with its remedy (purpose).

Owner thread: any, pure tables and functions.  Must never do I/O, and never pass on a piece of
a provider's text that could hold a key.  The rules are PROTOCOL section 8.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.contract.errors import LinkBusy, LinkError, LinkLost, LinkRefused
from edge_agent.contract.foreign import OTHER, code_of, text_of_others

_TEXT_LIMIT_CHARS = 200
"""A provider's sentence, not a page: these texts end up in one journal line."""


def in_short(text: object) -> str:
    """A provider's text, short, on one line and without a key in use or what looks like one."""
    if not isinstance(text, str):
        return ""
    return text_of_others(" ".join(text.split()), _TEXT_LIMIT_CHARS)


BAD_KEY = "link.bad_key"
NO_KEY = "link.no_key"
NO_QUOTA = "link.no_quota"
NO_MODEL = "link.no_model"
DIALECT = "link.dialect"
EXPIRED = "link.session_expired"
BUSY = "link.busy"

_SENTENCES: dict[str, tuple[str, str]] = {
    BAD_KEY: (
        "The provider does not accept the API key.",
        "Put a valid key in place; from a file it is picked up at once, else restart the speaker.",
    ),
    NO_QUOTA: (
        "The provider account has no credit left.",
        "Top up the account or raise its limit; the speaker comes back by itself.",
    ),
    NO_MODEL: (
        "The account may not use this model, or there is no such model.",
        "Check the model name and the key's project.",
    ),
    DIALECT: (
        "The server does not speak the Realtime protocol that we speak.",
        "Choose the right provider for this URL, or update the server.",
    ),
    EXPIRED: ("The session reached the provider's time limit.", ""),
    BUSY: ("The provider asks to come back later.", ""),
}

_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        BAD_KEY,
        ("invalid_api_key", "incorrect_api_key", "missing_api_key", "authentication_error"),
    ),
    (
        NO_QUOTA,
        (
            "insufficient_quota",
            "credit_balance_exhausted",
            "account_deactivated",
            "billing_hard_limit_reached",
            "billing_not_active",
        ),
    ),
    (DIALECT, ("beta_api_shape_disabled",)),
    (NO_MODEL, ("model_not_found", "model_not_available", "model_access_denied")),
    (EXPIRED, ("session_expired", "maximum duration")),
    (BUSY, ("rate_limit_exceeded", "too_many_requests", "server_overloaded")),
    # speech-to-speech closes with 1008 while the slot of our last session is not free yet.
    (BUSY, ("session_limit_reached", "slots are in use")),
)
"""Words that appear as error codes and inside the reasons of close frames."""

BENIGN_CODES = frozenset(
    {
        "response_cancel_not_active",
        "input_audio_buffer_commit_empty",
        "item_create_duplicate_item_id",
        "item_retrieve_invalid_item_id",
        "item_delete_invalid_item_id",
        "item_truncate_invalid_item_id",
        "unsupported_content_type",
    }
)
"""Races that both sides may lose without harm: counted, not reported."""

RECONNECT_CLOSE_CODES = frozenset({1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015})
"""Closes after which dialling again makes sense.  1000 is added to the SDK's list: a server
that says goodbye politely is still gone."""

PEER_SLIP_CLOSE_CODES = frozenset({1002, 1003, 1007, 1009, 1010})
"""Closes about one bad or oversized frame, by either side: a fresh session may do better."""


NAMED = frozenset(_SENTENCES)
"""Codes for which `named` makes an error."""

_NO_HINTS: Mapping[int, str] = {}


def named(code: str) -> LinkError:
    """The error for one of the codes above, with its sentences."""
    message, fix = _SENTENCES[code]
    if code == EXPIRED:
        return LinkLost(message, fix=fix, code=code)
    if code == BUSY:
        return LinkBusy(message, fix=fix, code=code)
    return LinkRefused(message, fix=fix, code=code)


def _find(text: str) -> str | None:
    return next((code for code, words in _WORDS if any(w in text for w in words)), None)


def from_error_event(code: str, message: str) -> LinkError | None:
    """What an `error` event means for the link; None: the session goes on.

    A rate limit reported this way concerns one request, so it is not fatal.
    """
    found = _find(code) or (_find(message) if not code else None)
    return None if found in (None, BUSY) else named(found or DIALECT)


def from_close(code: int, reason: str, hints: Mapping[int, str] = _NO_HINTS) -> LinkError:
    """What a closed connection means.

    `hints`: what this provider means by a close code whose reason says nothing (`NAMED` codes).
    """
    found = _find(reason) or hints.get(code)
    if found in NAMED:
        return named(found)
    # A reason that is a text may hold what was said in the room: its code is told, not its words.
    word = code_of(reason)
    said = f", reason {word}" if word and word != OTHER else ""
    if code == 1013:
        return LinkBusy(f"The provider asks to come back later (close code {code}{said}).")
    if code in RECONNECT_CLOSE_CODES:
        return LinkLost(f"The connection was closed (code {code}{said}).", code="link.closed")
    if code in PEER_SLIP_CLOSE_CODES:
        what = "a frame was too big" if code == 1009 else "a frame was not understood"
        return LinkLost(
            f"The connection was closed because {what} (code {code}{said}).",
            code="link.frame_too_big" if code == 1009 else "link.protocol",
        )
    return LinkRefused(
        f"The provider ended the session and does not want it back (code {code}{said}).",
        fix="Check the account, the model and the URL.",
        code="link.refused",
    )


def from_http_status(
    status: int, body: str, *, html: bool, retry_after_s: float | None
) -> LinkError:
    """What an HTTP answer instead of an upgrade means."""
    found = _find(body)
    if found in (BAD_KEY, NO_QUOTA, NO_MODEL, DIALECT):
        return named(found)
    if status == 511 or (html and status < 400) or 300 <= status < 400:
        return LinkLost(
            f"Something between us and the provider answered with a web page (HTTP {status}).",
            fix="Sign in to the network: it looks like a captive portal.",
            code="link.captive_portal",
        )
    if status == 401:
        return named(BAD_KEY)
    if status == 403:
        return named(NO_MODEL)
    if status == 407:
        return LinkRefused(
            "The proxy wants a user name and a password.",
            fix="Put them into HTTPS_PROXY, or list the host in NO_PROXY.",
            code="link.proxy",
        )
    if status in (408, 425, 429) or status >= 500:
        return LinkBusy(
            f"The provider asks to come back later (HTTP {status}).",
            code=BUSY,
            retry_after_s=retry_after_s,
        )
    return LinkRefused(
        f"There is no Realtime service at this URL (HTTP {status}).",
        fix="Check the URL and the model.",
        code="link.bad_url",
    )
