"""A whole turn of a household with the real pump, dialogue, link and session.

Thread: the test's, in virtual time.  It must never wait for real time.  Only the ears and the
loudspeaker are modelled: sound goes in as labelled frames and comes out 10 ms at a time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from house_config import household_config, household_provider, household_session, household_timings
from link_world import KEYS, assert_in_order

from edge_agent.agent import Agent, Rooms
from edge_agent.contract import events as ev
from edge_agent.contract.pcm import WIRE_FRAME_BYTES, bytes_to_ms
from edge_agent.dialogue.journeys.link_watch import CONTINUE
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Talk
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.simulation.brains import Brain, Reply, Speech, Turn, hum
from edge_agent.simulation.clock import run
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.wire import MemoryNetwork

WAKE_AT_S, WORDS = 1.0, "what is the weather like"
ANSWER_MS, REST_MS = 1500, 400
ANSWER_LEVEL, REST_LEVEL = 1000, 2000
ROOM_FRAME = array("h", [3, -3] * (WIRE_FRAME_BYTES // 4)).tobytes()


def level_pcm(level: int, ms: int) -> bytes:
    return array("h", [level] * (24 * ms)).tobytes()


class OneAnswer(Brain):
    """Answers what it heard; asked to go on, it says the rest."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def reply(self, turn: Turn) -> Reply:
        goes_on = turn.transcript[-1:] == (("system", CONTINUE),)
        self.asked.append("rest" if goes_on else "answer" if turn.heard else "nothing")
        if goes_on:
            return Reply((Speech(level_pcm(REST_LEVEL, REST_MS), "and mild."),))
        return Reply((Speech(level_pcm(ANSWER_LEVEL, ANSWER_MS), "It will be sunny and mild."),))


@dataclass
class Piece:
    name: str
    pcm: bytearray = field(default_factory=bytearray)
    is_sentence: bool = False
    is_complete: bool = False
    played_ms: float = 0.0


class Loudspeaker:
    """Plays 10 ms whenever it is looked at; `heard` is what the household heard, by level."""

    def __init__(self) -> None:
        self.queue: list[Piece] = []
        self.heard: dict[int, float] = {}
        self.sentences: list[str] = []

    def _piece(self, item: str) -> Piece:
        for piece in self.queue:
            if piece.name == item and not piece.is_sentence:
                return piece
        self.queue.append(Piece(item))
        return self.queue[-1]

    def voice(self, item: str, pcm24k: bytes) -> bool:
        self._piece(item).pcm += pcm24k
        return True

    def end_voice(self, item: str) -> None:
        self._piece(item).is_complete = True

    def sentence(self, name: str, pcm24k: bytes) -> None:
        self.sentences.append(name)
        self.queue.append(Piece(name, bytearray(pcm24k), is_sentence=True, is_complete=True))

    def earcon(self, pcm24k: bytes) -> None:
        """Not modelled."""

    @property
    def is_audible(self) -> bool:
        return any(piece.pcm for piece in self.queue)

    def cut(self, now: float | None = None) -> ev.PlaybackCut:
        voices = [piece for piece in self.queue if not piece.is_sentence]
        begun = [piece for piece in voices if piece.played_ms > 0]
        self.queue.clear()
        return ev.PlaybackCut(
            at=now or 0.0,
            item=begun[-1].name if begun else None,
            played_ms=begun[-1].played_ms if begun else 0.0,
            never_started=tuple(piece.name for piece in voices if not piece.played_ms),
        )

    def collect(self, now: float) -> list[ev.Event]:
        if not self.queue:
            return []
        out: list[ev.Event] = []
        head = self.queue[0]
        if head.pcm:
            if not head.played_ms and not head.is_sentence:
                out.append(ev.PlaybackStarted(at=now, item=head.name))
            level = int.from_bytes(head.pcm[:2], "little", signed=True)
            piece_ms = min(10.0, bytes_to_ms(len(head.pcm)))
            del head.pcm[:WIRE_FRAME_BYTES]
            head.played_ms += piece_ms
            if not head.is_sentence:
                self.heard[level] = self.heard.get(level, 0.0) + piece_ms
        if head.is_complete and not head.pcm:
            self.queue.pop(0)
            if head.is_sentence:
                out.append(ev.SentenceDrained(at=now, name=head.name))
            else:
                out.append(ev.PlaybackDrained(at=now, item=head.name, played_ms=head.played_ms))
        return out


