"""The score: everything that happened on the stage, with its time.

Thread: the event loop.  It must never change what it watches, and never hold a household's words:
it keeps types, sizes and times; sound stays with the room and the server.

It watches from three places: the pump (events and commands), the far end of the wire, and the
journal.  All times are loop times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import WIRE_FRAME_BYTES, bytes_to_ms


@dataclass(frozen=True, slots=True)
class WireEvent:
    """One message, as the server saw it.  `audio_bytes` is PCM16 24 kHz inside it."""

    at: float
    up: bool
    kind: str
    audio_bytes: int = 0
    about: str = ""
    """Identifier of the item or response it speaks of."""
    audio_end_ms: int = -1
    """Of a truncation; else -1."""
    status: str = ""
    """Of a `response.done`; code of an `error`."""


@dataclass(frozen=True, slots=True)
class Band:
    """A state that lasted from `begin` to `end`."""

    begin: float
    end: float
    state: str


@dataclass(frozen=True, slots=True)
class JournalLine:
    """A journal code with its fields."""

    at: float
    code: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something to point at on the time line: a press, a cut network, a clip's start."""

    at: float
    kind: str
    text: str


@dataclass
class Score:
    """Collects; ask it with the methods below."""

    now: Callable[[], float]
    wire: list[WireEvent] = field(default_factory=list)
    journal: list[JournalLine] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    events: list[e.Event] = field(default_factory=list)
    """Every event but heard frames and voice chunks."""
    mic_to_wire_ms: list[tuple[float, float]] = field(default_factory=list)
    """(time, milliseconds) from the last sample at the microphone to the server, per append of
    live sound; pre-rolls, which wait on purpose, are left out."""
    listeners: list[Callable[[str, str], None]] = field(default_factory=list)
    """Told `(kind, text)` of what a person at a terminal would want to see."""
    _changes: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    _on_the_way: deque[tuple[int, float | None]] = field(default_factory=deque)

    # --- watching -----------------------------------------------------------------------

    def see_wire(self, side: str, event: Mapping[str, object], at: float) -> None:
        """For `RealtimeServer.on_event`."""
        kind = str(event.get("type", ""))
        up = side == "client"
        key = (
            "delta" if kind in ("response.output_audio.delta", "response.audio.delta") else "audio"
        )
        text = event.get(key)
        audio_bytes = _decoded_bytes(text) if isinstance(text, str) else 0
        response = event.get("response")
        status, about = "", str(event.get("item_id") or event.get("response_id") or "")
        if isinstance(response, Mapping) and not up:
            status, about = str(response.get("status", "")), str(response.get("id", ""))
        error = event.get("error")
        if isinstance(error, Mapping):
            status = str(error.get("code"))
        end = event.get("audio_end_ms")
        audio_end_ms = end if isinstance(end, int) and kind.endswith("truncate") else -1
        self.wire.append(WireEvent(at, up, kind, audio_bytes, about, audio_end_ms, status))
        if up and kind == "input_audio_buffer.append":
            self._arrived(audio_bytes, at)

    def see_pump(self, event: e.Event, commands: Iterable[c.Command], at: float) -> None:
        """For `Agent.observers`."""
        if not isinstance(event, e.HeardFrame | e.VoiceChunk | e.Tick | e.VoiceText):
            self.events.append(event)
        if isinstance(event, e.LinkDown | e.LinkReady):
            self._on_the_way.clear()
        for command in commands:
            if isinstance(command, c.SendAudio):
                live = isinstance(event, e.HeardFrame) and len(command.pcm24k) <= WIRE_FRAME_BYTES
                captured = event.at if live else None
                self._on_the_way.append((len(command.pcm24k), captured))
            elif isinstance(command, c.ShowLight):
                self.change("light", command.light, at)

    def _arrived(self, size: int, at: float) -> None:
        """Match what arrived with the frames it is made of; the last one counts."""
        captured: float | None = None
        while size > 0 and self._on_the_way:
            frame_bytes, captured = self._on_the_way.popleft()
            if frame_bytes > size:
                self._on_the_way.appendleft((frame_bytes - size, captured))
            size -= frame_bytes
        if captured is not None:
            self.mic_to_wire_ms.append((at, (at - captured) * 1000))

    def change(self, lane: str, state: str, at: float) -> None:
        """A state of `lane` begins, unless it is there already."""
        changes = self._changes.setdefault(lane, [])
        if not changes or changes[-1][1] != state:
            changes.append((at, state))
            if lane != "light":
                self.tell("state", f"{lane}: {state}")

    def note(self, code: str, fields: Mapping[str, object]) -> None:
        """A journal line was written."""
        self.journal.append(JournalLine(self.now(), code, dict(fields)))
        self.tell("journal", code)

    def mark(self, kind: str, text: str, at: float | None = None) -> None:
        """Point at something on the time line."""
        self.moments.append(Moment(self.now() if at is None else at, kind, text))
        self.tell(kind, text)

    def tell(self, kind: str, text: str) -> None:
        """Tell the views."""
        for listener in self.listeners:
            listener(kind, text)

    # --- asking -------------------------------------------------------------------------

    def bands(self, lane: str, until: float | None = None) -> list[Band]:
        """States of `talk`, `link`, `microphone` or `light`, in order, without a hole."""
        changes = self._changes.get(lane, [])
        ends = [at for at, _ in changes[1:]] + [self.now() if until is None else until]
        return [Band(begin, end, state) for (begin, state), end in zip(changes, ends, strict=True)]

    def state(self, lane: str) -> str:
        """The present state of a lane."""
        changes = self._changes.get(lane, [])
        return changes[-1][1] if changes else ""

    def sent(
        self, kind: str, *, up: bool, after: float = float("-inf"), until: float = float("inf")
    ) -> list[WireEvent]:
        """Messages of a kind in a span of time."""
        return [w for w in self.wire if w.up is up and w.kind == kind and after <= w.at < until]

    def audio_up_bytes(self, after: float, until: float = float("inf")) -> int:
        """Bytes of the room's sound that reached the server, in whatever message."""
        return sum(w.audio_bytes for w in self.wire if w.up and after <= w.at < until)

    def codes(
        self, code: str, after: float = float("-inf"), until: float = float("inf")
    ) -> list[JournalLine]:
        """Journal lines of a code in a span of time."""
        return [line for line in self.journal if line.code == code and after <= line.at < until]

    def happened(self, kind: type[e.Event], after: float = float("-inf")) -> list[e.Event]:
        """Events of a kind from a time on."""
        return [event for event in self.events if isinstance(event, kind) and event.at >= after]


def _decoded_bytes(text: str) -> int:
    """Bytes that a base64 text stands for."""
    return len(text) * 3 // 4 - text.endswith("=") - text.endswith("==")


def audio_ms(events: Iterable[WireEvent]) -> float:
    """Milliseconds of sound in messages."""
    return bytes_to_ms(sum(w.audio_bytes for w in events))
