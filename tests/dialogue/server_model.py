"""Server model: a Realtime server as the dialogue sees it, strict about what it is told.

It must never be lenient: what the real one refuses lands in `offences`. Hearing works on frame
numbers: a frame is speech when the test said so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import WIRE_FRAME_BYTES, bytes_to_ms, silence
from edge_agent.dialogue.journeys.link_watch import CONTINUE

CHUNK_MS = 100
CHUNK_EVERY_S = 0.02
ONSET_FRAMES = 5
SILENCE_FRAMES = 50


@dataclass
class Plan:
    """What the next response is like."""

    items_ms: tuple[float, ...] = (2000.0,)
    calls: tuple[e.ToolCall, ...] = ()
    status: str = "completed"
    code: str = ""


QUESTION = Plan(items_ms=(800.0,))
"""Spoken while a call waits for consent."""


@dataclass
class Entry:
    """One conversation item."""

    role: str
    frames: set[int] = field(default_factory=set)
    audio_ms: float = 0.0
    response: str = ""
    text: str = ""


@dataclass
class Running:
    """The response in flight."""

    response: str
    plan: Plan
    about: set[int]
    continues: bool
    next_at: float
    items: list[str] = field(default_factory=list)
    left_ms: list[float] = field(default_factory=list)


class ModelServer:
    """One session at a time; nothing survives `close_session`."""

    def __init__(self, *, vad: bool = True, lag_s: float = 0.02, think_s: float = 0.3) -> None:
        self.vad, self.lag_s, self.think_s = vad, lag_s, think_s
        self.announces_commit = True
        self.stalled = False
        self.is_speech: Callable[[int], bool] = lambda number: False
        self.plans: list[Plan] = []
        self.questions: list[Plan] = []
        """What is said where it may not call: the next ones, then `QUESTION`."""
        self.aside: Callable[[c.AskSideQuestion], str | None] = lambda _ask: None
        """Answers side questions; None: it cannot."""
        self.offences: list[str] = []
        self.fresh: list[tuple[str, set[int]]] = []
        """Every response begun anew: its id and the speech frames it answers."""
        self.about: dict[str, set[int]] = {}
        self.continued: list[str] = []
        self.item_response: dict[str, str] = {}
        self._ids = 0
        self.sessions = 0
        self.up = False
        self._reset()

    def _reset(self) -> None:
        self.items: dict[str, Entry] = {}
        self.open_calls: set[str] = set()
        self.running: Running | None = None
        self._uplink: list[tuple[float, c.WireCommand]] = []
        self._downlink: list[tuple[float, e.Event]] = []
        self._buffer: list[int] = []
        self._run = self._silence = 0
        self._heard: str | None = None

    def open_session(self, _at: float) -> None:
        self._reset()
        self.up, self.sessions = True, self.sessions + 1

    def close_session(self) -> None:
        self._reset()
        self.up = False

    def take(self, at: float, command: c.WireCommand) -> None:
        """A command enters the uplink."""
        self._uplink.append((at + self.lag_s, command))

    def advance(self, at: float) -> list[e.Event]:
        """What arrives at the client by now."""
        if self.stalled:
            return []
        while self._uplink and self._uplink[0][0] <= at:
            self._do(at, self._uplink.pop(0)[1])
        self._speak(at)
        arrived = [event for due, event in self._downlink if due <= at]
        self._downlink = [pair for pair in self._downlink if pair[0] > at]
        return [self._stamp(event, at) for event in arrived]

    @staticmethod
    def _stamp(event: e.Event, at: float) -> e.Event:
        fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
        return type(event)(**{**fields, "at": at})

    def say(self, at: float, event: e.Event) -> None:
        """An event enters the downlink."""
        self._downlink.append((at + self.lag_s, event))

    def _id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}_{self._ids}"

    # --- what it is told ---

    def _do(self, at: float, command: c.WireCommand) -> None:
        match command:
            case c.SendAudio(pcm24k=pcm24k):
                for start in range(0, len(pcm24k), WIRE_FRAME_BYTES):
                    self._hear(at, struct.unpack_from("<H", pcm24k, start)[0])
            case c.CommitAudio():
                self._commit(at)
            case c.ClearAudio():
                self._buffer.clear()
                self._heard, self._run = None, 0
            case c.AskSideQuestion(tag=tag):
                text = self.aside(command)
                answer = e.SideAnswer(at=at, tag=tag, text=text or "", ok=text is not None)
                self.say(at + self.think_s, answer)
            case c.RequestResponse(may_call=may_call):
                if self.running is not None:
                    code = "conversation_already_has_active_response"
                    self.offences.append(code)
                    self.say(at, e.ServerComplained(at=at, code=code, message="busy"))
                else:
                    if self.open_calls and may_call:  # its own detector may; we may not
                        self.offences.append("response before all outputs")
                    newest = next(reversed(self.items.values()), Entry(""))
                    continues = newest.role == "system" and newest.text == CONTINUE
                    self._respond(at, continues=continues, asks=not may_call)
            case c.CancelResponse(response=response):
                if self.running is not None and self.running.response == response:
                    self._finish(at, "cancelled")
            case c.TruncateItem(item=item, audio_end_ms=audio_end_ms):
                entry = self.items.get(item)
                if entry is None or entry.role != "assistant" or not entry.audio_ms:
                    self.offences.append(f"truncate of {item}")
                elif not 0 < audio_end_ms <= entry.audio_ms:
                    self.offences.append(f"truncate of {item} at {audio_end_ms}")
            case c.DeleteItem(item=item):
                entry = self.items.pop(item, None)
                if entry is None:
                    self.offences.append(f"delete of {item}")
                elif entry.role == "call":
                    self.open_calls.discard(entry.text)  # call and output are dropped together
            case c.AddToolCall(item=item, call_id=call_id):
                self.open_calls.add(call_id)
                self.items[item] = Entry("call", text=call_id)
            case c.AddToolOutput(call_id=call_id):
                if call_id not in self.open_calls:
                    self.offences.append(f"output for {call_id}")
                self.open_calls.discard(call_id)
                self.items[self._id("out")] = Entry("tool")
            case c.AddMessage(item=item, role=role, text=text, pcm24k=pcm24k):
                if item in self.items:
                    self.offences.append(f"duplicate {item}")
                starts = range(0, len(pcm24k), WIRE_FRAME_BYTES)
                numbers = {struct.unpack_from("<H", pcm24k, start)[0] for start in starts}
                speech = {number for number in numbers if self.is_speech(number)}
                self.items[item] = Entry(role, frames=speech, text=text)
            case c.UpdateSession():
                pass  # taken as it is: what is said depends on the plans
            case _:
                self.offences.append(f"unknown {command}")

    # --- ears ---

    def _hear(self, at: float, number: int) -> None:
        self._buffer.append(number)
        if not self.vad:
            return
        if self.is_speech(number):
            self._run, self._silence = self._run + 1, 0
        else:
            self._run, self._silence = 0, self._silence + 1
        if self._heard is None and self._run >= ONSET_FRAMES:
            self._heard = self._id("user")
            self.say(at, e.UserSpeechStarted(at=at, item=self._heard))
            if self.running is not None:
                self._finish(at, "cancelled")
        elif self._heard is not None and self._silence >= SILENCE_FRAMES:
            self.say(at, e.UserSpeechStopped(at=at, item=self._heard))
            self._commit(at)
            self._respond(at)

    def _commit(self, at: float) -> None:
        if len(self._buffer) < 10:
            return  # commit_empty: benign, the session room swallows it
        item = self._heard or self._id("user")
        self._heard, self._run = None, 0
        self.items[item] = Entry("user", {n for n in self._buffer if self.is_speech(n)})
        self._buffer.clear()
        if self.announces_commit:
            self.say(at, e.UserTurnCommitted(at=at, item=item))

    # --- mouth ---

    def _respond(self, at: float, *, continues: bool = False, asks: bool = False) -> None:
        if self.running is not None:
            return
        response = self._id("resp")
        about: set[int] = set()
        for entry in reversed(self.items.values()):
            if entry.role == "assistant":
                break
            about |= entry.frames
        if asks:
            plan = self.questions.pop(0) if self.questions else QUESTION
        else:
            plan = self.plans.pop(0) if self.plans else Plan()
        self.running = Running(
            response, plan, about, continues, at + self.think_s, left_ms=list(plan.items_ms)
        )
        self.about[response] = about
        if continues:
            self.continued.append(response)
        else:
            self.fresh.append((response, about))
        self.say(at, e.ResponseStarted(at=at, response=response))

    def _speak(self, at: float) -> None:
        run = self.running
        while run is not None and run.next_at <= at:
            run.next_at += CHUNK_EVERY_S
            index = next((i for i, left in enumerate(run.left_ms) if left > 0), None)
            if index is None:
                self._finish(at, run.plan.status)
                return
            if index == len(run.items):
                run.items.append(self._id("item"))
                self.items[run.items[-1]] = Entry("assistant", response=run.response)
                self.item_response[run.items[-1]] = run.response
            item = run.items[index]
            ms = min(CHUNK_MS, run.left_ms[index])
            run.left_ms[index] -= ms
            pcm24k = silence(ms)
            if item in self.items:
                self.items[item].audio_ms += bytes_to_ms(len(pcm24k))
            chunk = e.VoiceChunk(at=at, response=run.response, item=item, pcm24k=pcm24k)
            text = e.VoiceText(at=at, response=run.response, item=item, text="word ")
            self.say(at, text)
            self.say(at, chunk)
            if run.left_ms[index] <= 0:
                self.say(at, e.VoiceEnded(at=at, response=run.response, item=item))

    def _finish(self, at: float, status: str) -> None:
        run, self.running = self.running, None
        assert run is not None
        calls = run.plan.calls if status == "completed" else ()
        for call in calls:
            self.open_calls.add(call.call_id)
            run.items.append(self._id("call"))
            self.items[run.items[-1]] = Entry("call", text=call.call_id)
        self.say(
            at,
            e.ResponseEnded(
                at=at,
                response=run.response,
                status=status,
                code=run.plan.code if status == run.plan.status else "",
                calls=calls,
                items=tuple(run.items),
            ),
        )
