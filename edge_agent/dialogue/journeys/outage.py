"""Outage: what the household and the admin are told while there is no session.

`explain` when somebody wants an answer; `note_down` for the journal's line.  `LinkWatch` tells when
the link comes and goes.

Thread: event loop; pure.  It never tells the same reason twice in one talk, and never leaves
anybody waiting without a word.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.state import Commands, Deadline, Link, Talk, TalkState

ANNOUNCE_RETRY_S = 0.25
ANNOUNCE_AT_LATEST_S = 2.5
"""Wait for a pause before saying why nobody answers, but keep the promise of 3 s."""
NOTED_FIRST = 3
NOTED_AGAIN_S = 60.0
"""A provider that is away is dialled twice a second: each reason is noted three times, so that the
journal shows it trying, and then once a minute."""


class Outage:
    """The reasons for which nobody answers."""

    def __init__(self, state: TalkState, moves: Moves, *, memory: Memory) -> None:
        self._state = state
        self._moves = moves
        self._memory = memory
        self._noted: dict[str, int] = {}
        """How often each reason was noted in the present outage."""
        self._noted_at = 0.0
        self._since = 0.0
        """The present outage began; attempts that fail in it do not begin another."""

    def note_down(self, event: e.LinkDown, *, anew: bool) -> Commands:
        """The line for an attempt that failed, or for the end of a session (`anew`)."""
        now = self._state.now
        if anew:
            self._since = now
            self._noted.clear()
        count = self._noted[event.code] = self._noted.get(event.code, 0) + 1
        soon = count > NOTED_FIRST and now - self._noted_at < NOTED_AGAIN_S
        if soon and not event.refused:
            return []
        self._noted_at = now
        note = "link.refused" if event.refused else "link.down"
        fields = {"code": event.code, "message": event.message, "fix": event.fix}
        return [c.Note(note, {**fields, "retry_in_s": round(event.retry_in_s, 2)})]

    # --- somebody waits -------------------------------------------------------------------

    def explain(self) -> Commands:
        """Somebody wants an answer and the link is down: keep the words, say why."""
        state = self._state
        if state.link is Link.READY or Deadline.ANNOUNCE in state.deadlines:
            return []
        trouble = state.link_trouble
        if trouble is not None and trouble.refused:
            return [self._moves.say(trouble.code), *self._moves.end_talk("link refused")]
        state.deadlines.set(Deadline.ANNOUNCE, state.config.announce_after_s)
        return []

    def announce(self) -> Commands:
        """Say why nobody answers, in a pause if there is one."""
        state, turn = self._state, self._state.turn
        if state.link is Link.READY or state.talk is Talk.ASLEEP:
            return []
        talking = turn is not None and not turn.ended and state.now - turn.last_speech_at < 0.5
        trouble = state.link_trouble
        owed_since = max(state.woken_at, self._since)
        if state.talk is Talk.SPEAKING or (
            talking and state.now - owed_since < ANNOUNCE_AT_LATEST_S
        ):
            state.deadlines.set(Deadline.ANNOUNCE, ANNOUNCE_RETRY_S)
            return []
        code = trouble.code if trouble else "link.connecting"
        sentence = state.config.sentence_for.get(code, code)
        if sentence in state.owed.explained:  # a link that comes and goes is one trouble
            return []
        state.owed.explained.add(sentence)
        return [self._moves.say(code)]

    def kept_too_long(self) -> Commands:
        """Words kept for a session are too old to be answered."""
        state, turn = self._state, self._state.turn
        if state.link is Link.READY or state.talk is not Talk.THINKING:
            return []
        self._memory.forget_last_user()
        kept = {"ms": round(turn.ms)} if turn is not None else {}
        out: Commands = [c.Note("talk.dropped_old", kept)]
        out.append(self._moves.say("too_old"))
        return out + self._moves.end_talk("kept too long")
