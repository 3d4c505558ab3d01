"""Rules 1 and 2 for whole words: what people say to each other stays in the house.

Needs somebody who knows what is said: the records `Utterance` and `Left`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee.records import Left, Record, Step, Utterance
from referee.rule import Found, Rule
from referee.scene import Scene

CALLED_WITHIN_S = 1.6
"""A call after the words reaches back to them: the longest pre-roll and the pause that tells one
breath from two."""
REMEMBERED = 64


@dataclass
class Aside:
    """Words that were not meant for us, as long as nobody calls."""

    number: int
    ends_at: float
    muted: bool


class Private(Rule):
    """Words that people say to each other, or to a muted speaker, never leave: not as a stream and
    not later as part of a message."""

    number = 1

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._asides: deque[Aside] = deque(maxlen=REMEMBERED)

    def event(self, event: e.Event) -> Found:
        if isinstance(event, e.ButtonPressed | e.HeardFrame) and self.scene.called_at == event.at:
            self._meant(muted=False)
        return ()

    def command(self, command: c.Command, step: Step) -> Found:
        if isinstance(command, c.SaveMute) and not command.muted:
            self._meant(muted=True)
        return ()

    def _meant(self, *, muted: bool) -> None:
        """Words of just now may be meant for us after all."""
        reach_at = self.scene.now - (0.0 if muted else CALLED_WITHIN_S)
        for aside in [a for a in self._asides if a.muted is muted and a.ends_at >= reach_at]:
            self._asides.remove(aside)

    def record(self, record: Record) -> Found:
        scene = self.scene
        match record:
            case Utterance() if scene.muted:
                self._asides.append(Aside(record.number, record.ends_at, muted=True))
            case Utterance(called=False) if scene.asleep and scene.household.mode != "always":
                self._asides.append(Aside(record.number, record.ends_at, muted=False))
            case Left():
                for aside in self._asides:
                    if aside.number == record.number:
                        code = "mute.words" if aside.muted else "gate.words"
                        where = "a message" if record.in_message else "the stream"
                        yield code, f"words of {aside.number} left in {where}"
            case _:
                pass
        return
