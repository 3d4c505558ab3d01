"""The watch: writes down what a world does, for the judge and for people.

Thread: the event loop.  It must never change anything: it looks at events, commands, notes and the
wire, and calls what must never happen a problem.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import chaos_sound as sound
from chaos_border import Border
from chaos_house import Asked, Said

from edge_agent.audio.speaker.playout import Playout
from edge_agent.contract import commands as c
from edge_agent.contract import error_codes
from edge_agent.contract import events as e
from edge_agent.contract.pcm import bytes_to_ms
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Link, Microphone, Talk
from edge_agent.host.voice.sentences import Sentences
from edge_agent.realtime.link.connection import RealtimeLink

TIMELINE_MAX = 3_000
SENTENCES = Sentences("en")

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
_CROSSINGS = frozenset({"conversation_already_has_active_response", error_codes.COMMIT_EMPTY})
"""What crosses a server's own word on the wire."""
_CROSSES_WITHIN_S = 1.0
"""The server's word is delivered so much after its refusal at most."""
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
        if isinstance(value, e.Usage) or value in ("", b"", (), None, False):
            continue
        is_sound = isinstance(value, bytes)
        text = f"{bytes_to_ms(len(value)):.0f}ms" if is_sound else str(value)
        parts.append(f"{name}={text[:60]}")
    return f"{type(thing).__name__} {' '.join(parts)}".rstrip()


SHORTEST_S = 0.1
"""A service takes no turn that is shorter."""
SENT_BACK_S = 1.5
"""Why nobody answers is told after this (`DialogueConfig.announce_after_s`)."""


