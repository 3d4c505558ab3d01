"""Consent: which tool calls may run, and the one question that is open.

Thread: event loop; pure.  Consent must never be granted by the model, by a tool, by our own voice
or by what was said before the question had been heard to its end.

What a risk needs is data (`decide`).  A question goes ASKING → OPEN → ANSWERING and is bound to one
call with exactly its arguments: the call that may run is the very object that was asked about.
Several calls that need consent are asked about one after another, in the order in which the model
made them, so that every yes belongs to one call.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum

from edge_agent.contract.events import ToolCall
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.calls.wording import canonical
from edge_agent.dialogue.calls.yes_no import Answer, read_answer

TRIES_MAX = 2
"""An answer that is no plain yes or no is asked for once more, then it counts as no."""
REFUSALS_MAX = 3
"""So often in one talk the household may be asked for the very same thing and not agree."""
TOOL_REFUSALS_MAX = 2
"""So often from one wake to the next it may not agree to a tool, whatever its details: who has said
no twice does not want to be asked a third time in other words."""
ITEMS_MAX = 256
"""Far more than stay in a session."""
WAITING_MAX = 8
"""Questions in line behind the open one.  A talk has two or three; more would hold the household
for minutes, whoever made the model ask them."""
PRESS_MIN_S = 0.03
"""Shorter is no finger: a contact that bounces, or a spike on a long wire."""
PRESS_AFTER_S = 0.4
"""A press so soon after the question's end began as something else: nobody decides that fast."""
ANSWER_MAX_S = 45.0
"""From the first sound of an answer to its reading: the longest utterance and a late transcript."""


class Way(Enum):
    """What has to happen before a call may run."""

    AT_ONCE = "at once"
    VOICE = "voice"
    BUTTON = "button"
    NEVER = "never"


class Stage(Enum):
    """How far a question is."""

    ASKING = "asking"
    """Being spoken, or about to be: nothing that is heard now answers it."""
    OPEN = "open"
    """Heard to its end: an answer may begin."""
    ANSWERING = "answering"
    """Somebody's answer is being said, or read."""


class Verdict(Enum):
    """What an answer in words leads to."""

    GRANTED = "granted"
    DENIED = "no"
    AGAIN = "again"
    UNCLEAR = "unclear"
    UNREADABLE = "unreadable"
    EXPIRED = "expired"


def decide(risk: Risk, *, guest: bool, by_voice: bool) -> Way:
    """What a call of that risk needs; `guest`: guest mode is on, `by_voice`: words can be heard."""
    if risk is Risk.LOW:
        return Way.AT_ONCE
    if guest:
        return Way.NEVER
    return Way.VOICE if risk is Risk.MEDIUM and by_voice else Way.BUTTON


@dataclass(slots=True)
class Question:
    """One question, and how it is being asked."""

    call: ToolCall
    way: Way
    stage: Stage = Stage.ASKING
    tries: int = 1
    asked_at: float = float("inf")
    opened_at: float = float("inf")
    closes_at: float = float("inf")
    text: str = ""
    """The name of the text that asks it; "" before it is asked."""
    began_at: float | None = None
    """When that text became audible."""
    cuts: int = 0
    """So often it was cut short."""
    pressed_at: float | None = None
    """The button went down to agree, and is not up again yet."""
    quiet_frames: int = 0
    """So many frames without speech, since it was heard to its end."""
    others_frames: int = 0
    """So many of speech, before anybody was listened to."""
    talked_over_at: float = float("-inf")
    """Somebody spoke while it sounded, and did not cut it."""
    item: str = ""
    """The household's item that answers it."""


