"""Records: everything that can be seen at a border, with the loop time at which it crossed.

A rule gets them one by one, in order.  `Step` is the dialogue's border; a test that runs only the
dialogue has no other.  A whole house adds wire, samples, tools, files and journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.contract.commands import Command
from edge_agent.contract.events import Event


@dataclass(frozen=True)
class Record:
    """Base of all records."""

    at: float


@dataclass(frozen=True)
class Step(Record):
    """One event into the dialogue, and the commands that came out of it."""

    event: Event
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Work(Record):
    """What one step of the loop cost; `cpu_ms` is processor time of its thread."""

    cpu_ms: float
    what: str = ""


@dataclass(frozen=True)
class Frame(Record):
    """A JSON message on the wire; `sent`: by us."""

    sent: bool
    message: Mapping[str, Any]

    @property
    def is_sound(self) -> bool:
        """Is it sound of the room, on its way out?"""
        return self.sent and self.message.get("type") == "input_audio_buffer.append"


@dataclass(frozen=True)
class Sound(Record):
    """What the loudspeaker emitted from `at` on: 16 bit mono, one array of samples.

    `peak` is the loudest sample of the piece, `ms` its length.
    """

    peak: int
    ms: float


@dataclass(frozen=True)
class Capture(Record):
    """Whether somebody has the microphone open, as an operating system shows it."""

    is_open: bool


@dataclass(frozen=True)
class ToolBegan(Record):
    """A tool's own code began to run."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Line(Record):
    """A journal line as it was written, with its fields."""

    code: str
    text: str


@dataclass(frozen=True)
class File(Record):
    """A file as it stands after it was written; `facts` are its parsed contents."""

    name: str
    text: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Utterance(Record):
    """The household begins to say `number` at `at` (an alarm's or our own sound is none)."""

    number: int
    ends_at: float
    called: bool
    """With the wake word before it; else it is said to a speaker that seems to listen."""
    reply: bool = False
    """To a question of ours: what becomes of the call is its answer."""


@dataclass(frozen=True)
class Given(Record):
    """The model was asked for the answer `answer`, about `number`; it had `share` of its words.

    `anew`: it begins an answer; not the rest of one that broke off, a tool call or our question
    whether a tool may run.  `after_tool`: it follows a tool's result, so the words came earlier.
    """

    answer: int
    number: int
    share: float
    anew: bool
    after_tool: bool = False


@dataclass(frozen=True)
class Emitted(Record):
    """`item` was cut; the server was told `told_ms`, and `ms` lay between its first sample and
    silence, measured at the loudspeaker."""

    item: str
    told_ms: float
    ms: float


@dataclass(frozen=True)
class Heard(Record):
    """So much more of `answer` was audible, when a piece of it ended or was cut."""

    answer: int
    ms: float


@dataclass(frozen=True)
class Left(Record):
    """Words of utterance `number` left the house, in the stream or as part of a message."""

    number: int
    in_message: bool
