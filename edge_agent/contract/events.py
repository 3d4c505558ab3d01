"""Events: everything that can happen, as the dialogue sees it.

It must never hold behaviour, a secret or a wire-format name. `at` is always the loop time in
seconds at which it happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from edge_agent.contract.details import ToolCall as ToolCall  # noqa: PLC0414 (also a name of this module)
from edge_agent.contract.details import ToolTerms as ToolTerms  # noqa: PLC0414 (also a name of this module)
from edge_agent.contract.details import Usage as Usage  # noqa: PLC0414 (also a name of this module)
from edge_agent.contract.risk import Risk


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events."""

    at: float


# --- time, ears, hands -----------------------------------------------------------------


class Tick(Event):
    """The deadline that the dialogue asked for has come."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardFrame(Event):
    """10 ms from the microphone, labelled by the front end; nothing is decided yet.

    `pcm24k` is what may be streamed: untouched while our speaker is silent, with our own
    voice cancelled while it is not.  `speech` is the voice detector's word on the echo-free
    signal.  `over_playback` says that our speaker was audible (or its tail still is).
    """

    pcm24k: bytes
    speech: bool
    over_playback: bool
    wake: str | None = None
    level_dbfs: float = -100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonPressed(Event):
    """A button went down; `button` is `talk` or `mute`."""

    button: str = "talk"


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonReleased(Event):
    """A button came up again."""

    button: str = "talk"


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteRequested(Event):
    """Somebody (control socket, tool, saved state at start) wants the microphone so."""

    muted: bool


class StateUnsaved(Event):
    """The mute or the guest mode that somebody wanted is not on the disk: a restart forgets it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBegan(Event):
    """A new local day, or the first look at the calendar after the start."""

    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDue(Event):
    """A timer or an alarm has come to its end; `name` is the household's word for it.

    `late_s`: for so long it has been due already, because this machine was off.
    """

    name: str
    late_s: float = 0.0


class AlarmStopRequested(Event):
    """Somebody (a tool, the control socket) wants the ringing to end."""

    __slots__ = ()


class StopRequested(Event):
    """SIGTERM: the daemon is asked to end."""

    __slots__ = ()


