"""Answers: what the model is saying, and how much of it the household has heard.

`request` asks for a response, `abandon` gives up what is asked for or running, `cut` works out what
the server has to be told once the speaker has fallen silent.  Rules: PROTOCOL section 7.

Thread: event loop; pure.  It never has two responses in flight, and never lets a chunk of a cut
item through.
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
from edge_agent.contract.error_codes import ABOUT_SIDE_QUESTION, CROSSED
from edge_agent.contract.events import (
    PlaybackCut,
    ResponseEnded,
    ServerComplained,
    VoiceChunk,
)
from edge_agent.contract.pcm import bytes_to_ms

REMEMBERED_MAX = 256
"""Identifiers of cut responses and items that are remembered; late deltas come in seconds."""

SPEAKING_MAX = 256
"""Items that may wait to be heard; an answer has two or three."""


def crossed(complaint: ServerComplained) -> bool:
    """Was the server already answering the talk when we asked for a response?"""
    return complaint.code == CROSSED and complaint.about != ABOUT_SIDE_QUESTION


@dataclass(slots=True)
class Spoken:
    """One audio item on its way to the household's ears."""

    response: str
    received_bytes: int = 0
    complete: bool = False
    """All of it that will ever come is here."""
    lost: bool = False
    """Its session is gone: the present server does not know the item."""

    @property
    def received_ms(self) -> float:
        """Audio received so far."""
        return bytes_to_ms(self.received_bytes)


@dataclass(frozen=True, slots=True)
class Wish:
    """A response that we want; `insist`: also after the server answered something else."""

    request: RequestResponse
    insist: bool


