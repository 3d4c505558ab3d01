"""State of the talk: three coupled machines, what is owed to the household, and every deadline.

Journeys read and write a `TalkState`; `transition` is how the talk moves.  Rules that join the
machines:

* muted or asleep: nothing is streamed;
* a wake while the link is down keeps the words, and the household hears why nobody answers;
* SPEAKING ends before its answer does only by a cut (`PendingCut`) or because the talk is over
  (GAVE_UP): the answer failed, the device is gone, mute, a press of the button.

Thread: event loop; pure.  It never decides anything and never reads a clock: time is that of the
event being handled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from edge_agent.contract import commands as c
from edge_agent.contract.errors import AgentError
from edge_agent.contract.events import LinkDown
from edge_agent.contract.quota import Quota
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.turn import UserTurn

Commands = list[c.Command]

SERVER_NOTES_PER_MIN = 20
"""Journal lines in one minute that a server can cause at will, by errors and failures."""


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
    """Why the talk moves."""

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
word then wakes as usual), and LISTENING when the household calls once more in a follow-up window.
"""


class IllegalMove(AgentError):
    """A move that the table does not have: our own mistake.

    Raised by a dialogue that is `strict`, as in all tests; in service it is counted, noted once per
    kind, and the state stays.
    """

    code = "dialogue.illegal_move"


def diagram() -> str:
    """The table as a Mermaid state diagram, for `ARCHITECTURE.md` (a test keeps it equal)."""
    lines = ["stateDiagram-v2", "    [*] --> asleep"]
    lines += [
        f"    {state.value} --> {after.value}: {cause.value}"
        for (state, cause), after in TRANSITIONS.items()
    ]
    return "\n".join(lines)


class Deadline(Enum):
    """What is waited for; the manager's second table says what is done when it is due."""

    ALARM_OVER = "alarm over"
    """Nobody has stopped the bell."""
    ANNOUNCE = "announce"
    """The household should hear why nobody answers."""
    ASK_AGAIN = "ask again"
    """An answer that was refused for the moment is to be asked for again."""
    CONFIRM = "confirm"
    """A question for consent closes."""
    FOLLOW_UP = "follow-up"
    """The window in which people go on without a wake word closes."""
    FORGET = "forget"
    """The house has slept so long that the talk is closed."""
    KEEP = "keep"
    """Words kept for a link that is down are too old to be answered."""
    LONG_PRESS = "long press"
    """The button is held long enough to mute."""
    ONE_BREATH = "one breath"
    """Nobody has gone on speaking after the wake."""
    PATIENCE = "patience"
    """Somebody has waited for an answer so long that they should hear that it is still wanted."""
    QUIET = "quiet"
    """Nobody has spoken for a while although the gate is open."""
    RING = "ring"
    """Look again for a pause to ring in."""
    SETTLED = "settled"
    """The house has slept long enough for notes to be taken."""
    SIDE_QUESTION = "side question"
    """A question beside the talk has had no answer."""
    STALLED = "stalled"
    """Nothing more has come of an answer that is not over."""
    STEP = "step"
    """The house has slept so long that a guided talk begins anew."""
    SUMMARY = "summary"
    """Notes were not made, or not taken by the server, in time."""
    THINKING = "thinking"
    """No sign of an answer."""
    TRANSCRIPT = "transcript"
    """The words of an answer to our question have not come."""
    UTTERANCE = "utterance"
    """The turn has reached its greatest length."""


AWAITING = (Deadline.THINKING, Deadline.PATIENCE, Deadline.ASK_AGAIN)
"""What is set while somebody waits for an answer."""

OUTLIVE_TALK = frozenset(
    {
        Deadline.ALARM_OVER,
        Deadline.FORGET,
        Deadline.LONG_PRESS,
        Deadline.RING,
        Deadline.SETTLED,
        Deadline.SIDE_QUESTION,
        Deadline.STEP,
        Deadline.SUMMARY,
    }
)
"""Deadlines that have nothing to do with the talk and stay when it ends."""


class Deadlines:
    """The deadlines that are set, each at most once, and the time they are measured by."""

    def __init__(self) -> None:
        self.now = float("-inf")
        """Loop time of the event being handled."""
        self._due_at: dict[Deadline, float] = {}

    def __contains__(self, deadline: object) -> bool:
        return deadline in self._due_at

    def __iter__(self) -> Iterator[Deadline]:
        return iter(self._due_at)

    def __len__(self) -> int:
        return len(self._due_at)

    def set(self, deadline: Deadline, in_s: float) -> None:
        """Due `in_s` from now; replaces an earlier time."""
        self._due_at[deadline] = self.now + in_s

    def set_at(self, deadline: Deadline, at: float) -> None:
        """Due at that loop time; replaces an earlier one."""
        self._due_at[deadline] = at

    def clear(self, *deadlines: Deadline) -> None:
        """Not waited for any more; one that is not set is no mistake."""
        for deadline in deadlines:
            self._due_at.pop(deadline, None)

    def clear_talk(self) -> None:
        """The talk is over: only what outlives it stays."""
        self._due_at = {d: at for d, at in self._due_at.items() if d in OUTLIVE_TALK}

    def clear_all(self) -> None:
        """Nothing is waited for any more."""
        self._due_at.clear()

    def due_at(self, deadline: Deadline) -> float | None:
        """When that is due; None: it is not set."""
        return self._due_at.get(deadline)

    def next(self) -> float | None:
        """When the first of them is due; None while nothing is waited for."""
        return min(self._due_at.values(), default=None)

    def take_due(self) -> Iterator[Deadline]:
        """Remove and yield what is due, earliest first.

        What is done about one may clear or move the others before their turn comes.
        """
        due = [(at, d.value, d) for d, at in self._due_at.items() if at <= self.now]
        for _at, _name, deadline in sorted(due):
            if self._due_at.get(deadline, self.now + 1) <= self.now:
                del self._due_at[deadline]
                yield deadline