class Watch:
    """The records of a world; `World` stands on it and has the parts named here."""

    dialogue: DialogueManager
    playout: Playout
    link: RealtimeLink
    border: Border

    def __init__(self, stirred: Callable[[], None]) -> None:
        self._stirred = stirred
        """Called after everything that is not just another heard frame."""
        self.said: dict[int, Said] = {}
        self.asked: list[Asked] = []
        self.sentences: list[tuple[float, str]] = []
        """(loop time, name)."""
        self.timeline: deque[tuple[float, str, str]] = deque(maxlen=TIMELINE_MAX)
        self.notes: list[tuple[float, str, Mapping[str, object]]] = []
        self.note_counts: Counter[str] = Counter()
        self.problems: list[str] = []
        """What must never happen, as it happens."""
        self.downs: list[tuple[float, str]] = []
        self.readies: list[float] = []
        self.wakes_without_link: list[float] = []
        self.most_queued_ms = self.most_playout_s = 0.0
        self.earcon_due = False
        """One is to be mixed into the next frame."""
        self.struck = False
        """A fault has struck."""
        self.responding = False
        """The server has begun an answer that it has not ended."""
        self.responses_ended = 0
        self._crosses = False
        """Since we last ended a turn the server was heard to have done so by itself; or that turn
        was ended by a press as soon as it had begun, and there was too little to take."""
        self._streams_at = 0.0
        self._in_doubt: list[tuple[float, str]] = []
        """Refusals which the server's own word may still explain: when, and the problem."""
        self._items: dict[str, Asked] = {}
        self._before = (Talk.ASLEEP, Link.DOWN, Microphone.OPEN)

    def now(self) -> float:
        """Loop time."""
        return asyncio.get_running_loop().time()

    @property
    def is_ready(self) -> bool:
        """Whether the dialogue has a session."""
        return self.dialogue.link is Link.READY

    def forget(self) -> None:
        """Drop what was written down: a day of it is more than the speaker itself holds."""
        for record in (self.said, self.asked, self.sentences, self.notes, self.downs, self._items):
            record.clear()
        self.border.forget()
        del self.readies[:-1], self.wakes_without_link[:]

    # --- watching -----------------------------------------------------------------------

    def tell(self, who: str, what: str) -> None:
        """A line of the timeline."""
        self.timeline.append((self.now(), who, what))

    def _note(self, code: str, /, **fields: object) -> None:
        self.notes.append((self.now(), code, fields))
        self.note_counts[code] += 1
        if code == "mic.streams":
            self._streams_at = self.now()
        scene = self.border.referee.scene
        fails = code == "talk.woken" and not scene.link_up and scene.asleep
        if fails and not any(
            at == self.now() and told == "alarm.stopped" for at, told, _ in self.notes
        ):
            # Who calls to stop the bell waits for nothing else.
            self.wakes_without_link.append(self.now())
        if code == "talk.asleep" and fields.get("why") in ("button", "muted"):
            # Sent back at once, before anything could be said.
            while (
                self.wakes_without_link and self.now() - self.wakes_without_link[-1] < SENT_BACK_S
            ):
                self.wakes_without_link.pop()
        self.border.line(code, fields)
        shown = " ".join(f"{k}={v}" for k, v in fields.items() if k in _SHOWN_FIELDS)
        self.tell("journal", f"{code} {shown}".rstrip())
        if code in _NEVER_NOTED:
            self.problems.append(f"journal: {code} {dict(fields)}")

    def _fault(self, problem: BaseException) -> None:
        self.problems.append(f"a room failed: {problem!r}")

    def _on_wire(self, side: str, event: Mapping[str, Any], _at: float) -> None:
        if side == "server":
            self.border.received(event)
        if side == "server" and event["type"] == "error":
            code = str(event["error"]["code"])
            self.tell("server", f"error {code}: {event['error']['message']}")
            # The server ended the turn by itself just as we did; or a stalled line holds it back.
            crossed = self._crosses or (self.struck and code != error_codes.COMMIT_EMPTY)
            is_crossing = code in _CROSSINGS and crossed
            # What a lying server announced and does not have cannot be deleted.
            is_lure = "lure_item" in event["error"]["message"]
            if code not in _HARMLESS_ERRORS and not is_crossing and not is_lure:
                problem = f"the server refused {code}: {event['error']['message']}"
                self.problems.append(problem)
                if code in _CROSSINGS:
                    self._in_doubt.append((self.now(), problem))

    def _see(self, event: e.Event, commands: list[c.Command], at: float) -> None:
        kind = type(event)
        self._crosses |= kind is e.UserTurnCommitted
        for command in commands:
            self._see_command(command, at)
        if kind is e.HeardFrame or kind is e.VoiceChunk or kind is e.VoiceText:
            self._see_states()
            return
        if isinstance(event, e.LinkDown):
            self.downs.append((at, event.code))
        elif kind is e.LinkReady:
            self.readies.append(at)
        elif kind is e.UserTurnCommitted:
            for refused_at, problem in self._in_doubt:
                if at - refused_at <= _CROSSES_WITHIN_S:
                    self.problems.remove(problem)
            self._in_doubt.clear()
        elif kind is e.ResponseStarted:
            self.responding = True
        elif kind is e.ResponseEnded:
            self.responding = False
            self.responses_ended += 1
        elif isinstance(event, e.PlaybackStarted):
            self._account(event.item, at, 0.0)
        elif isinstance(event, e.PlaybackDrained | e.PlaybackCut) and event.item is not None:
            self._account(event.item, None, event.played_ms)
        if kind in _SHOWN_EVENTS:
            self.tell("event", _shown(event))
        self._see_states()
        self._stirred()

    def _see_command(self, command: c.Command, at: float) -> None:
        if isinstance(command, c.CommitAudio):
            self._crosses = at - self._streams_at < SHORTEST_S
        elif isinstance(command, c.SendAudio):
            self.most_queued_ms = max(self.most_queued_ms, self.link.queued_ms)
        elif isinstance(command, c.PlayVoice):
            self.most_playout_s = max(self.most_playout_s, self.playout.queued_s)
            if command.item not in self._items:
                serial = next(iter(sound.read(command.pcm24k)), 0)
                asked = next((a for a in reversed(self.asked) if a.serial == serial), None)
                if asked is not None:
                    self._items[command.item] = asked
        elif isinstance(command, c.PlaySentence):
            if SENTENCES.pcm24k(command.name):
                self.sentences.append((at, command.name))
            else:
                self.problems.append(f"there is no recording of {command.name}")
            self.tell("speaker", f"says the sentence {command.name}")
        elif isinstance(command, c.PlayEarcon):
            self.earcon_due = True
        if isinstance(command, _SHOWN_COMMANDS):
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
            self.border.heard(asked, played_ms)
            self.tell("speaker", f"answer {asked.serial} was heard for {played_ms:.0f} ms")

    def told_timeline(self) -> str:
        """The timeline as text."""
        return "\n".join(f"{at:10.3f}  {who:8} {what}" for at, who, what in self.timeline)
