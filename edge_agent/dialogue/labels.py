"""Labels: which turn and which answer a journal line belongs to.

`put` marks the notes that follow from an event.  Turns are counted from the start of the program;
an answer has the id that the service gave it, by which it is known there, too.  Lines about
anything else than a turn (device, link, alarm, notes taken beside the talk) get no label.

Thread: event loop; pure.  It never decides anything, and remembers a bounded number of ids.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.foreign import id_of

OF_A_TURN = ("talk.", "mic.streams", "response.", "usage.", "consent.", "tool.", "transcript.")
"""How the codes of lines begin that a turn causes."""
BESIDE = (e.SideAnswer, e.SummaryMade, e.UserTranscript, e.ModelUsed)
"""What they cost is no answer's."""
REMEMBERED_MAX = 256
"""Answers, items and calls; results and late ends come within minutes."""

Commands = list[c.Command]
T = TypeVar("T")


class Labels:
    """The turn in progress, or the last one, and what belongs to which."""

    def __init__(self) -> None:
        self._turn = 0
        self._has_words = True
        """Somebody has spoken in it: the next words are another turn."""
        self._answer = ""
        self._turn_of: dict[str, int] = {}
        """Answer → the turn in which it began; 0: nobody had asked for it."""
        self._answer_of: dict[str, str] = {}
        """Item or call → its answer."""

    def put(self, event: e.Event, commands: Commands) -> Commands:
        """`commands` with each `Note` of a turn marked."""
        about = self._about(event)
        if not any(isinstance(do, c.Note) for do in commands):
            return commands
        is_aside = isinstance(event, BESIDE)
        return [
            self._labelled(do, about, is_aside) if isinstance(do, c.Note) else do for do in commands
        ]

    def _about(self, event: e.Event) -> str:
        """The answer that the event itself names; "" where it names none."""
        match event:
            case e.ResponseStarted(response=answer):
                self._answer = answer
                _remember(self._turn_of, answer, self._turn)
                return answer
            case e.VoiceChunk(response=answer, item=item):
                if self._answer_of.get(item) != answer:
                    _remember(self._answer_of, item, answer)
                return answer
            case e.ResponseEnded(response=answer, calls=calls):
                for call in calls[:REMEMBERED_MAX]:
                    _remember(self._answer_of, call.call_id, answer)
                return answer
            case e.PlaybackStarted(item=item) | e.PlaybackDrained(item=item):
                return self._answer_of.get(item, "")
            case e.ToolFinished(call_id=call):
                return self._answer_of.get(call, "")
        return ""

    def _labelled(self, note: c.Note, about: str, is_aside: bool) -> c.Note:
        if note.code == "talk.woken" or (note.code == "mic.streams" and self._has_words):
            self._turn += 1
            self._has_words = False
            self._answer = ""
        if note.code == "mic.streams":
            self._has_words = True
        elif note.code == "response.unasked":
            _remember(self._turn_of, about, 0)
        beside = is_aside and note.code.startswith("usage.")
        if beside or not note.code.startswith(OF_A_TURN):
            return note
        answer = about or self._answer
        turn = self._turn_of.get(about, self._turn)
        of: dict[str, object] = {"turn": turn} if turn else {}
        if answer:
            of["response"] = id_of(answer)
        return replace(note, of=of)


def _remember(table: dict[str, T], key: str, value: T) -> None:
    table[key] = value
    if len(table) > REMEMBERED_MAX:
        del table[next(iter(table))]
