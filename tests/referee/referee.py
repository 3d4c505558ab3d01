"""The referee itself: hands every record to every rule and keeps what was broken.

Call `observe` after each step of the dialogue (it has the signature of a pump's observer), `see`
for other records, `end` when all is over, then `check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee import known
from referee.household import Household
from referee.records import Record, Step
from referee.rule import Rule
from referee.rules_answers import Answers, Waiting
from referee.rules_bounds import Bounds
from referee.rules_calls import Calls
from referee.rules_consent import Consent
from referee.rules_cut import Cut, Nobody
from referee.rules_gate import Gate, Mute
from referee.rules_persona import Persona
from referee.rules_private import Private
from referee.rules_truth import Silence, Truth
from referee.scene import Scene

R = TypeVar("R", bound=Rule)
RULES: tuple[type[Rule], ...] = (
    Gate,
    Mute,
    Private,
    Consent,
    Calls,
    Waiting,
    Answers,
    Cut,
    Nobody,
    Silence,
    Bounds,
    Truth,
    Persona,
)
"""The promises of the design, in its order."""
ASKING = (e.PlaybackCut, e.MuteRequested)
"""Events of which to do nothing at all may break a promise."""
KEPT_MAX = 50
"""Of one run; whoever breaks more has been found out."""


@dataclass(frozen=True)
class Broken:
    """One promise that was not kept, once."""

    number: int
    code: str
    at: float
    text: str

    def __str__(self) -> str:
        return f"rule {self.number} ({self.code}) at {self.at:.2f} s: {self.text}"


class Referee:
    """Judges one life of one speaker.

    `rules`: those that judge (all of them).  `excused`: codes of known breaks that do not count
    here; by default those of `known.EXCUSED`.
    """

    def __init__(
        self,
        household: Household | None = None,
        *,
        rules: Sequence[type[Rule]] = RULES,
        excused: Iterable[str] | None = None,
    ) -> None:
        self.scene = Scene(household or Household())
        self.broken: list[Broken] = []
        self.excused_seen: dict[str, int] = {}
        """Known breaks that were seen and did not count: code → how often."""
        self.events: list[e.Event] = []
        """Everything the dialogue was told, for `tape`."""
        self._excused = frozenset(known.EXCUSED if excused is None else excused)
        self._rules = [rule(self.scene) for rule in rules]
        # A hundred frames come in a second: only who looks at something is shown it.
        self._at_event = self._who_has("event")
        self._at_command = self._who_has("command")
        self._at_end_of_step = self._who_has("after")
        self._at_record = self._who_has("record")

    def _who_has(self, look: str) -> list[Rule]:
        return [r for r in self._rules if getattr(type(r), look) is not getattr(Rule, look)]

    # --- seeing -------------------------------------------------------------------------

    def observe(self, event: e.Event, commands: Sequence[c.Command], at: float) -> None:
        """One step of the dialogue; `at` is the time at which its commands were done."""
        del at  # a step is judged by the time of its event: both count on the same clock
        self.events.append(event)
        self.scene.saw(event)
        for rule in self._at_event:
            self._keep(rule, rule.event(event))
        if not commands and not isinstance(event, ASKING):
            return
        step = Step(self.scene.now, event, tuple(commands))
        for command in commands:
            for rule in self._at_command:
                self._keep(rule, rule.command(command, step))
            self.scene.did(command)
        for rule in self._at_end_of_step:
            self._keep(rule, rule.after(step))

    def see(self, record: Record) -> None:
        """Anything else that crossed a border."""
        self.scene.now = max(self.scene.now, record.at)
        for rule in self._at_record:
            self._keep(rule, rule.record(record), record.at)

    def end(self, at: float) -> None:
        """All is over and quiet: what was owed must have come."""
        self.scene.now = max(self.scene.now, at)
        for rule in self._rules:
            self._keep(rule, rule.end(at))

    def forget(self) -> None:
        """Drop what has been judged: a day of it is more than the speaker holds."""
        self.events.clear()
        self.broken.clear()
        self.excused_seen.clear()
        for rule in self._rules:
            rule.forget()

    def _keep(self, rule: Rule, found: Iterable[tuple[str, str]], at: float | None = None) -> None:
        for code, text in found:
            if code in self._excused:
                self.excused_seen[code] = self.excused_seen.get(code, 0) + 1
            elif len(self.broken) < KEPT_MAX:
                at = self.scene.now if at is None else at
                self.broken.append(Broken(rule.number, code, at, text))

    def rule(self, kind: type[R]) -> R:
        """The rule of that class, for what it has counted."""
        return next(rule for rule in self._rules if isinstance(rule, kind))

    # --- the verdict --------------------------------------------------------------------

    @property
    def codes(self) -> set[str]:
        """Codes of everything that was broken and counts."""
        return {broken.code for broken in self.broken}

    def told(self) -> list[str]:
        """Every broken promise in words."""
        return [str(broken) for broken in self.broken]

    def check(self) -> None:
        """Raise AssertionError with everything that was broken."""
        if self.broken:
            raise AssertionError("\n".join(["promises were broken:", *self.told()]))
