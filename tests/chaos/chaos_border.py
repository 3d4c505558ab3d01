"""The border of a world: everything that crosses it goes to one referee.

    border = Border(household_of(config), now)
    agent.observers.append(border.observe)

The rest is called where it happens: `wire` around a dialled connection, `tool` inside a tool,
`line`, `sounded`, `says`, `asked` and `heard`.  Runs on the event loop; changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import chaos_sound as sound
import numpy as np
from chaos_house import Asked, Said, arguments
from referee import Household, Referee
from referee import records as r

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import SILENT_FRAME, bytes_to_ms
from edge_agent.contract.ports import Wire


class Border:
    """One referee, and what it is shown."""

    def __init__(self, household: Household, now: Callable[[], float]) -> None:
        self.referee = Referee(household)
        self._now = now
        self._left: set[tuple[int, bool]] = set()
        """Utterances of which something has left, and how: each is told once."""

    # --- the dialogue -------------------------------------------------------------------

    def observe(self, event: e.Event, commands: list[c.Command], at: float) -> None:
        """A step, and which words it lets out."""
        self.referee.observe(event, commands, at)
        for command in commands:
            if isinstance(command, c.SendAudio | c.AddMessage) and command.pcm24k:
                self._leaves(command.pcm24k, in_message=isinstance(command, c.AddMessage))

    def _leaves(self, pcm24k: bytes, *, in_message: bool) -> None:
        for number in sound.numbers(pcm24k):
            if number and (number, in_message) not in self._left:
                self._left.add((number, in_message))
                self.referee.see(r.Left(self._now(), number, in_message))

    # --- the wire -----------------------------------------------------------------------

    def wire(self, wire: Wire) -> Wire:
        """The same wire, with an eye on what is sent."""
        return Watched(wire, self._sent)

    def _sent(self, text: str) -> None:
        self.referee.see(r.Frame(self._now(), True, json.loads(text)))

    def received(self, message: Mapping[str, Any]) -> None:
        """What the server says."""
        self.referee.see(r.Frame(self._now(), False, message))

    # --- the house ----------------------------------------------------------------------

    def tool(self, name: str, about: int) -> None:
        """A tool's own code runs."""
        self.referee.see(r.ToolBegan(self._now(), name, arguments(about)))

    def line(self, code: str, fields: Mapping[str, object]) -> None:
        """A line for the journal."""
        self.referee.see(r.Line(self._now(), code, f"{code} {dict(fields)}"))

    def sounded(self, block: bytes) -> None:
        """What the loudspeaker emits from now on."""
        if block != SILENT_FRAME:
            peak = int(np.abs(np.frombuffer(block, "<i2").astype(np.int32)).max())
            self.referee.see(r.Sound(self._now(), peak, bytes_to_ms(len(block))))

    # --- the household and its model ------------------------------------------------------

    def says(self, said: Said) -> None:
        """Its first word sounds."""
        called = said.how in ("wake", "paused")
        reply = bool(said.about)
        self.referee.see(r.Utterance(self._now(), said.number, said.end_at, called, reply))

    def asked(self, asked: Asked, said: Said | None) -> None:
        """The model is asked for an answer."""
        share = asked.pieces.get(asked.primary, 0) / said.frames if said is not None else 0.0
        self.referee.see(
            r.Given(
                asked.at,
                asked.serial,
                asked.primary,
                share,
                anew=asked.kind in ("fresh", "after tool"),
                after_tool=asked.kind == "after tool",
            )
        )

    def heard(self, asked: Asked, ms: float) -> None:
        """So much more of an answer was audible."""
        if ms > 0:
            self.referee.see(r.Heard(self._now(), asked.serial, ms))

    def forget(self) -> None:
        """What has been judged is over."""
        self.referee.forget()
        self._left.clear()


class Watched:
    """A wire whose frames are seen on their way out."""

    def __init__(self, wire: Any, sent: Callable[[str], None]) -> None:
        self._wire, self._sent = wire, sent
        self.receive, self.close = wire.receive, wire.close
        for more in ("abort", "ping", "quiet_s"):
            if hasattr(wire, more):
                setattr(self, more, getattr(wire, more))

    async def send(self, text: str) -> None:
        self._sent(text)
        await self._wire.send(text)
