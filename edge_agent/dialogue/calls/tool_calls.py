"""Tool calls: every call of a response gets exactly one output.

Thread: event loop.  It must never run a tool, nor say aloud or write down what a call is about: it
says which commands are due, and its notes hold names, risks and times only. Rule (PROTOCOL section
6): run all calls of a response, one output per call id, then one `response.create` after the last.
While consent is asked for, a call simply has no output yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_agent.contract.commands import (
    AddToolOutput,
    CancelTool,
    Command,
    Note,
    RunTool,
    UpdateSession,
)
from edge_agent.contract.events import ToolCall, ToolFinished, ToolsChanged, ToolTerms
from edge_agent.contract.persona import MOVE_TOOL, SILENCE_TOOL
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.calls.consent import Consent, Way, decide, is_same
from edge_agent.dialogue.calls.lost_calls import LostCalls
from edge_agent.dialogue.prompting.flow import Flow, FlowTerms, Moved

MESSAGE_TOOL = "leave_message"
"""What is left to guests."""
SEEN_MAX = 256
"""Call ids that are remembered; one that comes twice does so within its response."""

SILENT = "Nothing is said."
REFUSED_SECOND_MOVE = "Refused: one move at a time; first follow the step you are in now."
REFUSED = {
    "expired": "Refused: nobody answered in time. Do not try again unasked.",
    "unheard": "Refused: the household could not hear the question. Do not try again unasked.",
    "no": "Refused: the household said no. Do not try again unasked.",
    "unclear": "Refused: the household gave no plain yes. Leave it, unless they ask for it again.",
    "too long": "Refused: asked aloud, this would take too long. Make the arguments much shorter.",
    "unspeakable": "Refused: not all of these arguments can be read aloud. Use plain words.",
    "no voice": "Refused: this speaker has no voice of its own to ask the household with, because "
    "espeak-ng is not installed. Say so; do not try again.",
    "no button": "Refused: this needs a press of a button, and this speaker has none. Say so.",
    "guest": "Refused: guest mode is on, so this may not be done now.",
    "asked already": "Refused: the household is being asked about exactly this. Wait.",
    "too many": "Refused: the household is being asked about too much already. Wait for that.",
    "no such tool": "There is no such tool. Say so if it was asked for; do not try others.",
    "refused before": "Refused: the household did not agree to exactly this. Do not ask again.",
    "refused twice": "Refused: the household did not agree to this tool twice. Do not use it again "
    "before they call you anew.",
    "interrupted": "Refused: the household began to speak. Listen to what they say now.",
    "gone": "Refused: the household has gone.",
    "changed": "Refused: this tool has changed. Ask for it anew if they still want it.",
    "runs already": "Refused: exactly this is under way from before. Its result comes by itself.",
}
"""Why a call did not run: for the journal, and in words for the model."""
NOT_AGREED = frozenset({"no", "unclear", "expired"})
"""Of these reasons: the household had heard the question."""
AGREED = {Way.AT_ONCE: "none needed", Way.VOICE: "voice", Way.BUTTON: "button"}
"""How a call came to run, for the journal."""
OFFER_A_MESSAGE = f" Offer to take a message for the household with `{MESSAGE_TOOL}` instead."


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that runs."""

    at: float
    how: Way
    """How the household agreed."""
    who: str
    """For whom, as the journal has it."""


