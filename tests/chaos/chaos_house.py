"""The household's side of the chaos: what it says, the model that answers, its settings (purpose).

Owner thread: the event loop.  Must never know the speaker: it is given sound and gives sound.
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


@dataclass(eq=False)
class Said:
    """One utterance of the household; `frames` of words, ten milliseconds each."""

    number: int
    how: str  # wake · paused · follow-up · barge-in
    first_frame: int
    frames: int
    answer_s: float
    tool: str = ""

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


class HouseBrain(Brain):
    """Answers the newest utterance it was given, with sound that names the answer."""

    def __init__(self, world: World) -> None:
        self._world = world

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            return Reply((Text("They talked, and were answered."),))
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
        world.border.asked(asked, said)
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
    transcribes: bool = True
    pings: bool = True
    audio_speed: float = 8.0
    first_delta_ms: int = 250
    session_max_s: float = 3600.0
    url: str = ""
    """Of a real server that listens there; else the network is in memory."""
    dialogue: Mapping[str, Any] = field(default_factory=dict)
