"""A light stage: the real speaker without signal processing, in a house that can fail.

Thread: the event loop, virtual or (with `Options.url`) real.  Real are the dialogue, the pump, the
playout, the link, the tools and the server; the microphone gives labelled frames (`chaos_sound`),
the loudspeaker is rendered by the clock.  It must never reach into the speaker to make it do
something; it looks inside only to know the moment at which a fault is to strike.

While nothing is sent and nobody is about to speak, one silent frame stands for many.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import chaos_sound as sound
from chaos_border import Border
from chaos_house import FRAME_S, NETWORK_DELAY_S, HouseBrain, Options, PingableWire, Said
from chaos_tools import tools
from chaos_watch import SENTENCES, Watch
from house_config import (
    household_config,
    household_dialer,
    household_of,
    household_provider,
    household_session,
    household_timings,
    household_vad,
)

from edge_agent.agent import Agent, Rooms
from edge_agent.audio.speaker.earcons import render_earcon
from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract import events as e
from edge_agent.contract.errors import LinkError
from edge_agent.contract.pcm import WIRE_FRAME_SAMPLES, WIRE_RATE_HZ
from edge_agent.contract.ports import Wire
from edge_agent.dialogue.gate import GateState
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Talk
from edge_agent.panel.patterns import EARCONS
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.simulation.faults import Faults
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.traits import TRAITS
from edge_agent.simulation.wire import MemoryNetwork
from edge_agent.tools.runner import ToolRunner

SPARSE_FRAMES = 100
"""Frames that one stands for while everybody sleeps …"""
QUIET_FRAMES = 10
"""… and while the speaker waits and nobody is about to speak: silence follows silence …"""
DENSE_BEFORE_S = 2.0
"""… which ends this long before somebody speaks: longer than any pre-roll."""
WAKE_FRAMES = 60
PRESSED_FRAMES = 100
"""From a press to the words: the chime is over."""
WAKE_LAG_FRAMES = 10
"""The wake model fires about 0.1 s after the word's end."""
KEY = "sk-chaos"
SERVICES = ("openai", "azure", "xai", "localai", "speaches", "slow-pong")
"""Traits of servers as they were recorded …"""
RECORDS = {"slow-pong": "openai"}
"""… and the record of the table of providers for those that have none of their own name."""
CANARIES = ("pieces", "please", "and so on", '"about"', "found it", "done for")
"""Of what the household and the model say, of arguments and of what tools tell."""
EARCON_PCM = {name: render_earcon(notes) for name, notes in EARCONS.items()}


