"""What the simulated model says: brains that answer a turn.

Thread: the event loop that serves the session; a brain answers at once and never waits. It must
never touch the wire: a brain returns a `Reply`, the server turns it into events.  A brain belongs
to the server, not to a session, so a play goes on after a reconnect.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
import wave
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_agent.simulation.faults import FaultError, Faults
from edge_agent.simulation.realtime_server.vad import speech_only

RATE_HZ = 24_000
BYTES_PER_MS = 48
HUM_MS_PER_CHAR = 60  # people speak about 16 characters a second


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What the client's tool answered."""

    call_id: str
    name: str
    output: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What a brain knows when it is asked for a reply.

    `heard` (PCM16 mono 24 kHz per committed utterance), `texts` and `outputs` are what came since
    the model's last item, oldest first.  `session` is the effective configuration with the
    response's own settings laid over it, `request` the raw `response` of `response.create`.
    """

    heard: tuple[bytes, ...]
    texts: tuple[str, ...]
    outputs: tuple[ToolOutput, ...]
    items_total: int
    transcript: tuple[tuple[str, str], ...]
    """(role, words) of the whole context, oldest first."""
    session: Mapping[str, Any]
    request: Mapping[str, Any]
    metadata: Mapping[str, str]
    instructions: str
    modalities: tuple[str, ...]
    out_of_band: bool


@dataclass(frozen=True, slots=True)
class Speech:
    """A spoken message: PCM16 mono 24 kHz and its words; `phase` as gpt-realtime-2 names it."""

    pcm24k: bytes
    transcript: str
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A written message."""

    text: str
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"
    call_id: str = ""


Part = Speech | Text | Call


@dataclass(frozen=True, slots=True)
class Reply:
    """The items of one response, in order, after `delay_ms` of thinking.

    `faults` (as for `Faults.parse`) are switched on before the first of them is said.
    """

    parts: tuple[Part, ...]
    delay_ms: int = 0
    faults: str = ""


class Brain(ABC):
    """Answers turns; the only method a brain must have is `reply`."""

    @abstractmethod
    def reply(self, turn: Turn) -> Reply:
        """The answer to `turn`.  An exception becomes a failed response (`server_error`)."""

    def transcribe(self, pcm24k: bytes) -> str:
        """The words of a committed utterance, for clients that ask for input transcription."""
        del pcm24k
        return ""

    def abandoned(self, turn: Turn) -> None:  # noqa: B027 (optional, most brains forget)
        """The connection went away before the answer to `turn` was complete."""


def hum(text: str, *, pitch_hz: float = 140.0) -> bytes:
    """Something that sounds and measures like a voice saying `text`: PCM16 mono 24 kHz.

    Syllables of a buzzing tone with pauses between words, about as long as the text takes.
    """
    import numpy as np

    total = max(1, len(text)) * HUM_MS_PER_CHAR * RATE_HZ // 1000
    time = np.arange(total) / RATE_HZ
    buzz = np.zeros(total)
    for harmonic in range(1, 12):
        frequency = pitch_hz * harmonic
        strength = 1.0 / (1.0 + ((frequency - 600.0) / 400.0) ** 2)
        buzz += strength * np.sin(2 * math.pi * frequency * time)
    syllables = np.clip(np.sin(2 * math.pi * 2.2 * time) + 0.55, 0.0, 1.0)
    sound = buzz * syllables
    peak = float(np.abs(sound).max()) or 1.0
    return bytes((sound / peak * 9000).astype("<i2").tobytes())


class ParrotBrain(Brain):
    """Plays back what it heard.

    For typed turns it hums an answer; `call NAME {json}` typed by the user makes it call that
    tool, as does a `tool_choice` that demands a call.  Out of band it counts items.
    """

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            return Reply((Text(f"The conversation has {turn.items_total} items."),))
        call = self._call(turn)
        if call is not None:
            return Reply((call,))
        if turn.outputs:
            words = "The tool answered: " + "; ".join(o.output for o in turn.outputs)
            return Reply((Speech(hum(words), words),))
        if turn.heard:
            sound = b"".join(speech_only(pcm) for pcm in turn.heard)
            if sound:
                return Reply((Speech(sound, self.transcribe(sound)),))
        words = f"You wrote: {turn.texts[-1]}" if turn.texts else "Hello, I am the parrot."
        return Reply((Speech(hum(words), words),))

    def transcribe(self, pcm24k: bytes) -> str:
        return f"(speech {len(speech_only(pcm24k)) // BYTES_PER_MS} ms)"

    def _call(self, turn: Turn) -> Call | None:
        asked = re.match(r"call ([\w-]+)\s*(\{.*\})?\s*$", turn.texts[-1] if turn.texts else "")
        if asked is not None:
            return Call(asked[1], asked[2] or "{}")
        choice = turn.session.get("tool_choice")
        if turn.outputs or choice is None:
            return None
        if isinstance(choice, dict) and choice.get("type") == "function":
            return Call(str(choice["name"]))
        names = [t["name"] for t in turn.session.get("tools", []) if t.get("type") == "function"]
        return Call(names[0]) if choice == "required" and names else None


