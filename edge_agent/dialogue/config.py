"""What the dialogue has to know of the settings, and limits that are its own.

It must never import `host.settings`: `app.wiring` fills it in. A field that an owner can set has no
default here; its default stands in the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.contract.events import ToolTerms
from edge_agent.contract.risk import Risk
from edge_agent.contract.transcript import Hints
from edge_agent.dialogue.calls.wording import Wording
from edge_agent.dialogue.prompting.flow import FlowTerms
from edge_agent.dialogue.recall.summaries import SummaryTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogueConfig:
    """What may differ between two households.  Seconds and milliseconds as named."""

    mode: str
    """`wake`, `button` (wake words are ignored) or `always` (an open microphone)."""
    server_turns: bool
    """The server's voice detector ends turns; else our own does."""
    pre_roll_ms: int
    """Kept before a wake, so that one breath arrives whole (AVS asks for 500 ms)."""
    onset_pre_roll_ms: int = 400
    """Kept before a speech onset: detector lag (≤ 100 ms) plus a soft first consonant."""
    interrupt_pre_roll_ms: int = 600
    """Kept before a barge-in: decision window plus detector lag, not our own sentence."""
    one_breath_ms: int = 400
    """How long after a wake word it shows whether the person goes on without a pause."""
    follow_up_s: float
    quiet_end_s: float
    """A false wake ends after about 5 s without speech (works in a study and a lounge)."""
    local_silence_ms: int
    utterance_max_s: float
    thinking_max_s: float = 15.0
    """No sign of an answer for so long: the session is dead although it answers pings."""
    announce_after_s: float = 1.5
    """A reconnect shorter than this is nobody's business; the promise is 3 s."""
    sentence_for: Mapping[str, str] = field(default_factory=dict)
    """Error code → what the household hears; nobody is told the same thing twice in an outage.
    Codes that are missing here sound different."""
    keep_max_s: float
    keep_max_age_s: float = 60.0
    """An answer to what was said longer ago would startle rather than help."""
    long_press_s: float
    confirm_s: float
    chime: str
    """After a call: `on_pause`, `always` (softly, where the person speaks on) or `never`."""
    barge_in_by_speech: bool
    barge_in_window_frames: int
    barge_in_speech_frames: int
    """Of the last frames over our voice so many have to be speech.  How sure each of them is, the
    front end's sensitivity says."""
    barge_in_min_after_start_ms: int
    """The canceller meets a new answer: its first frames are not evidence."""
    memory_turns: int
    memory_audio_s: float = 60.0
    summaries: SummaryTerms
    forget_after_h: float
    """Hours of sleep after which a talk is closed; 0: never."""
    tool_risks: Mapping[str, Risk] = field(default_factory=dict)
    """Tools that exist; a call of any other is refused at once."""
    tool_terms: Mapping[str, ToolTerms] = field(default_factory=dict)
    consent_by_voice: bool
    """A yes in words is enough for MEDIUM; else the button for that too."""
    guest_end_by_button: bool
    """Two quick presses end guest mode, too."""
    wording: Wording
    """Questions for consent, in the language of the speaker's own sentences."""
    has_button: bool
    """There is a talk button; without one, what needs it is refused."""
    transcription: str
    """Who writes down what the household says: `off`, `builtin` (the server beside the talk) or
    `out_of_band` (the model, asked for each turn)."""
    transcription_hints: Hints
    """What helps them with it."""
    transcription_context: int
    """Earlier items that the model is given with a turn that it writes down."""
    flow: FlowTerms | None = None
    """The steps of a guided talk; None: the talk goes where people take it."""

    @property
    def kept_ms(self) -> int:
        """Sound that is kept while nothing is streamed: the longest pre-roll."""
        return max(self.pre_roll_ms, self.interrupt_pre_roll_ms) + self.one_breath_ms
