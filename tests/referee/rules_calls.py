"""Rule 4: one output per call, one response at a time, none that nobody wants."""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee.records import Step
from referee.rule import Found, Rule
from referee.scene import Scene

OUTPUT_WITHIN_S = 150.0
"""The longest tool, the longest question and its answer."""


class Calls(Rule):
    """One output per call and session; at most one response of the talk in flight; one request per
    batch and attempt; none after sleep."""

    number = 4

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._active: str | None = None
        self._asked = False
        self._open: dict[str, float] = {}
        self._calls_of: dict[str, frozenset[str]] = {}
        """Item of a response that was cancelled → the calls in it: deleted, they want no output."""
        self._answered: set[str] = set()
        self._retold: set[str] = set()

    def event(self, event: e.Event) -> Found:
        match event:
            case e.LinkReady() | e.LinkDown():
                self._active, self._asked = None, False
                self._open.clear()
                self._answered.clear()
                self._retold.clear()
            case _ if not self.scene.link_up:
                pass
            case e.ResponseStarted():
                self._active, self._asked = event.response, False
            case e.ServerComplained():
                self._asked = False
            case e.ResponseEnded():
                if event.response == self._active:
                    self._active = None
                for call in event.calls if event.status != "failed" else ():
                    if call.call_id not in self._answered:
                        self._open.setdefault(call.call_id, self.scene.now)
                if event.status == "cancelled":
                    called = frozenset(call.call_id for call in event.calls)
                    self._calls_of = dict.fromkeys(event.items, called)
            case _:
                pass
        return ()

    def command(self, command: c.Command, step: Step) -> Found:
        if isinstance(command, c.WireCommand) and not self.scene.link_up:
            yield "calls.no_session", f"{type(command).__name__} without a session"
        match command:
            case c.RequestResponse():
                if self._active is not None:
                    yield "calls.two", "a response is asked for while one runs"
                if self._asked:
                    yield "calls.two", "a response is asked for while one is asked for"
                if self.scene.asleep:
                    yield "calls.unasked", "a response is asked for while everybody sleeps"
                self._asked = True
            case c.DeleteItem():
                for call_id in self._calls_of.get(command.item, ()):
                    self._open.pop(call_id, None)
            case c.AddToolCall():
                self._retold.add(command.call_id)
            case c.AddToolOutput() if command.call_id in self._retold:
                self._retold.remove(command.call_id)
            case c.AddToolOutput():
                if command.call_id in self._answered:
                    yield "calls.two_outputs", "a call got a second output"
                elif self._open.pop(command.call_id, None) is None:
                    yield "calls.output", "an output belongs to no call of this session"
                self._answered.add(command.call_id)

    def end(self, at: float) -> Found:
        for since in self._open.values():
            if at - since > OUTPUT_WITHIN_S:
                yield "calls.no_output", f"a call had no output after {at - since:.0f} s"