class Consent:
    """The open question, those that wait behind it, and what was not agreed to."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._question: Question | None = None
        self._waiting: deque[Question] = deque()
        self._refused: dict[tuple[str, str], tuple[int, int]] = {}
        """(name, arguments) → how often, and in which turn of the household the last time."""
        self._refused_tools: Counter[str] = Counter()
        """Tools that the household did not agree to since it last woke us."""
        self._turns = 0
        self._items: dict[str, None] = {}

    @property
    def pending(self) -> Question | None:
        """The open question, if any."""
        return self._question

    def waits(self, call: ToolCall) -> bool:
        """Is the very same thing being asked about already?"""
        asked = [*self._waiting, *([self._question] if self._question else [])]
        return any(is_same(question.call, call) for question in asked)

    def may_ask(self, call: ToolCall) -> bool:
        """Not agreed to: only after the household has spoken again, and not for ever."""
        times, turn = self._refused.get(_key(call), (0, -1))
        return times < REFUSALS_MAX and turn < self._turns

    def is_unwanted(self, name: str) -> bool:
        """Has the household not agreed to that tool so often that it is not asked again?"""
        return self._refused_tools[name] >= TOOL_REFUSALS_MAX

    def is_fresh(self, item: str) -> bool:
        """The server names an item of the household's: is it the first time in this session?

        One from before a question does not answer it.
        """
        fresh = item not in self._items
        if fresh and item:
            self._items[item] = None
            if len(self._items) > ITEMS_MAX:
                del self._items[next(iter(self._items))]
        return fresh

    def woken(self) -> None:
        """The household calls: what it did not want before, it may want now."""
        self._refused_tools.clear()

    @property
    def is_full(self) -> bool:
        """No further question can be put in line."""
        return len(self._waiting) >= WAITING_MAX

    def household_spoke(self) -> None:
        """A turn that was no answer to a question."""
        self._turns += 1

    def talk_over(self) -> None:
        """The next talk may ask anew."""
        self._refused.clear()

    # --- asking -------------------------------------------------------------------------

    def ask(self, call: ToolCall, way: Way) -> None:
        """Put a question in line; `next` opens it when its turn has come."""
        self._waiting.append(Question(call, way))

    def next(self, at: float) -> Question | None:
        """The question that is to be asked now; None: one is open, or there is none."""
        if self._question is not None or not self._waiting:
            return None
        self._question = self._waiting.popleft()
        self._question.asked_at = at
        return self._question

    def heard_out(self, at: float) -> None:
        """The question has been audible to its end: from now on it can be answered."""
        question = self._question
        if question is not None and question.stage is Stage.ASKING:
            question.stage = Stage.OPEN
            question.opened_at, question.closes_at = at, at + self._window_s

    def by_button(self) -> Question | None:
        """Words could not be read: the button has to do.  The open question, if there is one."""
        if self._question is not None:
            self._question.way, self._question.stage = Way.BUTTON, Stage.ASKING
        return self._question

    # --- answers ------------------------------------------------------------------------

    def press_began(self, at: float, silent_since: float = float("-inf")) -> bool:
        """The button went down at `at`; False when that is too early to agree to anything.

        `silent_since`: when we last ended to say something, of which the question was not the last.
        """
        question = self._question
        if question is None or question.stage is not Stage.OPEN:
            return False
        question.pressed_at = None
        if not max(question.opened_at, silent_since) + PRESS_AFTER_S <= at < question.closes_at:
            return False
        question.pressed_at = at
        return True

    def press_ended(self, at: float) -> ToolCall | None:
        """The button came up again: the call that may run now, exactly as it was asked."""
        question = self._question
        if (
            question is None
            or question.pressed_at is None
            or at - question.pressed_at < PRESS_MIN_S
        ):
            return None
        return self._settle().call

    def press_means_mute(self) -> None:
        """The button stays down, and that is no agreement."""
        if self._question is not None:
            self._question.pressed_at = None

    def answer_began(self, at: float) -> bool:
        """Somebody begins to speak at `at`; False when that is no answer to the question."""
        question = self._question
        if question is None or question.stage is not Stage.OPEN or question.way is not Way.VOICE:
            return False
        if not question.opened_at <= at < question.closes_at:
            return False
        question.stage = Stage.ANSWERING
        question.item = ""
        question.closes_at = at + ANSWER_MAX_S
        return True

    def read(self, words: str | None, at: float) -> tuple[Verdict, ToolCall | None]:
        """The answer's words (None: no transcript came), and the call if it may run now.

        AGAIN and UNREADABLE leave the question open, to be asked another time; all other
        verdicts but GRANTED leave it to `refuse`.
        """
        question = self._question
        if question is None or question.stage is not Stage.ANSWERING or at >= question.closes_at:
            return Verdict.EXPIRED, None
        if words is None:
            return Verdict.UNREADABLE, None
        answer = read_answer(words)
        if answer is Answer.YES:
            return Verdict.GRANTED, self._settle().call
        if answer is Answer.NO:
            return Verdict.DENIED, None
        if question.tries >= TRIES_MAX:
            return Verdict.UNCLEAR, None
        self._question = Question(
            question.call, question.way, tries=question.tries + 1, asked_at=question.asked_at
        )
        return Verdict.AGAIN, None

    # --- without consent ----------------------------------------------------------------

    def refuse(self, *, by_household: bool) -> ToolCall | None:
        """The open question is over without consent; the call that must not run.

        `by_household`: it was asked, and did not agree.
        """
        if self._question is None:
            return None
        call = self._settle().call
        times, _ = self._refused.get(_key(call), (0, 0))
        self._refused[_key(call)] = (times + 1, self._turns)
        self._refused_tools[call.name] += by_household
        return call

    def session_lost(self) -> list[ToolCall]:
        """Another session may use the same names for its items; the calls that must not run."""
        self._items.clear()
        return self.withdraw()

    def withdraw(self) -> list[ToolCall]:
        """No question stands any longer, and nobody said no; the calls that must not run."""
        asked = [*([self._question] if self._question else []), *self._waiting]
        self._question = None
        self._waiting.clear()
        return [question.call for question in asked]

    def _settle(self) -> Question:
        question, self._question = self._question, None
        assert question is not None
        return question


def is_same(one: ToolCall, other: ToolCall) -> bool:
    """Would both do the same, however their arguments are written?"""
    return _key(one) == _key(other)


def _key(call: ToolCall) -> tuple[str, str]:
    return call.name, canonical(call.arguments)