class ToolCalls:
    """The calls of the present session that have no output yet, and who agreed to what."""

    def __init__(
        self,
        risks: Mapping[str, Risk],
        flow: FlowTerms | None = None,
        terms: Mapping[str, ToolTerms] | None = None,
        *,
        window_s: float,
    ) -> None:
        self._risks = risks
        self._terms = terms or {}
        self._flow = Flow(flow) if flow is not None else None
        self._open: dict[str, ToolCall] = {}
        self._begun: dict[str, Begun] = {}
        """Calls that run, also those that outlived their session."""
        self._seen: dict[str, None] = {}
        self._finish = False
        self._changed: UpdateSession | None = None
        """Tools that are others than those of the settings: the link remembers them once it
        was told, and that takes a session."""
        self.guest = False
        """Guests may only have done what is harmless."""
        self.consent = Consent(window_s)
        self.lost = LostCalls(self.speakable)

    @property
    def waiting(self) -> bool:
        """Is any call still without output?"""
        return bool(self._open)

    def speakable(self, name: str) -> str:
        """A tool's name for a sentence."""
        return self._terms.get(name, ToolTerms()).speakable or name.replace("_", " ")

    def take(
        self, calls: Iterable[ToolCall], at: float, *, by_voice: bool = False
    ) -> list[Command]:
        """Start the calls of one response.  A call id seen before is not taken twice.

        `by_voice`: the household can answer in words now.
        """
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
            elif self._is_silence(call):
                out += self._answer(call.call_id, SILENT)
            else:
                out += self._begin(call, at, by_voice=by_voice)
        return out

    def chose_silence(self, calls: Sequence[ToolCall]) -> bool:
        """Does a response want nothing said, and nothing done that would have to be told?"""
        return bool(calls) and all(self._is_silence(call) for call in calls)

    def _is_silence(self, call: ToolCall) -> bool:
        return call.name == SILENCE_TOOL and call.name in self._risks

    def _begin(self, call: ToolCall, at: float, *, by_voice: bool) -> list[Command]:
        if call.name not in self._risks:  # nobody is asked about what cannot be done
            return self._refused(call, "no such tool")
        way = decide(self.risk(call), guest=self.guest, by_voice=by_voice)
        if self.lost.is_running(call) or (way is not Way.AT_ONCE and self._is_running(call)):
            return self._refused(call, "runs already")
        if way is Way.AT_ONCE:
            return self._run(call, at, way)
        if way is Way.NEVER:
            return self._refused(call, "guest")
        if self.consent.waits(call):
            return self._refused(call, "asked already")
        if self.consent.is_unwanted(call.name):
            return self._refused(call, "refused twice")
        if not self.consent.may_ask(call):
            return self._refused(call, "refused before")
        if self.consent.is_full:
            return self._refused(call, "too many")
        self.consent.ask(call, way)
        return [Note("consent.asked", {**self._named(call), "by": way.value})]

    def granted(self, call: ToolCall, at: float, by: Way, waited_s: float) -> list[Command]:
        """The household agreed, by voice or button: run exactly that."""
        if by is Way.VOICE and self.risk(call) is Risk.HIGH:  # since it was asked about
            return self._refused(call, "changed")
        fields = {**self._named(call), "by": by.value, "seconds": round(waited_s, 1)}
        return [Note("consent.given", fields), *self._run(call, at, by)]

    def refuse(self, why: str) -> list[Command]:
        """The open question is over without consent."""
        call = self.consent.refuse(by_household=why in NOT_AGREED)
        return self._refused(call, why) if call else []

    def withdraw(self, why: str) -> list[Command]:
        """No question stands any longer; nobody said no."""
        return [do for call in self.consent.withdraw() for do in self._refused(call, why)]

    def interrupted(self) -> list[Command]:
        """The household speaks: nobody waits any longer for what may be stopped half-way."""
        running = [call for i, call in self._open.items() if i in self._begun]
        return [CancelTool(call.call_id) for call in running if self._may_stop(call)]

    def finished(self, event: ToolFinished) -> list[Command]:
        """A tool ended.  Doubled or unknown results yield nothing."""
        begun = self._begun.pop(event.call_id, None)
        if begun is None:
            return []  # nobody consented, or nobody asked: whatever ran, it was not this call
        call = self._open.get(event.call_id) or self.lost.finished(event.call_id, event.output)
        if call is None:
            return []  # stopped with its session
        fields = {"ok": event.ok, "ms": round((event.at - begun.at) * 1000)}
        told = Note("tool.finished", {**self._named(call), **fields, **_for_whom(begun)})
        if event.call_id not in self._open:
            return [told]
        self._finish = self._finish or event.finish
        return [told, *self._answer(event.call_id, event.output)]

    @property
    def is_under_way(self) -> bool:
        """Has a guided talk left its first step?"""
        return self._flow is not None and not self._flow.is_at_start

    def talk_over(self) -> list[Command]:
        """The talk has gone to sleep: a guided one stays where it is, unless that is its end."""
        self.consent.talk_over()
        return self.begin_anew() if self._flow is not None and self._flow.has_ended else []

    def begin_anew(self) -> list[Command]:
        """A guided talk is over, or forgotten: the next one begins at the first step."""
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
        self._risks = event.risks
        self._terms = event.terms
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
        """The session is gone: its calls can never be answered there (PROTOCOL section 9).

        What the household agreed to is not stopped, so that its word is worth one run, not two.
        """
        out: list[Command] = []
        for call in self.consent.session_lost():
            self.lost.never_ran(call)
            out.append(self._not_run(call, "connection lost"))
        for call in self._open.values():
            begun = self._begun.get(call.call_id)
            if begun is None:
                continue
            if begun.how is Way.AT_ONCE and self._may_stop(call):
                out.append(CancelTool(call.call_id))
                del self._begun[call.call_id]
            else:
                self.lost.runs_on(call)
        self._open.clear()
        self._seen.clear()  # another session may use the same identifiers
        self._finish = False
        return out

    def risk(self, call: ToolCall) -> Risk:
        """What the call can do; one that is not known can do the worst."""
        return self._risks.get(call.name, Risk.HIGH)

    def _is_running(self, call: ToolCall) -> bool:
        running = (one for i, one in self._open.items() if i in self._begun)
        return any(is_same(one, call) for one in running)

    def _may_stop(self, call: ToolCall) -> bool:
        return self._terms.get(call.name, ToolTerms()).cancellable

    def _run(self, call: ToolCall, at: float, how: Way) -> list[Command]:
        self._begun[call.call_id] = begun = Begun(at, how, self._who)
        told = Note("tool.started", {**self._named(call), **_for_whom(begun)})
        return [told, RunTool(call.call_id, call.name, call.arguments)]

    def _refused(self, call: ToolCall, why: str) -> list[Command]:
        text = REFUSED[why]
        if why == "guest" and MESSAGE_TOOL in self._risks:
            text += OFFER_A_MESSAGE
        return [self._not_run(call, why), *self._answer(call.call_id, text)]

    def _not_run(self, call: ToolCall, why: str) -> Note:
        return Note("tool.refused", {**self._named(call), "why": why, "who": self._who})

    @property
    def _who(self) -> str:
        return "guest" if self.guest else "household"

    def _named(self, call: ToolCall) -> dict[str, object]:
        """Name and risk; the name of a tool that we do not have may be words of the talk."""
        name = call.name if call.name in self._risks else "unknown"
        because = self._terms.get(call.name, ToolTerms()).risk_because
        return {"name": name, "risk": self.risk(call).value, "because": because}

    def _answer(self, call_id: str, output: str) -> list[Command]:
        return [AddToolOutput(call_id, output)] if self._open.pop(call_id, None) else []


def _for_whom(begun: Begun) -> dict[str, object]:
    return {"who": begun.who, "agreed": AGREED[begun.how]}
