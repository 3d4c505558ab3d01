"""Catalog: the journal's messages as `journalctl -x` wants them, and the names that journald gets.

It must never hold a message of its own: see `messages`. `systemd/edge-agent.catalog` is the text of
`catalog()`.
"""

from __future__ import annotations

import re
import uuid

from edge_agent.host.journal.messages import MESSAGES
from edge_agent.host.journal.reasons import REASONS

NAMESPACE = uuid.UUID("3f0c6a0e-6b5e-4d0b-9f6c-2f7f2d1f5c41")
"""Drawn at random once; message ids are name-based UUIDs in it, so none is typed by hand."""


def message_id(code: str) -> str:
    """The 128-bit MESSAGE_ID of a code, as journald wants it: 32 hexadecimal digits."""
    return uuid.uuid5(NAMESPACE, code).hex


def catalog() -> str:
    """The text of `systemd/edge-agent.catalog`, for `journalctl --update-catalog`."""
    parts = ["# Generated from edge_agent/host/journal/messages.py; do not edit.\n"]
    for code, message in MESSAGES.items():
        # The subject is for all entries of this kind: without the optional parts.
        subject = re.sub(r"\[[^\[\]]*\]", "", message.text).rstrip(".")
        subject = re.sub(r"\{(\w+)\}", lambda m: f"@{field_name(m[1])}@", subject)
        parts.append(_catalog_entry(code, subject, message.explanation))
    for code, explanation in REASONS.items():
        if code not in MESSAGES:
            parts.append(_catalog_entry(code, f"Trouble: {code}", explanation))
    return "\n".join(parts)


def _catalog_entry(code: str, subject: str, explanation: str) -> str:
    return (
        f"-- {message_id(code)}\n"
        f"Subject: {subject}\n"
        "Defined-By: edge-agent\n\n"
        f"{code}: {explanation}\n"
    )


def field_name(name: str) -> str:
    """The journal field of a note's field: `latency_ms` → `EDGE_LATENCY_MS`.

    A field called `code` (why a link is down) must not hide the line's own EDGE_CODE.
    """
    if name == "code":
        return "EDGE_REASON_CODE"
    return "EDGE_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()
