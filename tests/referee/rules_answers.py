"""Rule 5: every finished utterance is answered once, or the household hears why not.

`Waiting` judges one turn at the dialogue's border, without knowing what was said.  `Answers` needs
somebody who does: the records `Utterance`, `Given` and `Heard`.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from referee.records import Given, Heard, Record, Step, Utterance
from referee.rule import Found, Rule
from referee.scene import NEVER, Scene

WITHIN_S = 20.0
"""From the end of the words to an answer or a reason …"""
OFFLINE_WITHIN_S = 62.0
"""… and while the line is down: for a minute the words are kept."""
SILENT_S = 20.0
"""So much more, and it is not late any more but lost."""
ASKING_S = 40.0
"""More while a question of ours waits: it has limits of its own."""
SPOKEN_FRAMES = 30
"""0.3 s of speech: somebody spoke."""


class Waiting(Rule):
    """A turn that has ended has an answer, or an audible reason, within 20 s (a minute while the
    line is down)."""

    number = 5

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._frames = 0
        self._since = NEVER
        self._down_s = 0.0
        """So long the line had been down before the turn ended."""
        self._is_late = False
        self._running: set[str] = set()
        """Tools that have not ended: they have limits of their own."""

    def event(self, event: e.Event) -> Found:
        match event:
            case e.HeardFrame(speech=True) if not self.scene.muted:
                self._frames += 1
            case e.ToolFinished():
                self._running.discard(event.call_id)
                if self._since > NEVER:
                    self._since = self.scene.now
            case e.DeviceDown() | e.StopRequested() | e.ButtonPressed():
                self._since = NEVER
            case e.PlaybackStarted() | e.TextStarted():
                self._since = NEVER
            case e.ResponseEnded() if self.scene.is_silence(event):
                self._since = NEVER
            case _:
                pass
        return self._overdue() if self._since > NEVER and not self._running else ()

    def command(self, command: c.Command, step: Step) -> Found:
        match command:
            case c.SendAudio() if self._frames:
                self._since = NEVER  # somebody speaks on: it belongs to one turn
            case c.Note(code="talk.turn_sent"):
                if self._frames >= SPOKEN_FRAMES and not self.scene.muted:
                    self._since = self.scene.now
                    self._is_late = False
                    self._down_s = self.scene.down_s
                self._frames = 0
            case c.PlayEarcon() if not self.scene.link_up or self.scene.muted:
                self._since = NEVER
            case c.PlayVoice() | c.PlaySentence() | c.SaveMute() | c.CutPlayback():
                self._since = NEVER
            case c.RunTool():
                self._running.add(command.call_id)
        return ()

    def _overdue(self) -> Found:
        limit_s = _limit_s(self.scene.down_s - self._down_s)
        waited_s = self.scene.now - self._since
        if waited_s > limit_s and not self._is_late:
            self._is_late = True
            yield "answers.late", f"a turn has had no answer and no reason for {waited_s:.0f} s"
        if waited_s > SILENT_S + limit_s + ASKING_S * (self.scene.light == "confirming"):
            self._since = NEVER
            yield "answers.silence", f"a turn has had no answer and no reason for {waited_s:.0f} s"


# --- by what the household said itself ------------------------------------------------------------

LABEL_LAG_S = 0.5
"""A detector calls it speech for so long after the last word."""
HEARD_MS = 500.0
"""So much of an answer has been an answer: whatever begins anew after it is doubled."""
WHOLE = 0.97
"""Share of an utterance's words that the model must have had."""
CALL_BEFORE_S = 2.0
"""A call belongs to the words that follow it within this."""
ONSET_S = 0.4
"""Who begins so shortly before a window closes is not heard in time."""
NO_REASONS = frozenset(
    {
        "guest_on",
        "guest_off",
        "not_saved",
        "confirm_by_voice",
        "confirm_by_button",
        "press_early",
        "press_over_question",
        "cannot_ask",
        "no_button",
        "alarm_missed",
        "bell_muted",
    }
)
"""Sentences that say something else than why there is no answer."""
REMEMBERED = 64
"""Utterances that were judged: an answer to one of them after that is one too many."""