# -- plays -----------------------------------------------------------------------------------


class PlayError(ValueError):
    """A play that cannot be performed; the text names file, place and reason."""


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of a play."""

    reply: Reply
    after_tool: tuple[Reply, ...] = ()
    heard: str = ""
    when: str = ""


@dataclass(frozen=True)
class Play:
    """A talk written down: lines in order, keyed lines, and answers to side questions."""

    lines: tuple[Line, ...]
    keyed: tuple[Line, ...] = ()
    side: Mapping[str, str] = field(default_factory=dict)
    """Answers to out-of-band requests, by a value of their metadata; `default` for the rest."""
    loop: bool = True
    repeat_after_drop: bool = True
    """Whether a line whose answer was cut off by a lost connection is said again."""


def read_wav(path: Path) -> bytes:
    """PCM16 mono 24 kHz of a WAV file; raises `PlayError` for any other format."""
    try:
        with wave.open(str(path), "rb") as sound:
            shape = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            data = sound.readframes(sound.getnframes())
    except (OSError, EOFError, wave.Error) as exc:
        raise PlayError(f"{path}: not a readable WAV file ({type(exc).__name__}).") from exc
    if shape != (1, 2, RATE_HZ):
        raise PlayError(
            f"{path}: wants 1 channel, 2 bytes, {RATE_HZ} Hz; has {shape[0]}, {shape[1]}, "
            f"{shape[2]}."
        )
    return data


_PART_KEYS = frozenset({"say", "audio", "phase", "text", "call", "arguments", "call_id"})
_REPLY_KEYS = _PART_KEYS | {"parts", "delay_ms", "faults"}
_LINE_KEYS = _REPLY_KEYS | {"heard", "when", "after_tool"}
_PLAY_KEYS = frozenset({"title", "loop", "repeat_after_drop", "line", "keyed", "side"})


def load_play(path: Path) -> Play:
    """Read a play from TOML.

    `[[line]]` tables are spoken in order, one per turn; `[[keyed]]` tables answer when their
    `when` occurs in what the user typed, whatever the order.  A line holds `say` (words) with
    `audio` (WAV, 24 kHz mono, relative to the play; hummed if absent), or `text`, or `call` with
    `arguments`, or several of these as `parts`; further `heard` (the user's words, for input
    transcription), `delay_ms`, `faults` (for this answer), and `[[line.after_tool]]` tables for the
    answers after its calls.
    `[side]` maps metadata values to out-of-band answers.  Raises `PlayError`.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise PlayError(f"{path}: cannot be read ({type(exc).__name__}).") from exc
    except tomllib.TOMLDecodeError as exc:
        raise PlayError(f"{path}: not valid TOML: {exc}.") from exc
    _known(raw, _PLAY_KEYS, f"{path}")
    loader = _Loader(path)
    lines = tuple(loader.line(t, f"line {n}") for n, t in enumerate(raw.get("line", []), 1))
    keyed = tuple(loader.line(t, f"keyed {n}") for n, t in enumerate(raw.get("keyed", []), 1))
    if not lines and not keyed:
        raise PlayError(f"{path}: has no [[line]] and no [[keyed]]: nothing to say.")
    side = {str(key): str(value) for key, value in raw.get("side", {}).items()}
    return Play(
        lines,
        keyed,
        side,
        loop=bool(raw.get("loop", True)),
        repeat_after_drop=bool(raw.get("repeat_after_drop", True)),
    )


def _known(raw: Mapping[str, object], keys: frozenset[str], where: str) -> None:
    for key in raw:
        if key not in keys:
            raise PlayError(f"{where}: unknown key '{key}'; known: {', '.join(sorted(keys))}.")