# --- the loudspeaker -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackStarted(Event):
    """The first sample of an item became audible."""

    item: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackDrained(Event):
    """The last sample of an item has been audible; not merely handed over."""

    item: str
    played_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackCut(Event):
    """Answer to `CutPlayback`.

    `item` is the one that was sounding (None: nothing was), `played_ms` what the speaker
    emitted of it including the fade; `never_started` are items that were queued behind it.
    """

    item: str | None
    played_ms: float
    never_started: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceDrained(Event):
    """A spoken sentence of our own has been audible to its end (or was cut)."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStarted(Event):
    """The first sample of a `SayText` became audible."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDrained(Event):
    """A `SayText` is over; not `whole`: it was cut before its last sample had been audible."""

    name: str
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFailed(Event):
    """A `SayText` will not be heard; nothing of it was.

    `code`: `text.no_voice` (no synthesis here), `text.failed`, `text.too_long`, or
    `text.inaudible` (spoken sentences are off, or the volume is 0).
    """

    name: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReady(Event):
    """Microphone and loudspeaker are open and frames move; or the microphone gives sound again."""

    capture_name: str = ""
    capture_why: str = ""
    """Why it is this one."""
    render_name: str = ""
    render_why: str = ""
    capture: bool = True
    """False: the loudspeaker alone is open, because the microphone is muted."""
    hears: bool = True
    """False: what it gives is no sound, as `MicrophoneFailed` has said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDown(Event):
    """The sound device is missing or lost; opening goes on in the background."""

    code: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrophoneFailed(Event):
    """It was unmuted or opened again, and delivers nothing; or what it delivers is no sound.  The
    loudspeaker still works; soon the device is looked for anew."""

    code: str
    message: str
    fix: str = ""
    hears: bool = False
    """True: it hears, but badly."""


# --- the link --------------------------------------------------------------------------


class LinkConnecting(Event):
    """A connection attempt began."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReady(Event):
    """A fresh session is configured and acknowledged; it knows nothing of the talk so far.

    `replaces`: in place of a session that was READY until now, without a `LinkDown`; what only that
    knew is void.  `transcribes`: it writes down what it hears, if asked.  `address`: the host.
    """

    session: str = ""
    model: str = ""
    address: str = ""
    replaces: bool = False
    transcribes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RollOverDue(Event):
    """A fresh session stands ready beside the present one.

    `RollOver` swaps them at once.  Told again every few seconds until then, so nothing has to
    be remembered.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDown(Event):
    """The session is gone.  `refused`: only a person can fix it.  Code as in `errors`."""

    code: str
    message: str
    fix: str = ""
    refused: bool = False
    retry_in_s: float = 0.0


# --- what the model says ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeechStarted(Event):
    """The *server's* voice detector heard somebody begin; `item` will hold the turn."""

    item: str
    audio_start_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeechStopped(Event):
    """The server's voice detector heard the end of the turn."""

    item: str
    audio_end_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTurnCommitted(Event):
    """The heard audio became the conversation item `item`."""

    item: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTranscript(Event):
    """What the household said, in text; may come late, or never.  `usage`: what writing it down
    cost, if the server says so."""

    item: str
    text: str
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionFailed(Event):
    """The server could not write down what was said in `item`; `code` says why, if it did."""

    item: str
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseStarted(Event):
    """The model began a response in the conversation (side questions are not reported)."""

    response: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceChunk(Event):
    """A piece of spoken answer, 24 kHz PCM16."""

    response: str
    item: str
    pcm24k: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceText(Event):
    """A piece of the answer's transcript."""

    response: str
    item: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceEnded(Event):
    """No more audio will come for this item."""

    response: str
    item: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEnded(Event):
    """`status`: completed · cancelled · failed · incomplete; `code` says why if it failed
    (`insufficient_quota`, `rate_limit_exceeded`, …) or is incomplete (`max_output_tokens`);
    `retry_in_s`: when the server would take the request again, if it says so."""

    response: str
    status: str
    code: str = ""
    message: str = ""
    calls: tuple[ToolCall, ...] = ()
    items: tuple[str, ...] = ()
    usage: Usage | None = None
    retry_in_s: float | None = None


TRANSCRIPT = "transcript"
"""The tag of a side question begins with it where the answer is what the household said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideAnswer(Event):
    """Answer to a side question (out-of-band response) asked under `tag`."""

    tag: str
    text: str
    ok: bool = True
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsed(Event):
    """A model outside of the session was used; `who` is `TEXT_MODEL`.  None: it gave no figures."""

    who: str
    usage: Usage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryMade(Event):
    """Answer to `Summarise(tag)`; not `ok`: there is none, and `text` is empty."""

    tag: str
    text: str
    ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAdded(Event):
    """The server has taken an item into the conversation.

    `kind`: message · function_call · function_call_output, or what else the server names it;
    "" if it named nothing.  The two of a tool call share their `call_id`.
    """

    item: str
    role: str = ""
    kind: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDeleted(Event):
    """The server has removed an item."""

    item: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerComplained(Event):
    """An `error` event (words: `error_codes`); the session goes on.  `about`: what it answers;
    `retry_in_s`: when the server would take the request again, if it says so."""

    code: str
    message: str
    about: str = ""
    retry_in_s: float | None = None


# --- hands of the model ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished(Event):
    """A tool call ended, in whatever way; `output` is text for the model."""

    call_id: str
    output: str
    ok: bool = True
    finish: bool = field(default=False)
    """The tool asks to end the talk after the answer (`finish_session`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsChanged(Event):
    """The tools are others now (a tool server came, went or changed): all of them, anew.

    `schemas` as `session.update` wants them; `risks`: by name;
    `terms`: the same names, where there is something to say.
    """

    schemas: tuple[Mapping[str, object], ...]
    risks: Mapping[str, Risk]
    terms: Mapping[str, ToolTerms] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRequested(Event):
    """Somebody wants guest mode so: guests may only have what is harmless done."""

    on: bool
