"""Rule 3: what needs the household's word runs with it, once, and never without."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee.records import Record, Step, ToolBegan
from referee.rule import Found, Rule
from referee.scene import NEVER, Scene

YES = frozenset(
    {
        *("yes", "yes please", "sure", "okay", "go ahead", "sure go ahead", "yes do it"),
        *("ja", "ja bitte", "ja gerne", "ja mach das", "oui", "oui merci", "sí", "sì grazie"),
    }
)
"""What the households of our tests say when they agree; no other text is a yes."""


def is_yes(text: str) -> bool:
    """Is every sentence of it one of the plain yeses above, but for case and commas?"""
    pieces = text.casefold().replace("!", ".").replace(",", " ").split(".")
    sentences = [" ".join(piece.split()) for piece in pieces if piece.strip()]
    return bool(sentences) and all(sentence in YES for sentence in sentences)


def names(text: str, call: e.ToolCall) -> bool:
    """Does a spoken text name the tool and each letter and digit of the arguments' values?

    The referee has no words for yes, no and nothing: what is neither text nor number is not judged.
    """
    said = _letters(text)
    try:
        values = _leaves(json.loads(call.arguments or "{}", parse_int=str, parse_float=str))
    except ValueError:
        return False
    return all(_letters(one) in said for one in (call.name.rpartition("__")[2], *values))


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for name, one in value.items() for leaf in (str(name), *_leaves(one))]
    if isinstance(value, list):
        return [leaf for one in value for leaf in _leaves(one)]
    return [value] if isinstance(value, str) else []


@dataclass(eq=False)
class Wanted:
    """A call that the model made and that has not run."""

    call: e.ToolCall
    at: float
    presses: int
    """Of the talk button, before it."""
    heard_at: float = NEVER
    """When something audible that was begun after the call had come to its end."""
    yes_at: float = NEVER
    """When the words that agree had been heard."""
    spoke_from: float = NEVER
    """First speech after that end."""
    asking: set[str] = field(default_factory=set)
    """Texts that were begun since the call, and name its tool and every detail."""


class Consent(Rule):
    """A risky call runs at most once per agreement, with exactly the arguments that were asked.

    MEDIUM: after a yes, HIGH: after a press of the talk button; both begun after something that was
    spoken because of the call had been audible to its end.
    """

    number = 3

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._wanted: list[Wanted] = []
        """A call id may come twice: then each is a call of its own until one has its output."""
        self._running: dict[str, tuple[str, str]] = {}
        self._used_presses = 0
        self._used_yes_at = NEVER
        self._ordered: dict[tuple[str, str], int] = {}

    def event(self, event: e.Event) -> Found:
        now = self.scene.now
        match event:
            case e.ResponseEnded() if self.scene.link_up and event.status != "failed":
                for call in event.calls:
                    self._wanted.append(Wanted(call, now, self.scene.presses))
            case e.TextDrained(whole=True):
                self._audible(event.name)
            case e.HeardFrame(speech=True):
                for wanted in self._wanted:
                    if wanted.heard_at > NEVER and wanted.spoke_from < wanted.heard_at:
                        wanted.spoke_from = now
            case e.UserTranscript() | e.SideAnswer() if is_yes(event.text):
                for wanted in self._wanted:
                    wanted.yes_at = now
            case e.LinkReady() | e.LinkDown():
                self._wanted.clear()
            case e.ToolFinished():
                self._running.pop(event.call_id, None)
            case _:
                pass
        return ()

    def _audible(self, what: str) -> None:
        for wanted in self._wanted:
            if what in wanted.asking:
                wanted.heard_at = self.scene.now

    def command(self, command: c.Command, step: Step) -> Found:
        match command:
            case c.SayText():
                self._began(command)
            case c.AddToolOutput():
                self._wanted = [w for w in self._wanted if w.call.call_id != command.call_id]
            case c.RunTool():
                yield from self._runs(command)

    def _began(self, said: c.SayText) -> None:
        for wanted in self._wanted:
            if names(said.text, wanted.call):
                wanted.asking.add(said.name)

    def _runs(self, run: c.RunTool) -> Found:
        risk = self.scene.risks.get(run.name)
        named = [w for w in self._wanted if w.call.call_id == run.call_id]
        exact = [w for w in named if (w.call.name, w.call.arguments) == (run.name, run.arguments)]
        if not named:
            yield "consent.unknown", f"{run.name} runs and no open call asked for it"
            return
        if not exact:
            yield "consent.changed", f"{run.name} runs with other arguments than were asked"
            return
        wanted = exact[-1]
        self._wanted = [w for w in self._wanted if w not in named]
        same = (run.name, run.arguments)
        if risk != "low" and same in self._running.values():
            yield "consent.twice", f"{run.name} runs already, with the same arguments"
        self._running[run.call_id] = same
        self._ordered[same] = self._ordered.get(same, 0) + 1
        if risk in ("low", None):  # None: it has gone meanwhile, and nothing will run
            return
        if self.scene.guest:
            yield "consent.guest", f"{run.name} ({risk}) runs for a guest"
        yield from self._agreed(run.name, risk, wanted)

    def _agreed(self, name: str, risk: str, wanted: Wanted) -> Found:
        by_press = self.scene.presses > max(wanted.presses, self._used_presses)
        by_yes = risk == "medium" and wanted.yes_at > max(wanted.at, self._used_yes_at)
        heard = wanted.heard_at > NEVER
        if by_press and heard and self.scene.pressed_at >= wanted.heard_at:
            self._used_presses = self.scene.presses
        elif by_yes and heard and wanted.spoke_from >= wanted.heard_at:
            self._used_yes_at = wanted.yes_at
        elif not (by_press or by_yes):
            used = self._used_presses > wanted.presses or self._used_yes_at > wanted.at
            code = "consent.reused" if used else "consent.ungranted"
            yield code, f"{name} ({risk}) runs and nobody agreed to it"
        elif not heard:
            yield "consent.unheard", f"{name} ({risk}) runs and no question was heard"
        else:
            yield "consent.early", f"{name} ({risk}): who agreed began before the question's end"

    def forget(self) -> None:
        self._ordered = {same: count for same, count in self._ordered.items() if count}

    def record(self, record: Record) -> Found:
        if isinstance(record, ToolBegan):
            same = (record.name, record.arguments)
            self._ordered[same] = self._ordered.get(same, 0) - 1
            if self._ordered[same] < 0:
                yield "consent.ran", f"{record.name} ran once more than it was ordered"
