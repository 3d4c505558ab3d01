"""A light stage: the real speaker without signal processing, a household, a server that can fail (purpose).

Owner thread: the event loop, virtual or (with `Options.url`) real.  Real are the dialogue, the pump, the playout,
the link, the tools and the server; the microphone gives labelled frames (`chaos_sound`), the
loudspeaker is rendered by the virtual clock.  Must never reach into the speaker to make it do
something; it looks inside only to know the moment at which a fault is to strike.

While nothing is sent and nobody is about to speak, one silent frame stands for many.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import random
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import chaos_sound as sound

from edge_agent.agent import Agent, Rooms
from edge_agent.audio.earcons import render_earcon
from edge_agent.audio.playout import Playout
from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.errors import LinkError
from edge_agent.contract.pcm import WIRE_FRAME_SAMPLES, WIRE_RATE_HZ, bytes_to_ms
from edge_agent.contract.ports import Wire
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.consent import Risk
from edge_agent.dialogue.gate import GateState
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.states import Link, Microphone, Talk
from edge_agent.host.sentences import Sentences
from edge_agent.panel.patterns import EARCONS
from edge_agent.realtime.config import ServerVad, SessionConfig
from edge_agent.realtime.connection import RealtimeLink
from edge_agent.realtime.dialer import WebSocketDialer
from edge_agent.realtime.liveness import LinkTimings
from edge_agent.realtime.providers import PROVIDERS
from edge_agent.simulation.brains import Brain, Call, Part, Reply, Speech, Turn
from edge_agent.simulation.faults import Faults
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.wire import MemoryNetwork
from edge_agent.tools.registry import Registry, tool
from edge_agent.tools.runner import ToolRunner

FRAME_S = 0.01
SPARSE_FRAMES = 100
"""Frames that one stands for while everybody sleeps …"""
QUIET_FRAMES = 10
"""… and while the speaker waits and nobody is about to speak: silence follows silence …"""
DENSE_BEFORE_S = 2.0
"""… which ends this long before somebody speaks: longer than any pre-roll."""
NETWORK_DELAY_S = 0.01
WAKE_FRAMES = 60
WAKE_LAG_FRAMES = 10
"""The wake model fires about 0.1 s after the word's end."""
KEY = "sk-chaos"
SENTENCES = Sentences("en")
EARCON_PCM = {name: render_earcon(notes) for name, notes in EARCONS.items()}
TIMELINE_MAX = 3_000

_NAMED = re.compile(r"utterance (\d+) of (\d+) pieces")


@dataclass(eq=False)
class Said:
    """One utterance of the household; `frames` of words, ten milliseconds each."""

    number: int
    how: str  # wake · paused · follow-up · barge-in
    first_frame: int
    frames: int
    answer_s: float
    tool: str = ""
    is_expected: bool | None = None
    """Whether the speaker owes an answer: known when the first word sounds."""
    interrupted: bool = False
    """The household itself talked over the answer to it."""

    @property
    def begin_at(self) -> float:
        """Loop time of the first word."""
        return self.first_frame * FRAME_S

    @property
    def end_at(self) -> float:
        """Loop time of the end of the last word."""
        return (self.first_frame + self.frames) * FRAME_S


@dataclass(eq=False)
class Asked:
    """One time that the model was asked for an answer."""

    serial: int
    at: float
    pieces: Mapping[int, int]
    """Utterance → how many of its pieces the model was given."""
    primary: int
    """The utterance that is answered."""
    kind: str  # fresh · after tool · continuation · tool
    heard_ms: float = 0.0
    began_at: float | None = None
    is_whole: bool = False


