"""Message: what one kind of journal line is made of (purpose).

Owner thread: none, frozen values.  Must never hold a line of its own: `messages` is the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

DEBUG, INFO, NOTICE, WARNING, ERROR = 7, 6, 5, 4, 3
"""syslog priorities (RFC 5424 section 6.2.1)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of line: priority, text with `{field}` places (a `[part]` is left out when its
    fields are missing or empty), and what it means.  `explanation` names the fields that the text
    does not show, in capitals (a test holds both)."""

    level: int
    text: str
    explanation: str