class World(Watch):
    """Open with `async with`; `speak`, `press`, break `network` and `server.faults`, and look."""

    def __init__(self, seed: int, options: Options | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.options = options = options or Options()
        self.rng = random.Random(seed)
        super().__init__(self._look_sharp)
        self.dial_errors: deque[Callable[[], LinkError]] = deque()
        self.serials = itertools.count(1)
        self._numbers = itertools.count(1)
        self._waiters: list[tuple[Callable[[], object], asyncio.Future[None]]] = []
        self._planned: deque[Said] = deque()
        self._doing: set[asyncio.Task[None]] = set()
        self._index = round(self.loop.time() / FRAME_S)
        self._mic: asyncio.TimerHandle | None = None
        self._next_index = 0
        self._room = sound.room_frames()
        self.traits = [TRAITS[options.service]] if options.service else []
        self.server = RealtimeServer(
            HouseBrain(self),
            traits=self.traits,
            keys=frozenset({KEY}),
            audio_speed=options.audio_speed,
            first_delta_ms=options.first_delta_ms,
            session_max_s=options.session_max_s,
            on_event=self._on_wire,
        )
        self.network = MemoryNetwork(self.server, NETWORK_DELAY_S)
        self._real_dial = household_dialer() if options.url else None
        self._build()

    def _build(self) -> None:
        options = self.options

        self.playout = Playout()
        self.playout.open(WIRE_RATE_HZ, 0.0)
        registry = tools(self)
        self.hands = ToolRunner(registry, self._post)
        self.config = household_config(
            dict(registry.risks()),
            mode=options.mode,
            server_turns=options.server_turns,
            transcription=options.transcription,
            **options.dialogue,
        )
        self.dialogue = DialogueManager(self.config, strict=True)
        household = dataclasses.replace(household_of(self.config), words=CANARIES, keys=(KEY,))
        self.border = Border(household, self.now)
        self.link = RealtimeLink(
            dial=self._dial,
            provider=household_provider(
                RECORDS.get(options.service, options.service or "openai"),
                url_template=household_provider().url_template,
            ),
            config=household_session(
                tools=registry.schemas(),
                turn_detection=household_vad() if options.server_turns else None,
                transcription_model="whisper-1" if options.transcription == "builtin" else None,
            ),
            key=lambda: KEY,
            post=self._post,
            note=self._note,
            rng=self.rng,
            timings=household_timings(),
            url=options.url,
            allow_insecure=bool(options.url),
        )
        rooms: dict[str, Any] = {
            "speaker": self.playout,
            "link": self.link,
            "tools": self.hands,
            "panel": _Panel(),
            "note": self._note,
            "fault": self._fault,
            "set_status": _nothing,
            "save_mute": _nothing,
            "sentence_pcm": SENTENCES.pcm24k,
            "say_text": lambda text: self.playout.text(
                text.name, SENTENCES.pcm24k("confirm_by_voice"), text.least_volume_percent
            ),
            "earcons": EARCON_PCM,
            "ring": lambda _name: self.playout.alarm(EARCON_PCM["timer"]),
            "stop_ringing": lambda _names: self.playout.alarm(None),
        }
        for port in dataclasses.fields(Rooms):
            rooms.setdefault(port.name, _nothing)
        self.agent = Agent(self.dialogue, Rooms(**rooms))
        self.agent.observers += [self._see, self.border.observe]

    # --- life ---------------------------------------------------------------------------

    async def __aenter__(self) -> World:
        self._life = asyncio.create_task(self.link.run(), name="link")
        self._post(e.DeviceReady(at=self.now()))
        self._frame()
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._mic is not None:
            self._mic.cancel()
        for task in self._doing:
            task.cancel()
        self.heal()
        await self.hands.close()
        await self.link.close()
        await self._life
        await self.network.aclose()
        if self.agent._alarm is not None:
            self.agent._alarm.cancel()

    async def _dial(self, url: str, headers: Mapping[str, str]) -> Wire:
        if self._real_dial is not None:
            return self.border.wire(await self._real_dial(url, headers))
        if self.dial_errors:
            error = self.dial_errors.popleft()  # before the wait, in which the world may heal
            await asyncio.sleep(NETWORK_DELAY_S)
            raise error()
        wire = await self.network(url, headers)
        return self.border.wire(PingableWire(self, wire) if self.options.pings else wire)

    def heal(self) -> None:
        """The world is whole again."""
        healthy = Faults()
        for switch in dataclasses.fields(Faults):
            setattr(self.server.faults, switch.name, getattr(healthy, switch.name))
        for trait in self.traits:
            self.server.faults.set_from(trait.faults)
        self.dial_errors.clear()
        self.network.up()
        self.tell("world", "healthy")

    # --- the room -----------------------------------------------------------------------

    def speak(
        self, how: str = "wake", *, in_s: float = 0.05, words_s: float = 1.2, **about: Any
    ) -> Said:
        """Somebody says something new, beginning `in_s` from now or after what is being said;
        returns at once.  `how` and `about` as in `Said`."""
        start = self._index + max(1, round(in_s / FRAME_S))
        if self._planned:
            start = max(start, self._planned[-1].first_frame + self._planned[-1].frames + 10)
        if how in ("wake", "paused") and self.options.mode == "button":
            how = "pressed"
        if how in ("wake", "paused"):
            start += WAKE_FRAMES + (5 if how == "wake" else 100)
        elif how == "pressed":
            self.loop.call_at(start * FRAME_S, self.press)
            start += PRESSED_FRAMES
        number = next(self._numbers)
        said = Said(number, how, start, round(words_s / FRAME_S), **{"answer_s": 2.0, **about})
        self.said[number] = said
        self._planned.append(said)
        self.tell("house", f"will say {number} ({how}) in {said.begin_at - self.now():.2f} s")
        self._hurry()
        return said

    def press(self, button: str = "talk", hold_s: float = 0.1) -> None:
        """A press that lasts `hold_s`."""
        self.tell("house", f"presses {button} for {hold_s:.2f} s")
        self._post(e.ButtonPressed(at=self.now(), button=button))
        self.loop.call_later(
            hold_s, lambda: self._post(e.ButtonReleased(at=self.now(), button=button))
        )

    def wants(self, event: e.Event) -> None:
        """What a timer, the control socket or a tool asks for."""
        self.tell("house", repr(event))
        self._post(event)

    def _frame(self) -> None:
        """One frame: what the loudspeaker gives, then what the microphone hears."""
        now, index = self.now(), self._index
        self.earcon_due = False
        self.border.sounded(self.playout.render(WIRE_FRAME_SAMPLES, now))
        pcm24k, speech, wake = self._heard_now(index)
        self._post(
            e.HeardFrame(
                at=now,
                pcm24k=pcm24k,
                speech=speech,
                over_playback=self.playout.audible,
                wake=wake,
            )
        )
        self._look()
        self._next_index = index + self._step_frames()
        self._mic = self.loop.call_at(self._next_index * FRAME_S, self._frame)
        self._index = self._next_index

    def _step_frames(self) -> int:
        """How many frames the next one stands for: more than one where only silence is heard."""
        dialogue = self.dialogue
        if self.playout.audible or dialogue.parts.gate.state is GateState.OPEN:
            return 1
        asleep = dialogue.talk is Talk.ASLEEP and dialogue.next_deadline() is None
        step = SPARSE_FRAMES if asleep else QUIET_FRAMES
        soon = self.now() + DENSE_BEFORE_S + step * FRAME_S
        return step if not self._planned or self._planned[0].begin_at > soon else 1

    def _hurry(self) -> None:
        """End a doze: the next frame is the next one."""
        index = int(self.now() / FRAME_S + 1e-4) + 1  # a hair below a whole number is that number
        if self._mic is not None and self._next_index > index:
            self._mic.cancel()
            self._index = self._next_index = index
            self._mic = self.loop.call_at(index * FRAME_S, self._frame)

    def _heard_now(self, index: int) -> tuple[bytes, bool, str | None]:
        room = self._room[index % sound.ROOM_FRAMES]
        if not self._planned:
            return room, False, None
        said = self._planned[0]
        piece = index - said.first_frame
        wake: str | None = None
        if said.how in ("wake", "paused"):
            wake_at = said.first_frame - (5 if said.how == "wake" else 100) - WAKE_FRAMES
            since = index - wake_at
            wake = "okay_nabu" if since == WAKE_FRAMES + WAKE_LAG_FRAMES else None
            if 0 <= since < WAKE_FRAMES:
                return sound.spoken_frame(0, since), True, wake
        if piece < 0:
            return room, False, wake
        if piece == 0:
            self._begins(said)
        if piece >= said.frames:
            self._planned.popleft()
            return room, False, wake
        return sound.spoken_frame(said.number, piece), True, wake

    def _begins(self, said: Said) -> None:
        if said.counts:
            self.border.says(said)
        self.tell("house", f"says {said.number}")

    def _post(self, event: e.Event) -> None:
        self.agent.post(event)

    def _look_sharp(self) -> None:
        if self.dialogue.talk is not Talk.ASLEEP or self.playout.audible or self.earcon_due:
            self._hurry()
        self._look()

    def later(self, doing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Something that the household does meanwhile; over at `rest`, or at the end."""
        task = self.loop.create_task(doing)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        return task

    async def rest(self) -> None:
        """The household does no more than it is doing."""
        if self._doing:
            await asyncio.wait(self._doing)

    # --- waiting ------------------------------------------------------------------------

    def _look(self) -> None:
        for waiter in [w for w in self._waiters if w[0]()]:
            self._waiters.remove(waiter)
            if not waiter[1].done():
                waiter[1].set_result(None)

    async def until(self, happened: Callable[[], object], within_s: float) -> bool:
        """Wait until `happened()`; False when it has not within `within_s`."""
        if happened():
            return True
        waiter = (happened, self.loop.create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(within_s):
                await waiter[1]
        except TimeoutError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            return bool(happened())
        return True

    async def until_talk(self, *states: str, within_s: float = 120.0) -> bool:
        """Wait for one of these states of the talk."""
        return await self.until(lambda: self.talk in states, within_s)

    @property
    def light(self) -> str:
        """What the household sees."""
        return self.border.referee.scene.light

    @property
    def is_muted(self) -> bool:
        """Whether the microphone is."""
        return self.border.referee.scene.muted

    @property
    def talk(self) -> str:
        """State of the talk."""
        return str(self.dialogue.talk.value)


class _Panel:
    def show(self, light: str) -> None:
        """The light is judged elsewhere."""

    def close(self) -> None:
        """Nothing to release."""


def _nothing(*_what: object, **_fields: object) -> None:
    return None
