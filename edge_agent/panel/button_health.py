"""Button health: which edges of a button are presses, and whether its wiring works.

Tell a `ButtonJudge` of every edge and call `look` at `due`; what it returns is for the dialogue.
Pure: the times come in.  It must never delay a press of a button that works, and never guess what a
press means.

A hold is no fault: a long press mutes, and a sleepy hand stays on the button.  Three things are:
a button that has been down since the start or for half a minute (a jammed cap, a short circuit, a
contact that is closed at rest), and one that is pressed faster than fingers can (a loose wire).
Until it has been up for a while nothing that it does counts, so that it starts no talk.
"""

from __future__ import annotations

from collections import deque

from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.contract.events import ButtonPressed, ButtonReleased, Event

STUCK_S = 30.0
"""The longest hold that means something is that of `panel.long_press_ms`, 10 s at most."""
STUCK_AT_START_S = 5.0
"""Somebody may happen to press while it starts."""
BURST_S = 1.0
BURST_PRESSES = 10
"""In that time: a hand in a hurry makes six or seven."""
CHATTER_S = 0.03
"""A contact that closes so soon after it opened goes on with the press that it had."""
BURST_CLOSINGS = 50
"""With all that chatter: an old microswitch closes five times in a press."""
SETTLED_S = 5.0
"""Up for so long, it works again.  Longer than a touch: a button that is closed at rest is up while
it is touched, and letting it go is no press."""

STUCK, CLOSED_AT_START, BOUNCES = "stuck", "closed at the start", "bounces"
"""What is wrong with it."""


class ButtonJudge:
    """One button.  `is_down`: how it was found at the start."""

    def __init__(self, name: str, at: float, *, is_down: bool) -> None:
        self._name = name
        self._is_down = is_down
        self._since = at
        """When it last moved."""
        self._presses: deque[float] = deque(maxlen=BURST_PRESSES)
        self._closings: deque[float] = deque(maxlen=BURST_CLOSINGS)
        self._is_trusted = not is_down
        self._fault = ""

    @property
    def due(self) -> float | None:
        """When `look` has something to say, unless an edge comes first."""
        if self._is_down:
            if self._fault:
                return None
            return self._since + (STUCK_S if self._is_trusted else STUCK_AT_START_S)
        return None if self._is_trusted else self._since + SETTLED_S

    def edge(self, at: float, *, is_down: bool) -> list[Event]:
        """It was pressed, or it came up again."""
        settled = self.look(at)
        if is_down is self._is_down:  # a level that was read twice
            return settled
        is_press = is_down and at - self._since >= CHATTER_S
        self._is_down, self._since = is_down, at
        if not self._is_trusted:
            return settled
        if not is_down:
            return [ButtonReleased(at=at, button=self._name)]
        self._closings.append(at)
        if is_press:
            self._presses.append(at)
        if _is_burst(self._presses, at) or _is_burst(self._closings, at):
            return self._distrust(BOUNCES, at)
        return [*settled, ButtonPressed(at=at, button=self._name)]

    def look(self, at: float) -> list[Event]:
        """What time alone has shown."""
        due = self.due
        if due is None or at < due:
            return []
        if self._is_down:
            return self._distrust(STUCK if self._is_trusted else CLOSED_AT_START, at)
        self._is_trusted = True
        was, self._fault = self._fault, ""
        return [ButtonWorks(at=at, button=self._name)] if was else []

    def _distrust(self, fault: str, at: float) -> list[Event]:
        """From now on it is nobody's finger; a press that was told of is over."""
        ended = [ButtonReleased(at=at, button=self._name)] if fault == STUCK else []
        self._is_trusted, self._fault = False, fault
        self._presses.clear()
        self._closings.clear()
        return [*ended, ButtonFaulty(at=at, button=self._name, fault=fault)]


def _is_burst(times: deque[float], at: float) -> bool:
    return len(times) == times.maxlen and at - times[0] <= BURST_S
