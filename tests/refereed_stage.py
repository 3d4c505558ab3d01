"""Every stage that a test opens is judged by the referee: import `refereed` into a conftest.

It looks on at the borders of the daemon: steps of the pump, frames on the wire, tools that begin,
journal lines as they were written, files that were saved, the loudspeaker's samples and the
processor time of each step.  It changes one thing: a play without a key gets one, so that there is
a secret to keep.

    from refereed_stage import refereed          # in conftest.py; it is autouse

    def test_of_a_sabotage(refereed: Stages) -> None:
        ...
        assert "cut.audible" in refereed.found()  # found: then it does not fail the test

The owner is the test's thread; files saved by other threads are judged when the play is over.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from canaries import CLIPS, canaries, private_texts, secrets
from house_config import household_of
from pydantic import SecretStr
from referee import Referee
from referee.records import Capture, File, Frame, Line, Sound, ToolBegan, Work
from referee.rules_bounds import HONEST_STEP_CPU_MS
from refereed_talk import TalkTape

from edge_agent.app.daemon import Daemon
from edge_agent.app.wiring import dialogue_config
from edge_agent.app.world import World
from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.ports import Wire
from edge_agent.demo import stage as stage_module
from edge_agent.demo.judge.score import Score
from edge_agent.demo.stage import Said, Stage
from edge_agent.demo.surroundings import ScoreSink
from edge_agent.dialogue.state import Microphone
from edge_agent.host.journal.journal import Journal
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.json_file import JsonFile
from edge_agent.realtime.link.liveness import ProbedWire
from edge_agent.simulation.sound.room import Room
from edge_agent.tools.registry import Tool

KEY = "Quartz7-Heron2-Ledger4"
"""Of every play that has none.  It looks like no key, so that no filter for keys hides it."""
PIECE_S = 0.010
"""The loudspeaker is looked at in pieces of one heard frame."""
WORK_TOLD_MS = 5.0
"""Cheaper steps are not told to the referee: there are a hundred in a second."""
ONCE_MS = 60.0
"""A single step of a kind below that is not told: a guest's processor time holds what the host took
from it, which made 29 ms of 5 on a machine with thirty busy programs.  A step that costs so much by
itself does so again."""
TAPE_EVENTS = 20_000
"""Events are kept for so long; an evening of frames would fill the memory."""
ASKED_FOR = frozenset({"facts", "messages", "timers"})
"""Files that hold the household's words because it asked for that: only keys are looked for."""
SOUNDING = (c.PlayVoice, c.PlaySentence, c.SayText, c.PlayEarcon, c.RingAlarm, c.CutPlayback)


