"""Voices: how one is named in settings and personas, and how a service is told of it.

`voice_problem` checks a name, `on_wire` gives what is sent.  It must never know which voices a
service has: those change without us, and a service refuses what it does not know.
"""

from __future__ import annotations

import re

CUSTOM = "id:"
"""Before the id of a voice that was made for this household, e.g. `id:voice_123abc`."""
VOICE_MAX_CHARS = 100
SPEED_MIN, SPEED_MAX = 0.25, 1.5
"""What the protocol allows; 1 is the voice's own speed."""
_ID = re.compile(r"[A-Za-z0-9_-]+")


def voice_problem(voice: str) -> str:
    """Why `voice` cannot name one, beginning with "must"; "" if it can.  An empty one can."""
    if len(voice) > VOICE_MAX_CHARS:
        return f"must have {VOICE_MAX_CHARS} characters at most"
    if not voice.isprintable():
        return "must be on one line, without control characters"
    if voice.startswith(CUSTOM) and not _ID.fullmatch(custom_id(voice)):
        return (
            f"must have the id of a voice behind {CUSTOM}, of letters, digits, _ and -, as the "
            f'service gave it, e.g. "{CUSTOM}voice_123abc"'
        )
    return ""


def custom_id(voice: str) -> str:
    """The id of a voice of one's own; "" for one that the service has for everybody."""
    return voice.removeprefix(CUSTOM) if voice.startswith(CUSTOM) else ""


def on_wire(voice: str) -> str | dict[str, str]:
    """The voice as the services of OpenAI's kind take it: a name, or an object with an id."""
    own = custom_id(voice)
    return {"id": own} if own else voice
