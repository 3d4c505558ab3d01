"""Hands: the button, mute and guest mode.

Thread: event loop; pure.  It never opens a muted microphone but on a person's wish, and guest mode
never makes anything allowed.
"""

from __future__ import annotations

from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.state import Commands, CutFor, Deadline, Microphone, Talk, TalkState

DOUBLE_PRESS_S = 0.5
"""Two presses that are one gesture, as desktops count a double click."""
BOUNCE_S = 0.03
"""A contact that closes so soon after it opened was pressed once; fingers need twice as long."""
SAME_PRESS_S = 1.0
"""A press so soon after one that met a question is the same once more, by a contact that bounces or
a hand in a hurry: it asks for nothing new."""


class Listener(Protocol):
    """What is needed of the ears."""

    def called(self, cause: str, at: float, word: str = "") -> Commands:
        """Somebody called."""

    def end_turn(self, *, by_us: bool) -> Commands:
        """The household has finished."""


class Bell(Protocol):
    """What is needed of the alarms."""

    rings: bool

    def silence(self, cause: str, *, unheard: bool = False) -> Commands:
        """Stop the bell; nothing if it has not rung."""


class Reply(Protocol):
    """What is needed of the answer to a question for consent."""

    @property
    def stands(self) -> bool:
        """Is there a question, heard or not?"""

    def pressed(self, at: float) -> Commands:
        """The button went down while a question waits and nothing sounds."""

    def released(self) -> Commands:
        """The button came up again."""

    def held(self) -> None:
        """The button is held."""

    def withdraw(self, why: str) -> Commands:
        """No question stands any longer."""


class Sessions(Protocol):
    """What is needed of the link."""

    def muted(self) -> Commands:
        """The microphone has been shut."""

    def unmuted(self) -> Commands:
        """The microphone has been opened."""


