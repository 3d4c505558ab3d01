"""Announcer: `edge-agent say` at work, from the control socket to the dialogue and back.

`say` is the socket's request; `on_event` is an observer of the pump, which learns what became of
the text.

Thread: event loop.  It must never decide whether something is said (the dialogue does), and never
put the text into an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edge_agent.contract.commands import Command, Note
from edge_agent.contract.events import Event, TextDrained, TextFailed, TextStarted
from edge_agent.contract.wishes import SayRequested
from edge_agent.host.service.control import ASKED_BY, ControlError

TEXT_MAX_CHARS = 300
"""Longer than the twelve seconds that our own voice speaks at once (`sound.texts`); as JSON it fits
into one request in any script."""
HEARD_WITHIN_S = 1.5
"""The asker is told what became of it, but not kept waiting: he gives up after 2 s."""

REFUSED = {
    "a talk": ("Somebody is talking with the speaker.", "It talks over nobody: try again later."),
    "an alarm": ("A timer or an alarm is ringing.", "Stop it first, or try again later."),
    "another sentence": ("The speaker is saying something already.", "Try again in a moment."),
    "no sound device": ("The speaker has no sound device.", "See: edge-agent status"),
    "text.no_voice": (
        "Nothing that could speak it is installed here.",
        "Run: sudo apt-get install -y espeak-ng, then: sudo systemctl restart edge-agent",
    ),
    "text.inaudible": (
        "Nobody would hear it: the volume is 0, or speech.sentences is off.",
        "See: edge-agent volume",
    ),
    "text.too_long": ("It takes longer than 12 seconds to say.", "Say less."),
    "text.failed": ("It could not be spoken.", "See: journalctl -u edge-agent -n 30"),
    "cut": ("Somebody called, and it fell silent.", "Try again later."),
}
"""Why it was not said, in words and with a remedy."""


class Announcer:
    """One text at a time."""

    def __init__(self, *, post: Callable[[Event], None], time: Callable[[], float]) -> None:
        self._post = post
        self._time = time
        self._count = 0
        self._name = ""
        self._news: asyncio.Future[str] | None = None

    def on_event(self, event: Event, commands: list[Command], _at: float) -> None:
        """What becomes of the text: "" is good news, else why it was not said."""
        match event:
            case SayRequested(name=name):
                for command in commands:
                    if isinstance(command, Note) and command.code == "say.refused":
                        self._tell(name, str(command.fields["why"]))
            case TextStarted(name=name):
                self._tell(name, "")
            case TextFailed(name=name):
                self._tell(name, event.code)
            case TextDrained(name=name):
                self._tell(name, "" if event.whole else "cut")

    def _tell(self, name: str, why: str) -> None:
        if name == self._name and self._news is not None and not self._news.done():
            self._news.set_result(why)

    async def say(self, request: dict[str, Any]) -> dict[str, Any]:
        """The control socket's `say`: `text` in; `begun`, whether it sounds already, out."""
        text = spoken_text(request.get("text"))
        if self._news is not None and not self._news.done():
            raise _refusal("another sentence")
        self._count += 1
        self._name = f"say_{self._count}"
        news = self._news = asyncio.get_running_loop().create_future()
        uid = int(request.get(ASKED_BY, -1))
        try:
            self._post(SayRequested(at=self._time(), name=self._name, text=text, uid=uid))
            async with asyncio.timeout(HEARD_WITHIN_S):
                why = await news
        except TimeoutError:
            return {"begun": False}  # a slow board is still at it
        finally:
            news.cancel()
        if why:
            raise _refusal(why)
        return {"begun": True}


def spoken_text(text: object) -> str:
    """What can be said, on one line.  Raises ControlError, whose words do not repeat it."""
    plain = " ".join(text.split()) if isinstance(text, str) else ""
    if not any(char.isalnum() for char in plain):
        raise ControlError("There is nothing to say.", fix='Write: edge-agent say "Tea is ready."')
    if len(plain) > TEXT_MAX_CHARS:
        raise ControlError(
            f"The text has {len(plain)} characters; {TEXT_MAX_CHARS} can be said at once.",
            fix="Say less.",
        )
    if not plain.isprintable():
        raise ControlError("The text holds signs that cannot be spoken.", fix="Write plain words.")
    return plain


def _refusal(why: str) -> ControlError:
    message, fix = REFUSED.get(why, REFUSED["text.failed"])
    return ControlError(message, fix=fix)
