"""Core of the talk: its state, its deadlines, and the few moves that every part makes (purpose).

Owner thread: event loop.  Must never handle an event: `listening`, `speaking` and `manager` do,
one journey each, and stand on this.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.asides import Answered, Asides
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.gate import Gate, GateState
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.talk.states import TRANSITIONS, Cause, IllegalMove, Link, Microphone, Talk
from edge_agent.dialogue.turn import UserTurn

Commands = list[c.Command]

OUTLIVE_TALK = ("long press", "ring", "alarm over", "aside", "summary", "settled", "forget")
"""Deadlines that have nothing to do with the talk and stay when it ends."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What the pending `CutPlayback` is for: interrupt · sleep · hush · stop."""

    kind: str
    cause: str
    at: float


class TalkCore:
    """State of one talk.  `link`, `microphone`, `talk` are readable for status and tests."""

    def __init__(
        self, config: DialogueConfig, *, muted: bool = False, spending: Spending | None = None
    ) -> None:
        self.config = config
        self.link = Link.DOWN
        self.microphone = Microphone.MUTED if muted else Microphone.OPEN
        self.talk = Talk.ASLEEP
        self.strict = False
        """Raise `IllegalMove`.  For tests: a speaker in service had better go on."""
        self.slips: Counter[tuple[str, ...]] = Counter()
        """Our own mistakes of each kind: the code of the note and its fields."""
        self._slip_notes: Commands = []
        """Those that were not handed out yet."""
        self._now = float("-inf")
        self._deadlines: dict[str, float] = {}
        keep_ms = max(config.pre_roll_ms, config.interrupt_pre_roll_ms) + config.one_breath_ms
        self._gate = Gate(keep_ms)
        self._barge_in = BargeIn(
            config.barge_in_window_frames,
            config.barge_in_speech_frames,
            config.barge_in_hold_off_ms,
        )
        self._turn: UserTurn | None = None
        self._answers = Answers()
        self._asides = Asides()
        self._tools = ToolCalls(
            config.tool_risks, config.flow, config.tool_terms, window_s=config.confirm_s
        )
        self._memory = Memory(config.memory_turns, config.memory_audio_s)
        self._spending = spending or Spending()
        self._intent: Intent | None = None
        self._breath_from: float | None = None
        self._woken_at = float("-inf")
        self._turn_ended_at: float | None = None
        self._answer_audible = False
        self._broken_answer = False
        self._unanswered = False
        """The server cancelled the answer to the last turn; somebody should go on speaking."""
        self._explained: set[str] = set()
        """Why nobody answers, as the household was told since it last heard an answer whole."""
        self._asked_again_since: float | None = None
        """When the answer still owed was first asked for in a fresh session."""
        self._commits_due = 0
        """Commits of ours that the server has not acknowledged yet."""
        self._sentences = 0
        self._device_ok = True
        self._link_trouble: e.LinkDown | None = None
        self._stopping = False

    def _interrupt(self, cause: str, at: float) -> Commands:
        """The one door for every cause that ends our own speech."""
        if self._intent is None:
            self._intent = Intent("interrupt", cause, at)
            return [c.CutPlayback()]
        return []

    def _hush(self) -> Commands:
        """A person speaks while one of our own sentences plays."""
        if self._sentences == 0 or self._intent is not None:
            return []
        self._intent = Intent("hush", "speech", self._now)
        return [c.CutPlayback()]

    def _give_up(self, why: str) -> Commands:
        """Back to sleep; what was streamed and not committed is forgotten by the server too."""
        out: Commands = []
        turn, self._turn = self._turn, None
        if self._gate.state is GateState.OPEN or (turn is not None and not turn.ended):
            out.append(c.ClearAudio())
        owed = turn is not None and (turn.ended or turn.server_heard)
        out += self._answers.abandon(owed=owed)
        self._breath_from = None
        self._broken_answer = self._unanswered = False
        self._explained.clear()
        self._asked_again_since = None
        self._deadlines = {k: v for k, v in self._deadlines.items() if k in OUTLIVE_TALK}
        out += self._tools.withdraw("gone")
        out += self._tools.talk_over()
        if self.talk is not Talk.ASLEEP:
            self._go(Cause.GAVE_UP)
            out.append(c.Note("talk.asleep", {"why": why}))
        self._rest()
        return out

    def _rest(self) -> None:
        """The gate between talks: shut, or armed where the microphone is always open."""
        always = self.config.mode == "always" and self.talk is Talk.ASLEEP
        if always and self.microphone is Microphone.OPEN and self._device_ok:
            self._arm_at_once()
        else:
            self._gate.shut()

    def _arm_at_once(self) -> None:
        """Listen from now on; a first sound that began just before is sent, not counted."""
        if self.microphone is Microphone.OPEN:
            onset_s = self.config.onset_pre_roll_ms / 1000
            self._gate.arm(self._now, self._now - onset_s)

    def _ask_aside(
        self,
        kind: str,
        instructions: str,
        then: Answered,
        *,
        items: tuple[str, ...] | None = None,
        question: str = "",
        within_s: float,
    ) -> Commands:
        """Ask the model something beside the talk, if there is a session; see `Asides.ask`."""
        if self.link is not Link.READY:
            return then(None)
        due_at = self._now + within_s
        out = self._asides.ask(
            kind, instructions, then, items=items, question=question, due_at=due_at
        )
        self._watch_asides()
        return out

    def _watch_asides(self) -> None:
        due_at = self._asides.next_due_at()
        if due_at is None:
            self._clear("aside")
        else:
            self._deadlines["aside"] = due_at

    @property
    def _sounding(self) -> bool:
        """Does our own voice come from the speaker, or is it about to?"""
        return self._sentences > 0 or bool(self._answers.speaking)

    def _say(self, name: str) -> c.PlaySentence:
        self._sentences += 1
        return c.PlaySentence(name)

    def _go(self, cause: Cause) -> None:
        after = TRANSITIONS.get((self.talk, cause))
        if after is not None:
            self.talk = after
        elif self.strict:
            raise IllegalMove(f"{self.talk.value}: {cause.value}")
        else:
            move = {"state": self.talk.value, "cause": cause.value}
            self._slipped(c.Note("dialogue.illegal_move", move))

    def _slipped(self, note: c.Note) -> None:
        """Count a mistake of our own; note the first of its kind."""
        kind = (note.code, *map(str, note.fields.values()))
        self.slips[kind] += 1
        if self.slips[kind] == 1:
            self._slip_notes.append(note)

    def _at(self, name: str, in_s: float) -> None:
        self._deadlines[name] = self._now + in_s

    def _clear(self, *names: str) -> None:
        for name in names:
            self._deadlines.pop(name, None)
