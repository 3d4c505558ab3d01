"""Silence: the model has nothing to say, because what was heard was not meant for it.

`chosen` when an answer is over in which nothing was said; where more is to come it is no silence.

Thread: event loop; pure.  It never takes a fault for silence (`Voice` tells them apart), and never
lets somebody who calls again and again wait for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.state import Commands, Talk, TalkState

CALLS_AGAIN_S = 30.0
"""Who calls a second time within this means us, whatever the model makes of the words.  A later
call is about something else, or a television that says the wake word now and then."""


class Silence:
    """What follows from an answer without a word."""

    def __init__(self, state: TalkState, moves: Moves, *, settle: Callable[[], Commands]) -> None:
        self._state = state
        self._moves = moves
        self._settle = settle
        self._called_in_vain_at = float("-inf")

    def chosen(self, how: str) -> Commands:
        """The turn has its answer: nothing.  `how`: `empty` or `tool`.

        Who had called may go on in the usual window, as after any answer.  Who had not (talk among
        people in such a window, an open microphone) was most likely not speaking to us: another
        window would be kept open by their talk for as long as it lasts.
        """
        state = self._state
        if state.talk is not Talk.THINKING:
            return self._settle()  # something has been said before
        state.turn = None
        state.owed.asked_again_since = state.owed.refused_since = None
        noted = c.Note("talk.silent", {"how": how})
        if state.is_served:
            return [noted, *self._settle()]
        if not state.is_called:
            return [noted, *self._moves.end_talk("nothing to say")]
        before, self._called_in_vain_at = self._called_in_vain_at, state.now
        if state.now - before > CALLS_AGAIN_S:
            return [noted, *self._settle()]
        told = self._moves.say("not_understood")  # a sentence opens no window
        return [noted, told, *self._moves.end_talk("nothing to say")]

    def answer_heard(self, _event: e.PlaybackStarted) -> Commands:
        """They understand each other."""
        self._called_in_vain_at = float("-inf")
        return []
