"""The manager: one event in, the commands that follow from it out.

`handle` an event, run the commands in order, and call again with `Tick` at `next_deadline()`.  Two
tables say who is told: an event's journeys in order, and what is done when a deadline is due.  What
the speaker reports of a cut (`PlaybackCut`) comes before any other event, so that cancelling,
truncating and the pre-roll leave in that order.

Thread: event loop; pure.  It never reads a clock, does I/O or raises: `handle` is total (a `strict`
one raises `IllegalMove`, for tests).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.button_faults import ButtonFaulty, ButtonWorks
from edge_agent.contract.wishes import SayRequested
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.parts import Parts
from edge_agent.dialogue.state import Commands, CutFor, Deadline, Link, Microphone, Talk

FROM_SERVER = frozenset(
    {
        e.RollOverDue,
        e.UserSpeechStarted,
        e.UserSpeechStopped,
        e.UserTurnCommitted,
        e.UserTranscript,
        e.TranscriptionFailed,
        e.ResponseStarted,
        e.VoiceChunk,
        e.VoiceText,
        e.VoiceEnded,
        e.ResponseEnded,
        e.SideAnswer,
        e.ItemAdded,
        e.ItemDeleted,
        e.ServerComplained,
    }
)
"""Without a session there is nobody who could have said it."""

Journey = Callable[[Any], Commands]


class DialogueManager:
    """The seam: tells the journeys of each event, and of each deadline that is due."""

    def __init__(
        self,
        config: DialogueConfig,
        *,
        muted: bool = False,
        guest: bool = False,
        spending: Spending | None = None,
        strict: bool = False,
    ) -> None:
        spending = spending or Spending()
        self.parts = p = Parts(config, muted=muted, guest=guest, spending=spending, strict=strict)
        self.state = p.state
        self.journeys: dict[type[e.Event], tuple[Journey, ...]] = {
            e.Tick: (),  # what is due is done before every event
            e.HeardFrame: (p.ears.frame_heard, p.reply.frame_heard),
            e.ButtonPressed: (p.hands.pressed,),
            e.ButtonReleased: (p.hands.released,),
            ButtonFaulty: (p.hands.button_faulty,),
            ButtonWorks: (p.hands.button_works,),
            e.MuteRequested: (p.hands.mute_requested,),
            e.GuestRequested: (p.hands.guest_requested,),
            e.StateUnsaved: (p.hands.state_unsaved,),
            e.DayBegan: (p.costs.day_began,),
            e.AlarmDue: (p.alarms.alarm_due,),
            e.AlarmStopRequested: (p.alarms.stop_requested,),
            e.StopRequested: (self._stop,),
            SayRequested: (p.announcements.requested,),
            e.PlaybackStarted: (p.voice.playback_started, p.silence.answer_heard),
            e.PlaybackDrained: (p.voice.playback_drained,),
            e.PlaybackCut: (
                p.alarms.playback_cut,
                p.voice.playback_cut,
                p.turns.playback_cut,
            ),
            e.SentenceDrained: (p.voice.own_words_over,),
            e.TextStarted: (p.question.text_started,),
            e.TextDrained: (p.voice.own_words_over, p.question.text_drained),
            e.TextFailed: (
                p.voice.own_words_over,
                p.question.text_failed,
                p.announcements.text_failed,
            ),
            e.DeviceReady: (p.device.ready, p.alarms.device_ready),
            e.DeviceDown: (p.device.down,),
            e.MicrophoneFailed: (p.device.microphone_failed,),
            e.LinkConnecting: (p.link.connecting,),
            e.LinkReady: (p.costs.link_ready, p.transcripts.session_began, p.link.ready),
            e.LinkDown: (p.link.down,),
            e.RollOverDue: (p.link.roll_over_due,),
            e.UserSpeechStarted: (p.server_ears.speech_started,),
            e.UserSpeechStopped: (p.server_ears.speech_stopped,),
            e.UserTurnCommitted: (
                p.server_ears.committed,
                p.transcripts.committed,
                p.reply.committed,
            ),
            e.UserTranscript: (p.costs.transcribed, p.transcripts.came),
            e.TranscriptionFailed: (p.transcripts.failed,),
            e.ResponseStarted: (
                p.server_ears.response_started,
                p.voice.response_started,
            ),
            e.VoiceChunk: (p.voice.chunk,),
            e.VoiceText: (p.voice.text,),
            e.VoiceEnded: (p.voice.ended,),
            e.ResponseEnded: (
                p.notes.response_ended,
                p.voice.response_ended,
            ),
            e.SideAnswer: (p.costs.side_answered, p.side_questions.answered),
            e.ModelUsed: (p.costs.model_used,),
            e.SummaryMade: (p.notes.summary_made,),
            e.ItemAdded: (p.notes.item_added,),
            e.ItemDeleted: (p.notes.item_deleted,),
            e.ServerComplained: (
                p.server_ears.complained,
                p.voice.complained,
                p.link.complained,
                p.notes.complained,
            ),
            e.ToolFinished: (p.results.finished,),
            e.ToolsChanged: (p.results.tools_changed,),
        }
        """Who is told of an event, in this order: each sees what those before it have changed."""

        self.when_due: dict[Deadline, Callable[[], Commands]] = {
            Deadline.ALARM_OVER: p.alarms.nobody_came,
            Deadline.ANNOUNCE: p.outage.announce,
            Deadline.ASK_AGAIN: p.voice.ask_again,
            Deadline.CONFIRM: p.reply.expired,
            Deadline.FOLLOW_UP: p.turns.follow_up_over,
            Deadline.FORGET: p.notes.close_talk,
            Deadline.KEEP: p.outage.kept_too_long,
            Deadline.LONG_PRESS: p.hands.held,
            Deadline.ONE_BREATH: p.ears.paused_after_wake,
            Deadline.PATIENCE: p.voice.still_waiting,
            Deadline.QUIET: p.ears.quiet,
            Deadline.RING: p.alarms.ring,
            Deadline.SETTLED: list,  # notes may be due: that is looked at after every event
            Deadline.SIDE_QUESTION: p.side_questions.overdue,
            Deadline.STALLED: p.voice.stalled,
            Deadline.STEP: p.notes.leave_step,
            Deadline.SUMMARY: p.notes.overdue,
            Deadline.THINKING: p.voice.no_answer,
            Deadline.TRANSCRIPT: p.reply.transcript_overdue,
            Deadline.UTTERANCE: p.ears.utterance_capped,
        }

    # --- the seam -----------------------------------------------------------------------

    def handle(self, event: e.Event) -> Commands:
        """Take one event; return what is to be done, in order.  Total, in every state."""
        state = self.state
        state.deadlines.now = max(state.deadlines.now, event.at)
        if state.stopping:
            return self._stopped(event)
        out: Commands = []
        for deadline in state.deadlines.take_due():
            out += self.when_due[deadline]()
        if state.link is Link.READY or type(event) not in FROM_SERVER:
            out += self._tell(event)
        is_frame = isinstance(event, e.HeardFrame)  # those come a hundred times a second
        if not is_frame:
            out += self.parts.notes.advance()
            self.parts.notes.track_idle()
        out += self.parts.appearance.changes()
        out += state.take_slip_notes()
        if is_frame and not out:
            return out
        sendable = self.parts.labels.put(event, self._sendable(out))
        self.parts.notes.sent(sendable)
        return sendable

    def next_deadline(self) -> float | None:
        """When `Tick` is due, in loop time; None while nothing is waited for."""
        return self.state.deadlines.next()

    @property
    def talk(self) -> Talk:
        """Where the conversation stands."""
        return self.state.talk

    @property
    def link(self) -> Link:
        """Is there a session?"""
        return self.state.link

    @property
    def microphone(self) -> Microphone:
        """Open or muted."""
        return self.state.microphone

    @property
    def guest(self) -> bool:
        """Is guest mode on?"""
        return self.parts.tools.guest

    # --- inside ---------------------------------------------------------------------------

    def _tell(self, event: e.Event) -> Commands:
        out: Commands = []
        for journey in self.journeys.get(type(event), (self._unknown,)):
            out += journey(event)
        return out

    def _unknown(self, event: e.Event) -> Commands:
        """A room of another version knows more events than this dialogue."""
        self.state.slipped(c.Note("dialogue.unknown_event", {"kind": type(event).__name__}))
        return []

    def _sendable(self, out: Commands) -> Commands:
        if self.state.link is Link.READY:
            return out
        return [command for command in out if not isinstance(command, c.WireCommand)]

    def _stop(self, event: e.StopRequested) -> Commands:
        self.state.stopping = True
        self.state.deadlines.clear_all()
        self.parts.gate.forget()
        cut = self.parts.moves.fall_silent(CutFor.STOP, "stop", event.at, overrule=True)
        return [c.Note("agent.stopping", {"why": "asked to"}), *cut]

    def _stopped(self, event: e.Event) -> Commands:
        """Only the answer to the last `CutPlayback` still counts."""
        awaited = isinstance(event, e.PlaybackCut) and self.state.pending_cut is not None
        return self._sendable(self._tell(event)) if awaited else []