class CutFor(Enum):
    """What a cut is for, and so what follows once the speaker has fallen silent.

    A provisional cut (speech that may prove false) would be one more kind here, with its own branch
    in `Voice.playback_cut`.  Ducking is no cut: it would be a command beside `CutPlayback`.
    """

    INTERRUPT = "interrupt"
    """Somebody wants to say something: listen."""
    SLEEP = "sleep"
    """The talk is over."""
    HUSH = "hush"
    """Somebody speaks while the bell or a sentence of ours sounds; the talk is not touched."""
    STOP = "stop"
    """The daemon ends."""


@dataclass(frozen=True, slots=True)
class PendingCut:
    """`CutPlayback` has been issued and `PlaybackCut` has not come yet."""

    why: CutFor
    cause: str
    at: float
    """When what caused it began, in loop time."""


@dataclass(slots=True)
class Owed:
    """What the household still has to get, beside the answer to `TalkState.turn`."""

    broken_answer: bool = False
    """An answer broke off with its session and has to be continued."""
    server_cancelled: bool = False
    """The server cancelled the answer to the last turn; somebody should go on speaking."""
    asked_again_since: float | None = None
    """When the answer still owed was first asked for in a fresh session."""
    refused_since: float | None = None
    """When the answer still owed was first refused for the moment."""
    explained: set[str] = field(default_factory=set)
    """Why nobody answers, as the household was told since it last heard an answer whole."""

    def clear(self) -> None:
        """Nothing is owed."""
        self.broken_answer = self.server_cancelled = False
        self.asked_again_since = self.refused_since = None
        self.explained.clear()


class TalkState:
    """What the journeys share.  What only one of them needs is that one's own."""

    def __init__(
        self, config: DialogueConfig, *, muted: bool = False, strict: bool = False
    ) -> None:
        self.config = config
        self.link = Link.DOWN
        self.microphone = Microphone.MUTED if muted else Microphone.OPEN
        self.talk = Talk.ASLEEP
        self.deadlines = Deadlines()
        self.turn: UserTurn | None = None
        """The words being said, or said and not answered yet."""
        self.turn_ended_at: float | None = None
        self.is_called = False
        """Somebody called for that turn, by wake word or button."""
        self.is_served = False
        """Something has been said to it, or done about it."""
        self.woken_at = float("-inf")
        self.breath_from: float | None = None
        """Somebody woke us, and it is open whether they go on at once; sound from here on counts.
        None: that is decided."""
        self.transcription = config.transcription
        """How turns are written down in this session: `off`, `builtin` or `out_of_band`."""
        self.owed = Owed()
        self.pending_cut: PendingCut | None = None
        self.sentences: Counter[str] = Counter()
        """Words of our own that are in the speaker, by name: what was cut is over late."""
        self.own_words_until = float("-inf")
        """When the last of them ended, or was cut."""
        self.commits_due = 0
        """Commits of ours that the server has not acknowledged yet."""
        self.device_ok = True
        self.hears = True
        """False: the microphone should hear and gives nothing."""
        self.link_trouble: LinkDown | None = None
        """Why the link is down, as far as that is known."""
        self.stopping = False
        self.strict = strict
        """Raise `IllegalMove`.  For tests: a speaker in service had better go on."""
        self.slips: Counter[tuple[str, ...]] = Counter()
        """Our own mistakes of each kind: the code of the note and its fields."""
        self._slip_notes: Commands = []
        self._notes_of_server = Quota(SERVER_NOTES_PER_MIN)

    @property
    def now(self) -> float:
        """Loop time of the event being handled."""
        return self.deadlines.now

    @property
    def is_idle(self) -> bool:
        """Asleep, or listening with nobody having begun to speak."""
        if self.talk is Talk.LISTENING:
            return self.turn is None and self.breath_from is None
        return self.talk is Talk.ASLEEP

    def transition(self, cause: Cause) -> None:
        """Move the talk as the table says."""
        after = TRANSITIONS.get((self.talk, cause))
        if after is not None:
            self.talk = after
        elif self.strict:
            raise IllegalMove(f"{self.talk.value}: {cause.value}")
        else:
            move = {"state": self.talk.value, "cause": cause.value}
            self.slipped(c.Note("dialogue.illegal_move", move))

    def slipped(self, note: c.Note) -> None:
        """Count a mistake of our own; the first of its kind is noted."""
        kind = (note.code, *map(str, note.fields.values()))
        self.slips[kind] += 1
        if self.slips[kind] == 1:
            self._slip_notes.append(note)

    @property
    def server_notes_missed(self) -> str:
        """How many lines `server_note` has left out since the last one; "" for none."""
        return str(self._notes_of_server.untold or "")

    def server_note(self, note: c.Note) -> Commands:
        """A journal line that a server can cause at will: past the bound it is counted."""
        if not self._notes_of_server.takes(self.now):
            return []
        self._notes_of_server.left_out()  # told by the note
        return [note]

    def take_slip_notes(self) -> Commands:
        """Journal lines about our own mistakes since the last call."""
        notes, self._slip_notes = self._slip_notes, []
        return notes