class HouseBrain(Brain):
    """Answers the newest utterance it was given, with sound that names the answer."""

    def __init__(self, world: World) -> None:
        self._world = world

    def reply(self, turn: Turn) -> Reply:
        pieces = {n: len(indices) for n, indices in sound.read_all(turn.heard).items()}
        for text in turn.texts:
            for found in _NAMED.finditer(text):
                pieces[int(found[1])] = max(pieces.get(int(found[1]), 0), int(found[2]))
        return Reply(self._parts(turn, pieces))

    def _parts(self, turn: Turn, pieces: dict[int, int]) -> tuple[Part, ...]:
        world = self._world
        primary = max(pieces, default=0)
        said = world.said.get(primary)
        if turn.outputs and not primary:
            asked = next((a for a in reversed(world.asked) if a.kind == "tool"), None)
            primary = asked.primary if asked else primary
            kind = "after tool"
        elif "lost while you were answering" in turn.instructions:
            known = (
                int(n) for _role, words in turn.transcript for n in re.findall(r"#(\d+)", words)
            )
            primary, kind = max(known, default=primary), "continuation"
        elif said is not None and said.tool:
            kind = "tool"
        else:
            kind = "fresh"
        asked = Asked(next(world.serials), world.now(), pieces, primary, kind)
        world.asked.append(asked)
        world.tell("model", f"asked ({kind}) about {pieces or '-'}: answer {asked.serial}")
        said = world.said.get(primary)
        if kind == "tool" and said is not None:
            return (Call(said.tool, json.dumps({"about": primary})),)
        length_s = 1.0 if said is None or kind == "continuation" else said.answer_s
        # A word for every delta, the first of which says what it is about.
        words = f"#{primary} is answered " + "and so on " * round(length_s * 5)
        return (Speech(sound.spoken(asked.serial, round(length_s * 100)), words.strip()),)

    def transcribe(self, pcm24k: bytes) -> str:
        found = sound.read(pcm24k)
        return ", ".join(f"utterance {n} of {len(indices)} pieces" for n, indices in found.items())


class PingableWire:
    """An in-memory wire that answers pings like a socket: the kernel's life, not the server's."""

    def __init__(self, world: World, wire: Any) -> None:
        self._world, self._wire = world, wire
        self.send, self.receive = wire.send, wire.receive
        self.close, self.abort = wire.close, wire.abort

    async def ping(self) -> None:
        """Return when a pong came."""
        await asyncio.sleep(2 * NETWORK_DELAY_S)
        while self._world.network.is_black_hole or self._world.server.faults.black_hole:
            await asyncio.sleep(0.1)

    def is_slow(self) -> bool:
        """Whether data waits to leave and the other side goes on taking it."""
        return False


@dataclass
class Options:
    """What may differ between two households."""

    server_turns: bool = True
    transcribes: bool = True
    pings: bool = True
    audio_speed: float = 8.0
    first_delta_ms: int = 250
    session_max_s: float = 3600.0
    url: str = ""
    """Of a real server that listens there; else the network is in memory."""
    dialogue: Mapping[str, Any] = field(default_factory=dict)


