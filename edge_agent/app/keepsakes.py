"""Keepsakes: the words and the sound of the talk on their way to the disk, if asked for.

Thread: event loop; files are written where `Worker` works.  It must never hold up talk, keep sound
that nobody spoke into the talk, or let a slow disk fill the memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime

from edge_agent.app.tools.facts import redactor
from edge_agent.contract.commands import AddMessage, Command, Note, PlayVoice, SendAudio
from edge_agent.contract.events import (
    DayBegan,
    Event,
    LinkDown,
    LinkReady,
    PlaybackCut,
    PlaybackDrained,
    UserSpeechStarted,
)
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS
from edge_agent.host.journal.journal import Journal
from edge_agent.host.journal.words import HOUSEHOLD, SPEAKER, Words
from edge_agent.host.service.worker import Worker
from edge_agent.host.settings.root import Settings
from edge_agent.host.stores.json_file import NoteFunction
from edge_agent.host.stores.keepsakes import Keepsakes, KeepTerms, keepsakes_folder

SOUND_MAX_BYTES = 120_000 * WIRE_BYTES_PER_MS
"""Two minutes of one turn or one answer: longer than an utterance may be."""
LEAD_BYTES = 2_000 * WIRE_BYTES_PER_MS
"""What is kept of the sound before the server noticed that somebody speaks: pre-roll and its
delay.  Between two turns the open microphone sends silence."""
WAITING_MAX = 8
"""Pieces of work for the disk; with the longest answers these are 46 MB."""


def observers(
    settings: Settings, recorder: Recorder, journal: Journal
) -> Iterator[Callable[[Event, list[Command], float], None]]:
    """Whoever writes down what was said: observers of the pump."""
    yield recorder.on_event
    if settings.journal.transcripts:
        words = Words(
            lambda who, text: journal.note("talk.words", who=who, text=text),
            redactor(settings).redact,
        )
        yield lambda event, _commands, _at: words.on_event(event)


class Recorder:
    """Keeps what `privacy` in the settings asks for."""

    def __init__(
        self, settings: Settings, disk: Worker, note: NoteFunction, now: Callable[[], datetime]
    ) -> None:
        self._disk = disk
        self._note = note
        self._now = now
        self._waiting = deque[Callable[[], None]]()
        self._dropped = 0
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Keep what these settings ask for, from the next turn on."""
        privacy = settings.privacy
        terms = KeepTerms(
            transcripts_days=privacy.keep_transcripts_days,
            audio_days=privacy.keep_audio_days,
            audio_max_bytes=privacy.keep_audio_max_mb * 1_000_000,
        )
        self._files = Keepsakes(keepsakes_folder(settings.state.path), terms, self._note)
        self._sees: list[Callable[[Event, list[Command]], None]] = []
        if terms.transcripts_days:
            words = Words(self._keep_words, redactor(settings).redact)
            self._sees.append(lambda event, _commands: words.on_event(event))
        if terms.audio_days:
            self._sees += [
                TurnSound(self._keep_sound).on_event,
                AnswerSound(self._keep_sound).on_event,
            ]

    def on_event(self, event: Event, commands: list[Command], _at: float) -> None:
        """Note what has to be kept, and what is too old every morning."""
        if isinstance(event, DayBegan):
            self._put(lambda: self._files.sweep(event.day))
        for see in self._sees:
            see(event, commands)

    def _keep_words(self, who: str, text: str) -> None:
        at = self._now()
        self._put(lambda: self._files.words(at, who, text))

    def _keep_sound(self, who: str, pcm24k: bytes) -> None:
        at = self._now()
        self._put(lambda: self._files.sound(at, who, pcm24k))

    def _put(self, work: Callable[[], None]) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._dropped += 1
            return
        if self._dropped:
            self._note("keepsakes.dropped", count=self._dropped)
            self._dropped = 0
        self._waiting.append(work)
        self._disk.put(self._next)

    def _next(self) -> None:
        work = self._waiting[0]
        try:
            work()
        finally:
            self._waiting.popleft()


class TurnSound:
    """The household's turns, as they were sent."""

    def __init__(self, keep: Callable[[str, bytes], None]) -> None:
        self._keep = keep
        self._sent = bytearray()
        self._is_kept = True
        """The last turn: one that is told to another session is not kept again."""

    def on_event(self, event: Event, commands: list[Command]) -> None:
        """Collect what is sent until the turn ends."""
        match event:
            case UserSpeechStarted():
                del self._sent[:-LEAD_BYTES]
            case LinkReady():
                self._sent.clear()
                self._told_anew(commands)
            case LinkDown():
                self._sent.clear()
        for command in commands:
            match command:
                case SendAudio():
                    self._sent += command.pcm24k
                    del self._sent[:-SOUND_MAX_BYTES]  # an open microphone may be silent for hours
                case Note(code="talk.turn_sent"):
                    self._end(bytes(self._sent))
                case Note(code="talk.asleep"):
                    self._sent.clear()

    def _told_anew(self, commands: list[Command]) -> None:
        """A turn that ended while the line was down is in the talk that a session is told of."""
        turns = [one.pcm24k for one in commands if isinstance(one, AddMessage) and one.pcm24k]
        if turns and not self._is_kept:
            self._end(turns[-1][:SOUND_MAX_BYTES])

    def _end(self, sound: bytes) -> None:
        self._is_kept = bool(sound)
        if sound:
            self._keep(HOUSEHOLD, sound)
        self._sent.clear()


class AnswerSound:
    """The answers, as far as they were heard."""

    def __init__(self, keep: Callable[[str, bytes], None]) -> None:
        self._keep = keep
        self._items: dict[str, bytearray] = {}

    def on_event(self, event: Event, commands: list[Command]) -> None:
        """Collect what is played until it has been heard, or was cut."""
        if isinstance(event, PlaybackDrained):
            self._end(event.item, event.played_ms)
        elif isinstance(event, PlaybackCut):
            if event.item is not None:
                self._end(event.item, event.played_ms)
            self._items.clear()
        for command in commands:
            if isinstance(command, PlayVoice):
                sound = self._items.setdefault(command.item, bytearray())
                sound += command.pcm24k[: SOUND_MAX_BYTES - len(sound)]
                while len(self._items) > 1 and self._size() > 2 * SOUND_MAX_BYTES:
                    del self._items[next(iter(self._items))]  # never told to be over

    def _size(self) -> int:
        return sum(map(len, self._items.values()))

    def _end(self, item: str, played_ms: float) -> None:
        if sound := self._items.pop(item, None):
            self._keep(SPEAKER, bytes(sound[: round(played_ms) * WIRE_BYTES_PER_MS]))
