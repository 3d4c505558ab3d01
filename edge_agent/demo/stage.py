"""The stage: the whole daemon in a virtual room, talking to the simulated model.

Thread: the event loop, real or virtual.  It must never reach into the daemon to make it do
something: people speak, buttons are pressed, networks die, and that is all.

    async with Stage() as stage:                 # asyncio.run: real time, a real WebSocket
        said = await stage.say("wake_what_time") # simulation.clock.run: virtual time, in memory
        await stage.until(lambda: stage.talk == "speaking", 5.0, "the answer begins")

Used by the demo, the benchmarks and the end-to-end tests.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge_agent.app.daemon import Daemon
from edge_agent.app.world import World
from edge_agent.contract.commands import PlaySentence
from edge_agent.contract.events import ButtonPressed, ButtonReleased, Event
from edge_agent.contract.ports import Panel, SoundDevice
from edge_agent.demo.judge.score import Score
from edge_agent.demo.surroundings import (
    InMemoryNetwork,
    ScoreSink,
    SocketNetwork,
    StageNotifier,
    StagePanel,
    WatchedBrain,
)
from edge_agent.dialogue.state import Deadline
from edge_agent.host.journal.journal import Journal
from edge_agent.host.settings.root import Settings
from edge_agent.host.voice.sentences import Sentences
from edge_agent.simulation.brains import Brain, ScriptBrain
from edge_agent.simulation.clock import VirtualLoop
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.sound import voices
from edge_agent.simulation.sound.room import Room
from edge_agent.simulation.sound.room_people import Utterance

POLL_S = 0.010
"""How often `until` looks: one heard frame."""

READY_WITHIN_S = 20.0
"""A slow board loads the wake model and the canceller in a few seconds."""

STOP_WITHIN_S = 10.0
"""The daemon's own limit for an orderly stop is 8 s."""

STAGE_SENTENCE = "confirm_by_voice"
"""A recording that is spoken in place of every text of our own."""

NETWORK_DELAY_S = 0.005
"""One way, in memory: a wired house and a near server."""


class StageError(Exception):
    """What was waited for did not happen, or the daemon ended; the text says where it stood."""


@dataclass(frozen=True, slots=True)
class Said:
    """A clip that somebody speaks: its name and its times at the microphone (loop time)."""

    clip: str
    start_at: float
    onset_at: float
    offset_at: float
    end_at: float


