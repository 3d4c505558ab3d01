"""Server ears: what the server's own detector makes of the household's speech.

It ends turns where the settings leave that to it, and it can interrupt us; `Ears` comes first.

Thread: event loop; pure.  It never opens the gate or interrupts on the server's word alone: our own
detector has to have heard somebody.
"""

from __future__ import annotations

from typing import Protocol

from edge_agent.contract import error_codes
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers, crossed
from edge_agent.dialogue.gate import Gate, GateState
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.state import Commands, Microphone, Talk, TalkState


class Listener(Protocol):
    """What is needed of the ears."""

    def open(self, pre_roll_ms: int, cause: str) -> Commands:
        """Somebody speaks."""

    def end_turn(self, *, by_us: bool) -> Commands:
        """The household has finished."""


class ServerEars:
    """The server's detector, its turns and its commits."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
        answers: Answers,
        memory: Memory,
        listener: Listener,
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate
        self._answers = answers
        self._memory = memory
        self._listener = listener
        self._ended_twice_at: float | None = float("-inf")
        """The turn that ended then was ended by us, and by a server whose word came late."""

    def speech_started(self, event: e.UserSpeechStarted) -> Commands:
        """The server's detector heard somebody begin."""
        state, gate = self._state, self._gate
        turn = state.turn
        if state.microphone is Microphone.MUTED:
            return []
        is_heard = gate.state is GateState.OPEN or gate.heard_somebody(state.now)
        if state.talk is Talk.LISTENING:
            out: Commands = []
            armed = gate.state is GateState.ARMED and state.breath_from is None
            if turn is None and armed and is_heard:
                # The tail of what was streamed before: somebody has been speaking since.
                out = self._listener.open(state.config.onset_pre_roll_ms, "server")
                turn = state.turn
            if turn is not None:
                turn.server_heard = True
                self._answers.expect()
            return out
        if state.talk is Talk.THINKING and turn is not None:
            late = turn.ended_by_us and not turn.server_heard
            turn.server_heard = True
            if late:  # it is the very turn that is being answered
                self._ended_twice_at = state.turn_ended_at
                return []
        if state.talk in (Talk.THINKING, Talk.SPEAKING) and is_heard:
            return self._moves.interrupt("server", event.at)
        return []

    def speech_stopped(self, _event: e.UserSpeechStopped) -> Commands:
        """The server's detector heard the end of the turn."""
        if self._state.talk is Talk.LISTENING and self._state.turn is not None:
            self._answers.expect()
        return []

    def committed(self, event: e.UserTurnCommitted) -> Commands:
        """What was streamed has become an item of the conversation."""
        state = self._state
        out: Commands = []
        if state.commits_due:
            state.commits_due -= 1
        elif state.talk is Talk.LISTENING:
            out = self._listener.end_turn(by_us=False)
        elif state.turn_ended_at == self._ended_twice_at:
            # Its own commit and ours: it answers twice, and the second time to nothing new.
            self._answers.disown_next()
        self._memory.user_item(event.item)
        return out

    def complained(self, event: e.ServerComplained) -> Commands:
        """A commit of ours was refused."""
        refused = event.about.startswith(error_codes.ABOUT_COMMIT)
        if refused and not crossed(event):
            self._state.commits_due = max(0, self._state.commits_due - 1)
        return []

    def response_started(self, _event: e.ResponseStarted) -> Commands:
        """A server that announces no commit has taken the turn when it begins to answer."""
        state, turn = self._state, self._state.turn
        spoken = turn is not None and (turn.server_heard or turn.is_spoken)
        if state.talk is Talk.LISTENING and spoken and self._answers.takes_unasked:
            return self._listener.end_turn(by_us=False)
        return []
