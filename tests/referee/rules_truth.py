"""Rules 8 and 10: nothing private is told, and what is told is true."""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee.records import Capture, File, Line, Record, Step
from referee.rule import Found, Rule
from referee.scene import NEVER, Scene

WAKE_CAUSE_S = 0.7
"""Between a cause and its line: a speech onset takes half a second to be believed, and a cut comes
between."""
RELEASED_WITHIN_S = 0.5
"""Between a mute and a closed microphone: the sound system takes some ten milliseconds."""


class Silence(Rule):
    """Nothing spoken, no key and no word from outside stands in a line, a file or a status."""

    number = 8

    def command(self, command: c.Command, step: Step) -> Found:
        match command:
            case c.Note():
                told = [*command.fields.values(), *command.of.values()]
                yield from self._look([command.code, *map(str, told)], "line")
            case c.SetStatus():
                yield from self._look([command.text], "status")

    def record(self, record: Record) -> Found:
        match record:
            case Line():
                yield from self._look([record.text], "line")
            case File():
                yield from self._look([record.text], "file")

    def _look(self, texts: Iterable[str], where: str) -> Found:
        household = self.scene.household
        whole = "\n".join(texts).casefold()
        if any(word.casefold() in whole for word in household.words):
            yield f"silence.{where}", f"a word that was spoken stands in a {where}"
        if any(key.casefold() in whole for key in household.keys):
            yield "silence.key", f"a key stands in a {where}"


class Truth(Rule):
    """Light, journal and files agree with what is done: muted light ⇔ nobody records, listening
    light ⇔ somebody may speak, every wake line has its cause, what is called saved is saved."""

    number = 10

    STREAMING = frozenset({"listening", "thinking", "device_down"})
    """Lights under which sound may leave; while we think, somebody may go on.  Of a device that is
    lost a few blocks may still be on their way."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._server_at = self._speech_at = self._muted_at = NEVER
        self._saved: dict[str, object] = {}
        self._light_due: str | None = None

    def event(self, event: e.Event) -> Found:
        match event:
            case e.UserSpeechStarted():
                self._server_at = self.scene.now
            case e.HeardFrame(speech=True):
                self._speech_at = self.scene.now
            case _:
                pass
        return ()

    def command(self, command: c.Command, step: Step) -> Found:
        match command:
            case c.Note(code="talk.woken"):
                yield from self._woken(str(command.fields.get("cause")))
            case c.SaveMute():
                self._saved["muted"] = command.muted
                self._muted_at = self.scene.now
            case c.SaveGuest():
                self._saved["guest"] = command.on

    def _woken(self, cause: str) -> Found:
        since = {
            "wake word": self.scene.woken_at,
            "button": self.scene.pressed_at,
            "speech": self._speech_at,
            "server": self._server_at,
        }.get(cause, NEVER)
        if self.scene.now - since > WAKE_CAUSE_S:
            yield "truth.wake", f"woken by “{cause}”, of which nothing was seen"

    def after(self, step: Step) -> Found:
        scene = self.scene
        if scene.stopping or not scene.light:
            return
        if scene.muted is not (scene.light == "muted"):
            yield "truth.muted", f"muted is {scene.muted} and the light says {scene.light}"
        sent = any(isinstance(command, c.SendAudio) for command in step.commands)
        if sent and scene.light not in self.STREAMING:
            yield "truth.light", f"sound leaves and the light says {scene.light}"
        asked = step.event
        if isinstance(asked, e.MuteRequested) and asked.muted is not scene.muted:
            yield "truth.mute", "what was asked of the microphone was not done"

    def record(self, record: Record) -> Found:
        muted_s = record.at - self._muted_at if self.scene.muted else 0.0
        if isinstance(record, Capture) and record.is_open and muted_s > RELEASED_WITHIN_S:
            yield "truth.recorded", "muted, and somebody has the microphone open"
        if isinstance(record, File):
            for fact, value in self._saved.items():
                if fact in record.facts and record.facts[fact] != value:
                    yield "truth.saved", f"{fact} is {value} and {record.name} says otherwise"