class Answers:
    """Which response is in flight, and which of its items are in the speaker."""

    def __init__(self) -> None:
        self.active: str | None = None
        self._requested: Wish | None = None
        self._latest: Wish | None = None
        self._wanted: Wish | None = None
        self._stale = False
        """The response asked for, and not begun, is not wanted any more."""
        self._unwanted = False
        """The server owes a response that nobody wants any more."""
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
    def awaited(self) -> bool:
        """Is a response running, asked for or waiting that the household still wants?"""
        asked = self._requested is not None and not self._stale
        running = self.active is not None and self.active not in self._dead
        return asked or running or self._wanted is not None

    @property
    def pending(self) -> bool:
        """Is any answer still to come or to be heard?"""
        return self.in_flight or self._wanted is not None or bool(self.speaking)

    @property
    def takes_unasked(self) -> bool:
        """Would a response that begins now be one which the server began by itself, and
        a wanted one?"""
        return self._requested is None and not self._unwanted

    # --- asking ---------------------------------------------------------------------

    def expect(self) -> None:
        """A turn is complete: what the server starts from here on answers it."""
        self._unwanted = False

    def disown_next(self) -> None:
        """What the server starts next answers nothing that is not answered already."""
        self._unwanted = True

    def request(self, wanted: RequestResponse, *, insist: bool) -> list[Command]:
        """Ask for a response now, or as soon as the running one is over."""
        self._unwanted = False
        wish = Wish(wanted, insist)
        if self.in_flight:
            self._wanted = wish
            return []
        self._wanted = None
        self._requested = self._latest = wish
        self._stale = False
        return [wanted]

    def ask_waiting(self) -> list[Command]:
        """Ask for the response that had to wait, if its time has come."""
        wish = self._wanted
        if wish is None or self.in_flight:
            return []
        return self.request(wish.request, insist=wish.insist)

    def abandon(self, *, owed: bool) -> list[Command]:
        """Nobody wants what is running, asked for or waiting.

        `owed`: the server is going to answer a turn by itself and that is not wanted either.
        """
        self._wanted = None
        self._stale = self._requested is not None
        if owed and not self.in_flight:
            self._unwanted = True
        if self.active is None or self.active in self._dead:
            return []
        self._bury(self.active)
        return [CancelResponse(self.active)]

    def collided(self) -> None:
        """The server was already answering when we asked.

        What we asked for a turn is what it is just giving; the rest is asked for once more
        after that answer's end.
        """
        latest, self._latest = self._latest, None
        if latest is not None and latest.insist and not self._stale:
            self._wanted = self._wanted or Wish(latest.request, insist=False)
        self._requested = None
        self._stale = False

    def request_refused(self) -> None:
        """The server will not begin what we asked for."""
        self._requested = None
        self._stale = False

    # --- hearing from the server ------------------------------------------------------

    def started(self, response: str, *, wanted: bool = True) -> list[Command]:
        """A response began.  One that nobody wants, or wants any more, is cancelled at once."""
        unwanted = self._unwanted or self._stale or not wanted
        self.active = response
        self._requested = None
        self._stale = False
        if unwanted:
            self._bury(response)
            return [CancelResponse(response)]
        return []

    def chunk(self, event: VoiceChunk) -> bool:
        """Take a chunk; False when it must not be played."""
        if event.response != self.active or event.response in self._dead:
            return False
        if event.item in self._gone_items:
            return False
        if event.item not in self.speaking and len(self.speaking) >= SPEAKING_MAX:
            return False
        spoken = self.speaking.setdefault(event.item, Spoken(event.response))
        spoken.received_bytes += len(event.pcm24k)
        return True

    def wants(self, response: str) -> bool:
        """Is this response one whose words reach the household?"""
        return response not in self._dead

    def voice_ended(self, item: str) -> bool:
        """All audio of an item is here; False when that is no news to the speaker."""
        spoken = self.speaking.get(item)
        if spoken is None or spoken.complete:
            return False
        spoken.complete = True
        return True

    def ended(self, event: ResponseEnded) -> list[Command]:
        """A response is over: clean up what was cut."""
        if self.active == event.response:
            self.active = None
        if event.response not in self._dead:
            return []
        known = self._gone_items.keys() | self._kept_items.keys() | self.speaking.keys()
        return [DeleteItem(item) for item in event.items if item not in known]

    def drained(self, item: str) -> Spoken | None:
        """An item has been heard to its end."""
        spoken = self.speaking.pop(item, None)
        if spoken is not None:
            self._remember(self._kept_items, item)
        return spoken

    # --- falling silent ---------------------------------------------------------------

    def heard_ms(self, event: PlaybackCut) -> dict[str, int]:
        """How much of each item in the speaker was heard when it fell silent.

        This is the one place where it is clamped to `0 … received`.  An item which the
        speaker names neither as cut nor as never started had been rendered to its end.
        """
        heard = {}
        for item, spoken in self.speaking.items():
            played_ms = spoken.received_ms
            if item == event.item:
                played_ms = max(0.0, event.played_ms)
            elif item in event.never_started:
                played_ms = 0.0
            heard[item] = int(min(played_ms, spoken.received_ms))
        return heard

    def cut(self, event: PlaybackCut) -> list[Command]:
        """The speaker fell silent: what the server has to be told."""
        out = self.abandon(owed=False)
        for item, audio_end_ms in self.heard_ms(event).items():
            spoken = self.speaking[item]
            self._bury(spoken.response)
            self._remember(self._gone_items, item)
            if audio_end_ms > 0:
                self._remember(self._kept_items, item)
            if spoken.lost:
                continue
            if audio_end_ms == 0:
                out.append(DeleteItem(item))
            elif item == event.item or not spoken.complete:
                out.append(TruncateItem(item, audio_end_ms))
        self.speaking.clear()
        return out

    def session_lost(self) -> list[str]:
        """The session is gone; returns the items whose audio will never be complete.

        Identifiers are forgotten: a new session may use the same ones.
        """
        broken = [item for item, spoken in self.speaking.items() if not spoken.complete]
        for spoken in self.speaking.values():
            spoken.complete = spoken.lost = True
        self.active = self._requested = self._latest = self._wanted = None
        self._unwanted = self._stale = False
        self._dead.clear()
        self._gone_items.clear()
        self._kept_items.clear()
        return broken

    def _bury(self, response: str) -> None:
        self._remember(self._dead, response)

    @staticmethod
    def _remember(table: dict[str, None], key: str) -> None:
        table[key] = None
        if len(table) > REMEMBERED_MAX:
            del table[next(iter(table))]
