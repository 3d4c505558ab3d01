"""The manager: one event in, the commands that follow from it out.

`handle` an event, run the commands in order, and call again with `Tick` at `next_deadline()`.  Two
tables say who is told: an event's journeys in order, and what is done when a deadline is due.  What
the speaker reports of a cut (`PlaybackCut`) comes before any other event, so that cancelling,
truncating and the pre-roll leave in that order.

Owner: event loop; pure.  It never reads a clock, does I/O or raises: `handle` is total (a `strict`
one raises `IllegalMove`, for tests).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.journeys.alarms import Alarms
from edge_agent.dialogue.journeys.appearance import Appearance
from edge_agent.dialogue.journeys.consent_question import ConsentQuestion
from edge_agent.dialogue.journeys.consent_reply import ConsentReply
from edge_agent.dialogue.journeys.costs import Costs
from edge_agent.dialogue.journeys.device import Device
from edge_agent.dialogue.journeys.ears import Ears
from edge_agent.dialogue.journeys.hands import Hands
from edge_agent.dialogue.journeys.link_watch import LinkWatch
from edge_agent.dialogue.journeys.notes import Notes
from edge_agent.dialogue.journeys.server_ears import ServerEars
from edge_agent.dialogue.journeys.tool_results import ToolResults
from edge_agent.dialogue.journeys.transcripts import Transcripts
from edge_agent.dialogue.journeys.turn_taking import TurnTaking
from edge_agent.dialogue.journeys.voice import Voice
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.side_questions import SideQuestions
from edge_agent.dialogue.state import (
    Commands,
    CutFor,
    Deadline,
    Link,
    Microphone,
    Talk,
    TalkState,
)

FROM_SERVER = frozenset(
    {
        e.RollOverDue,
        e.UserSpeechStarted,
        e.UserSpeechStopped,
        e.UserTurnCommitted,
        e.UserTranscript,
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
    """The seam: builds the journeys, and tells them of each event."""

    def __init__(
        self,
        config: DialogueConfig,
        *,
        muted: bool = False,
        guest: bool = False,
        spending: Spending | None = None,
        strict: bool = False,
    ) -> None:
        self.config = config
        self.state = state = TalkState(config, muted=muted, strict=strict)
        self.gate = gate = Gate(config.kept_ms)
        self.answers = answers = Answers()
        self.memory = memory = Memory(config.memory_turns, config.memory_audio_s)
        self.tools = tools = ToolCalls(
            config.tool_risks, config.flow, config.tool_terms, window_s=config.confirm_s
        )
        tools.guest = guest
        barge_in = BargeIn(
            config.barge_in_window_frames,
            config.barge_in_speech_frames,
            config.barge_in_hold_off_ms,
        )
        side_questions = SideQuestions(state)
        self.moves = moves = Moves(state, gate, answers, tools)

        costs = Costs(state, moves, spending=spending or Spending())
        self.alarms = alarms = Alarms(state, moves, answers=answers)
        question = ConsentQuestion(state, moves, gate=gate, answers=answers, tools=tools)
        reply = ConsentReply(
            state,
            moves,
            gate=gate,
            answers=answers,
            tools=tools,
            side_questions=side_questions,
            asking=question,
        )
        transcripts = Transcripts(
            state, memory=memory, side_questions=side_questions, read=reply.read
        )
        self.notes = notes = Notes(
            state,
            moves,
            answers=answers,
            memory=memory,
            side_questions=side_questions,
            costs=costs,
        )
        results = ToolResults(state, answers=answers, tools=tools, memory=memory)
        link = LinkWatch(
            state,
            moves,
            gate=gate,
            answers=answers,
            tools=tools,
            memory=memory,
            side_questions=side_questions,
            notes=notes,
            lost_calls=results,
        )
        ears = Ears(
            state,
            moves,
            gate=gate,
            barge_in=barge_in,
            answers=answers,
            memory=memory,
            costs=costs,
            bell=alarms,
            reply=reply,
            explain_link=link.explain,
        )
        server_ears = ServerEars(
            state, moves, gate=gate, answers=answers, memory=memory, listener=ears
        )
        turns = TurnTaking(
            state,
            moves,
            answers=answers,
            tools=tools,
            memory=memory,
            costs=costs,
            listener=ears,
            question=question,
        )
        voice = Voice(
            state,
            moves,
            gate=gate,
            barge_in=barge_in,
            answers=answers,
            tools=tools,
            memory=memory,
            costs=costs,
            question=question,
            settle=turns.settle,
        )
        hands = Hands(state, moves, gate=gate, tools=tools, listener=ears, bell=alarms, reply=reply)
        device = Device(state, moves, gate=gate)
        self._appearance = Appearance(state, bell=alarms)

        self.journeys: dict[type[e.Event], tuple[Journey, ...]] = {
            e.Tick: (),  # what is due is done before every event
            e.HeardFrame: (ears.frame_heard, reply.frame_heard),
            e.ButtonPressed: (hands.pressed,),
            e.ButtonReleased: (hands.released,),
            e.MuteRequested: (hands.mute_requested,),
            e.GuestRequested: (hands.guest_requested,),
            e.DayBegan: (costs.day_began,),
            e.AlarmDue: (alarms.alarm_due,),
            e.AlarmStopRequested: (alarms.stop_requested,),
            e.StopRequested: (self._stop,),
            e.PlaybackStarted: (voice.playback_started,),
            e.PlaybackDrained: (question.playback_drained, voice.playback_drained),
            e.PlaybackCut: (alarms.playback_cut, voice.playback_cut, turns.playback_cut),
            e.SentenceDrained: (voice.sentence_drained, question.sentence_drained),
            e.DeviceReady: (device.ready, alarms.device_ready),
            e.DeviceDown: (device.down,),
            e.LinkConnecting: (link.connecting,),
            e.LinkReady: (costs.link_ready, link.ready),
            e.LinkDown: (link.down,),
            e.RollOverDue: (link.roll_over_due,),
            e.UserSpeechStarted: (server_ears.speech_started,),
            e.UserSpeechStopped: (server_ears.speech_stopped,),
            e.UserTurnCommitted: (server_ears.committed, transcripts.committed, reply.committed),
            e.UserTranscript: (transcripts.came,),
            e.ResponseStarted: (
                question.response_started,
                server_ears.response_started,
                voice.response_started,
            ),
            e.VoiceChunk: (voice.chunk,),
            e.VoiceText: (voice.text,),
            e.VoiceEnded: (voice.ended,),
            e.ResponseEnded: (
                question.response_ended,
                notes.response_ended,
                voice.response_ended,
            ),
            e.SideAnswer: (costs.side_answered, side_questions.answered),
            e.SummaryMade: (notes.summary_made,),
            e.ItemAdded: (notes.item_added,),
            e.ItemDeleted: (notes.item_deleted,),
            e.ServerComplained: (
                server_ears.complained,
                voice.complained,
                link.complained,
                notes.complained,
                question.complained,
            ),
            e.ToolFinished: (results.finished,),
            e.ToolsChanged: (results.tools_changed,),
        }
        """Who is told of an event, in this order: each sees what those before it have changed."""

        self.when_due: dict[Deadline, Callable[[], Commands]] = {
            Deadline.ALARM_OVER: alarms.nobody_came,
            Deadline.ANNOUNCE: link.announce,
            Deadline.CONFIRM: reply.expired,
            Deadline.FOLLOW_UP: turns.follow_up_over,
            Deadline.FORGET: notes.close_talk,
            Deadline.KEEP: link.kept_too_long,
            Deadline.LONG_PRESS: hands.held,
            Deadline.ONE_BREATH: ears.paused_after_wake,
            Deadline.QUIET: ears.quiet,
            Deadline.RING: alarms.ring,
            Deadline.SETTLED: list,  # notes may be due: that is looked at after every event
            Deadline.SIDE_QUESTION: side_questions.overdue,
            Deadline.STALLED: voice.stalled,
            Deadline.SUMMARY: notes.overdue,
            Deadline.THINKING: voice.no_answer,
            Deadline.TRANSCRIPT: reply.transcript_overdue,
            Deadline.UTTERANCE: ears.utterance_capped,
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
        if not isinstance(event, e.HeardFrame):  # those come a hundred times a second
            out += self.notes.advance()
            self.notes.track_idle()
        out += self._appearance.changes()
        out += state.take_slip_notes()
        sendable = self._sendable(out)
        self.notes.sent(sendable)
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
        return self.tools.guest

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
        self.gate.forget()
        stopping = c.Note("agent.stopping", {"why": "asked to"})
        return [stopping, *self.moves.fall_silent(CutFor.STOP, "stop", event.at, overrule=True)]

    def _stopped(self, event: e.Event) -> Commands:
        """Only the answer to the last `CutPlayback` still counts."""
        awaited = isinstance(event, e.PlaybackCut) and self.state.pending_cut is not None
        return self._sendable(self._tell(event)) if awaited else []
