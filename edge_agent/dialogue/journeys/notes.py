"""Notes: the old part of a long talk gives way to a summary of it.

    asked → made → sent (the notes are on their way) → taken → the old items are deleted

`advance` takes the next step, in a quiet moment only.  Until the last one nothing is forgotten
here, so that a lost session costs no more than the question.

Thread: event loop; pure.  It never touches the talk while somebody speaks or waits, removes a word
before the server has the notes in its place, or holds up anything: without summaries the talk goes
on as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers, crossed
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.journeys.costs import Costs
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.items import Remembered, ServerItems
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.recall.summaries import WISH, Policy, as_item, as_text, shortened
from edge_agent.dialogue.side_questions import SideQuestions
from edge_agent.dialogue.state import Commands, Deadline, Link, Microphone, Talk, TalkState

ANSWER_MAX_S = 30.0
"""A model that thinks first may need 10 s for a page of notes; nobody waits for them."""
SETTLED_S = 240.0
"""Asleep for so long: nobody goes on at once any more.  The provider's cache, which keeps a talk
for some five minutes, still serves the question, and is going to lose the rest anyway."""
TAKEN_MAX_S = 10.0
"""An insertion is acknowledged at once, or it was lost."""
STEP_KEPT_S = 4 * 3600.0
"""Asleep for so long, a guided talk begins anew although its words are still remembered: longer
than a pause within it (a nap, dough that rises), shorter than from one evening to the next, also if
somebody asks for the time in between."""
LATER_S = 60.0
"""A talk that is to be closed can wait for a quiet moment."""


@dataclass(slots=True)
class Summary:
    """One summary in the making: of all entries up to `number`, which are `items` there."""

    tag: str
    number: int
    items: tuple[str, ...]
    begun_at: float
    text: str = ""
    item: str = ""
    """Its own item, once it is on its way."""
    is_taken: bool = False


class Notes:
    """What the server holds of the talk, and what takes the place of the oldest of it."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        answers: Answers,
        memory: Memory,
        side_questions: SideQuestions,
        costs: Costs,
        tools: ToolCalls,
    ) -> None:
        self._state = state
        self._moves = moves
        self._answers = answers
        self._memory = memory
        self._side_questions = side_questions
        self._costs = costs
        self._tools = tools
        self._policy = Policy(state.config.summaries)
        self._asleep_since: float | None = None
        self.items = ServerItems()
        self.making: Summary | None = None

    # --- what was said and sent --------------------------------------------------------------

    def response_ended(self, event: e.ResponseEnded) -> Commands:
        """Which calls the model made, and how much it had to read.  To be told before `Answers`."""
        ours = self._answers.active == event.response and self._answers.wants(event.response)
        if ours and event.status != "failed":
            self._memory.called(event.calls)
        if event.usage is not None:
            usage = event.usage
            self._policy.used(usage.text_in + usage.audio_in + usage.image_in)
        return []

    def item_added(self, event: e.ItemAdded) -> Commands:
        """The server has taken an item."""
        self.items.added(event)
        making = self.making
        if making is not None and making.item == event.item:
            making.is_taken = True
            self._state.deadlines.clear(Deadline.SUMMARY)
        return []

    def item_deleted(self, event: e.ItemDeleted) -> Commands:
        """The server has removed an item."""
        self.items.deleted(event.item)
        return []

    def sent(self, commands: Commands) -> None:
        """These leave for the server."""
        for command in commands:
            if isinstance(command, c.AddMessage | c.DeleteItem):
                self.items.sent(command)
            if isinstance(command, c.AddToolOutput):
                self._memory.call_answered(command.call_id, command.output)

    def session_over(self) -> None:
        """The session is over; notes that were made of it are kept all the same."""
        making, self.making = self.making, None
        self._state.deadlines.clear(Deadline.SUMMARY)
        if making is not None and making.text:
            self._memory.fold(making.text, making.number)
            self._policy.made()
        self.items.session_over()

    # --- a summary ---------------------------------------------------------------------------

    def advance(self) -> Commands:
        """The next step, if its time has come."""
        if self._state.link is not Link.READY or not self._moves.nothing_goes_on:
            return []
        if self._state.microphone is Microphone.MUTED:
            return []  # nobody is told anything of the talk
        making = self.making
        if making is None:
            return self._ask_for_summary()
        if making.is_taken:
            return self._replace_by(making)
        if making.text and not making.item:
            return self._insert(making)
        return []

    def _ask_for_summary(self) -> Commands:
        memory, keep = self._memory, self._state.config.summaries.keep_turns
        since = self._asleep_since
        settled = since is not None and self._state.now - since >= SETTLED_S
        if not self._policy.due(memory.turns, memory.said, settled=settled):
            return []
        if not self._costs.may_start_turn(by_button=False):
            return []
        old = memory.older_than(keep)
        number = old[-1].number if old else 0
        items = tuple(i.id for i in self.items.older_than(memory.items_after(number), keep))
        by_text = self._state.config.summaries.how == "text"
        if not old or not items or (by_text and _is_mostly_sound(old)):
            return []
        making = Summary(memory.next_id("notes"), number, items, self._state.now)
        self.making = making
        if by_text:
            self._state.deadlines.set(Deadline.SUMMARY, ANSWER_MAX_S)
            return [c.Summarise(making.tag, WISH, as_text(memory.summary, old))]
        return self._side_questions.ask(
            "summary",
            "",
            lambda answer: self._made(making, answer.text if answer else ""),
            items=items,
            question=WISH,
            within_s=ANSWER_MAX_S,
        )

    def summary_made(self, event: e.SummaryMade) -> Commands:
        """The text model has answered."""
        making = self.making
        if making is None or making.tag != event.tag or making.text:
            return []  # it was given up
        self._state.deadlines.clear(Deadline.SUMMARY)
        return self._made(making, event.text if event.ok else "")

    def _made(self, making: Summary, text: str) -> Commands:
        if making is not self.making:
            return []  # its session is over
        making.text = shortened(text)
        return [] if making.text else self._no_summary("no answer")

    def _insert(self, making: Summary) -> Commands:
        making.item = self._memory.next_id("summary")
        self._state.deadlines.set(Deadline.SUMMARY, TAKEN_MAX_S)
        return [c.AddMessage(making.item, "system", as_item(making.text), after="root")]

    def _replace_by(self, making: Summary) -> Commands:
        """The server has the notes: what they hold may go, outputs before their calls."""
        self.making = None
        gone = [item for item in making.items if item in self.items]
        turns = self._memory.fold(making.text, making.number, making.item)
        self._policy.made()
        seconds = round(self._state.now - making.begun_at, 1)
        fields = {"turns": turns, "items": len(gone), "seconds": seconds}
        return [*(c.DeleteItem(i) for i in reversed(gone)), c.Note("memory.summarised", fields)]

    def overdue(self) -> Commands:
        """The notes have not been made, or not been taken, in time."""
        return self._no_summary("not taken" if self.making and self.making.item else "no answer")

    def complained(self, event: e.ServerComplained) -> Commands:
        """The server complained about something: about our notes?"""
        making = self.making
        mine = making is not None and making.item and event.about.endswith(f" {making.item}")
        return self._no_summary("not taken") if mine and not crossed(event) else []

    def _no_summary(self, why: str) -> Commands:
        """Nothing has changed; try again later, and ever later."""
        making, self.making = self.making, None
        self._state.deadlines.clear(Deadline.SUMMARY)
        self._policy.failed(self._memory.said)
        told = c.Note("memory.no_summary", {"why": why, "failures": self._policy.failures})
        # In case it arrived and only the word of it was lost.
        out: Commands = [c.DeleteItem(making.item)] if making is not None and making.item else []
        return [*out, told]

    # --- a talk that nobody goes on with -------------------------------------------------------

    def track_idle(self) -> None:
        """How long has nobody come?  A short sleep is a good time for notes, a long one closes the
        talk: whoever comes then does not mean last night's."""
        if self._state.talk is not Talk.ASLEEP:
            self._asleep_since = None
            self._state.deadlines.clear(Deadline.SETTLED, Deadline.FORGET, Deadline.STEP)
            return
        if self._tools.is_under_way and Deadline.STEP not in self._state.deadlines:
            self._state.deadlines.set(Deadline.STEP, STEP_KEPT_S)
        if self._asleep_since is None and self._memory:
            self._asleep_since = self._state.now
            if self._state.config.summaries.how != "off":
                self._state.deadlines.set(Deadline.SETTLED, SETTLED_S)
            if self._state.config.forget_after_h:
                self._state.deadlines.set(Deadline.FORGET, self._state.config.forget_after_h * 3600)

    def leave_step(self) -> Commands:
        """Whoever comes after so long a sleep means another walk; who is just there does not."""
        return self._tools.begin_anew() if self._state.talk is Talk.ASLEEP else []

    def close_talk(self) -> Commands:
        """Nobody has come for so long that nobody goes on with this."""
        if not self._moves.nothing_goes_on:
            self._state.deadlines.set(Deadline.FORGET, LATER_S)
            return []
        self.making = None
        self._state.deadlines.clear(Deadline.SUMMARY)
        turns = self._memory.turns
        self._memory.forget()
        gone = reversed(self.items.ids())
        deletions = [c.DeleteItem(item) for item in gone]
        closed = c.Note("memory.closed", {"turns": turns})
        return [*deletions, closed, *self._tools.begin_anew()]


def _is_mostly_sound(entries: Sequence[Remembered]) -> bool:
    """Are more than a quarter of the household's turns not written down?  Notes from words alone
    would leave them out; the server, which has heard them, had better keep them."""
    spoken = [bool(entry.text) for entry in entries if entry.role == "user"]
    return 4 * spoken.count(False) > len(spoken)