class Stage:
    """A household: `room`, `daemon`, `server`, `network`, and the `score` of what happened.

    In virtual time on a `VirtualLoop`, else in real time.  `settings` overlays the defaults per
    section, e.g. `{"listen": {"mode": "button"}}`.  `room` and `server` are keyword arguments of
    `Room` and `RealtimeServer`.  `device` replaces the room (then `say` is not there).
    `over_sockets`: a real WebSocket on this machine (default: in real time).
    `network_delay_s`: one-way delay of the in-memory network.  Raises `StageError`.
    """

    def __init__(
        self,
        *,
        brain: Brain | None = None,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        room: Mapping[str, Any] | None = None,
        server: Mapping[str, Any] | None = None,
        device: SoundDevice | None = None,
        over_sockets: bool | None = None,
        network_delay_s: float = NETWORK_DELAY_S,
        seed: int = 1,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_virtual = isinstance(self.loop, VirtualLoop)
        self.score = Score(self.loop.time)
        self.brain = WatchedBrain(
            brain or ScriptBrain.from_file(voices.play_path()),
            lambda words: self.score.mark("answers", words),
        )
        self.server = RealtimeServer(
            self.brain, **{"on_event": self.score.see_wire, **(server or {})}
        )
        sockets = not self.is_virtual if over_sockets is None else over_sockets
        self.network: SocketNetwork | InMemoryNetwork
        if sockets:
            self.network = SocketNetwork(self.server)
        else:
            self.network = InMemoryNetwork(self.server, network_delay_s)
        self.notifier = StageNotifier()
        self.panel: StagePanel | None = None
        self._settings = settings or {}
        self._room_options = {"seed": seed, **(room or {})}
        self._device = device
        self._seed = seed
        self._room: Room | None = None
        self._daemon: Daemon | None = None
        self._life: asyncio.Task[None] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.started_at = self.loop.time()

    # --- life ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._begin()
        except BaseException:
            await self._end()
            raise
        return self

    async def _begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edge-agent-stage-")
        await self.network.up()
        if self._device is None:
            self._room = Room(**self._room_options)
        world = World(
            device=self._device or self.room,
            dial=self.network.dial,
            panel=self._make_panel,
            notifier=self.notifier,
            threads=not self.is_virtual,
            rng=random.Random(self._seed),
            voice=lambda _text: stage_voice(),
        )
        self.settings = stage_settings(self.network.url, Path(self._folder.name), self._settings)
        self._sentences = Sentences(self.settings.speech.language)
        journal = Journal(ScoreSink(self.score), level=7)
        self.started_at = self.loop.time()
        self._daemon = Daemon(self.settings, world, journal)
        self.daemon.dialogue.state.strict = True
        self.daemon.agent.observers.append(self._watch)
        self._watch_states()
        self._life = asyncio.create_task(self.daemon.run(), name="daemon")
        ready = asyncio.create_task(self.daemon.ready.wait(), name="stage waits for READY")
        await asyncio.wait(
            {ready, self._life}, timeout=READY_WITHIN_S, return_when=asyncio.FIRST_COMPLETED
        )
        is_ready = ready.done()
        ready.cancel()
        await asyncio.gather(ready, return_exceptions=True)
        self._check_alive()
        if not is_ready:
            raise StageError(f"The daemon was not READY within {READY_WITHIN_S:g} s.")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()
        if error is None and any(n.fields.get("kind") == "IllegalMove" for n in self.score.journal):
            raise StageError("The talk made a move that its table does not have.")

    async def _end(self) -> None:
        try:
            if self._life is not None and not self._life.done():
                self.daemon.stop()
                await asyncio.wait({self._life}, timeout=STOP_WITHIN_S)
                self._life.cancel()
            if self._life is not None:
                await asyncio.gather(self._life, return_exceptions=True)
        finally:
            if self._room is not None:
                self._room.stop()
            await self.network.close()
            if self._folder is not None:
                self._folder.cleanup()

    def _make_panel(self, post: Callable[[Event], None]) -> Panel:
        self.panel = StagePanel(post)
        return self.panel

    def _watch(self, event: Event, commands: list[Any], at: float) -> None:
        self.score.see_pump(event, commands, at)
        for command in commands:
            if isinstance(command, PlaySentence) and (words := self._sentences.text(command.name)):
                self.score.mark("answers", words)
        self._watch_states()

    def _watch_states(self) -> None:
        dialogue, at = self.daemon.dialogue, self.loop.time()
        self.score.change("talk", dialogue.talk.value, at)
        self.score.change("link", dialogue.link.value, at)
        self.score.change("microphone", dialogue.microphone.value, at)

    def _check_alive(self) -> None:
        life = self._life
        if life is not None and life.done() and not life.cancelled() and life.exception():
            raise StageError("The daemon failed.") from life.exception()

    # --- who is there -------------------------------------------------------------------

    @property
    def room(self) -> Room:
        """The virtual room; raises `StageError` where a real device stands in its place."""
        if self._room is None:
            raise StageError("There is no virtual room on this stage.")
        return self._room

    @property
    def daemon(self) -> Daemon:
        """The daemon under the lights."""
        if self._daemon is None:
            raise StageError("The stage is not open yet: use `async with`.")
        return self._daemon

    @property
    def talk(self) -> str:
        """State of the talk: asleep, listening, thinking, speaking, confirming."""
        return str(self.daemon.dialogue.talk.value)

    @property
    def link(self) -> str:
        """State of the link: down, connecting, ready."""
        return str(self.daemon.dialogue.link.value)

    @property
    def is_over(self) -> bool:
        """Has the daemon ended?"""
        return self._life is not None and self._life.done()

    def now(self) -> float:
        """Loop time in seconds."""
        return self.loop.time()

    def window_left_s(self) -> float | None:
        """Seconds in which one may go on without a wake word; None outside of that window."""
        due_at = self.daemon.dialogue.state.deadlines.due_at(Deadline.FOLLOW_UP)
        return None if due_at is None else max(0.0, due_at - self.now())

    # --- what people do -----------------------------------------------------------------

    def speak(self, clip: str, *, in_s: float = 0.05, **how: Any) -> Said:
        """Somebody says a shipped clip, beginning `in_s` from now; returns at once.

        `how` is handed to `Room.say` (`gain_db`, `dry`).
        """
        rate_hz, pcm = voices.load(clip)
        u: Utterance = self.room.say(pcm, rate_hz, at=self.now() + in_s, **how)
        said = Said(clip, u.start_at, u.onset_at, u.offset_at, u.end_at)
        self.score.mark("says", voices.clips()[clip].text, u.start_at)
        return said

    async def say(self, clip: str, **how: Any) -> Said:
        """As `speak`, and wait until it has been said."""
        said = self.speak(clip, **how)
        await self.sleep_until(said.end_at)
        return said

    def press(self, button: str = "talk") -> None:
        """A button goes down."""
        self._button(ButtonPressed(at=self.now(), button=button))
        self.score.mark("button", f"{button} button down")

    def release(self, button: str = "talk") -> None:
        """A button comes up."""
        self._button(ButtonReleased(at=self.now(), button=button))

    async def push(self, hold_s: float = 0.15, button: str = "talk") -> None:
        """Press, hold and release a button."""
        self.press(button)
        await asyncio.sleep(hold_s)
        self.release(button)

    def _button(self, event: Event) -> None:
        if self.panel is None:
            raise StageError("The stage has no panel yet: use `async with`.")
        self.panel.post(event)

    # --- waiting ------------------------------------------------------------------------

    async def until(self, happened: Callable[[], object], within_s: float, what: str) -> float:
        """Wait until `happened()` is true; returns when.  Raises `StageError` after `within_s`."""
        deadline = self.now() + within_s
        while not happened():
            self._check_alive()
            if self.now() >= deadline:
                raise StageError(
                    f"Waited {within_s:g} s for this and it did not happen: {what} "
                    f"(talk {self.talk}, link {self.link})."
                )
            await asyncio.sleep(POLL_S)
        return self.now()

    async def until_talk(self, state: str, within_s: float) -> float:
        """Wait for a state of the talk."""
        return await self.until(lambda: self.talk == state, within_s, f"talk is {state}")

    async def sleep_until(self, at: float) -> None:
        """Wait until the loop time `at`."""
        await asyncio.sleep(max(0.0, at - self.now()))

    async def until_over(self, within_s: float = STOP_WITHIN_S) -> float:
        """Wait until the daemon has ended; returns when."""
        return await self.until(lambda: self.is_over, within_s, "the daemon ends")


STAGE_PROVIDERS = "[providers.local.can]\nside_questions = true\n"
"""The simulated server keeps side questions apart, which is not known of a server of one's own."""


def stage_voice() -> bytes:
    """What is heard on the stage for words that nobody recorded: the same on every machine."""
    return Sentences().pcm24k(STAGE_SENTENCE)


def stage_settings(url: str, folder: Path, overlay: Mapping[str, Mapping[str, object]]) -> Settings:
    """The daemon's own defaults, a server at `url`, and `overlay` per section."""
    providers = folder / "providers.toml"
    providers.write_text(STAGE_PROVIDERS, encoding="utf-8")
    raw: dict[str, dict[str, object]] = {
        "realtime": {"provider": "local", "url": url, "providers_file": str(providers)},
        "state": {"path": str(folder / "state.json")},
        "panel": {"enabled": "off"},
    }
    for section, values in overlay.items():
        raw.setdefault(section, {}).update(values)
    return Settings(**raw)  # type: ignore[arg-type]
