"""Memory: the talk so far, so that a fresh session can be told of it (purpose).

Owner thread: event loop.  Must never log or store: it lives and dies with the process.  What
a barge-in cut is remembered as cut.  There is no resume on the wire (PROTOCOL section 9): the
user's words go back as text where a transcript came, else as the audio itself (bounded), the
assistant's as text only.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.contract.commands import AddMessage, Command, DeleteItem
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS


@dataclass(slots=True)
class Remembered:
    """One side's part of one turn."""

    role: str
    item: str = ""
    """Its item in the session in which it was said."""
    seed: str = ""
    """Its item in the present session, if that was told of it."""
    text: str = ""
    pcm24k: bytes = b""


class Memory:
    """The last turns, bounded by count and by seconds of audio."""

    def __init__(self, max_turns: int, max_audio_s: float) -> None:
        self._max_entries = max_turns * 2
        self._max_audio_bytes = int(max_audio_s * 1000) * WIRE_BYTES_PER_MS
        self._entries: list[Remembered] = []
        self._seeds = 0

    @property
    def ends_with_answer(self) -> bool:
        """Was the last word the assistant's?"""
        return bool(self._entries) and self._entries[-1].role == "assistant"

    def __len__(self) -> int:
        return len(self._entries)

    def user_said(self, pcm24k: bytes) -> None:
        """A turn of the household ended; its server item is not known yet."""
        self._entries.append(Remembered("user", pcm24k=pcm24k))
        self._bound()

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
                entry.text += text
                return
        self._entries.append(Remembered("assistant", item=item, text=text))
        self._bound()

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
            out: list[Command] = [DeleteItem(entry.seed)] if entry.seed else []
            if not entry.text.strip():
                del self._entries[index]
            elif entry.seed:
                before = self._entries[index - 1].seed if index else ""
                out.append(self._seed(entry, after=before or "root"))
            return out
        return []

    def reseed(self) -> list[AddMessage]:
        """The messages that tell a fresh session of the talk so far, oldest first."""
        out = []
        for entry in self._entries:
            entry.seed = ""
            if entry.text or entry.pcm24k:
                out.append(self._seed(entry))
        return out

    def _seed(self, entry: Remembered, after: str = "") -> AddMessage:
        self._seeds += 1
        entry.seed = f"seed_{self._seeds}"
        return AddMessage(entry.seed, entry.role, entry.text, entry.pcm24k, after)

    def _bound(self) -> None:
        del self._entries[: -self._max_entries]
        room = self._max_audio_bytes
        for age, entry in enumerate(reversed(self._entries)):
            room -= len(entry.pcm24k)
            if room < 0 and age > 0:  # the newest may still have to be answered
                entry.pcm24k = b""
