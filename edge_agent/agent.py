"""The pump: event → dialogue → commands → rooms.

Thread: event loop; other threads reach it through `loop.call_soon_threadsafe(post, …)`. It must
never decide anything, wait for anything, or know a room's class.

One inbox keeps one order of events.  `CutPlayback` is answered by the speaker at once, and its
answer goes to the *front* of the inbox: asked and answered within one tick.

A fault in the dialogue, in a room or in an observer is counted in `faults` and handed to
`Rooms.fault`; the rest of the inbox is handled and the deadline's timer armed all the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.ports import ModelLink, Panel, Speaker, ToolExecutor
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Talk

Observer = Callable[[e.Event, list[c.Command], float], None]
"""Sees every event with the commands that it caused, and the loop time.  One that raises is counted
and noted, and is called again for the next event."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """All that the pump can reach."""

    speaker: Speaker
    link: ModelLink
    tools: ToolExecutor
    panel: Panel
    note: Callable[..., None]
    fault: Callable[[BaseException], None]
    set_status: Callable[[str, str], None]
    save_mute: Callable[[bool], None]
    record_usage: Callable[[c.RecordUsage], None]
    sentence_pcm: Callable[[str], bytes]
    """PCM of one of our own sentences (24 kHz), empty when there is none."""
    earcons: Mapping[str, bytes]
    ring: Callable[[str], None] = lambda _name: None
    """Ring for this timer or alarm until `stop_ringing`."""
    summarise: Callable[[c.Summarise], bool] = lambda _wish: False
    """Have a summary made; False when nobody can, else one `SummaryMade` follows."""
    stop_ringing: Callable[[tuple[str, ...]], None] = lambda _names: None
    save_guest: Callable[[bool], None] = lambda _on: None
    say_text: Callable[[c.SayText], None] | None = None
    """Have a text spoken by a voice of our own; None: there is none."""
    drop_texts: Callable[[], None] = lambda: None
    """What was asked for by `say_text` and is not in the speaker yet is not wanted any more."""


class Agent:
    """`post` events into it; await `finished`."""

    def __init__(self, dialogue: DialogueManager, rooms: Rooms) -> None:
        self.dialogue = dialogue
        self.observers: list[Observer] = []
        self.followers: list[Observer] = []
        """Observers that are not told of frames of which nothing came, a hundred a second."""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.faults = 0
        self._noted: set[tuple[object, type[Exception]]] = set()
        """Faults that come with every event are noted once: a frame is an event too."""
        self._rooms = rooms
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[e.Event] = deque()
        self._pumping = False
        self._alarm: asyncio.TimerHandle | None = None
        self._active = False
        self._run: dict[type[c.Command], Callable[[Any], None]] = {
            c.ReopenLink: lambda do: rooms.link.reopen(do.reason),
            c.PlayVoice: self._play,
            c.EndVoice: lambda do: rooms.speaker.end_voice(do.item),
            c.CutPlayback: self._cut,
            c.PlaySentence: self._speak,
            c.SayText: self._say,
            c.PlayEarcon: lambda do: rooms.speaker.earcon(rooms.earcons.get(do.name, b"")),
            c.RingAlarm: lambda do: rooms.ring(do.name),
            c.StopAlarm: lambda do: rooms.stop_ringing(do.names),
            c.ShowLight: lambda do: rooms.panel.show(do.light),
            c.RunTool: lambda do: rooms.tools.run(do.call_id, do.name, do.arguments),
            c.CancelTool: lambda do: rooms.tools.cancel(do.call_id),
            c.Summarise: self._summarise,
            c.SaveMute: self._save_mute,
            c.SaveGuest: lambda do: rooms.save_guest(do.on),
            c.RecordUsage: rooms.record_usage,
            c.Note: lambda do: rooms.note(do.code, **do.fields, **do.of),
            c.SetStatus: lambda do: rooms.set_status(do.text, do.trouble),
            c.Exit: self._exit,
        }

    def post(self, event: e.Event) -> None:
        """Take an event; it and all that follows from it is done when this returns."""
        self._inbox.append(event)
        if isinstance(event, e.HeardFrame):
            self._fetch()
        self._pump()

    def hear(self, frames: Iterable[e.HeardFrame]) -> None:
        """Take frames that came at once, each as if it were posted; what has to be done after a
        frame, and not before the next one, is done once: an idle speaker does little else."""
        self._fetch()
        for frame in frames:
            self._inbox.append(frame)
            self._drain()
        self._pump()

    def collect(self) -> None:
        """Fetch what the speaker has to tell; the microphone's frames are our clock for it."""
        self._fetch()
        self._pump()

    def _fetch(self) -> None:
        try:
            self._inbox.extend(self._rooms.speaker.collect(self._loop.time()))
        except Exception as problem:
            self._note_once("speaker", problem)

    def _drain(self) -> None:
        """Handle what is in the inbox."""
        if self._pumping:
            return  # a room posted from within a command: the loop below takes it
        self._pumping = True
        try:
            while self._inbox:
                self._handle(self._inbox.popleft())
        finally:
            self._pumping = False

    def _pump(self) -> None:
        """Empty the inbox, then arm the timer and tell the link whether somebody talks."""
        if self._pumping:
            return
        try:
            self._drain()
        finally:
            self._set_alarm()
        active = self.dialogue.talk is not Talk.ASLEEP
        if active is not self._active:
            self._active = active
            try:
                self._rooms.link.set_active(active)
            except Exception as problem:
                self._note_once("link", problem)

    def _handle(self, event: e.Event) -> None:
        commands: list[c.Command] = []
        try:
            commands = self.dialogue.handle(event)
        except Exception as problem:
            self._note_once(type(event), problem)
        for command in commands:
            self._do(command)
        if commands or not isinstance(event, e.HeardFrame):
            self._tell(self.followers, event, commands)
        self._tell(self.observers, event, commands)

    def _tell(self, whom: list[Observer], event: e.Event, commands: list[c.Command]) -> None:
        for observer in whom:
            try:
                observer(event, commands, self._loop.time())
            except Exception as problem:
                self._note_once(observer, problem)

    def _note_once(self, whose: object, problem: Exception) -> None:
        """Count a fault; note the first of its kind from there."""
        self.faults += 1
        kind = (whose, type(problem))
        if kind not in self._noted:
            self._noted.add(kind)
            self._rooms.fault(problem)

    def _do(self, command: c.Command) -> None:
        try:
            if isinstance(command, c.WireCommand):
                self._rooms.link.execute(command)
            else:
                self._run[type(command)](command)
        except Exception as problem:
            # one room's failure must not silence the others; it is counted, and told once
            self._note_once(type(command), problem)

    def _play(self, command: c.PlayVoice) -> None:
        self._rooms.speaker.voice(command.item, command.pcm24k)

    def _cut(self, _command: c.CutPlayback) -> None:
        try:
            answer = self._rooms.speaker.cut(self._loop.time())
            self._rooms.drop_texts()
        except Exception as problem:
            # Nothing could ever be interrupted again: better a new process than such a speaker.
            if not self.finished.done():
                self.finished.set_exception(problem)
            raise
        self._inbox.appendleft(answer)

    def _speak(self, command: c.PlaySentence) -> None:
        pcm24k = self._rooms.sentence_pcm(command.name)
        if pcm24k:
            self._rooms.speaker.sentence(command.name, pcm24k)
        else:
            self._inbox.append(e.SentenceDrained(at=self._loop.time(), name=command.name))

    def _say(self, command: c.SayText) -> None:
        if self._rooms.say_text is not None:
            self._rooms.say_text(command)
        else:
            at = self._loop.time()
            self._inbox.append(e.TextFailed(at=at, name=command.name, code="text.no_voice"))

    def _save_mute(self, command: c.SaveMute) -> None:
        if command.muted:
            self._rooms.link.purge_audio()  # first: a disk may fail
        self._rooms.save_mute(command.muted)

    def _summarise(self, command: c.Summarise) -> None:
        if not self._rooms.summarise(command):
            none = e.SummaryMade(at=self._loop.time(), tag=command.tag, text="", ok=False)
            self._inbox.append(none)

    def _exit(self, _command: c.Exit) -> None:
        if not self.finished.done():
            self.finished.set_result(None)

    def _set_alarm(self) -> None:
        deadline = self.dialogue.next_deadline()
        if self._alarm is not None:
            if deadline is not None and self._alarm.when() == deadline:
                return
            self._alarm.cancel()
            self._alarm = None
        if deadline is not None:
            self._alarm = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.post(e.Tick(at=self._loop.time()))
