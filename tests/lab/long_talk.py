"""A long talk in no time: the real dialogue, pump and link, and an honest bill.

Thread: a virtual event loop.  It must never reach into the speaker to make it do something: people
speak, the button is pressed, the line is cut.  Microphone and loudspeaker are stand-ins without
signal processing: an utterance carries its number in its samples, an answer takes as long as its
sound, and nothing happens in a pause, however long.

    async with LongTalk(brain_of=...) as talk:
        await talk.say("My sister is Odile.")
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from edge_agent.agent import Agent, Rooms
from edge_agent.app.session_start import SessionStart
from edge_agent.app.wiring import dialogue_config, link_timings, provider_of, session_config
from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import FRAME_MS, WIRE_FRAME_SAMPLES, bytes_to_ms
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Link, Talk
from edge_agent.host.price_list import BUILT_IN, load_providers
from edge_agent.host.settings.root import Settings
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.realtime.link.pongs import PongBook
from edge_agent.realtime.protocol.config import SessionConfig
from edge_agent.simulation.brains import Brain
from edge_agent.simulation.realtime_server.conversation import Item
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.wire import MemoryNetwork

OPENAI = provider_of("openai", load_providers(BUILT_IN).record("openai"))
FRAME_S = FRAME_MS / 1000
SPEECH_MS_PER_CHAR = 60
"""People speak about 16 characters a second."""
BREATH_S = 0.6
"""Between the button and the first word: longer than the speaker waits for one breath."""
LIMIT_S = 120.0
"""Longer than the longest patience of the dialogue."""
NETWORK_DELAY_S = 0.01
NUMBERS_MAX = 30_000
"""Utterances that a 16-bit sample can number."""


class LongTalkError(Exception):
    """What was waited for did not happen."""


class _Loudspeaker:
    """Plays one item after the other, by the loop's clock alone."""

    def __init__(self, post: Callable[[e.Event], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._post = post
        self._queue: list[str] = []
        self._ms: dict[str, float] = {}
        self._ended: set[str] = set()
        self._began_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def voice(self, item: str, pcm24k: bytes) -> bool:
        if item not in self._ms:
            self._ms[item] = 0.0
            self._queue.append(item)
            if len(self._queue) == 1:
                self._begin()
        self._ms[item] += bytes_to_ms(len(pcm24k))
        return True

    def end_voice(self, item: str) -> None:
        self._ended.add(item)
        self._plan()

    def _begin(self) -> None:
        self._began_at = self._loop.time()
        item, at = self._queue[0], self._began_at
        self._loop.call_soon(lambda: self._post(e.PlaybackStarted(at=at, item=item)))
        self._plan()

    def _plan(self) -> None:
        if self._queue and self._queue[0] in self._ended and self._timer is None:
            until = self._began_at + self._ms[self._queue[0]] / 1000
            self._timer = self._loop.call_at(until, self._drained)

    def _drained(self) -> None:
        self._timer = None
        item = self._queue.pop(0)
        if self._queue:
            self._begin()
        played_ms = self._ms.pop(item)
        self._post(e.PlaybackDrained(at=self._loop.time(), item=item, played_ms=played_ms))

    def cut(self, now: float | None = None) -> e.PlaybackCut:
        now = self._loop.time() if now is None else now
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        item = self._queue[0] if self._queue else None
        played_ms = (now - self._began_at) * 1000 if item else 0.0
        never = tuple(self._queue[1:])
        self._queue.clear()
        self._ms.clear()
        return e.PlaybackCut(at=now, item=item, played_ms=played_ms, never_started=never)

    def sentence(self, name: str, pcm24k: bytes) -> None:
        raise LongTalkError(f"The speaker says '{name}' by itself ({len(pcm24k)} bytes).")

    def text(self, name: str, pcm24k: bytes, least_volume_percent: float = 0.0) -> None:
        """No text of our own belongs to these talks."""

    def earcon(self, pcm24k: bytes) -> None:
        """Not heard here."""

    def collect(self, _now: float) -> list[e.Event]:
        return []


class _Hands:
    """Tools that answer at once with what they were given."""

    def __init__(self, post: Callable[[e.Event], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._post = post

    def run(self, call_id: str, name: str, arguments: str) -> None:
        done = e.ToolFinished(
            at=self._loop.time(), call_id=call_id, output=f"{name} did {arguments}"
        )
        self._loop.call_soon(self._post, done)

    def cancel(self, call_id: str) -> None:
        """They are quicker."""


class _Panel:
    def show(self, light: str) -> None:
        """Nobody looks."""

    def close(self) -> None:
        """Nothing to release."""


class LongTalk:
    """A household that talks for hours.  `dialogue` is the configuration of the dialogue.

    `brain_of` makes the model, given what tells the words of an utterance.  `tokens` counts what
    every response used, `notes` what the journal was told.
    """

    def __init__(
        self,
        brain_of: Callable[[Callable[[bytes], str]], Brain],
        dialogue: Mapping[str, Any] | None = None,
        *,
        session: SessionConfig | None = None,
        server: Mapping[str, Any] | None = None,
        summarise: Callable[[c.Summarise], bool] = lambda _wish: False,
        pongs: PongBook | None = None,
        seed: int = 1,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.words: list[str] = [""]
        self.brain = brain_of(self._words_of)
        self.server = RealtimeServer(self.brain, audio_speed=8.0, **(server or {}))
        self.network = MemoryNetwork(self.server, NETWORK_DELAY_S)
        self.notes: list[c.Note] = []
        self.used: list[e.Usage] = []
        self.asides_used: list[e.Usage] = []
        settings = Settings()
        shipped = dialogue_config(settings, risks={}, has_button=True)
        terms = replace(shipped, server_turns=False, **(dialogue or {}))
        self.dialogue = DialogueManager(terms, strict=True)
        whole_session = session_config(settings, SessionStart("", ()))
        self.link = RealtimeLink(
            dial=self.network,
            provider=OPENAI,
            config=session
            or replace(whole_session, turn_detection=None, transcription_model="whisper-1"),
            key=lambda: "sk-long",
            post=self.post,
            note=lambda _code, **_fields: None,
            rng=random.Random(seed),
            timings=link_timings(settings),
            pongs=pongs,
        )
        self.agent = Agent(
            self.dialogue,
            Rooms(
                speaker=_Loudspeaker(self.post),
                link=self.link,
                tools=_Hands(self.post),
                panel=_Panel(),
                note=self._note,
                fault=self._fault,
                set_status=lambda _text, _trouble: None,
                save_mute=lambda _muted: None,
                record_usage=lambda _used: None,
                sentence_pcm=lambda _name: b"",
                earcons={},
                summarise=summarise,
            ),
        )
        self.agent.observers.append(self._watch)
        self.faults: list[BaseException] = []

    # --- life ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._life = asyncio.create_task(self.link.run(), name="link")
        self.post(e.DeviceReady(at=self.loop.time()))
        await self.ready()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.link.close()
        await self._life
        await self.network.aclose()
        self.post(e.StopRequested(at=self.loop.time()))  # no timer stays behind

    def post(self, event: e.Event) -> None:
        """What happens."""
        self.agent.post(event)

    def _note(self, code: str, /, **fields: object) -> None:
        self.notes.append(c.Note(code, fields))

    def _fault(self, problem: BaseException) -> None:
        self.faults.append(problem)

    def _watch(self, event: e.Event, _commands: list[c.Command], _at: float) -> None:
        if isinstance(event, e.ResponseEnded) and event.usage is not None:
            self.used.append(event.usage)
        if isinstance(event, e.SideAnswer) and event.usage is not None:
            self.asides_used.append(event.usage)

    def _words_of(self, pcm24k: bytes) -> str:
        """An utterance is numbered by its samples."""
        if len(pcm24k) < 2:
            return ""
        (number,) = struct.unpack_from("<h", pcm24k, len(pcm24k) // 4 * 2)
        return self.words[number] if 0 < number < len(self.words) else ""

    # --- the household ------------------------------------------------------------------

    async def say(self, words: str, *, speech_ms: float = 0.0, interrupt_s: float = 0.0) -> None:
        """One turn, to the end of its answer (or to the button, pressed after `interrupt_s`)."""
        if self.dialogue.talk is Talk.ASLEEP:
            await self.press()
            await asyncio.sleep(BREATH_S)
        self.words.append(words)
        frame = struct.pack("<h", len(self.words) - 1) * WIRE_FRAME_SAMPLES
        length_ms = speech_ms or max(300, len(words) * SPEECH_MS_PER_CHAR)
        for _ in range(round(length_ms / FRAME_MS)):
            heard = e.HeardFrame(
                at=self.loop.time(), pcm24k=frame, speech=True, over_playback=False
            )
            self.post(heard)
            await asyncio.sleep(FRAME_S)
        await self.press()
        if interrupt_s:
            await self.until(lambda: self.dialogue.talk is Talk.SPEAKING)
            await asyncio.sleep(interrupt_s)
            await self.press()
            return
        await self.until(self.is_idle)
        await asyncio.sleep(0.5)

    async def press(self) -> None:
        """The talk button, for a moment."""
        self.post(e.ButtonPressed(at=self.loop.time()))
        await asyncio.sleep(0.1)
        self.post(e.ButtonReleased(at=self.loop.time()))

    async def pause(self, seconds: float) -> None:
        """Nobody says anything."""
        await asyncio.sleep(seconds)

    async def until(self, happened: Callable[[], object], within_s: float = LIMIT_S) -> None:
        """Raises `LongTalkError` when it has not happened in time."""
        limit = self.loop.time() + within_s
        while not happened():
            if self.loop.time() > limit:
                raise LongTalkError(f"Stuck: {self.dialogue.talk.value}.")
            await asyncio.sleep(0.02)

    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self.dialogue.talk in (Talk.LISTENING, Talk.ASLEEP)

    async def asleep(self) -> None:
        """Wait until the talk has gone to sleep and the summary, if any, is in its place."""
        await self.until(lambda: self.dialogue.talk is Talk.ASLEEP)
        await asyncio.sleep(3.0)

    async def ready(self) -> None:
        """Wait for a session."""
        await self.until(lambda: self.dialogue.link is Link.READY)

    # --- what one can see ---------------------------------------------------------------

    @property
    def items(self) -> list[Item]:
        """What the server holds now."""
        return list(self.server.open_sessions[-1].conversation)

    def told(self, code: str) -> list[Mapping[str, object]]:
        """Fields of the journal lines with that code."""
        return [note.fields for note in self.notes if note.code == code]
