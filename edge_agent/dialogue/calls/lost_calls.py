"""Lost calls: what became of calls whose session ended before they had an output.

Thread: event loop; pure.  It must never let a call that runs, or has run, be made a second time
because nobody told the model: a fresh session knows nothing of it (PROTOCOL section 9).

A call that may be stopped is stopped.  One that may not, or that the household agreed to, runs on;
a fresh session is told that it does, and of its result when there is one.  Calls that had their
output are `memory`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.contract.events import ToolCall
from edge_agent.dialogue.calls.consent import is_same

LOST_MAX = 8
"""More than this at once is no household; the oldest is not told any more."""


class LostCalls:
    """Calls that run on without a session; `speakable` gives a tool's name for a sentence."""

    def __init__(self, speakable: Callable[[str], str]) -> None:
        self._speakable = speakable
        self._running: dict[str, ToolCall] = {}
        self._news: list[str] = []
        """What the next session has to be told once."""

    def runs_on(self, call: ToolCall) -> None:
        """Its session is gone and it is not stopped."""
        self._running[call.call_id] = call

    def never_ran(self, call: ToolCall) -> None:
        """Its session is gone and the household had not agreed yet."""
        self._tell(
            f"{self._speakable(call.name)}: not done. The connection was lost before the household "
            "had agreed; ask again only if they still want it."
        )

    def is_running(self, call: ToolCall) -> bool:
        """Would that be the same again, or a name for it that is taken?"""
        same = any(is_same(one, call) for one in self._running.values())
        return call.call_id in self._running or same

    def finished(self, call_id: str, output: str) -> ToolCall | None:
        """A call ended; the call if it is one of these."""
        call = self._running.pop(call_id, None)
        if call is not None:
            self._tell(
                f"{self._speakable(call.name)}: done already, before the connection was lost or "
                f"while it was. Do not call it again; tell the household. Result: {output}"
            )
        return call

    def still_running(self) -> str:
        """What a fresh session has to know at once; "" if there is nothing."""
        names = ", ".join(self._speakable(call.name) for call in self._running.values())
        if not names:
            return ""
        return (
            f"Still under way from before the connection was lost: {names}. Do not call it again; "
            "its result comes as a message."
        )

    def take_news(self) -> list[str]:
        """What happened, each told once."""
        news, self._news = self._news, []
        return news

    def _tell(self, text: str) -> None:
        self._news = [*self._news, text][-LOST_MAX:]