class _Loader:
    """Turns the tables of one play file into lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def line(self, raw: Mapping[str, Any], place: str) -> Line:
        where = f"{self._path}, {place}"
        _known(raw, _LINE_KEYS, where)
        after = tuple(self.reply(t, f"{where}, after_tool") for t in raw.get("after_tool", []))
        own = {k: v for k, v in raw.items() if k not in ("heard", "when", "after_tool")}
        return Line(
            self.reply(own, where), after, str(raw.get("heard", "")), str(raw.get("when", ""))
        )

    def reply(self, raw: Mapping[str, Any], where: str) -> Reply:
        _known(raw, _REPLY_KEYS, where)
        own = {key: value for key, value in raw.items() if key in _PART_KEYS}
        tables = [*([own] if own else []), *raw.get("parts", [])]
        if not tables:
            raise PlayError(f"{where}: nothing to say: wants say, text, call or parts.")
        faults = str(raw.get("faults", ""))
        try:
            Faults.parse(faults)
        except FaultError as exc:
            raise PlayError(f"{where}: {exc}") from exc
        return Reply(
            tuple(self.part(table, where) for table in tables),
            int(raw.get("delay_ms", 0)),
            faults,
        )

    def part(self, raw: Mapping[str, Any], where: str) -> Part:
        _known(raw, _PART_KEYS, where)
        if "call" in raw:
            arguments = raw.get("arguments", {})
            encoded = arguments if isinstance(arguments, str) else json.dumps(arguments)
            return Call(str(raw["call"]), encoded, str(raw.get("call_id", "")))
        if "text" in raw:
            return Text(str(raw["text"]), str(raw.get("phase", "")))
        words = str(raw.get("say", ""))
        files = raw.get("audio", [])
        names: Sequence[str] = [files] if isinstance(files, str) else files
        sound = b"".join(read_wav(self._path.parent / name) for name in names)
        if not sound and not words:
            raise PlayError(f"{where}: a part wants say, audio, text or call.")
        return Speech(sound or hum(words), words, str(raw.get("phase", "")))


class ScriptBrain(Brain):
    """Performs a play: one line per user turn, `after_tool` lines after tool outputs."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.next_line = 0
        """Index of the line that the next user turn gets."""
        self._current: Line | None = None
        self._after_tool = 0
        self._last: tuple[Turn, int] | None = None
        self._dropped: int | None = None

    @classmethod
    def from_file(cls, path: Path) -> ScriptBrain:
        """A brain for the play at `path`; raises `PlayError`."""
        return cls(load_play(path))

    def transcribe(self, pcm24k: bytes) -> str:
        del pcm24k  # the play knows the words
        line = self._upcoming()
        return line.heard if line is not None else ""

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            return Reply((Text(self._side(turn)),))
        if turn.outputs and self._current is not None:
            replies = self._current.after_tool
            if self._after_tool < len(replies):
                self._after_tool += 1
                return replies[self._after_tool - 1]
            return Reply((Speech(hum("Done."), "Done."),))
        self._after_tool = 0
        typed = turn.texts[-1].lower() if turn.texts else ""
        for line in self.play.keyed:
            if typed and line.when.lower() in typed:
                self._current = line
                return line.reply
        upcoming = self._upcoming()
        self._current = upcoming
        if upcoming is None:
            return Reply((Speech(hum("The play is over."), "The play is over."),))
        repeated = self._dropped == self.next_line
        self._last = (turn, self.next_line)
        self._dropped = None
        self.next_line += 1
        # The fault that dropped a line must not drop its repetition, again and again.
        return replace(upcoming.reply, faults="") if repeated else upcoming.reply

    def abandoned(self, turn: Turn) -> None:
        if self.play.repeat_after_drop and self._last is not None and self._last[0] is turn:
            self.next_line = self._dropped = self._last[1]

    def _upcoming(self) -> Line | None:
        lines = self.play.lines
        if not lines or (self.next_line >= len(lines) and not self.play.loop):
            return None
        return lines[self.next_line % len(lines)]

    def _side(self, turn: Turn) -> str:
        for value in turn.metadata.values():
            if value in self.play.side:
                return self.play.side[value]
        return self.play.side.get("default", f"The conversation has {turn.items_total} items.")
