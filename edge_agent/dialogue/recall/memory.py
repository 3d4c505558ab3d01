"""Memory: the talk so far, so that a fresh session can be told of it.

Thread: event loop.  It must never log or store: it lives and dies with the process.  What a
barge-in cut is remembered as cut.  There is no resume on the wire (PROTOCOL section 9): the user's
words go back as text where a transcript came, else as the audio itself (bounded), the assistant's
as text only, a tool's call only with its output, and the notes of what is older first.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.contract.commands import (
    AddMessage,
    AddToolCall,
    AddToolOutput,
    Command,
    DeleteItem,
)
from edge_agent.contract.events import ToolCall
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS
from edge_agent.dialogue.recall.items import Remembered
from edge_agent.dialogue.recall.summaries import as_item

OUTPUT_MAX_CHARS = 2000
"""Of a tool's output that a fresh session is told again."""

ANSWER_MAX_CHARS = 50_000
"""Of one answer: an hour of speech."""


class Memory:
    """The notes of what is older, and the last turns, bounded by count and by seconds of audio."""

    def __init__(self, max_turns: int, max_audio_s: float) -> None:
        self._max_entries = max_turns * 2
        self._max_audio_bytes = int(max_audio_s * 1000) * WIRE_BYTES_PER_MS
        self._entries: list[Remembered] = []
        self._seeds = 0
        self._numbers = 0
        self.summary = ""
        """Notes of the turns that are not remembered word by word any more."""
        self.summary_item = ""
        """Their item in the present session."""
        self.said = 0
        """Turns of the household since the start."""

    @property
    def ends_with_answer(self) -> bool:
        """Was the last word the assistant's?  A call that was never answered is not told again."""
        told = (e.role for e in reversed(self._entries) if e.role != "tool" or e.output is not None)
        return next(told, "") == "assistant"

    @property
    def turns(self) -> int:
        """Turns that are remembered word by word."""
        return sum(entry.role == "user" for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    # --- what is said ------------------------------------------------------------------

    def user_said(self, pcm24k: bytes) -> None:
        """A turn of the household ended; its server item is not known yet."""
        self.said += 1
        self._add(Remembered("user", pcm24k=pcm24k))

    def user_item(self, item: str) -> None:
        """The server named the last turn of the household."""
        for entry in reversed(self._entries):
            if entry.role == "user":
                entry.item = entry.item or item
                return

    def user_text(self, item: str, text: str) -> None:
        """A transcript came, maybe late: it replaces the audio."""
        for entry in self._entries:
            if entry.role == "user" and entry.item == item and text.strip():
                entry.text, entry.pcm24k = text.strip(), b""

    def forget_last_user(self) -> None:
        """The last turn of the household will never be answered."""
        if self._entries and self._entries[-1].role == "user":
            self._entries.pop()

    def assistant_text(self, item: str, text: str) -> None:
        """A piece of an answer's transcript."""
        for entry in reversed(self._entries):
            if entry.item == item:
                entry.text += text[: max(0, ANSWER_MAX_CHARS - len(entry.text))]
                return
        self._add(Remembered("assistant", item=item, text=text[:ANSWER_MAX_CHARS]))

    def assistant_cut(self, item: str, heard_share: float) -> list[Command]:
        """Only `heard_share` (0 … 1) of an answer's audio was heard: keep as much text.

        Returns what corrects the present session if it was told the whole text.
        """
        for index, entry in enumerate(self._entries):
            if entry.item != item or entry.role != "assistant":
                continue
            kept = entry.text[: round(len(entry.text) * min(1.0, max(0.0, heard_share)))]
            if kept == entry.text:
                return []
            # a word that was cut in the middle was not understood
            entry.text = kept.rpartition(" ")[0]
            entry.cut = True
            out: list[Command] = [DeleteItem(entry.seed)] if entry.seed else []
            if not entry.text.strip():
                del self._entries[index]
            elif entry.seed:
                # Never behind a tool's call: its output has to follow it.
                before = [e.seed for e in self._entries[:index] if e.seed and e.role != "tool"]
                place = before[-1] if before else self.summary_item or "root"
                out.append(self._seed(entry, after=place))
            return out
        return []

    def forget_unheard_answer(self) -> None:
        """The last turn of the household is asked anew: words that came, but no sound, were no
        answer to it."""
        while self._entries and self._entries[-1].role == "assistant":
            self._entries.pop()

    def system_said(self, item: str, text: str) -> None:
        """Somebody of ours has told the model something."""
        self._add(Remembered("system", item=item, text=text))

    def called(self, calls: Iterable[ToolCall]) -> None:
        """The model wants these done."""
        known = {entry.call_id for entry in self._entries if entry.role == "tool"}
        for call in calls:
            if call.call_id not in known:
                known.add(call.call_id)
                tool = Remembered("tool", call_id=call.call_id, name=call.name)
                tool.arguments = call.arguments[:OUTPUT_MAX_CHARS]
                self._add(tool)

    def call_answered(self, call_id: str, output: str) -> None:
        """A call has its output."""
        for entry in self._entries:
            if entry.role == "tool" and entry.call_id == call_id and entry.output is None:
                entry.output = output[:OUTPUT_MAX_CHARS]

    # --- notes in place of turns -------------------------------------------------------------

    def older_than(self, keep_turns: int) -> list[Remembered]:
        """What stands before the last `keep_turns` turns, oldest first."""
        starts = [i for i, entry in enumerate(self._entries) if entry.role == "user"]
        if len(starts) <= keep_turns:
            return []
        return self._entries[: starts[-keep_turns] if keep_turns else len(self._entries)]

    def items_after(self, number: int) -> set[str]:
        """Items in the present session of what was said after that entry."""
        return {entry.here for entry in self._entries if entry.number > number} - {""}

    def fold(self, summary: str, number: int, item: str = "") -> int:
        """`summary` (at `item` in the present session) holds all entries up to that number.

        Returns how many turns it took the place of.
        """
        before = self.turns
        self._entries = [entry for entry in self._entries if entry.number > number]
        self.summary, self.summary_item = summary, item
        return before - self.turns

    def forget(self) -> None:
        """The talk is closed."""
        self._entries.clear()
        self.summary = self.summary_item = ""

    # --- a fresh session ---------------------------------------------------------------------

    def session_over(self) -> None:
        """No item of ours is in the present session."""
        self.summary_item = ""
        for entry in self._entries:
            entry.seed, entry.is_old = "", True

    def reseed(self) -> list[Command]:
        """What tells a fresh session of the talk so far, in order."""
        self.session_over()
        out: list[Command] = []
        if self.summary:
            self.summary_item = self.next_id("summary")
            out.append(AddMessage(self.summary_item, "system", as_item(self.summary)))
        for entry in self._entries:
            if entry.role != "tool":
                if entry.text or entry.pcm24k:
                    out.append(self._seed(entry))
            elif entry.output is not None:
                # One without output will never get one here, and half a pair is refused.
                entry.seed = self.next_id("seed")
                out.append(AddToolCall(entry.seed, entry.call_id, entry.name, entry.arguments))
                out.append(AddToolOutput(entry.call_id, entry.output))
        return out

    def next_id(self, kind: str) -> str:
        """An id for an item of ours, never used before in this process."""
        self._seeds += 1
        return f"{kind}_{self._seeds}"

    def _seed(self, entry: Remembered, after: str = "") -> AddMessage:
        entry.seed = self.next_id("seed")
        return AddMessage(entry.seed, entry.role, entry.text, entry.pcm24k, after)

    def _add(self, entry: Remembered) -> None:
        self._numbers += 1
        entry.number = self._numbers
        self._entries.append(entry)
        # As many again for tools, which come and go with the turns.
        spoken = sum(one.role != "tool" for one in self._entries)
        while spoken > self._max_entries or len(self._entries) > 2 * self._max_entries:
            spoken -= self._entries.pop(0).role != "tool"
        room = self._max_audio_bytes
        for age, one in enumerate(reversed(self._entries)):
            room -= len(one.pcm24k)
            if room < 0 and age > 0:  # the newest may still have to be answered
                one.pcm24k = b""
