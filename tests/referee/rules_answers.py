"""Rule 5: every finished utterance is answered once, or the household hears why not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee.records import Given, Heard, Record, Step, Utterance
from referee.rule import Found, Rule
from referee.scene import NEVER, Scene

WITHIN_S = 20.0
"""From the end of the words to an answer or a reason …"""
OFFLINE_WITHIN_S = 62.0
"""… and from the call while the line is down: for a minute the words are kept."""
SILENT_S = 20.0
"""So much more, and it is not late any more but lost."""
ASKING_S = 40.0
"""More while a question of ours waits: it has limits of its own."""
SPOKEN_FRAMES = 30
"""0.3 s of speech: somebody spoke."""
HEARD_MS = 500.0
"""Less of an answer than this is not an answer that one has heard."""
WHOLE = 0.97
"""Share of an utterance's words that the model must have had."""
LISTENING = frozenset({"listening", "confirming"})


@dataclass
class Said:
    """One utterance of the household, as the test played it."""

    number: int
    at: float
    ends_at: float
    owed: bool
    over_answer: bool
    """It was said over an answer."""
    settled: str = ""
    """Why no answer is owed any more: told, taken back, muted."""
    answers: list[Given] = field(default_factory=list)


class Answers(Rule):
    """Every finished utterance is answered once, or a reason is audible within 20 s of its end (a
    minute while the line is down).  None twice, none torn.

    Not owed: what mute dropped, what the person cut or took back, and a response that completed
    with nothing to say.
    """

    number = 5

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        # At the dialogue's border: one turn that waits.
        self._frames = 0
        self._waits_since = NEVER
        self._down_since: float | None = None
        self._down_s = 0.0
        """So long the line has been down while it waits."""
        self._is_late = False
        self._running: set[str] = set()
        """Tools that have not ended: they have limits of their own."""
        # With the household's own word for what it said.
        self._said: dict[int, Said] = {}
        self._given: dict[int, Given] = {}
        self._heard: dict[int, float] = {}
        self._told_at: deque[float] = deque(maxlen=4096)

    # --- a turn that waits ----------------------------------------------------------------

    def event(self, event: e.Event) -> Found:
        match event:
            case e.HeardFrame(speech=True) if not self.scene.muted:
                self._frames += 1
            case e.LinkDown() if self._down_since is None:
                self._down_since = self.scene.now
            case e.LinkReady() if self._down_since is not None:
                self._down_s += self.scene.now - self._down_since
                self._down_since = None
            case e.ToolFinished():
                self._running.discard(event.call_id)
                if self._waits_since > NEVER:
                    self._waits_since = self.scene.now
            case e.DeviceDown() | e.StopRequested():
                self._settle("house")
            case e.ButtonPressed():
                self._settle("button")
            case e.PlaybackStarted():
                self._settle("answer")
            case e.ResponseEnded(status="completed", calls=()) if not event.items:
                self._settle("nothing to say")
            case _:
                pass
        return self._overdue() if self._waits_since > NEVER and not self._running else ()

    def command(self, command: c.Command, step: Step) -> Found:
        now = self.scene.now
        match command:
            case c.SendAudio() if self._frames:
                self._settle("goes on")  # somebody speaks on: it belongs to one turn
            case c.Note(code="talk.turn_sent"):
                if self._frames >= SPOKEN_FRAMES and not self.scene.muted:
                    self._waits_since = now
                    self._is_late = False
                    self._down_s = 0.0
                    self._down_since = None if self.scene.link_up else now
                self._frames = 0
            case c.PlaySentence():
                self._settle("told")
                self._told_at.append(now)
            case c.PlayEarcon() if not self.scene.link_up or self.scene.muted:
                self._settle("told")
            case c.RunTool():
                self._running.add(command.call_id)
            case c.SaveMute():
                self._settle("muted")
            case c.CutPlayback():
                self._settle("cut")
        return ()

    def _settle(self, why: str) -> None:
        del why
        self._waits_since = NEVER

    def _overdue(self) -> Found:
        down_s = self._down_s + (
            self.scene.now - self._down_since if self._down_since is not None else 0.0
        )
        limit_s = min(OFFLINE_WITHIN_S, WITHIN_S + down_s)
        waited_s = self.scene.now - self._waits_since
        if waited_s > limit_s and not self._is_late:
            self._is_late = True
            yield "answers.late", f"a turn has had no answer and no reason for {waited_s:.0f} s"
        if waited_s > SILENT_S + limit_s + ASKING_S * (self.scene.light == "confirming"):
            self._waits_since = NEVER
            yield "answers.silence", f"a turn has had no answer and no reason for {waited_s:.0f} s"

    # --- what the household said itself -------------------------------------------------------

    def record(self, record: Record) -> Found:
        scene = self.scene
        match record:
            case Utterance():
                light = scene.light
                owed = not scene.muted and (
                    record.called or light in LISTENING or light == "speaking"
                )
                over = light == "speaking"
                self._said[record.number] = Said(
                    record.number, record.at, record.ends_at, owed, over
                )
            case Given():
                self._given[record.answer] = record
                if record.number in self._said:
                    self._said[record.number].answers.append(record)
            case Heard():
                self._heard[record.answer] = self._heard.get(record.answer, 0.0) + record.ms
            case _:
                pass
        return ()

    def end(self, at: float) -> Found:
        for said in self._said.values():
            if said.owed:
                yield from self._judge(said)

    def _judge(self, said: Said) -> Found:
        heard = [given for given in said.answers if self._heard.get(given.answer, 0.0) > 0]
        whole = [g for g in heard if g.anew and self._heard[g.answer] >= HEARD_MS]
        if len(whole) > 1:
            yield "answers.twice", f"utterance {said.number} was answered {len(whole)} times"
        if heard:
            share = max(given.share for given in said.answers)
            if share < WHOLE:
                yield "answers.torn", f"the model had {share:.0%} of utterance {said.number}"
            return
        if not self._was_told(said) and not self._was_taken_back(said):
            yield "answers.lost", f"utterance {said.number} got no answer and no reason"

    def _was_told(self, said: Said) -> bool:
        limit = said.ends_at + OFFLINE_WITHIN_S
        return any(said.at - 2.0 <= at <= limit for at in self._told_at)

    def _was_taken_back(self, said: Said) -> bool:
        """The household went on: said something else, pressed, or muted."""
        later = [other for other in self._said.values() if said.at < other.at]
        return any(other.at <= said.ends_at + WITHIN_S for other in later) or bool(said.settled)