class Collections:
    """Processor seconds that this thread spent on collecting garbage.

    The heap is that of the whole test session: a full collection of it takes longer than any step
    of a daemon may, and says nothing about the daemon.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begin_s = 0.0
        gc.callbacks.append(self._told)

    def _told(self, phase: str, _info: Mapping[str, int]) -> None:
        if phase == "start":
            self._begin_s = time.thread_time()
        else:
            self.seconds += time.thread_time() - self._begin_s


COLLECTIONS = Collections()


def with_a_key(settings: Settings) -> Settings:
    """The same settings with a secret in them, where none is needed and so none is missed."""
    if settings.realtime.provider != "local" or settings.realtime.api_key.get_secret_value():
        return settings
    realtime = settings.realtime.model_copy(update={"api_key": SecretStr(KEY)})
    return settings.model_copy(update={"realtime": realtime})


# --- who looks on ---------------------------------------------------------------------------


class Onlooker:
    """Sees one life of one daemon, and tells the referee."""

    def __init__(self, stage: Stage) -> None:
        self.now = stage.now
        self._stage = stage
        self._talk = TalkTape(stage)
        self.referee: Referee | None = None
        self.crash: Exception | None = None
        """What went wrong with the judge itself."""
        self._early: list[Line] = []
        self._files: dict[Path, File] = {}
        """The last word of each file that another thread has saved, or the step that is on: what
        a step saves is judged when its commands are known."""
        self._threads = False
        self._room: Room | None = None
        self._heard_until_s = self._lag_s = 0.0
        self._own_s = 0.0
        self._slow: set[str] = set()
        """Processor time of ours within the step."""
        self._pumping = False
        self.at = 0.0

    def watch(self, daemon: Daemon, world: World) -> None:
        """Stand at the daemon's borders; before it runs."""
        talk = daemon.dialogue
        household = household_of(
            dialogue_config(daemon.settings, daemon.toolbox.registry.risks(), has_button=True),
            muted=talk.microphone is Microphone.MUTED,
            guest=talk.guest,
        )
        keys = tuple({key for key in secrets(daemon.settings) if key})
        self.referee = Referee(dataclasses.replace(household, words=tuple(CLIPS), keys=keys))
        self._known = set(CLIPS)
        self._threads = world.threads
        self._room = world.device if isinstance(world.device, Room) else None
        self._heard_until_s = self.now()
        self._keeps_words = daemon.settings.journal.transcripts
        daemon.agent.observers.append(self._observe)
        self._time_steps(daemon)
        self._watch_tools(daemon)
        if self._room is not None:
            self._watch_people(daemon)
        for line in self._early:
            self._see(line)

    def _see(self, record: Any) -> None:
        if self.referee is not None:
            self.referee.see(record)

    # --- steps ----------------------------------------------------------------------------

    def _observe(self, event: e.Event, commands: list[c.Command], at: float) -> None:
        begin_s = time.thread_time()
        try:
            self._step(event, commands, at)
        except Exception as problem:  # the pump would only count it
            self.crash = self.crash or problem
        self._own_s += time.thread_time() - begin_s

    def _step(self, event: e.Event, commands: list[c.Command], at: float) -> None:
        assert self.referee is not None
        self.at = at
        self._learn(private_texts(event))
        if any(isinstance(command, SOUNDING) for command in commands):
            self._listen(at)
        if any(isinstance(command, c.CutPlayback) for command in commands):
            # A busy machine hears late; the fade begins when the cut is done.
            self._lag_s = max(0.0, at - event.at)
        self._talk.step(event, commands, at)
        self.referee.observe(event, commands, at)
        if not self._threads:
            self._see_files()
            if self._room is not None and self.referee.scene.muted:
                self._see(Capture(at, self._room.is_recorded))
        if len(self.referee.events) > TAPE_EVENTS:
            self.referee.forget()

    def _learn(self, texts: Iterable[str]) -> None:
        fresh = set().union(*(canaries(text) for text in texts)) - self._known
        if fresh and self.referee is not None:
            self._known |= fresh
            scene = self.referee.scene
            scene.household = dataclasses.replace(scene.household, words=tuple(self._known))

    def _time_steps(self, daemon: Daemon) -> None:
        agent, post = daemon.agent, daemon.agent.post

        def timed(event: e.Event) -> None:
            if self._pumping:
                post(event)  # a room answers within the step
                return
            self._pumping, self._own_s, begin_s = True, 0.0, time.thread_time()
            collected_s = COLLECTIONS.seconds
            try:
                post(event)
            finally:
                self._pumping = False
            spent_s = time.thread_time() - begin_s - (COLLECTIONS.seconds - collected_s)
            cpu_ms = 1000 * (spent_s - self._own_s)
            kind = type(event).__name__
            if HONEST_STEP_CPU_MS < cpu_ms <= ONCE_MS and kind not in self._slow:
                self._slow.add(kind)
            elif cpu_ms > WORK_TOLD_MS:
                self._see(Work(self.now(), cpu_ms, kind))

        agent.post = timed  # type: ignore[method-assign]

    def _watch_people(self, daemon: Daemon) -> None:
        stage, room = self._stage, self._stage.room
        speak, say = stage.speak, room.say

        def spoken(clip: str, **how: Any) -> Said:
            said = speak(clip, **how)
            is_open = daemon.dialogue.microphone is Microphone.OPEN
            if is_open and daemon.settings.listen.mode != "button" and not how.get("gain_db"):
                self._talk.said(said)
            return said

        def anything(*sound: Any, **how: Any) -> Any:
            person = say(*sound, **how)
            self._talk.spoken(person.onset_at)
            return person

        stage.speak, room.say = spoken, anything  # type: ignore[method-assign]

    # --- the loudspeaker --------------------------------------------------------------------

    def _listen(self, until_s: float) -> None:
        """What was audible since the last look."""
        if self._room is None:
            return
        track = self._room.spoken
        begin_s, end_s = max(self._heard_until_s, track.start_s), min(until_s, track.end_s)
        if end_s <= begin_s:
            return
        self._heard_until_s = end_s
        samples = track.samples(begin_s, end_s)
        size = round(PIECE_S * track.rate_hz)
        for at in range(0, len(samples), size):
            piece = samples[at : at + size]
            peak = int(abs(piece.astype("int32")).max())
            if peak:
                starts_s = begin_s + at / track.rate_hz - self._lag_s
                self._see(Sound(starts_s, peak, 1000 * len(piece) / track.rate_hz))

    # --- wire, tools, lines, files ------------------------------------------------------------

    def frame(self, sent: bool, text: str | bytes) -> None:
        """A message crosses our end of the wire."""
        begin_s = time.thread_time()
        self._see(Frame(self.now(), sent, json.loads(text)))
        self._own_s += time.thread_time() - begin_s

    def _watch_tools(self, daemon: Daemon) -> None:
        registry, get = daemon.toolbox.registry, daemon.toolbox.registry.get

        def watched(name: str) -> Any:
            declared = get(name)
            return declared and _Call(declared, self._began)

        registry.get = watched  # type: ignore[method-assign]

    def _began(self, name: str, arguments: str) -> None:
        self._see(ToolBegan(self.now(), name, arguments))

    def line(self, text: str, code: str, fields: Mapping[str, str]) -> None:
        """A line was written."""
        if code == "talk.words":  # only written where the owner asked for it
            return
        line = Line(self.now(), code, "\n".join([text, *fields.values()]))
        if self.referee is None:
            self._early.append(line)
        else:
            self._see(line)

    def file(self, path: Path, entry: Mapping[str, object]) -> None:
        """A file was saved; on whichever thread."""
        text = path.read_text(encoding="utf-8")
        if path.stem in ASKED_FOR and self.referee is not None:
            text = "\n".join(key for key in self.referee.scene.household.keys if key in text)
        file = File(self.now(), path.name, text, dict(entry))
        if self._threads or self._pumping:
            self._files[path] = file
        else:
            self._see(file)

    def _see_files(self) -> None:
        files, self._files = self._files, {}
        for file in files.values():
            self._see(file)

    # --- the end ----------------------------------------------------------------------------

    def end(self) -> None:
        """The play is over."""
        if self.referee is None:
            return  # it never began
        self._see_files()
        if self._room is not None:
            self._listen(self._room.spoken.end_s)
            for record in self._talk.records(self.at):
                self._see(record)
        self.referee.end(self.at)


