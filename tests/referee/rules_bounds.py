"""Rule 9: what grows by somebody else's doing has a bound."""

from __future__ import annotations

from collections import deque

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee.records import Record, Step, Work
from referee.rule import Found, Rule
from referee.scene import Scene

LINES_PER_MIN = 60
"""Journal lines by the other side's doing."""
COMMANDS_MAX = 500
"""Of one step: the seed of a fresh session is the longest list there is."""
STEP_CPU_MS = 100.0
HONEST_STEP_CPU_MS = 20.0
OTHER_SIDE = (
    e.ServerComplained,
    e.VoiceText,
    e.VoiceChunk,
    e.UserTranscript,
    e.ItemAdded,
    e.ItemDeleted,
)
"""Events of which a server can send as many as it likes."""


class Bounds(Rule):
    """No step takes more than 100 ms of processor time (20 ms with an honest server); nobody else
    can fill our journal; no list of commands grows without end."""

    number = 9

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._lines: deque[float] = deque(maxlen=LINES_PER_MIN + 1)

    def command(self, command: c.Command, step: Step) -> Found:
        if isinstance(command, c.Note) and isinstance(step.event, OTHER_SIDE):
            self._lines.append(self.scene.now)
            full = len(self._lines) == self._lines.maxlen
            if full and self.scene.now - self._lines[0] < 60.0:
                yield "bounds.lines", f"more than {LINES_PER_MIN} lines in a minute"
                self._lines.clear()

    def after(self, step: Step) -> Found:
        if len(step.commands) > COMMANDS_MAX:
            yield "bounds.commands", f"{len(step.commands)} commands from one event"

    def record(self, record: Record) -> Found:
        if isinstance(record, Work):
            honest = self.scene.household.honest_server
            limit_ms = HONEST_STEP_CPU_MS if honest else STEP_CPU_MS
            if record.cpu_ms > limit_ms:
                yield "bounds.step", f"{record.what} took {record.cpu_ms:.0f} ms of the processor"
