"""The scene: what several rules look at, drawn from the records alone.

A rule asks it; only `Referee` lets it see.  It stands as it was before the commands of a step when
the rules look at that step's event, and is moved on, command by command, by `Scene.did`.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.persona import SILENCE_TOOL
from referee.household import Household

NEVER = float("-inf")
SLEEP_LIGHTS = frozenset({"asleep", "off"})


class Scene:
    """Who called when, which light shows, what is muted, which session stands."""

    def __init__(self, household: Household) -> None:
        self.household = household
        self.now = NEVER
        self.light = ""
        self.muted = household.muted
        self.opened_at = NEVER
        """The microphone was last opened: what was said before it was heard by nobody."""
        self.guest = household.guest
        self.risks = dict(household.risks)
        self.link_up = False
        self._down_since: float | None = None
        self._down_s = 0.0
        self.session = 0
        self.woken_at = NEVER
        """A wake word was heard with an open microphone."""
        self.pressed_at = NEVER
        """The talk button went down."""
        self.presses = 0
        """How often it did, so far."""
        self.asleep = True
        """As the household was last shown or the journal told."""
        self.stopping = False
        self.worded = ""
        """The answer under way, once there was a word or a sound of it."""

    @property
    def down_s(self) -> float:
        """How long there has been no session, in total."""
        since = self._down_since
        return self._down_s + (self.now - since if since is not None else 0.0)

    @property
    def called_at(self) -> float:
        """When the household last called: by word or by hand."""
        return max(self.woken_at, self.pressed_at)

    def saw(self, event: e.Event) -> None:
        """An event is about to be handled."""
        self.now = max(self.now, event.at)
        if self._down_since is None and not self.link_up:
            self._down_since = self.now
        match event:
            case e.HeardFrame(wake=str()) if not self.muted and self.household.mode != "button":
                self.woken_at = self.now
            case e.ButtonPressed(button="talk"):
                self.pressed_at = self.now
                self.presses += 1
            case e.LinkReady():
                self._down_s, self._down_since = self.down_s, None
                self.link_up = True
                self.session += 1
            case e.LinkDown():
                self.link_up = False
            case e.ToolsChanged():
                self.risks = {name: risk.value for name, risk in event.risks.items()}
            case e.StopRequested():
                self.stopping = True
            case e.ResponseStarted():
                self.worded = ""
            case e.VoiceChunk():
                self.worded = event.response
            case e.VoiceText() if event.text.strip():
                self.worded = event.response
            case _:
                pass

    def is_silence(self, event: e.ResponseEnded) -> bool:
        """Does the model choose to say nothing: not a word, or the tool for it and no other?"""
        tools = {call.name for call in event.calls}
        chosen = tools <= {SILENCE_TOOL} & self.risks.keys()
        said = not tools and self.worded == event.response
        return event.status == "completed" and chosen and not said

    def did(self, command: c.Command) -> None:
        """A command has been judged."""
        match command:
            case c.SaveMute():
                self.muted = command.muted
                self.opened_at = self.opened_at if command.muted else self.now
            case c.SaveGuest():
                self.guest = command.on
            case c.ShowLight():
                self.light = command.light
                if command.light in SLEEP_LIGHTS:
                    self.asleep = True
                elif command.light in ("listening", "speaking", "confirming", "thinking"):
                    self.asleep = False
            case c.Note(code="talk.asleep"):
                self.asleep = True
            case c.Note(code="talk.woken"):
                self.asleep = False
