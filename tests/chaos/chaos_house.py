"""The household's side of the chaos: what it says, the model that answers, its settings.

Thread: the event loop.  It must never know the speaker: it is given sound and gives sound.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import chaos_sound as sound

from edge_agent.simulation.brains import Brain, Call, Part, Reply, Speech, Text, Turn

if TYPE_CHECKING:
    from chaos_world import World

FRAME_S = 0.01
NETWORK_DELAY_S = 0.01

_NAMED = re.compile(r"utterance (\d+) of (\d+) pieces")
BROKEN_OFF = "lost while you were answering"
"""Told last, it asks for the rest of an answer."""
_ANSWERED = re.compile(r"#(\d+)")


@dataclass(eq=False)
class Said:
    """One utterance of the household; `frames` of words, ten milliseconds each."""

    number: int
    how: str
    """`wake` or `paused` (wake word before it), `pressed` (the talk button), `follow-up`,
    `barge-in`, `agree` (the answer to a question of ours), `aside` (people talk to each other)."""
    first_frame: int
    frames: int
    answer_s: float
    tool: str = ""
    """The model is to call it."""
    words: str = ""
    """What is written down; empty: its number."""
    about: int = 0
    """An answer to a question about this utterance."""
    counts: bool = True
    """A click or a cough is no utterance."""

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
    began_at: float | None = None


def _goes_on(turn: Turn) -> bool:
    """Is the rest of an answer wanted?"""
    return any(BROKEN_OFF in words for _role, words in turn.transcript[-1:])


class HouseBrain(Brain):
    """Answers the newest utterance it was given, with sound that names the answer."""

    def __init__(self, world: World) -> None:
        self._world = world

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            writes_down = turn.instructions.startswith("You write down speech")
            notes = "They talked, and were answered."
            return Reply((Text(self.transcribe(turn.heard[-1]) if writes_down else notes),))
        pieces = {n: len(indices) for n, indices in sound.read_all(turn.heard).items()}
        for text in turn.texts:
            for found in _NAMED.finditer(text):
                pieces[int(found[1])] = max(pieces.get(int(found[1]), 0), int(found[2]))
        before = self._world.asked[-1] if self._world.asked else None
        new = pieces or turn.outputs or _goes_on(turn)
        if not new and before and before.began_at is None:
            pieces = dict(before.pieces)  # nothing new, and nothing was heard: asked once more
        return Reply(self._parts(turn, pieces))

    def _kind(self, turn: Turn, pieces: Mapping[int, int]) -> tuple[str, int]:
        """What is to be said now, and about which utterance."""
        world = self._world
        called = next((a.primary for a in reversed(world.asked) if a.kind == "tool"), 0)
        # Who agrees has said nothing that is answered for itself.
        said = [world.said[n] for n in pieces if n in world.said]
        done = {a.primary for a in world.asked if a.kind == "after tool"}
        own = [one.number for one in said if not one.about or one.about in done]
        primary = max(own or [one.about for one in said], default=0)
        if turn.outputs and primary in (0, called):
            return "after tool", called
        if _goes_on(turn):
            known = (int(n) for _role, words in turn.transcript for n in _ANSWERED.findall(words))
            return "continuation", max(known, default=primary)
        wants_tool = primary in world.said and world.said[primary].tool
        return "tool" if wants_tool else "fresh", primary

    def _parts(self, turn: Turn, pieces: dict[int, int]) -> tuple[Part, ...]:
        world = self._world
        kind, primary = self._kind(turn, pieces)
        asked = Asked(next(world.serials), world.now(), pieces, primary, kind)
        world.asked.append(asked)
        world.tell("model", f"asked ({kind}) about {pieces or '-'}: answer {asked.serial}")
        said = world.said.get(primary)
        world.border.asked(asked, said)
        if kind == "tool" and said is not None:
            return (Call(said.tool, arguments(primary)),)
        length_s = 1.0 if said is None or kind == "continuation" else said.answer_s
        # A word for every delta, the first of which says what it is about.
        words = f"#{primary} is answered " + "and so on " * round(length_s * 5)
        return (Speech(sound.spoken(asked.serial, round(length_s * 100)), words.strip()),)

    def transcribe(self, pcm24k: bytes) -> str:
        known = self._world.said
        found = {n: len(indices) for n, indices in sound.read(pcm24k).items()}
        own = {n: known[n].words for n in found if n in known}
        return ", ".join(
            own.get(n) or f"utterance {n} of {much} pieces" for n, much in found.items()
        )


def arguments(about: int) -> str:
    """Of every tool in this house, as the model writes them."""
    return json.dumps({"about": about})


class PingableWire:
    """An in-memory wire that answers pings like a socket: the kernel's life, not the server's."""

    def __init__(self, world: World, wire: Any) -> None:
        self._world, self._wire = world, wire
        self.send, self.receive = wire.send, wire.receive
        self.close, self.abort = wire.close, wire.abort

    async def ping(self) -> None:
        """Return when a pong came."""
        await asyncio.sleep(2 * NETWORK_DELAY_S)
        # Polled: both are plain switches that a fault sets.
        while self._world.network.is_black_hole or self._world.server.faults.black_hole:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    def quiet_s(self) -> float | None:
        """Nothing ever waits to leave."""
        return None


@dataclass
class Options:
    """What may differ between two households."""

    server_turns: bool = True
    transcription: str = "builtin"
    mode: str = "wake"
    acts: bool = False
    """The household presses, mutes, has guests and talks meanwhile (`chaos_acts`)."""
    pings: bool = True
    audio_speed: float = 8.0
    first_delta_ms: int = 250
    session_max_s: float = 3600.0
    service: str = ""
    """The server behaves as this one was recorded to (`simulation.traits`); "": as it should."""
    url: str = ""
    """Of a real server that listens there; else the network is in memory."""
    dialogue: Mapping[str, Any] = field(default_factory=dict)