class Hands:
    """What people do with their hands, and with the switches in software."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
        tools: ToolCalls,
        listener: Listener,
        bell: Bell,
        reply: Reply,
        sessions: Sessions,
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate
        self._tools = tools
        self._listener = listener
        self._bell = bell
        self._reply = reply
        self._sessions = sessions
        self._woken_by_hand_at = float("-inf")
        self._released_at: dict[str, float] = {}
        """By button, for its bounces."""
        self._long_press_at: float | None = None
        """When it would have been a long press, had the contact not opened."""
        self._asked_at = float("-inf")
        """When the button last moved while a question stood, or soon after."""
        self._agreed_at = float("-inf")
        """When a press last agreed to something."""
        self._opened_by = ""
        """The button that opened the microphone, if nothing has moved it since."""

    # --- the button -----------------------------------------------------------------------

    def pressed(self, event: e.ButtonPressed) -> Commands:
        """A button went down."""
        if event.at - self._released_at.get(event.button, float("-inf")) < BOUNCE_S:
            return self._still_pressed(event)
        self._reply.held()  # a spike before it was no press, and this one means what it meets
        if event.button == "mute":
            return self._toggled_by("mute")
        rang = self._bell.silence("button") if self._bell.rings else []
        confirming = self._state.talk is Talk.CONFIRMING
        muted = self._state.microphone is Microphone.MUTED and self._state.talk is Talk.ASLEEP
        if rang and (confirming or muted or not self._moves.sounding):
            # A sleepy hand may stay on it: no long press either.
            return rang + self._hush(event.at)
        return rang + self._pressed_talk(event)

    def _hush(self, at: float) -> Commands:
        """What was said beside the bell ends with it."""
        return self._moves.fall_silent(CutFor.HUSH, "button", at) if self._moves.sounding else []

    def _still_pressed(self, event: e.ButtonPressed) -> Commands:
        """The contact has bounced: the press goes on as it began."""
        long_press_at = self._long_press_at if event.button != "mute" else None
        if long_press_at is not None and long_press_at > self._state.now:
            self._state.deadlines.set_at(Deadline.LONG_PRESS, long_press_at)
        return []

    def _pressed_talk(self, event: e.ButtonPressed) -> Commands:
        state, moves = self._state, self._moves
        state.deadlines.set(Deadline.LONG_PRESS, state.config.long_press_s)
        again = self._moved_while_asked(event.at)
        if self._pressed_twice(event.at) and not again:
            out = moves.end_talk("button") if state.talk is Talk.LISTENING else []
            return out + self._two_presses()
        if state.talk is Talk.CONFIRMING:
            if moves.sounding:  # a sentence of ours: the question stands
                return moves.fall_silent(CutFor.HUSH, "button", event.at)
            return self._reply.pressed(event.at)
        if state.microphone is Microphone.MUTED:
            if state.talk is Talk.SPEAKING or moves.sounding:
                return moves.interrupt("button", event.at)
            return [c.PlayEarcon("muted")]
        if state.talk is Talk.LISTENING:
            if state.turn is not None and state.turn.is_spoken:
                return self._listener.end_turn(by_us=True)
            return [c.PlayEarcon("sleep"), *moves.end_talk("button")]
        if state.talk is Talk.THINKING:
            asked_next = self._reply.stands  # and that question does not sound yet
            if again and (self._just_agreed(event.at) if asked_next else not moves.sounding):
                return []
            return moves.fall_silent(CutFor.SLEEP, "button", event.at)
        return self._listener.called("button", event.at)

    def _moved_while_asked(self, at: float) -> bool:
        """Does a question stand, or did one when the button last moved, a moment ago?"""
        again = self._reply.stands or at - self._asked_at <= SAME_PRESS_S
        if again:
            self._asked_at = at
        return again

    def _just_agreed(self, at: float) -> bool:
        return at - self._agreed_at <= SAME_PRESS_S

    def _pressed_twice(self, at: float) -> bool:
        """Twice in a moment out of sleep, without a word: woken and sent back, which means
        nothing else."""
        state = self._state
        twice = at - self._woken_by_hand_at <= DOUBLE_PRESS_S
        asleep = state.talk is Talk.ASLEEP
        self._woken_by_hand_at = at if asleep and not twice else float("-inf")
        return twice and state.talk in (Talk.ASLEEP, Talk.LISTENING) and state.turn is None

    def released(self, event: e.ButtonReleased) -> Commands:
        """A button came up again."""
        self._released_at[event.button] = event.at
        if event.button == "mute":
            return []
        self._long_press_at = self._state.deadlines.due_at(Deadline.LONG_PRESS)
        self._state.deadlines.clear(Deadline.LONG_PRESS)
        self._moved_while_asked(event.at)
        agreed = self._reply.released()
        if agreed:
            self._agreed_at = event.at
        return agreed

    def held(self) -> Commands:
        """The talk button is still down: that means mute."""
        self._reply.held()
        return self._toggled_by("talk")

    def button_faulty(self, event: ButtonFaulty) -> Commands:
        """What it did last was nobody's wish: a microphone that it has opened is shut again."""
        out: Commands = [
            c.Note("panel.button_faulty", {"button": event.button, "fault": event.fault})
        ]
        return out + self._set_mute(True) if self._opened_by == event.button else out

    def button_works(self, event: ButtonWorks) -> Commands:
        """Its presses count again."""
        return [c.Note("panel.button_works", {"button": event.button})]

    # --- mute -----------------------------------------------------------------------------

    def mute_requested(self, event: e.MuteRequested) -> Commands:
        """Somebody wants the microphone so."""
        return self._set_mute(event.muted)

    def _toggled_by(self, button: str) -> Commands:
        opens = self._state.microphone is Microphone.MUTED
        out = self._set_mute(not opens)
        self._opened_by = button if opens else ""
        return out

    def _set_mute(self, muted: bool) -> Commands:
        state = self._state
        self._opened_by = ""
        if muted is (state.microphone is Microphone.MUTED):
            return []
        state.microphone = Microphone.MUTED if muted else Microphone.OPEN
        self._gate.forget()
        out: Commands = [
            c.SaveMute(muted),
            c.PlayEarcon("muted" if muted else "unmuted"),
            c.Note("mic.muted" if muted else "mic.open", {}),
        ]
        asks_later = Deadline.ASK_AGAIN in state.deadlines  # for an answer that was refused
        if muted and (state.talk is Talk.LISTENING or asks_later):
            out += self._moves.end_talk("muted")
        elif state.talk is Talk.ASLEEP:
            self._moves.close_gate()
        return out + (self._sessions.muted() if muted else self._sessions.unmuted())

    def state_unsaved(self, _event: e.StateUnsaved) -> Commands:
        """What was asked for holds, but only until a restart."""
        return [self._moves.say("not_saved")]

    # --- guests ---------------------------------------------------------------------------

    def guest_requested(self, event: e.GuestRequested) -> Commands:
        """Somebody wants guest mode so."""
        return self._set_guest(event.on)

    def _two_presses(self) -> Commands:
        """Guest mode is wanted, or not any more."""
        if self._tools.guest and not self._state.config.guest_end_by_button:
            return [self._moves.say("guest_on")]
        return self._set_guest(not self._tools.guest)

    def _set_guest(self, on: bool) -> Commands:
        if on is self._tools.guest:
            return []
        self._tools.guest = on
        out: Commands = [c.SaveGuest(on), c.Note("guest.on" if on else "guest.off", {})]
        if self._state.talk in (Talk.ASLEEP, Talk.LISTENING):
            out.append(self._moves.say("guest_on" if on else "guest_off"))
        return out + self._reply.withdraw("guest") if on else out
