"""States of the talk and the table of their transitions.

Owner thread: none, data.  Must never decide anything: `TalkCore._go` looks moves up here.

The talk is one of three coupled machines; the other two (`Link`, `Microphone`) have only the
transitions that their events name.  Joint rules:

* muted, or asleep ⇒ nothing is streamed;
* a wake while the link is down keeps the words and says why nobody answers;
* SPEAKING ends before the answer does when somebody interrupts it (INTERRUPTED), or when the talk
  is over (GAVE_UP): the answer failed, the device is gone, mute and a press of the button.
"""

from __future__ import annotations

from enum import Enum

from edge_agent.contract.errors import AgentError


class Link(Enum):
    """The session with the model."""

    DOWN = "down"
    CONNECTING = "connecting"
    READY = "ready"


class Microphone(Enum):
    """What the household has allowed."""

    OPEN = "open"
    MUTED = "muted"


class Talk(Enum):
    """Where the conversation stands."""

    ASLEEP = "asleep"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    CONFIRMING = "confirming"


class Cause(Enum):
    """Why a transition happens."""

    WOKEN = "woken"
    TURN_ENDED = "turn ended"
    ANSWER_STARTED = "answer started"
    ANSWER_PAUSED = "more to come"
    ANSWER_DONE = "answer done"
    INTERRUPTED = "interrupted"
    CONSENT_ASKED = "consent asked"
    CONSENT_SETTLED = "consent settled"
    GAVE_UP = "gave up"


TRANSITIONS: dict[tuple[Talk, Cause], Talk] = {
    (Talk.ASLEEP, Cause.WOKEN): Talk.LISTENING,
    (Talk.ASLEEP, Cause.ANSWER_STARTED): Talk.SPEAKING,
    (Talk.ASLEEP, Cause.CONSENT_ASKED): Talk.CONFIRMING,
    (Talk.ASLEEP, Cause.INTERRUPTED): Talk.ASLEEP,
    (Talk.LISTENING, Cause.WOKEN): Talk.LISTENING,
    (Talk.LISTENING, Cause.TURN_ENDED): Talk.THINKING,
    (Talk.LISTENING, Cause.ANSWER_STARTED): Talk.SPEAKING,
    (Talk.LISTENING, Cause.INTERRUPTED): Talk.LISTENING,
    (Talk.LISTENING, Cause.CONSENT_ASKED): Talk.CONFIRMING,
    (Talk.LISTENING, Cause.GAVE_UP): Talk.ASLEEP,
    (Talk.THINKING, Cause.WOKEN): Talk.LISTENING,
    (Talk.THINKING, Cause.ANSWER_STARTED): Talk.SPEAKING,
    (Talk.THINKING, Cause.ANSWER_DONE): Talk.LISTENING,
    (Talk.THINKING, Cause.INTERRUPTED): Talk.LISTENING,
    (Talk.THINKING, Cause.CONSENT_ASKED): Talk.CONFIRMING,
    (Talk.THINKING, Cause.GAVE_UP): Talk.ASLEEP,
    (Talk.SPEAKING, Cause.ANSWER_PAUSED): Talk.THINKING,
    (Talk.SPEAKING, Cause.ANSWER_DONE): Talk.LISTENING,
    (Talk.SPEAKING, Cause.INTERRUPTED): Talk.LISTENING,
    (Talk.SPEAKING, Cause.CONSENT_ASKED): Talk.CONFIRMING,
    (Talk.SPEAKING, Cause.GAVE_UP): Talk.ASLEEP,
    (Talk.CONFIRMING, Cause.CONSENT_SETTLED): Talk.THINKING,
    (Talk.CONFIRMING, Cause.ANSWER_STARTED): Talk.SPEAKING,
    (Talk.CONFIRMING, Cause.INTERRUPTED): Talk.LISTENING,
    (Talk.CONFIRMING, Cause.GAVE_UP): Talk.ASLEEP,
}
"""Every move there is; any other is an `IllegalMove`.

ASLEEP and LISTENING stay as they are when a sentence of our own is interrupted (a press or a wake
word then wakes as usual), and LISTENING when somebody calls once more in a follow-up window."""


class IllegalMove(AgentError):
    """A move that the table does not have: our own mistake.

    Raised by a dialogue that is `strict`, as in all tests; in service it is counted, noted once per
    kind, and the state stays."""

    code = "dialogue.illegal_move"


def diagram() -> str:
    """The table as a Mermaid state diagram, for `ARCHITECTURE.md` (a test keeps it equal)."""
    lines = ["stateDiagram-v2", "    [*] --> asleep"]
    lines += [
        f"    {state.value} --> {after.value}: {cause.value}"
        for (state, cause), after in TRANSITIONS.items()
    ]
    return "\n".join(lines)