class World:
    """Open with `async with`; `speak`, `press`, break `network` and `server.faults`, and look."""

    def __init__(self, seed: int, options: Options | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.options = options = options or Options()
        self.rng = random.Random(seed)
        self.said: dict[int, Said] = {}
        self.asked: list[Asked] = []
        self.sentences: list[tuple[float, str, bool]] = []
        """(loop time, name, whether the talk ended with it)."""
        self.timeline: deque[tuple[float, str, str]] = deque(maxlen=TIMELINE_MAX)
        self.notes: list[tuple[float, str, Mapping[str, object]]] = []
        self.note_counts: Counter[str] = Counter()
        self.problems: list[str] = []
        """What must never happen, as it happens."""
        self.downs: list[tuple[float, str]] = []
        self.readies: list[float] = []
        self.wakes_without_link: list[float] = []
        self.most_queued_ms = 0.0
        self.struck = False
        """A fault has struck."""
        self.responding = False
        """The server has begun an answer that it has not ended."""
        self.responses_ended = 0
        self.dial_errors: deque[Callable[[], LinkError]] = deque()
        self.serials = itertools.count(1)
        self._numbers = itertools.count(1)
        self._items: dict[str, Asked] = {}
        self._waiters: list[tuple[Callable[[], object], asyncio.Future[None]]] = []
        self._planned: deque[Said] = deque()
        self._index = round(self.loop.time() / FRAME_S)
        self._mic: asyncio.TimerHandle | None = None
        self._next_index = 0
        self._room = sound.room_frames()
        self._before = (Talk.ASLEEP, Link.DOWN, Microphone.OPEN)
        self.server = RealtimeServer(
            HouseBrain(self),
            keys=frozenset({KEY}),
            audio_speed=options.audio_speed,
            first_delta_ms=options.first_delta_ms,
            session_max_s=options.session_max_s,
            on_event=self._on_wire,
        )
        self.network = MemoryNetwork(self.server, NETWORK_DELAY_S)
        self._real_dial = WebSocketDialer() if options.url else None
        self._build()

    def _build(self) -> None:
        options = self.options

        @tool(risk=_tool_risk("low"), timeout_s=10)
        async def look_up(about: int) -> str:
            """Looks something up."""
            await asyncio.sleep(self.rng.uniform(0.2, 2.5))
            return f"found {about}"

        @tool(risk=_tool_risk("high"), timeout_s=10)
        async def unlock(about: int) -> str:
            """Unlocks the door."""
            return f"unlocked {about}"

        registry = Registry((look_up, unlock))
        self.playout = Playout()
        self.playout.open(WIRE_RATE_HZ, 0.0)
        self.hands = ToolRunner(registry, self._post)
        self.dialogue = DialogueManager(
            DialogueConfig(
                server_turns=options.server_turns,
                tool_risks={"look_up": Risk.LOW, "unlock": Risk.HIGH},
                **options.dialogue,
            )
        )
        self.link = RealtimeLink(
            dial=self._dial,
            provider=PROVIDERS["openai"],
            config=SessionConfig(
                tools=registry.schemas(),
                turn_detection=ServerVad() if options.server_turns else None,
                transcription_model="whisper-1" if options.transcribes else None,
            ),
            key=lambda: KEY,
            post=self._post,
            note=self._note,
            rng=self.rng,
            timings=LinkTimings(),
            url=options.url,
            allow_insecure=bool(options.url),
        )
        rooms: dict[str, Any] = {
            "speaker": self.playout,
            "link": self.link,
            "hands": self.hands,
            "panel": _Panel(),
            "note": self._note,
            "fault": self._fault,
            "set_status": _nothing,
            "save_mute": _nothing,
            "sentence_pcm": SENTENCES.pcm24k,
            "earcons": EARCON_PCM,
        }
        for port in dataclasses.fields(Rooms):
            rooms.setdefault(port.name, _nothing)
        self.agent = Agent(self.dialogue, Rooms(**rooms))
        self.agent.observers.append(self._see)

    # --- life ---------------------------------------------------------------------------

    async def __aenter__(self) -> World:
        self._life = asyncio.create_task(self.link.run(), name="link")
        self._post(e.DeviceReady(at=self.now()))
        self._frame()
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._mic is not None:
            self._mic.cancel()
        self.heal()
        await self.hands.close()
        await self.link.close()
        await self._life
        await self.network.aclose()
        if self.agent._alarm is not None:
            self.agent._alarm.cancel()

    def now(self) -> float:
        """Loop time."""
        return self.loop.time()

    async def _dial(self, url: str, headers: Mapping[str, str]) -> Wire:
        if self._real_dial is not None:
            return await self._real_dial(url, headers)
        if self.dial_errors:
            await asyncio.sleep(NETWORK_DELAY_S)
            raise self.dial_errors.popleft()()
        wire = await self.network(url, headers)
        return PingableWire(self, wire) if self.options.pings else wire

    def heal(self) -> None:
        """The world is whole again."""
        healthy = Faults()
        for switch in dataclasses.fields(Faults):
            setattr(self.server.faults, switch.name, getattr(healthy, switch.name))
        self.dial_errors.clear()
        self.network.up()
        self.tell("world", "healthy")

    def forget(self) -> None:
        """Drop what was written down: a day of it is more than the speaker itself holds."""
        for record in (self.said, self.asked, self.sentences, self.notes, self.downs, self._items):
            record.clear()
        del self.readies[:-1], self.wakes_without_link[:]

    # --- the room -----------------------------------------------------------------------

    def speak(
        self, how: str = "wake", *, in_s: float = 0.05, words_s: float = 1.2, **about: Any
    ) -> Said:
        """Somebody says something new, beginning `in_s` from now; returns at once.

        `how`: `wake` (wake word and words in one breath), `paused` (a pause between them),
        `follow-up` or `barge-in` (no wake word).
        """
        start = self._index + max(1, round(in_s / FRAME_S))
        if how in ("wake", "paused"):
            start += WAKE_FRAMES + (5 if how == "wake" else 100)
        number = next(self._numbers)
        said = Said(number, how, start, round(words_s / FRAME_S), **{"answer_s": 2.0, **about})
        self.said[number] = said
        self._planned.append(said)
        self.tell("house", f"will say {number} ({how}) in {said.begin_at - self.now():.2f} s")
        self._hurry()
        return said

    def press(self, button: str = "talk") -> None:
        """A short press."""
        self.tell("house", f"presses {button}")
        self._post(e.ButtonPressed(at=self.now(), button=button))
        self.loop.call_later(
            0.1, lambda: self._post(e.ButtonReleased(at=self.now(), button=button))
        )

    def _frame(self) -> None:
        """One frame: what the loudspeaker gives, then what the microphone hears."""
        now, index = self.now(), self._index
        self.playout.render(WIRE_FRAME_SAMPLES, now)
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
        if self.playout.audible or dialogue._gate.state is GateState.OPEN:
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
        """Does the speaker owe an answer to what begins now?"""
        dialogue = self.dialogue
        is_open = dialogue.microphone is Microphone.OPEN
        if said.how in ("wake", "paused"):
            said.is_expected = is_open
        elif said.how == "barge-in":
            said.is_expected = is_open and dialogue.talk is Talk.SPEAKING
        else:
            closes = dialogue._deadlines.get("follow-up", self.now())
            is_listening = dialogue.talk is Talk.LISTENING and closes - self.now() > 0.3
            said.is_expected = is_open and is_listening
        earlier = self.said.get(said.number - 1)
        if said.how == "barge-in" and earlier is not None:
            earlier.interrupted = True
        self.tell("house", f"says {said.number}" + ("" if said.is_expected else " (to nobody)"))

    # --- watching -----------------------------------------------------------------------

    def tell(self, who: str, what: str) -> None:
        """A line of the timeline."""
        self.timeline.append((self.now(), who, what))

    def _post(self, event: e.Event) -> None:
        self.agent.post(event)

    def _note(self, code: str, /, **fields: object) -> None:
        self.notes.append((self.now(), code, fields))
        self.note_counts[code] += 1
        if code == "talk.woken" and not self.is_ready and self._before[0] is Talk.ASLEEP:
            self.wakes_without_link.append(self.now())
        shown = " ".join(f"{k}={v}" for k, v in fields.items() if k in _SHOWN_FIELDS)
        self.tell("journal", f"{code} {shown}".rstrip())
        if code in _NEVER_NOTED:
            self.problems.append(f"journal: {code} {dict(fields)}")

    def _fault(self, problem: BaseException) -> None:
        self.problems.append(f"a room failed: {problem!r}")

    def _on_wire(self, side: str, event: Mapping[str, Any], _at: float) -> None:
        if side == "server" and event["type"] == "error":
            code = str(event["error"]["code"])
            self.tell("server", f"error {code}: {event['error']['message']}")
            is_crossing = code in _CROSSINGS and self.struck
            if code not in _HARMLESS_ERRORS and not is_crossing:
                self.problems.append(f"the server refused {code}: {event['error']['message']}")

    def _see(self, event: e.Event, commands: list[c.Command], at: float) -> None:
        dialogue = self.dialogue
        for command in commands:
            self._see_command(command, at)
        kind = type(event)
        if kind is e.HeardFrame or kind is e.VoiceChunk or kind is e.VoiceText:
            self._see_states()
            return
        if kind is e.LinkDown:
            self.downs.append((at, event.code))
        elif kind is e.LinkReady:
            self.readies.append(at)
        elif kind is e.ResponseStarted:
            self.responding = True
        elif kind is e.ResponseEnded:
            self.responding = False
            self.responses_ended += 1
        elif kind is e.PlaybackStarted:
            self._account(event.item, at, 0.0)
        elif kind is e.PlaybackDrained:
            self._account(event.item, None, event.played_ms)
        elif kind is e.PlaybackCut and event.item is not None:
            self._account(event.item, None, event.played_ms)
        if kind in _SHOWN_EVENTS:
            self.tell("event", _shown(event))
        self._see_states()
        if dialogue.talk is not Talk.ASLEEP or self.playout.audible:
            self._hurry()
        self._look()

    def _see_command(self, command: c.Command, at: float) -> None:
        dialogue = self.dialogue
        if isinstance(command, c.SendAudio):
            if dialogue.talk is Talk.ASLEEP or dialogue.microphone is Microphone.MUTED:
                self.problems.append(
                    f"audio sent while {dialogue.talk.value}, {dialogue.microphone.value}"
                )
            self.most_queued_ms = max(self.most_queued_ms, self.link.queued_ms)
        elif isinstance(command, c.PlayVoice):
            if command.item not in self._items:
                serial = next(iter(sound.read(command.pcm24k)), 0)
                asked = next((a for a in reversed(self.asked) if a.serial == serial), None)
                if asked is not None:
                    self._items[command.item] = asked
        elif isinstance(command, c.PlaySentence):
            is_last = dialogue.talk is Talk.ASLEEP
            if SENTENCES.pcm24k(command.name):
                self.sentences.append((at, command.name, is_last))
            else:
                self.problems.append(f"there is no recording of {command.name}")
            self.tell("speaker", f"says the sentence {command.name}")
        elif isinstance(command, _SHOWN_COMMANDS):
            self.tell("command", _shown(command))

    def _see_states(self) -> None:
        dialogue = self.dialogue
        now = (dialogue.talk, dialogue.link, dialogue.microphone)
        if now != self._before:
            for name, old, new in zip(
                ("talk", "link", "microphone"), self._before, now, strict=True
            ):
                if old is not new:
                    self.tell(name, new.value)
            self._before = now

    def _account(self, item: str, began_at: float | None, played_ms: float) -> None:
        asked = self._items.get(item)
        if asked is None:
            return
        if began_at is not None:
            asked.began_at = asked.began_at if asked.began_at is not None else began_at
            self.tell("speaker", f"begins answer {asked.serial}")
        else:
            asked.heard_ms += played_ms
            self.tell("speaker", f"answer {asked.serial} was heard for {played_ms:.0f} ms")

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
    def talk(self) -> str:
        """State of the talk."""
        return str(self.dialogue.talk.value)

    @property
    def is_ready(self) -> bool:
        """Whether the dialogue has a session."""
        return self.dialogue.link is Link.READY

    def told_timeline(self) -> str:
        """The timeline as text."""
        return "\n".join(f"{at:10.3f}  {who:8} {what}" for at, who, what in self.timeline)


class _Panel:
    def show(self, light: str) -> None:
        """The light is judged elsewhere."""

    def close(self) -> None:
        """Nothing to release."""


def _nothing(*_what: object, **_fields: object) -> None:
    return None


def _tool_risk(name: str) -> Any:
    from edge_agent.tools import registry

    return registry.Risk(name)


_SHOWN_FIELDS = frozenset(
    {"code", "cause", "why", "retry_in_s", "seconds", "error", "reason", "ms"}
)
_NEVER_NOTED = frozenset({"agent.fault", "link.local_error", "link.internal_error"})
_HARMLESS_ERRORS = frozenset(
    {
        "response_cancel_not_active",
        "session_expired",
        "invalid_api_key",
        "beta_api_shape_disabled",
    }
)
"""A cancellation crosses the end of its response on the wire, and the end of a session."""
_CROSSINGS = frozenset({"conversation_already_has_active_response"})
"""What crosses a server's own word that a stalled line held back; never without a fault."""
_SHOWN_EVENTS = frozenset(
    {
        e.LinkDown,
        e.LinkReady,
        e.ResponseStarted,
        e.ResponseEnded,
        e.UserSpeechStarted,
        e.UserTurnCommitted,
        e.ServerComplained,
        e.ToolFinished,
        e.SentenceDrained,
    }
)
_SHOWN_COMMANDS = (
    c.RequestResponse,
    c.CancelResponse,
    c.TruncateItem,
    c.DeleteItem,
    c.CommitAudio,
    c.ClearAudio,
    c.AddMessage,
    c.AddToolOutput,
    c.ReopenLink,
    c.CutPlayback,
    c.RunTool,
    c.RollOver,
)


def _shown(thing: e.Event | c.Command) -> str:
    fields = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
    fields.pop("at", None)
    parts = []
    for name, value in fields.items():
        if isinstance(value, bytes):
            value = f"{bytes_to_ms(len(value)):.0f}ms"
        elif isinstance(value, e.Usage) or value in ("", (), None, False):
            continue
        text = str(value)
        parts.append(f"{name}={text[:60]}")
    return f"{type(thing).__name__} {' '.join(parts)}".rstrip()
