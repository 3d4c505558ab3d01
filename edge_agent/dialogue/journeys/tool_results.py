"""Tool results: a call has ended, and the model has to be told, in this session or the next.

`calls.tool_calls` starts calls and knows their outputs; here is what follows for the talk.

Thread: event loop; pure.  It never lets a result pass without a response that may tell of it, while
somebody waits.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.state import Commands, Link, Microphone, Talk, TalkState


class ToolResults:
    """Outputs of calls, also of those that outlived their session."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        answers: Answers,
        tools: ToolCalls,
        memory: Memory,
    ) -> None:
        self._state = state
        self._moves = moves
        self._answers = answers
        self._tools = tools
        self._memory = memory

    def tools_changed(self, event: e.ToolsChanged) -> Commands:
        """A tool server came, went or changed."""
        return self._tools.changed(event)

    def finished(self, event: e.ToolFinished) -> Commands:
        """A call has ended, in whatever way."""
        state = self._state
        out = self._tools.finished(event) + self.tell_news()
        nobody_waits = state.talk in (Talk.ASLEEP, Talk.LISTENING)
        if not out or self._tools.waiting or nobody_waits or state.link is not Link.READY:
            return out  # the next answer, or the next session, tells of it
        out += self._answers.request(c.RequestResponse(), insist=True)
        if state.talk is Talk.THINKING:
            self._moves.await_answer()
        return out

    # --- calls whose session is gone ------------------------------------------------------

    def remember_news(self) -> None:
        """What became of them, for the next session to be told with the rest of the talk."""
        for text in self._tools.lost.take_news():
            self._memory.system_said("", text)

    def tell_still_running(self) -> Commands:
        """Tell a fresh session what runs on from before."""
        text = self._tools.lost.still_running()
        return [c.AddMessage(self._memory.next_id("lost"), "system", text)] if text else []

    def tell_news(self) -> Commands:
        """What became of them, to a session that stands already; none while we are muted."""
        out: Commands = []
        state = self._state
        may_tell = state.link is Link.READY and state.microphone is Microphone.OPEN
        for text in self._tools.lost.take_news() if may_tell else []:
            item = self._memory.next_id("lost")
            self._memory.system_said(item, text)
            out.append(c.AddMessage(item, "system", text))
        return out
