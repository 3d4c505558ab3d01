"""Answers: what the model is saying, and how much of it the household has heard (purpose).

Owner thread: event loop.  Must never have two responses in flight, and never let a chunk of a
cut item through.  Rules: PROTOCOL section 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.contract.commands import (
    CancelResponse,
    Command,
    DeleteItem,
    RequestResponse,
    TruncateItem,
)
from edge_agent.contract.events import PlaybackCut, ResponseEnded, VoiceChunk
from edge_agent.contract.pcm import bytes_to_ms

DEAD_MAX = 256
"""Identifiers of cut responses that are remembered; late deltas come within seconds."""


@dataclass(slots=True)
class Spoken:
    """One audio item on its way to the household's ears."""

    response: str
    received_bytes: int = 0
    complete: bool = False
    """The server has sent all of it."""

    @property
    def received_ms(self) -> float:
        """Audio received so far."""
        return bytes_to_ms(self.received_bytes)


class Answers:
    """Which response is in flight, and which of its items are in the speaker."""

    def __init__(self) -> None:
        self.active: str | None = None
        self._requested: RequestResponse | None = None
        self._wanted: RequestResponse | None = None
        self._unwanted = False
        self._dead: dict[str, None] = {}
        self._gone_items: dict[str, None] = {}
        self._kept_items: dict[str, None] = {}
        self.speaking: dict[str, Spoken] = {}
        """Items handed to the speaker and not yet drained, in order."""

    @property
    def in_flight(self) -> bool:
        """Is a response running, or asked for?"""
        return self.active is not None or self._requested is not None

    @property
    def pending(self) -> bool:
        """Is any answer still to come or to be heard?"""
        return self.in_flight or self._wanted is not None or bool(self.speaking)

    # --- asking ---------------------------------------------------------------------

    def expect(self) -> None:
        """A new turn begins: answers are wanted again."""
        self._unwanted = False

    def request(self, wanted: RequestResponse) -> list[Command]:
        """Ask for a response now, or as soon as the running one is over."""
        self._unwanted = False
        if self.in_flight:
            self._wanted = wanted
            return []
        self._requested = wanted
        return [wanted]

    def refuse_next(self) -> None:
        """Whatever the server starts before the next turn is not wanted."""
        self._unwanted = True
        self._wanted = None

    def collided(self) -> None:
        """The server was already answering when we asked: ask again after that."""
        if self._requested is not None:
            self._wanted, self._requested = self._wanted or self._requested, None

    # --- hearing from the server ------------------------------------------------------

    def started(self, response: str) -> list[Command]:
        """A response began.  One that nobody wants any more is cancelled at once."""
        self.active = response
        self._requested = None
        if self._unwanted:
            self._bury(response)
            return [CancelResponse(response)]
        return []

    def chunk(self, event: VoiceChunk) -> bool:
        """Take a chunk; False when it must not be played."""
        if event.response in self._dead or event.item in self._gone_items:
            return False
        spoken = self.speaking.setdefault(event.item, Spoken(event.response))
        spoken.received_bytes += len(event.pcm24k)
        return True

    def wants(self, response: str) -> bool:
        """Is this response one whose words reach the household?"""
        return response not in self._dead

    def voice_ended(self, item: str) -> bool:
        """All audio of an item is here; False when the item is not in the speaker."""
        spoken = self.speaking.get(item)
        if spoken is not None:
            spoken.complete = True
        return spoken is not None

    def ended(self, event: ResponseEnded) -> list[Command]:
        """A response is over: clean up what was cut, ask for what had to wait."""
        out: list[Command] = []
        if self.active == event.response or self.active is None:
            self.active = None
            self._requested = None
        if event.response in self._dead:
            out += [
                DeleteItem(item)
                for item in event.items
                if item not in self._gone_items and item not in self._kept_items
            ]
        if self._wanted is not None and not self.in_flight:
            wanted, self._wanted = self._wanted, None
            out += self.request(wanted)
        return out

    def drained(self, item: str) -> Spoken | None:
        """An item has been heard to its end."""
        self._remember(self._kept_items, item)
        return self.speaking.pop(item, None)

    # --- falling silent ---------------------------------------------------------------

    def heard_ms(self, event: PlaybackCut) -> dict[str, float]:
        """How much of every item that this cut ends was heard, within `0 … received`.

        An item whose last samples are already in the air is not in it: it will drain.
        """
        heard = {}
        for item, spoken in self.speaking.items():
            if item == event.item:
                heard[item] = min(max(0.0, event.played_ms), spoken.received_ms)
            elif item in event.never_started:
                heard[item] = 0.0
            elif not spoken.complete:
                heard[item] = spoken.received_ms  # it ran dry while more was to come
        return heard

    def cut(self, event: PlaybackCut) -> list[Command]:
        """The speaker fell silent: what the server has to be told.

        `heard_ms` is the one place where `audio_end_ms` is clamped to `0 … received`.
        """
        out: list[Command] = []
        if self.active is not None and self.active not in self._dead:
            out.append(CancelResponse(self.active))
            self._bury(self.active)
        heard = self.heard_ms(event)
        for spoken in self.speaking.values():
            self._bury(spoken.response)
        for item, played_ms in heard.items():
            audio_end_ms = int(played_ms)
            self._remember(self._gone_items, item)
            if audio_end_ms > 0:
                self._remember(self._kept_items, item)
                out.append(TruncateItem(item, audio_end_ms))
            else:
                out.append(DeleteItem(item))
            del self.speaking[item]
        self._wanted = None
        return out

    def session_lost(self) -> list[str]:
        """The session is gone; returns the items whose audio will never be complete."""
        broken = [item for item, spoken in self.speaking.items() if not spoken.complete]
        for item in broken:
            self._bury(self.speaking[item].response)
        self.active = self._requested = self._wanted = None
        self._unwanted = False
        return broken

    def forget(self) -> None:
        """The speaker is gone: nothing that was queued will ever be heard."""
        for item, spoken in self.speaking.items():
            self._bury(spoken.response)
            self._remember(self._gone_items, item)
        self.speaking.clear()

    def _bury(self, response: str) -> None:
        self._remember(self._dead, response)

    @staticmethod
    def _remember(table: dict[str, None], key: str) -> None:
        table[key] = None
        if len(table) > DEAD_MAX:
            del table[next(iter(table))]
