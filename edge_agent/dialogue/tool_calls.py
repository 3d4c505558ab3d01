"""Tool calls: every call of a response gets exactly one output (purpose).

Owner thread: event loop.  Must never run a tool: it says which commands are due.
Rule (PROTOCOL section 6): run all calls of a response, one output per call id, then one
`response.create` after the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge_agent.contract.commands import (
    AddToolOutput,
    CancelTool,
    Command,
    Note,
    RunTool,
    UpdateSession,
)
from edge_agent.contract.events import ToolCall, ToolFinished, ToolsChanged
from edge_agent.contract.persona import MOVE_TOOL
from edge_agent.dialogue.consent import Consent, Risk
from edge_agent.dialogue.flow import Flow, FlowTerms, Moved

REFUSED_BUSY = "Refused: another request is waiting for consent. Ask again after it is settled."
SEEN_MAX = 256
"""Call ids that are remembered; one that comes twice does so within its response."""
REFUSED_SECOND_MOVE = "Refused: one move at a time; first follow the step you are in now."
REFUSED_EXPIRED = "Refused: nobody pressed the button in time. Do not try again unasked."


class ToolCalls:
    """The calls of the present session that have no output yet."""

    def __init__(self, risks: Mapping[str, Risk], flow: FlowTerms | None = None) -> None:
        self._risks = risks
        self._flow = Flow(flow) if flow is not None else None
        self._open: dict[str, ToolCall] = {}
        self._seen: dict[str, None] = {}
        self._finish = False
        self._changed: UpdateSession | None = None
        """Tools that are others than those of the settings: the link remembers them once it
        was told, and that takes a session."""
        self.consent = Consent()

    @property
    def waiting(self) -> bool:
        """Is any call still without output?"""
        return bool(self._open)

    def take(self, calls: Iterable[ToolCall], expires_at: float) -> list[Command]:
        """Start the calls of one response.  A call id seen before is not taken twice."""
        out: list[Command] = []
        moved = False
        for call in calls:
            if call.call_id in self._seen:
                continue
            self._seen[call.call_id] = None
            if len(self._seen) > SEEN_MAX:
                del self._seen[next(iter(self._seen))]
            self._open[call.call_id] = call
            if self._flow is not None and call.name == MOVE_TOOL:
                if moved:  # it has not been told yet where it stands
                    out += self._answer(call.call_id, REFUSED_SECOND_MOVE)
                    continue
                answer = self._flow.asked(call.arguments)
                out += self._answer(call.call_id, answer.text)
                moved = isinstance(answer, Moved)
                if moved:
                    out.append(self._flow.update())
            elif self._risks.get(call.name, Risk.HIGH) is Risk.LOW:
                out += self._run(call)
            elif not self.consent.ask(call, expires_at):
                out += self._refused(call, REFUSED_BUSY)
        return out

    def grant(self, at: float) -> list[Command]:
        """The button consents to the open question."""
        call = self.consent.grant(at)
        return self._run(call) if call else []

    def refuse(self, why: str = REFUSED_EXPIRED) -> list[Command]:
        """The open question is over without consent."""
        call = self.consent.withdraw()
        return self._refused(call, why) if call else []

    def finished(self, event: ToolFinished) -> list[Command]:
        """A tool ended.  Late, doubled or unknown results yield nothing."""
        pending = self.consent.pending
        if pending is not None and pending.call.call_id == event.call_id:
            return []  # nobody consented: whatever ran, it was not this call
        call = self._open.get(event.call_id)
        if call is None:
            return []
        self._finish = self._finish or event.finish
        told = Note("tool.finished", {"name": self._known(call), "ok": event.ok})
        return [told, *self._answer(event.call_id, event.output)]

    def talk_over(self) -> list[Command]:
        """The talk has ended: a guided one begins anew the next time."""
        if self._flow is None or self._flow.is_at_start:
            return []
        self._flow.reset()
        return self.tell_step()

    def tell_step(self) -> list[Command]:
        """Tell the model, or a fresh session, where a guided talk stands and which tools it has,
        where these are no longer what it began with."""
        if self._flow is not None:
            return [self._flow.update()]
        return [self._changed] if self._changed is not None else []

    def changed(self, event: ToolsChanged) -> list[Command]:
        """The tools are others now.  Questions that are open stay open, calls go on."""
        words = {risk.value: risk for risk in Risk}
        self._risks = {name: words.get(risk, Risk.HIGH) for name, risk in event.risks.items()}
        if self._flow is not None:
            self._flow.retool(event.schemas)
        else:
            self._changed = UpdateSession(tools=event.schemas)
        return self.tell_step()

    def take_finish(self) -> bool:
        """Has a tool asked to end the talk?  Asked once."""
        finish, self._finish = self._finish, False
        return finish

    def session_lost(self) -> list[Command]:
        """The session is gone: its calls can never be answered (PROTOCOL section 9)."""
        pending = self.consent.withdraw()
        running = [i for i in self._open if pending is None or i != pending.call_id]
        self._open.clear()
        self._seen.clear()  # another session may use the same identifiers
        self._finish = False
        return [CancelTool(call_id) for call_id in running]

    def _run(self, call: ToolCall) -> list[Command]:
        told = Note("tool.started", {"name": self._known(call)})
        return [told, RunTool(call.call_id, call.name, call.arguments)]

    def _refused(self, call: ToolCall, why: str) -> list[Command]:
        told = Note("tool.refused", {"name": self._known(call), "why": "no consent"})
        return [told, *self._answer(call.call_id, why)]

    def _known(self, call: ToolCall) -> str:
        """The tool's name; one that we do not have may be words of the talk."""
        return call.name if call.name in self._risks else "unknown"

    def _answer(self, call_id: str, output: str) -> list[Command]:
        return [AddToolOutput(call_id, output)] if self._open.pop(call_id, None) else []