class _Call:
    """A tool for one call of it: tells when its own code begins."""

    def __init__(self, declared: Tool, began: Callable[[str, str], None]) -> None:
        self._declared = declared
        self._began = began
        self._arguments = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._declared, name)

    def validate(self, arguments: str) -> dict[str, Any]:
        self._arguments = arguments
        return self._declared.validate(arguments)

    def function(self, **keywords: Any) -> Any:
        self._began(self._declared.name, self._arguments)
        return self._declared.function(**keywords)


class _WatchedWire:
    """Our end of the wire."""

    def __init__(self, wire: Wire, onlooker: Onlooker) -> None:
        self._wire = wire
        self._onlooker = onlooker

    async def send(self, text: str) -> None:
        self._onlooker.frame(True, text)
        await self._wire.send(text)

    async def receive(self) -> str | bytes:
        return await self._wire.receive()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._wire.close(code, reason)


class _WatchedProbedWire(_WatchedWire):
    """One that can be pinged.  By methods of its own: what `__getattr__` gives is none to an
    `isinstance` with a protocol, from Python 3.12 on."""

    def __init__(self, wire: Wire, probed: ProbedWire, onlooker: Onlooker) -> None:
        super().__init__(wire, onlooker)
        self._probed = probed

    async def ping(self) -> None:
        await self._probed.ping()

    def quiet_s(self) -> float | None:
        return self._probed.quiet_s()


