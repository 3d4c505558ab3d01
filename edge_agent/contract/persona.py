"""Persona: the speaker's manners as data, and the steps of a guided talk.

It must never hold behaviour: `host.personas` reads them from files, `dialogue.prompting` makes
instructions of them and walks their steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SECTIONS: Mapping[str, str] = {
    "role": "Role & Objective",
    "tone": "Personality & Tone",
    "context": "Context",
    "pronunciations": "Reference Pronunciations",
    "tools": "Tools",
    "rules": "Instructions & Rules",
    "flow": "Conversation Flow",
    "samples": "Sample Phrases",
    "safety": "Safety & Escalation",
}
"""Key in a persona's file → heading in the instructions, in the order in which they are told."""

VOLUME_LIMIT_MIN_PERCENT = 10
"""No limit of loudness is lower: the speaker would seem broken."""

MOVE_TOOL = "set_conversation_state"
"""The function by which the model moves through a guided talk; the dialogue answers it itself."""
SILENCE_TOOL = "stay_silent"
"""The function by which the model chooses to say nothing; the dialogue answers it itself, too.  No
step of a guided talk takes it away."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled line, or list of lines, of a section; `label` is its key in the file."""

    label: str
    lines: tuple[str, ...]
    language: str = ""
    """The code of the only language in which it is told; "": wherever there is no other."""


@dataclass(frozen=True, slots=True)
class FlowState:
    """One step of a conversation."""

    name: str
    goal: str
    respond: str = ""
    """How to respond in this step."""
    samples: tuple[str, ...] = ()
    exit: str = ""
    """What has to be true before the talk moves on, whichever way."""
    next: tuple[str, ...] = ()
    """The steps that may follow."""
    when: Mapping[str, str] = field(default_factory=dict)
    """What has to be true for each of them; empty where `exit` is all there is."""
    tools: tuple[str, ...] | None = None
    """The only tools of this step; None: all of them."""
    final: bool = False
    """The talk may end here.  If nothing follows, the next talk begins at the first step."""


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """The steps of a conversation, in the order of the file."""

    start: str
    states: Mapping[str, FlowState]
    guided: bool = False
    """True: the model is told one step at a time and moves by `MOVE_TOOL`."""


@dataclass(frozen=True, slots=True)
class Persona:
    """Who the speaker is."""

    name: str
    source: str = ""
    """The file it came from, for complaints."""
    language: str = ""
    """A code pins the language, "" takes the household's, "free" says nothing about it."""
    sections: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    """Keys of `SECTIONS` without `flow`, and sections of the owner's own, whose keys are their
    titles, in the order of the file."""
    plan: FlowPlan | None = None
    voice: str = ""
    """Spoken with in place of the settings' voice; "": theirs."""
    speed: float | None = None
    """Of the voice, in place of the settings' speed; None: theirs."""
    volume_max_percent: int | None = None
    """The loudest it gets, where that is lower than the settings allow; None: as they say."""


@dataclass(frozen=True, slots=True)
class ToolPreamble:
    """A tool before whose call the model says something.

    `asks`: it waits for a yes; otherwise one sentence, so that nobody waits in silence.
    """

    tool: str
    asks: bool
    samples: tuple[str, ...]
    translated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The samples in other languages, by code."""