@dataclass
class Said:
    """One utterance of the household."""

    number: int
    since: float
    """The call that went before it, or its first word."""
    ends_at: float
    waits_from: float
    """What 20 s are counted from: its end, or the end of a tool or a question in between."""
    owed: bool
    down_s: float
    """So long the line had been down before its call."""
    fate: str = ""
    """Why no answer is owed any more: told, taken back, muted, nothing to say."""
    answers: list[Given] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Neither answered, as far as we have heard, nor settled otherwise."""
        return self.owed and not self.fate

    def limit_at(self, down_s: float) -> float:
        """A reason that is heard later is none."""
        return self.waits_from + _limit_s(down_s - self.down_s)


def _limit_s(down_s: float) -> float:
    """How long one may wait: longer by the time for which the line was down meanwhile."""
    return min(OFFLINE_WITHIN_S, WITHIN_S + down_s)


class Answers(Rule):
    """Every finished utterance is answered once, or a reason of its own is audible within 20 s of
    its end (a minute while the line is down).  None twice, none torn, each in its turn.

    Owed is what was said after a call or in a window that the light shows; a yes or no to a
    question of ours has its answer in what becomes of the call.  Not owed any more: what mute
    dropped, what the person cut or took back, and what completed with nothing to say (not a word,
    or the tool for it).
    """

    number = 5

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._said: dict[int, Said] = {}
        self._given: dict[int, Given] = {}
        """Answer → what the model was asked."""
        self._heard: dict[int, float] = {}
        """Answer → milliseconds of it, in the order in which the answers were heard."""
        self._judged: deque[int] = deque(maxlen=REMEMBERED)
        self._window_until = NEVER
        """Until then somebody who speaks without a call is listened to."""
        self._lit_at = NEVER
        self._spoke_at = NEVER
        """Somebody was last heard to speak."""
        self._sent_at = NEVER
        """A turn was last sent: a call before that was a part of it."""
        self._asks = False
        """A question of ours waits; the light listens for its answer."""
        self._reasons: list[str] = []
        self._told_at = NEVER
        self.fates: dict[int, str] = {}
        """Utterance → what became of it: answered, told, taken back, muted, lost, nobody's."""
        self.doubled: list[int] = []
        self.torn: list[int] = []

    # --- what goes on ---------------------------------------------------------------------

    def event(self, event: e.Event) -> Found:
        match event:
            case e.HeardFrame(wake=None, speech=False):
                pass
            case e.HeardFrame():
                self._spoke_at = self.scene.now
                if event.wake is not None and self.scene.woken_at == self.scene.now:
                    self._goes_on()
                elif self.scene.light == "listening" and event.speech:
                    self._listens_for(self.scene.household.quiet_end_s)
            case e.ButtonPressed(button="talk"):
                self._goes_on()
            case e.ToolFinished():
                self._waits_anew()
            case e.DeviceDown() | e.StopRequested():
                self._settle("house")
            case e.ResponseEnded() if self.scene.is_silence(event):
                self._settle("nothing to say")
            case _:
                pass
        return ()

    def command(self, command: c.Command, step: Step) -> Found:
        household, light = self.scene.household, self.scene.light
        match command:
            case c.ShowLight(light="listening"):
                answered = light in ("speaking", "thinking", "confirming")
                self._window_until = NEVER
                self._listens_for(household.follow_up_s if answered else household.quiet_end_s)
                self._lit_at = self.scene.now
            case c.ShowLight():
                self._window_until = NEVER
                self._lit_at = self.scene.now
            case c.PlaySentence(name="still_waiting"):
                self._waits_anew()  # told in time that it goes on; how it ends is owed in time, too
            case c.PlaySentence() if command.name not in NO_REASONS:
                self._reasons.append(command.name)
            case c.AddToolOutput():
                self._waits_anew()
            case c.RunTool() | c.Note(code="tool.refused"):
                self._asks = False
            case c.Note(code="consent.asked"):
                self._asks = True
            case c.Note(code="talk.turn_sent"):
                self._sent_at = self.scene.now
            case c.SaveMute(muted=True):
                self._settle("muted")
            case c.CutPlayback() if isinstance(step.event, e.HeardFrame):
                self._goes_on()  # they talk over it, or call: that takes it back
            case c.CutPlayback() if isinstance(step.event, e.UserSpeechStarted):
                # The server's word alone takes nothing back.
                self._goes_on(said_before=self._spoke_at - LABEL_LAG_S)
        return ()

    def after(self, step: Step) -> Found:
        """A reason ends the talk, or is about the answer; any other only asks for patience."""
        for name in self._reasons:
            if self.scene.asleep or name == "too_old" or name.startswith("response."):
                self._told_at = self.scene.now
                for said in self._open():
                    if said.since <= self.scene.now <= said.limit_at(self.scene.down_s):
                        said.fate = "told"
        self._reasons.clear()
        return ()

    def _open(self) -> list[Said]:
        return [said for said in self._said.values() if said.is_open]

    def _settle(self, fate: str) -> None:
        for said in self._open():
            said.fate = fate

    def _waits_anew(self) -> None:
        for said in self._open():
            said.waits_from = max(said.waits_from, self.scene.now)

    def _listens_for(self, seconds: float) -> None:
        self._window_until = max(self._window_until, self.scene.now + seconds - ONSET_S)

    def _goes_on(self, said_before: float = float("inf")) -> None:
        """The household calls, presses or speaks on: what it said just before is not waited for,
        unless the speaker has behaved since as if it were done with it."""
        scene = self.scene
        if scene.asleep:
            return
        for said in self._open():
            listens = scene.light == "listening" and not self._asks
            done_with = (listens and self._lit_at > said.ends_at) or said.ends_at >= said_before
            if not done_with and scene.now <= said.limit_at(scene.down_s):
                said.fate = "taken back"

    # --- what was said, given and heard --------------------------------------------------------

    def record(self, record: Record) -> Found:
        match record:
            case Utterance():
                self._says(record)
            case Given():
                self._given[record.answer] = record
                if record.number in self._said:
                    self._said[record.number].answers.append(record)
            case Heard():
                yield from self._hears(record)
            case _:
                pass

    def _says(self, record: Utterance) -> None:
        scene = self.scene
        self._goes_on()
        just_called = record.at - scene.called_at < CALL_BEFORE_S
        # Between the call and the first word a press sends it back to sleep, and the call itself
        # may have been said into a closed microphone.  A call that was a part of the turn before
        # it holds while the light shows that somebody is there for it.
        undone_at = max(scene.pressed_at, scene.opened_at)
        if (scene.asleep or not scene.link_up) and self._sent_at <= record.at:
            undone_at = max(undone_at, self._sent_at)
        called = record.called and record.at - undone_at >= CALL_BEFORE_S
        owed = not (scene.muted or record.reply) and (
            called or record.at <= self._window_until or scene.light == "speaking"
        )
        since = scene.called_at if just_called else record.at
        self._said[record.number] = said = Said(
            record.number, since, record.ends_at, record.ends_at, owed, scene.down_s
        )
        if self._told_at >= since:  # between the call and the first word
            said.fate = "told"

    def _hears(self, record: Heard) -> Found:
        given = self._given.get(record.answer)
        if given is not None and record.answer not in self._heard:
            latest = max((self._given[answer].number for answer in self._heard), default=0)
            if 0 < given.number < latest:
                yield "answers.order", f"utterance {given.number} is answered after {latest}"
            if given.anew and given.number in self._judged:
                self.doubled.append(given.number)
                yield "answers.twice", f"utterance {given.number} is answered anew, much later"
        if given is not None:
            self._heard[record.answer] = self._heard.get(record.answer, 0.0) + record.ms

    # --- the judgement ---------------------------------------------------------------------

    def end(self, at: float) -> Found:
        for said in self._said.values():
            if said.number not in self.fates:
                yield from self._judge(said)

    def _judge(self, said: Said) -> Found:
        number = said.number
        heard = [given for given in said.answers if self._heard.get(given.answer, 0.0) > 0]
        if self._is_doubled(heard):
            self.doubled.append(number)
            yield "answers.twice", f"utterance {number} was answered anew after it was answered"
        self.fates[number] = fate = "answered" if heard else said.fate or "lost"
        if not said.owed:
            self.fates[number] = "nobody's"
        elif heard:
            # With a fresh answer the words came along; what followed a tool had them before it.
            anew = [given for given in heard if given.anew and not given.after_tool]
            share = max(given.share for given in anew or said.answers)
            if share < WHOLE and said.fate not in ("taken back", "muted"):
                self.torn.append(number)
                yield "answers.torn", f"the model had {share:.0%} of utterance {number}"
        elif fate == "lost":
            yield "answers.lost", f"utterance {number} got no answer and no reason in time"

    def _is_doubled(self, heard: list[Given]) -> bool:
        """Once an answer was heard, nothing begins anew, however short."""
        order = list(self._heard)
        anew = sorted((g for g in heard if g.anew), key=lambda given: order.index(given.answer))
        return any(self._heard[given.answer] >= HEARD_MS for given in anew[:-1])

    def counts(self) -> Counter[str]:
        """How often each fate was met."""
        return Counter(self.fates.values())

    def forget(self) -> None:
        self._judged.extend(n for n, fate in self.fates.items() if fate == "answered")
        for kept in (self._said, self._given, self._heard, self.fates):
            kept.clear()
        self.doubled.clear()
        self.torn.clear()
