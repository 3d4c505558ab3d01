"""Remembering: the old part of a long talk gives way to a summary of it (purpose).

Owner thread: event loop.  Must never touch the talk while somebody speaks or waits, remove a word
before the server has the notes in its place, or hold up anything: without summaries the talk goes
on as it is.

    asked → made → sent (the notes are on their way) → taken → the old items are deleted

Each step is taken in a quiet moment.  Until the last one nothing is forgotten here, so that a lost
session costs no more than the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.recall.items import ServerItems
from edge_agent.dialogue.recall.memory import Remembered
from edge_agent.dialogue.recall.summaries import WISH, Policy, as_item, as_text, shortened
from edge_agent.dialogue.talk.speaking import Speaking
from edge_agent.dialogue.talk.states import Link, Talk
from edge_agent.dialogue.talk.talk_core import Commands

ANSWER_MAX_S = 30.0
"""A model that thinks first may need 10 s for a page of notes; nobody waits for them."""
SETTLED_S = 240.0
"""Asleep for so long: nobody goes on at once any more.  The provider's cache, which keeps a talk
for some five minutes, still serves the question, and is going to lose the rest anyway."""
TAKEN_MAX_S = 10.0
"""An insertion is acknowledged at once, or it was lost."""
LATER_S = 60.0
"""Closing an old talk has no hurry."""


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


class Remembering(Speaking):
    """Memory's journey: what the server holds, and what takes the place of the oldest of it."""

    def __init__(
        self, config: DialogueConfig, *, muted: bool = False, spending: Spending | None = None
    ) -> None:
        super().__init__(config, muted=muted, spending=spending)
        self._items = ServerItems()
        self._policy = Policy(config.summaries)
        self._making: Summary | None = None
        self._asleep_since: float | None = None

    @property
    def _nothing_goes_on(self) -> bool:
        """Nobody speaks, is spoken to or waits, and nothing is owed."""
        listening = self.talk is Talk.LISTENING and self._turn is None and self._breath_from is None
        busy = self._answers.pending or self._tools.waiting or self._sounding
        return (self.talk is Talk.ASLEEP or listening) and not busy

    # --- what was said and sent --------------------------------------------------------------

    def _response_ended(self, event: e.ResponseEnded) -> Commands:
        ours = self._answers.active == event.response and self._answers.wants(event.response)
        if ours and event.status != "failed":
            self._memory.called(event.calls)
        if event.usage is not None:
            usage = event.usage
            self._policy.used(usage.text_in + usage.audio_in + usage.image_in)
        return super()._response_ended(event)

    def _item_added(self, event: e.ItemAdded) -> Commands:
        self._items.added(event)
        making = self._making
        if making is not None and making.item == event.item:
            making.is_taken = True
            self._clear("summary")
        return []

    def _item_deleted(self, event: e.ItemDeleted) -> Commands:
        self._items.deleted(event.item)
        return []

    def _remember(self, sent: Commands) -> Commands:
        """Look at what leaves for the server; hands it on."""
        for command in sent:
            if isinstance(command, c.AddMessage | c.DeleteItem):
                self._items.sent(command)
            if isinstance(command, c.AddToolOutput):
                self._memory.call_answered(command.call_id, command.output)
        return sent

    def _forget_session(self) -> None:
        """The session is over; notes that were made of it are kept all the same."""
        making, self._making = self._making, None
        self._clear("summary")
        if making is not None and making.text:
            self._memory.fold(making.text, making.number)
            self._policy.made()
        self._items.session_over()

    # --- a summary ---------------------------------------------------------------------------

    def _tend_memory(self) -> Commands:
        """The next step, if its time has come."""
        if self.link is not Link.READY or not self._nothing_goes_on:
            return []
        making = self._making
        if making is None:
            return self._ask_for_summary()
        if making.is_taken:
            return self._replace_by(making)
        if making.text and not making.item:
            return self._insert(making)
        return []

    def _ask_for_summary(self) -> Commands:
        memory, keep = self._memory, self.config.summaries.keep_turns
        since = self._asleep_since
        settled = since is not None and self._now - since >= SETTLED_S
        if not self._policy.due(memory.turns, memory.said, settled=settled):
            return []
        if not self._spending.may_start_turn(by_button=False):
            return []
        old = memory.older_than(keep)
        number = old[-1].number if old else 0
        items = tuple(i.id for i in self._items.older_than(memory.items_after(number), keep))
        by_text = self.config.summaries.how == "text"
        if not old or not items or (by_text and _is_mostly_sound(old)):
            return []
        making = Summary(memory.next_id("notes"), number, items, self._now)
        self._making = making
        if by_text:
            self._at("summary", ANSWER_MAX_S)
            return [c.Summarise(making.tag, WISH, as_text(memory.summary, old))]
        return self._ask_aside(
            "summary",
            "",
            lambda answer: self._summary_made(making, answer.text if answer else ""),
            items=items,
            question=WISH,
            within_s=ANSWER_MAX_S,
        )

    def _summary_came(self, event: e.SummaryMade) -> Commands:
        """From the text model."""
        making = self._making
        if making is None or making.tag != event.tag or making.text:
            return []  # it was given up
        self._clear("summary")
        return self._summary_made(making, event.text if event.ok else "")

    def _summary_made(self, making: Summary, text: str) -> Commands:
        if making is not self._making:
            return []  # its session is over
        making.text = shortened(text)
        return [] if making.text else self._no_summary("no answer")

    def _insert(self, making: Summary) -> Commands:
        making.item = self._memory.next_id("summary")
        self._at("summary", TAKEN_MAX_S)
        return [c.AddMessage(making.item, "system", as_item(making.text), after="root")]

    def _replace_by(self, making: Summary) -> Commands:
        """The server has the notes: what they hold may go, outputs before their calls."""
        self._making = None
        gone = [item for item in making.items if item in self._items]
        turns = self._memory.fold(making.text, making.number, making.item)
        self._policy.made()
        seconds = round(self._now - making.begun_at, 1)
        fields = {"turns": turns, "items": len(gone), "seconds": seconds}
        return [*(c.DeleteItem(i) for i in reversed(gone)), c.Note("memory.summarised", fields)]

    def _summary_overdue(self) -> Commands:
        return self._no_summary("not taken" if self._making and self._making.item else "no answer")

    def _summary_refused(self, about: str) -> Commands:
        """The server complained about one of our messages."""
        making = self._making
        mine = making is not None and making.item and about.endswith(f" {making.item}")
        return self._no_summary("not taken") if mine else []

    def _no_summary(self, why: str) -> Commands:
        """Nothing has changed; try again later, and ever later."""
        making, self._making = self._making, None
        self._clear("summary")
        self._policy.failed(self._memory.said)
        told = c.Note("memory.no_summary", {"why": why, "failures": self._policy.failures})
        # In case it arrived and only the word of it was lost.
        out: Commands = [c.DeleteItem(making.item)] if making is not None and making.item else []
        return [*out, told]

    # --- a talk that nobody goes on with -------------------------------------------------------

    def _mind_the_sleep(self) -> None:
        """How long has nobody come?  A short sleep is a good time for notes, a long one closes the
        talk: whoever comes then does not mean last night's."""
        if self.talk is not Talk.ASLEEP:
            self._asleep_since = None
            self._clear("settled", "forget")
        elif self._asleep_since is None and self._memory:
            self._asleep_since = self._now
            if self.config.summaries.how != "off":
                self._at("settled", SETTLED_S)
            if self.config.forget_after_h:
                self._at("forget", self.config.forget_after_h * 3600)

    def _forget_talk(self) -> Commands:
        if not self._nothing_goes_on:
            self._at("forget", LATER_S)
            return []
        self._making = None
        self._clear("summary")
        turns = self._memory.turns
        self._memory.forget()
        gone = reversed(self._items.ids())
        return [*(c.DeleteItem(item) for item in gone), c.Note("memory.closed", {"turns": turns})]


def _is_mostly_sound(entries: Sequence[Remembered]) -> bool:
    """Are more than a quarter of the household's turns not written down?  Notes from words alone
    would leave them out; the server, which has heard them, had better keep them."""
    spoken = [bool(entry.text) for entry in entries if entry.role == "user"]
    return 4 * spoken.count(False) > len(spoken)
