"""Commands: everything that the dialogue can want.

It must never hold behaviour.  The pump (`agent`) runs them in the order in which the dialogue
returned them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.contract.events import Usage


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""


# --- to the model ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WireCommand(Command):
    """Base of what goes to the link; only ever issued while the link is READY."""


@dataclass(frozen=True, slots=True)
class SendAudio(WireCommand):
    """Append to the server's input buffer.  24 kHz PCM16, any length."""

    pcm24k: bytes


@dataclass(frozen=True, slots=True)
class CommitAudio(WireCommand):
    """End of turn, decided by us."""


@dataclass(frozen=True, slots=True)
class ClearAudio(WireCommand):
    """Forget the audio that was appended but not committed."""


@dataclass(frozen=True, slots=True)
class RequestResponse(WireCommand):
    """Ask for an answer in the conversation.

    It has no instructions of its own, because those would take the place of the session's: the
    persona, its safety rules and the pinned language.  A wish for one answer is an `AddMessage`
    with the role `system` before it.

    `may_call` False: it may speak, and not call tools.
    """

    may_call: bool = True


@dataclass(frozen=True, slots=True)
class AskSideQuestion(WireCommand):
    """Out-of-band text question; answered by `SideAnswer(tag)`.

    `items` limits the context to these conversation items (None: all of it).  `instructions` take
    the place of the session's, which is right here alone: nobody hears the answer.  A `question` is
    put behind them as one more message, and with empty `instructions` those of the session stay:
    then the model has read all but the question before, and the provider's cache serves it.
    """

    tag: str
    instructions: str
    items: tuple[str, ...] | None = None
    question: str = ""


@dataclass(frozen=True, slots=True)
class CancelResponse(WireCommand):
    """Stop generating."""

    response: str


@dataclass(frozen=True, slots=True)
class TruncateItem(WireCommand):
    """Tell the server how much of a spoken item was audible."""

    item: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class DeleteItem(WireCommand):
    """Remove an item from the conversation."""

    item: str


@dataclass(frozen=True, slots=True)
class AddMessage(WireCommand):
    """Put a message into the conversation: text, or (role `user`) heard audio.

    `after`: "" appends, "root" inserts first, else the id of the item before it.
    """

    item: str
    role: str  # user · assistant · system
    text: str = ""
    pcm24k: bytes = b""
    after: str = ""


@dataclass(frozen=True, slots=True)
class AddToolCall(WireCommand):
    """Tell a fresh session of a call that was made in an earlier one; its output follows."""

    item: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AddToolOutput(WireCommand):
    """The one output of a tool call."""

    call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class UpdateSession(WireCommand):
    """Change the running session's instructions or tools (None: leave)."""

    instructions: str | None = None
    tools: tuple[Mapping[str, object], ...] | None = None


@dataclass(frozen=True, slots=True)
class RollOver(WireCommand):
    """Swap in the session that stands ready (`RollOverDue`).

    `LinkReady(replaces=True)` follows within the same tick; nothing does when that session has
    died in the meantime.
    """


@dataclass(frozen=True, slots=True)
class ReopenLink(Command):
    """The session is of no more use: drop it and open a fresh one."""

    reason: str


# --- to the household ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlayVoice(Command):
    """Queue a piece of an answer for the speaker."""

    item: str
    pcm24k: bytes


@dataclass(frozen=True, slots=True)
class EndVoice(Command):
    """No more audio will come for this item: let it drain."""

    item: str


@dataclass(frozen=True, slots=True)
class CutPlayback(Command):
    """Fall silent now.  Answered at once by `PlaybackCut`, before any other event."""


@dataclass(frozen=True, slots=True)
class PlaySentence(Command):
    """Speak a bundled sentence (a key of `host.voice.sentences`)."""

    name: str


@dataclass(frozen=True, slots=True)
class SayText(Command):
    """Speak `text` in a voice of our own, in the language of the settings, after what sounds.

    Answered by `TextStarted` and then `TextDrained`, or by `TextFailed` alone, with this `name`.
    `least_volume_percent`: it is spoken no softer than that; at volume 0 it fails.
    """

    name: str
    text: str
    least_volume_percent: float = 0.0


@dataclass(frozen=True, slots=True)
class PlayEarcon(Command):
    """Mix a short sound over whatever plays (a key of `panel.patterns.EARCONS`)."""

    name: str


@dataclass(frozen=True, slots=True)
class RingAlarm(Command):
    """Ring until `StopAlarm` or `CutPlayback`, silent while a voice speaks."""

    name: str


@dataclass(frozen=True, slots=True)
class StopAlarm(Command):
    """Stop ringing: these timers and alarms have been heard, or were given up."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowLight(Command):
    """Show a light pattern (a key of `panel.patterns.LIGHTS`)."""

    light: str


# --- to the house ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunTool(Command):
    """Run a tool; answered by `ToolFinished(call_id)` exactly once, whatever happens."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CancelTool(Command):
    """Nobody waits for this call any more; it may stop if that is safe."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Summarise(Command):
    """Have a text model summarise the talk; answered by `SummaryMade(tag)`."""

    tag: str
    instructions: str
    text: str


@dataclass(frozen=True, slots=True)
class SaveMute(Command):
    """Remember the mute across a reboot."""

    muted: bool


@dataclass(frozen=True, slots=True)
class SaveGuest(Command):
    """Remember guest mode across a reboot."""

    on: bool


@dataclass(frozen=True, slots=True)
class RecordUsage(Command):
    """Write down what one response used; `cost_microusd` None: its price is not known.  `beside`:
    it was no answer of the talk, but a question beside it, a transcript or another model's."""

    usage: Usage | None
    cost_microusd: int | None
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Note(Command):
    """A line for the journal: `code` is a key of its catalogue (`host.journal.messages`); no
    transcripts.  `of`: the turn and the response that it belongs to, if any."""

    code: str
    fields: Mapping[str, object] = field(default_factory=dict)
    of: Mapping[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class SetStatus(Command):
    """The one line that `systemctl status` shows."""

    text: str
    trouble: str = ""
    """Code of why the link is down."""


@dataclass(frozen=True, slots=True)
class Exit(Command):
    """The dialogue is closed; the daemon may stop its rooms."""