class Nothing:
    """A room that is not there."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_arguments, **_fields: None


@dataclass
class Evening:
    """What happened."""

    server: RealtimeServer
    network: MemoryNetwork
    link: RealtimeLink
    speaker: Loudspeaker
    brain: OneAnswer
    agent: Agent
    events: list[ev.Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    answered_at: float | None = None

    @property
    def heard_ms(self) -> float:
        return self.speaker.heard.get(ANSWER_LEVEL, 0.0)

    @property
    def rest_ms(self) -> float:
        return self.speaker.heard.get(REST_LEVEL, 0.0)


def one_turn(
    trouble: Callable[[Evening], Any],
    *,
    at_s: float,
    until_s: float = 16.0,
    session_max_s: float = 0.0,
    seed: int = 1,
    faults: list[BaseException] | None = None,
) -> Evening:
    """The household wakes us and says one sentence; `trouble` comes `at_s` after the start.

    A fault in the pump fails the test, unless it is `faults` that collects them."""

    async def main() -> Evening:
        loop = asyncio.get_running_loop()
        brain = OneAnswer()
        server = RealtimeServer(brain, keys=KEYS, session_max_s=session_max_s or 3600.0)
        network = MemoryNetwork(server, delay_s=0.02)
        provider = household_provider()
        if session_max_s:
            provider = dataclasses.replace(provider, max_session_s=session_max_s)
        events: list[ev.Event] = []
        notes: list[str] = []

        def post(event: ev.Event) -> None:
            events.append(event)
            agent.post(event)

        link = RealtimeLink(
            timings=household_timings(),
            dial=network,
            provider=provider,
            config=household_session(),
            key=lambda: "sk-test",
            post=post,
            note=lambda code, /, **_fields: notes.append(code),
            rng=random.Random(seed),
        )
        speaker = Loudspeaker()
        rooms: dict[str, Any] = {f.name: Nothing().any for f in dataclasses.fields(Rooms)}
        rooms |= {"link": link, "speaker": speaker, "earcons": {}, "tools": Nothing()}
        rooms |= {"panel": Nothing(), "sentence_pcm": lambda _name: bytes(48_000)}
        rooms["note"] = lambda code, /, **_fields: notes.append(code)
        rooms["fault"] = _raise if faults is None else faults.append
        agent = Agent(DialogueManager(household_config(), strict=True), Rooms(**rooms))
        evening = Evening(server, network, link, speaker, brain, agent, events, notes)
        running = asyncio.create_task(link.run())
        post(ev.DeviceReady(at=loop.time()))
        start = loop.time()
        words = hum(WORDS)
        is_due = True
        try:
            for number in range(int(until_s * 100)):
                now = start + number / 100
                await asyncio.sleep(max(0.0, now - loop.time()))
                if is_due and number >= round(at_s * 100):
                    is_due = False
                    trouble(evening)
                spoken_from = int((WAKE_AT_S + 0.1) * 100)
                offset = (number - spoken_from) * WIRE_FRAME_BYTES
                frame = words[offset : offset + WIRE_FRAME_BYTES] if offset >= 0 else b""
                is_speech = len(frame) == WIRE_FRAME_BYTES
                agent.post(
                    ev.HeardFrame(
                        at=loop.time(),
                        pcm24k=frame if is_speech else ROOM_FRAME,
                        speech=is_speech,
                        over_playback=speaker.is_audible,
                        wake="okay_nabu" if number == int(WAKE_AT_S * 100) else None,
                    )
                )
        finally:
            network.up()
            server.faults.black_hole = server.faults.stall = False
            await link.close()
            await running
            await network.aclose()
            if agent._alarm is not None:
                agent._alarm.cancel()
        assert_in_order(events)
        assert faults is not None or agent.faults == 0
        assert agent.dialogue.talk in (Talk.ASLEEP, Talk.LISTENING)
        return evening

    return run(main())


def _raise(problem: BaseException) -> None:
    raise problem
