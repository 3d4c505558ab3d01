"""Driver: plays the rooms around a `DialogueManager`, in virtual time.

It must never decide for the manager: it executes commands against a model loudspeaker and a model
server, and writes everything down.

A step is 10 ms: server, commands, loudspeaker, microphone, deadline.  Microphone frames carry
their own number as samples, so that a test can say which frames left the house.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from house_config import household_config, household_of
from note_values import unlisted
from referee import Referee
from server_model import ModelServer

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import WIRE_FRAME_BYTES, bytes_to_ms, silence
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Deadline, Link, Microphone, Talk

STEP_S = 0.01
EARCON_HEARD_S = 0.3
"""A short one, and the tail in which the room still carries it."""
C = TypeVar("C", bound=c.Command)


def frame_pcm(number: int) -> bytes:
    return struct.pack("<H", number) * (WIRE_FRAME_BYTES // 2)


def frame_numbers(pcm24k: bytes) -> list[int]:
    starts = range(0, len(pcm24k), WIRE_FRAME_BYTES)
    return [struct.unpack_from("<H", pcm24k, start)[0] for start in starts]


@dataclass
class Queued:
    name: str
    is_sentence: bool = False
    is_text: bool = False
    queued_ms: float = 0.0
    played_ms: float = 0.0
    ended: bool = False


class Speaker:
    """Plays one thing after the other; reports start, drain and cut exactly."""

    def __init__(self) -> None:
        self.queue: list[Queued] = []
        self.gone: set[str] = set()
        self.played: dict[str, float] = {}
        self.torn = 0
        """So many texts of ours from now on have a hole."""

    def voice(self, item: str, pcm24k: bytes) -> None:
        assert item not in self.gone, f"{item} was over"
        self._entry(item).queued_ms += bytes_to_ms(len(pcm24k))

    def end(self, item: str) -> None:
        if item not in self.gone:
            self._entry(item).ended = True

    def sentence(self, name: str) -> None:
        self.queue.append(Queued(name, is_sentence=True, queued_ms=1200.0, ended=True))

    def text(self, name: str) -> None:
        self.queue.append(Queued(name, is_text=True, queued_ms=1200.0, ended=True))

    def _entry(self, item: str) -> Queued:
        for entry in self.queue:
            if entry.name == item and not (entry.is_sentence or entry.is_text):
                return entry
        self.queue.append(Queued(item))
        return self.queue[-1]

    def advance(self, at: float) -> list[e.Event]:
        out: list[e.Event] = []
        if not self.queue:
            return out
        head = self.queue[0]
        if head.queued_ms > 0:
            if head.played_ms == 0 and head.is_text:
                out.append(e.TextStarted(at=at, name=head.name))
            elif head.played_ms == 0 and not head.is_sentence:
                out.append(e.PlaybackStarted(at=at, item=head.name))
            piece = min(10.0, head.queued_ms)
            head.queued_ms -= piece
            head.played_ms += piece
        if head.ended and head.queued_ms <= 0:
            self.queue.pop(0)
            if head.is_sentence:
                out.append(e.SentenceDrained(at=at, name=head.name))
            elif head.is_text:
                self.played[head.name] = head.played_ms
                whole = self.torn == 0
                self.torn = max(0, self.torn - 1)
                out.append(e.TextDrained(at=at, name=head.name, whole=whole))
            else:
                self._over(head)
                out.append(e.PlaybackDrained(at=at, item=head.name, played_ms=head.played_ms))
        return out

    def _over(self, entry: Queued) -> None:
        self.gone.add(entry.name)
        self.played[entry.name] = entry.played_ms

    def cut(self, at: float) -> list[e.Event]:
        voices = [entry for entry in self.queue if not (entry.is_sentence or entry.is_text)]
        texts = [entry.name for entry in self.queue if entry.is_text]
        begun = [entry for entry in voices if entry.played_ms > 0]
        fresh = tuple(entry.name for entry in voices if entry.played_ms == 0)
        sentences = [entry.name for entry in self.queue if entry.is_sentence]
        for entry in voices:
            self._over(entry)
        self.queue.clear()
        name = begun[-1].name if begun else None
        played_ms = begun[-1].played_ms if begun else 0.0
        cut = e.PlaybackCut(at=at, item=name, played_ms=played_ms, never_started=fresh)
        return [
            cut,
            *(e.SentenceDrained(at=at, name=name) for name in sentences),
            *(e.TextDrained(at=at, name=name, whole=False) for name in texts),
        ]

    @property
    def audible(self) -> bool:
        return any(entry.queued_ms > 0 for entry in self.queue)


class House:
    """Manager, loudspeaker, microphone, tools and server in one virtual time line."""

    def __init__(self, server: ModelServer | None = None, *, muted: bool = False, **config: Any):
        self.config = household_config(**config)
        self.manager = DialogueManager(self.config, muted=muted, strict=True)
        self.referee = Referee(household_of(self.config, muted=muted))
        self.server = server or ModelServer()
        self.server.is_speech = lambda number: number in self.speech_frames
        self.speaker = Speaker()
        self.now = 0.0
        self.steps = 0
        self.log: list[tuple[float, c.Command]] = []
        self.moves: list[tuple[Talk, Talk]] = []
        self.speech_frames: set[int] = set()
        self.wakes: dict[int, str] = {}
        self.plans: list[tuple[float, Callable[[], None]]] = []
        self.chime_taken_for: bool | None = None
        """How the microphone labels what it hears while an earcon sounds: speech, or none; None: an
        earcon is not heard."""
        self.chimed_until = -1.0
        self.tools: Callable[[c.RunTool], e.ToolFinished | None] = self.run_tool
        self.send(e.DeviceReady(at=0.0))

    # --- plans ---

    def says(self, start_s: float, end_s: float) -> None:
        """The household speaks during this time."""
        self.speech_frames |= set(range(round(start_s * 100), round(end_s * 100)))

    def wake_word(self, at_s: float) -> None:
        """The wake word was detected (its sound ended 0.1 s before)."""
        self.wakes[round(at_s * 100)] = "okay_nabu"

    def at(self, when_s: float, do: Callable[[], Any]) -> None:
        self.plans.append((when_s, do))

    def press(self, button: str = "talk", hold_s: float = 0.1) -> None:
        self.send(e.ButtonPressed(at=self.now, button=button))
        later = self.now + hold_s
        self.at(later, lambda: self.send(e.ButtonReleased(at=self.now, button=button)))

    def agree(self) -> None:
        """Press the button as somebody does who has heard the question to its end."""
        self.run(self.now + 2.0)
        self.press()
        self.run(self.now + 0.2)

    def connect(self) -> None:
        self.server.open_session(self.now)
        self.send(e.LinkReady(at=self.now, session="s", model="m"))

    def drop(self, code: str = "link.lost", *, refused: bool = False) -> None:
        self.server.close_session()
        self.send(e.LinkDown(at=self.now, code=code, message="gone", refused=refused))

    def blip(self, at_s: float, for_s: float) -> None:
        """The link is down from `at_s` for `for_s` seconds."""
        self.at(at_s, self.drop)
        self.at(at_s + for_s, self.connect)

    def run_tool(self, command: c.RunTool) -> e.ToolFinished | None:
        return e.ToolFinished(at=self.now, call_id=command.call_id, output="done")

    # --- the pump ---

    def send(self, event: e.Event) -> list[c.Command]:
        inbox: deque[e.Event] = deque([event])
        everything: list[c.Command] = []
        while inbox:
            event = inbox.popleft()
            before = self.manager.talk
            commands = self.manager.handle(event)
            self.referee.observe(event, commands, self.now)
            if self.manager.talk is not before:
                self.moves.append((before, self.manager.talk))
            deadline = self.manager.next_deadline()
            assert deadline is None or deadline > self.now - 1e-9, "a deadline in the past"
            for command in commands:
                if isinstance(command, c.Note):
                    assert unlisted(command) == []
                self.log.append((self.now, command))
                everything.append(command)
                for answer in reversed(self._execute(command)):
                    inbox.appendleft(answer)
        return everything

    def _execute(self, command: c.Command) -> list[e.Event]:
        if isinstance(command, c.WireCommand):
            assert self.manager.link is Link.READY
            if isinstance(command, c.SendAudio):
                assert self.manager.microphone is Microphone.OPEN, "muted, yet sent"
                assert self.manager.talk is not Talk.ASLEEP, "asleep, yet sent"
            self.server.take(self.now, command)
        elif isinstance(command, c.PlayVoice):
            self.speaker.voice(command.item, command.pcm24k)
        elif isinstance(command, c.EndVoice):
            self.speaker.end(command.item)
        elif isinstance(command, c.PlaySentence):
            self.speaker.sentence(command.name)
        elif isinstance(command, c.SayText):
            self.speaker.text(command.name)
        elif isinstance(command, c.PlayEarcon) and self.chime_taken_for is not None:
            self.chimed_until = self.now + EARCON_HEARD_S
        elif isinstance(command, c.CutPlayback):
            cut, *rest = self.speaker.cut(self.now)
            self.at(self.now, lambda: [self.send(event) for event in rest])
            return [cut]
        elif isinstance(command, c.RunTool):
            result = self.tools(command)
            if result is not None:
                self.at(self.now + 0.05, lambda: self.send(result))
        elif isinstance(command, c.ReopenLink):
            self.at(self.now, self.drop)
            self.at(self.now + 0.3, self.connect)
        return []

    def run(self, until_s: float) -> House:
        """Let virtual time pass."""
        while self.now < until_s - 1e-9:
            self.steps += 1
            self.now = round(self.steps * STEP_S, 4)
            due = [plan for plan in self.plans if plan[0] <= self.now + 1e-9]
            self.plans = [plan for plan in self.plans if plan[0] > self.now + 1e-9]
            for _, do in due:
                do()
            for event in self.server.advance(self.now):
                self.send(event)
            chimed = self.now < self.chimed_until
            over_playback = self.speaker.audible or chimed
            for event in self.speaker.advance(self.now):
                self.send(event)
            self.send(
                e.HeardFrame(
                    at=self.now,
                    pcm24k=frame_pcm(self.steps % 65536),
                    speech=bool(self.chime_taken_for)
                    if chimed
                    else self.steps in self.speech_frames,
                    over_playback=over_playback,
                    wake=self.wakes.get(self.steps),
                )
            )
            deadline = self.manager.next_deadline()
            if deadline is not None and deadline <= self.now:
                self.send(e.Tick(at=self.now))
        return self

    # --- what happened ---

    def pending(self) -> set[Deadline]:
        """What is waited for, but for what a talk's sleep brings by itself: notes, forgetting."""
        return set(self.manager.state.deadlines) - {
            Deadline.SETTLED,
            Deadline.FORGET,
            Deadline.STEP,
        }

    # Methods, because a type checker takes an attribute to stay what an assert has just found.

    def talk(self) -> Talk:
        return self.manager.talk

    def microphone(self) -> Microphone:
        return self.manager.microphone

    def link(self) -> Link:
        return self.manager.link

    def did(self, kind: type[C], since_s: float = -1.0) -> list[C]:
        return [cmd for at, cmd in self.log if isinstance(cmd, kind) and at >= since_s]

    def when(self, kind: type[c.Command]) -> list[float]:
        return [at for at, command in self.log if isinstance(command, kind)]

    def sentences(self) -> list[str]:
        return [command.name for command in self.did(c.PlaySentence)]

    def notes(self) -> list[str]:
        return [command.code for command in self.did(c.Note)]

    def sent_frames(self, since_s: float = -1.0) -> list[int]:
        return [n for cmd in self.did(c.SendAudio, since_s) for n in frame_numbers(cmd.pcm24k)]

    def spoken_frames(self, start_s: float, end_s: float) -> set[int]:
        return set(range(round(start_s * 100), round(end_s * 100)))


def until(house: House, talk: Talk, within_s: float = 20.0) -> House:
    """Let time pass until the talk is in that state."""
    limit_s = house.now + within_s
    while house.manager.talk is not talk:
        house.run(house.now + STEP_S)
        assert house.now < limit_s, f"never {talk}"
    return house


def voice(ms: float) -> bytes:
    """Audio of an answer."""
    return silence(ms)
