"""Playbook: a test of the dialogue as a table.  Given these events, expect these commands.

    assert (
        playbook()
        << on(e.AlarmDue, name="pasta")
        >> [c.RingAlarm("pasta")]
        << [3.0, on(e.ButtonPressed)]           # seconds pass; deadlines are kept
        >> [c.StopAlarm(("pasta",))]
    )

`<<` takes an event without its time, seconds, or a list of both.  `>>` takes all commands that came
since the last `>>`, in order, or a state that must hold now.  `ANY` stands for any value of a
field, `...` in the list for any commands, `SOUND` for any length of the room's sound in a row.
Kinds in `ignoring` are left out.  `assert` sees to it that no command was left unread and that the
referee is content.  There is no loudspeaker: a cut is answered by `on(e.PlaybackCut, ...)`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import partial
from types import EllipsisType
from typing import Any
from unittest.mock import ANY

from house_config import household_config, household_of
from note_values import unlisted
from referee import Referee

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.state import Link, Microphone, Talk

__all__ = [
    "ANY",
    "QUIET",
    "SOUND",
    "Given",
    "MakesEvent",
    "Playbook",
    "frames",
    "on",
    "playbook",
    "wake",
]

MakesEvent = Callable[..., e.Event]
Given = MakesEvent | float | Sequence["Given"]
Wanted = Sequence[c.Command | EllipsisType]
SOUND = c.SendAudio(ANY)
QUIET = (c.Note, c.RecordUsage, c.SetStatus, c.ShowLight)
"""What most tables do not tell of."""
FRAME_S, FRAME = 0.010, bytes(480)
TICKS_MAX = 1000  # of one wait: more are one deadline that comes again and again


def on(kind: type[e.Event], **fields: Any) -> MakesEvent:
    """An event, at the time at which it is played."""
    return partial(kind, **fields)


def wake(word: str = "okay_nabu") -> MakesEvent:
    """The wake word was heard."""
    return on(e.HeardFrame, pcm24k=FRAME, speech=True, over_playback=False, wake=word)


def frames(seconds: float, *, speech: bool, over_playback: bool = False) -> Given:
    """So much from the microphone."""
    frame = on(e.HeardFrame, pcm24k=FRAME, speech=speech, over_playback=over_playback)
    return [FRAME_S, frame] * round(seconds / FRAME_S)


def playbook(
    config: DialogueConfig | None = None,
    *,
    muted: bool = False,
    ignoring: tuple[type[c.Command], ...] = QUIET,
) -> Playbook:
    """An empty table, by default with the shipped settings."""
    return Playbook(config or household_config(), muted=muted, ignoring=ignoring)


class Playbook:
    """A table; `manager` and `now` are for what it cannot say."""

    def __init__(
        self, config: DialogueConfig, *, muted: bool, ignoring: tuple[type[c.Command], ...]
    ) -> None:
        self.manager = DialogueManager(config, muted=muted, strict=True)
        self.referee = Referee(household_of(config, muted=muted))
        self.now = 0.0
        self._ignoring = ignoring
        self._got: list[c.Command] = []
        self._told: list[str] = []

    def __lshift__(self, given: Given) -> Playbook:
        if isinstance(given, Sequence):
            for part in given:
                self << part
        elif isinstance(given, float | int):
            self._wait(self.now + given)
        else:
            self._play(given(at=self.now))
        return self

    def _wait(self, until_s: float) -> None:
        for _ in range(TICKS_MAX):
            due = self.manager.next_deadline()
            if due is None or due > until_s:
                self.now = round(until_s, 4)
                return
            self.now = max(self.now, due)
            self._play(e.Tick(at=self.now))
        raise AssertionError(f"{TICKS_MAX} deadlines before {until_s:g} s")

    def _play(self, event: e.Event) -> None:
        commands = self.manager.handle(event)
        self.referee.observe(event, commands, self.now)
        if not isinstance(event, e.HeardFrame):
            self._told.append(f"{self.now:g} s: {type(event).__name__}")
        for command in commands:
            assert not (isinstance(command, c.Note) and unlisted(command)), command
            is_more_sound = command == SOUND and self._got[-1:] == [SOUND]
            if not isinstance(command, self._ignoring) and not is_more_sound:
                self._got.append(command)

    def __rshift__(self, wanted: Wanted | Talk | Link | Microphone) -> Playbook:
        place = f"after {', '.join(self._told[-5:]) or 'nothing'} (now {self.now:g} s)"
        if isinstance(wanted, Talk | Link | Microphone):
            states = (self.manager.talk, self.manager.link, self.manager.microphone)
            assert wanted in states, f"{place}: it is {', '.join(map(str, states))}, not {wanted}"
        else:
            assert matches(self._got, wanted), f"{place}:\n{diff(self._got, wanted)}"
            self._got, self._told = [], []
        return self

    def __bool__(self) -> bool:
        if self._got:
            self >> []
        self.referee.end(self.now)
        self.referee.check()
        return True


def matches(got: Sequence[c.Command], wanted: Wanted) -> bool:
    """Whether the commands are those that are wanted; `...` are any."""
    if not wanted:
        return not got
    first, rest = wanted[0], wanted[1:]
    if first is ...:
        return any(matches(got[skip:], rest) for skip in range(len(got) + 1))
    return bool(got) and got[0] == first and matches(got[1:], rest)


def diff(got: Sequence[c.Command], wanted: Wanted) -> str:
    """Both lists, line by line: `-` was expected, `+` came, the others are as they should be."""
    wanted = [want for want in wanted if want is not ...]
    named = [next((str(one) for one in got if one == want), str(want)) for want in wanted]
    lines = difflib.ndiff(named, [str(one) for one in got])
    return "\n".join(line for line in lines if not line.startswith("?"))