def under_watch(wire: Wire, onlooker: Onlooker) -> Wire:
    if isinstance(wire, ProbedWire):
        return _WatchedProbedWire(wire, wire, onlooker)
    return _WatchedWire(wire, onlooker)


# --- the fixture ------------------------------------------------------------------------------


class Stages:
    """All plays of one test, and what was broken in them."""

    def __init__(self) -> None:
        self.onlookers: list[Onlooker] = []
        self.open: Stage | None = None
        """The stage that was built last."""
        self._ended = 0
        self._expected = False

    def sink(self, score: Score) -> ScoreSink:
        """The sink of the next stage's journal."""
        assert self.open is not None
        onlooker = Onlooker(self.open)
        self.onlookers.append(onlooker)
        inner = ScoreSink(score)

        class Sink(ScoreSink):
            def write(self, level: int, text: str, code: str, fields: Mapping[str, str]) -> bool:
                onlooker.line(text, code, fields)
                return inner.write(level, text, code, fields)

        return Sink(score)

    def daemon(self, settings: Settings, world: World, journal: Journal) -> Daemon:
        """The daemon of the stage whose journal was made last."""
        onlooker, dial = self.onlookers[-1], world.dial

        async def watched(url: str, headers: Mapping[str, str]) -> Wire:
            return under_watch(await dial(url, headers), onlooker)

        world = dataclasses.replace(world, dial=watched)
        daemon = Daemon(with_a_key(settings), world, journal)
        onlooker.watch(daemon, world)
        return daemon

    def saved(self, path: Path, entry: Mapping[str, object]) -> None:
        """A file was saved by whichever play is on."""
        if self.onlookers:
            self.onlookers[-1].file(path, entry)

    def end(self) -> None:
        """All plays so far are over."""
        for onlooker in self.onlookers[self._ended :]:
            onlooker.end()
        self._ended = len(self.onlookers)

    def found(self) -> set[str]:
        """What was broken so far; a test that asks for it judges it itself."""
        self._expected = True
        self.end()
        return {code for o in self.onlookers if o.referee for code in o.referee.codes}

    def check(self) -> None:
        """No promise was broken, and nothing was wrong with the judge."""
        self.end()
        for onlooker in self.onlookers:
            if onlooker.crash is not None:
                raise onlooker.crash
            if onlooker.referee is not None and not self._expected:
                onlooker.referee.check()


@pytest.fixture(autouse=True)
def refereed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stages]:
    """No promise may be broken on a stage, whatever the test itself looks at."""
    stages = Stages()
    save = JsonFile.save

    def saved(file: JsonFile, entry: Mapping[str, object]) -> bool:
        done = save(file, entry)
        if done:
            stages.saved(file.path, entry)
        return done

    build = Stage.__init__

    def built(stage: Stage, **options: Any) -> None:
        build(stage, **options)
        stages.open = stage

    monkeypatch.setattr(Stage, "__init__", built)
    monkeypatch.setattr(stage_module, "ScoreSink", stages.sink)
    monkeypatch.setattr(stage_module, "Daemon", stages.daemon)
    monkeypatch.setattr(JsonFile, "save", saved)
    yield stages
    stages.check()
