"""The manager: one event in, the commands that follow from it out.

Owner thread: event loop.  Must never read a clock, do I/O or raise: `handle` is total.  Time is
`event.at`; the pump calls again with `Tick` at `next_deadline()`.

Three coupled machines (`states`): link, microphone, talk.  Whatever ends our own speech early sets
an `Intent` and issues `CutPlayback`; what the speaker then reports (`PlaybackCut`) is handled
before any other event, so that cancelling, truncating and the pre-roll leave in that order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.talk.linking import Linking
from edge_agent.dialogue.talk.listening import MIN_TURN_SPEECH_FRAMES
from edge_agent.dialogue.talk.states import Link, Microphone, Talk
from edge_agent.dialogue.talk.talk_core import Commands, Intent

DOUBLE_PRESS_S = 0.5
"""Two presses that are one gesture, as desktops count a double click."""

FROM_SERVER = (
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
)
"""Without a session there is nobody who could have said it."""


class DialogueManager(Linking):
    """The seam, and what belongs to no single journey: device, button, light."""

    def __init__(
        self,
        config: DialogueConfig,
        *,
        muted: bool = False,
        guest: bool = False,
        spending: Spending | None = None,
        strict: bool = False,
    ) -> None:
        super().__init__(config, muted=muted, spending=spending)
        self.strict = strict
        self._tools.guest = guest
        self._woken_by_hand_at = float("-inf")
        self._light = ""
        self._status = ""
        self._handlers: dict[type[e.Event], Callable[[Any], Commands]] = {
            e.Tick: self._ignore,
            e.HeardFrame: self._heard,
            e.ButtonPressed: self._pressed,
            e.ButtonReleased: self._released,
            e.MuteRequested: lambda event: self._set_mute(event.muted),
            e.DayBegan: self._day_began,
            e.AlarmDue: self._alarm_due,
            e.AlarmStopRequested: lambda _event: self._silence_alarm("tool", unheard=True),
            e.StopRequested: self._stop,
            e.PlaybackStarted: self._playback_started,
            e.PlaybackDrained: self._playback_drained,
            e.PlaybackCut: self._playback_cut,
            e.SentenceDrained: self._sentence_drained,
            e.DeviceReady: self._device_ready,
            e.DeviceDown: self._device_down,
            e.LinkConnecting: self._link_connecting,
            e.LinkReady: self._link_ready,
            e.LinkDown: self._link_down,
            e.RollOverDue: self._roll_over_due,
            e.UserSpeechStarted: self._server_heard,
            e.UserSpeechStopped: self._server_heard_end,
            e.UserTurnCommitted: self._committed,
            e.UserTranscript: self._user_transcript,
            e.ResponseStarted: self._response_started,
            e.VoiceChunk: self._voice_chunk,
            e.VoiceText: self._voice_text,
            e.VoiceEnded: self._voice_ended,
            e.ResponseEnded: self._response_ended,
            e.SideAnswer: self._side_answered,
            e.SummaryMade: self._summary_came,
            e.ItemAdded: self._item_added,
            e.ItemDeleted: self._item_deleted,
            e.ServerComplained: self._complained,
            e.ToolFinished: self._tool_finished,
            e.ToolsChanged: self._tools.changed,
            e.GuestRequested: self._guest_requested,
        }
        self._when_due: dict[str, Callable[[], Commands]] = {
            "one breath": self._paused_after_wake,
            "quiet": self._quiet,
            "follow-up": self._follow_up_over,
            "utterance": self._utterance_capped,
            "thinking": self._no_answer,
            "stalled": self._answer_stalled,
            "announce": self._announce,
            "keep": self._kept_too_long,
            "confirm": lambda: self._settle_consent(self._tools.refuse("expired")),
            "transcript": self._transcript_overdue,
            "aside": self._asides_overdue,
            "summary": self._summary_overdue,
            "settled": list,  # notes may be due: that is looked at after every event
            "forget": self._forget_talk,
            "ring": self._ring,
            "alarm over": lambda: self._silence_alarm("nobody", unheard=True),
            "long press": lambda: self._set_mute(self.microphone is Microphone.OPEN),
        }

    # --- the seam -----------------------------------------------------------------------

    def handle(self, event: e.Event) -> Commands:
        """Take one event; return what is to be done, in order.  Total, in every state."""
        self._now = max(self._now, event.at)
        if self._stopping:
            return self._stopped(event)
        out = self._fire_due()
        if self.link is Link.READY or not isinstance(event, FROM_SERVER):
            out += self._handlers.get(type(event), self._unknown)(event)
        if not isinstance(event, e.HeardFrame):  # those come a hundred times a second
            out += self._tend_memory()
            self._mind_the_sleep()
        out += self._appearance()
        slips, self._slip_notes = self._slip_notes, []
        out += slips
        return self._remember(self._sendable(out))

    def _sendable(self, out: Commands) -> Commands:
        if self.link is Link.READY:
            return out
        return [command for command in out if not isinstance(command, c.WireCommand)]

    def next_deadline(self) -> float | None:
        """When `Tick` is due, in loop time; None while nothing is waited for."""
        return min(self._deadlines.values(), default=None)

    # --- the sound device ---

    def _device_ready(self, event: e.DeviceReady) -> Commands:
        self._device_ok = True
        if self.talk is Talk.ASLEEP:
            self._rest()
        fields = {"capture": event.capture_name, "render": event.render_name}
        return [c.Note("device.ready", fields), *self._ring()]

    def _device_down(self, event: e.DeviceDown) -> Commands:
        """The talk is over; what waits for the speaker must not come out when it is back."""
        self._device_ok = False
        self._gate.forget()
        self._intent = Intent("sleep", "sound device lost", event.at)
        return [
            c.Note(
                "device.down",
                {"code": event.code, "message": event.message, "fix": event.fix},
            ),
            c.CutPlayback(),
        ]

    def _day_began(self, event: e.DayBegan) -> Commands:
        self._spending.day = event.day
        return []

    # --- hands --------------------------------------------------------------------------------

    def _pressed(self, event: e.ButtonPressed) -> Commands:
        if event.button == "mute":
            return self._set_mute(self.microphone is Microphone.OPEN)
        rang = self._silence_alarm("button") if self._rings else []
        if rang and not self._sounding:
            return rang  # a sleepy hand may stay on it: no long press either
        return rang + self._pressed_talk(event)

    def _pressed_talk(self, event: e.ButtonPressed) -> Commands:
        self._at("long press", self.config.long_press_s)
        if self._pressed_twice(event.at):
            out = self._give_up("button") if self.talk is Talk.LISTENING else []
            return out + self._set_guest(not self.guest)
        if self.talk is Talk.CONFIRMING:
            return self._pressed_for_consent()
        if self.microphone is Microphone.MUTED:
            if self.talk is Talk.SPEAKING or self._sounding:
                return self._interrupt("button", event.at)
            return [c.PlayEarcon("muted")]
        if self.talk is Talk.LISTENING:
            turn = self._turn
            if turn is not None and turn.speech_frames >= MIN_TURN_SPEECH_FRAMES:
                return self._end_turn(by_us=True)
            return [c.PlayEarcon("sleep"), *self._give_up("button")]
        if self.talk is Talk.THINKING:
            self._intent = self._intent or Intent("sleep", "button", event.at)
            return [c.CutPlayback()]
        return self._called("button", event.at)

    def _pressed_twice(self, at: float) -> bool:
        """Twice in a moment out of sleep, without a word: woken and sent back, which means
        nothing else."""
        twice = at - self._woken_by_hand_at <= DOUBLE_PRESS_S
        self._woken_by_hand_at = at if self.talk is Talk.ASLEEP and not twice else float("-inf")
        return twice and self.talk in (Talk.ASLEEP, Talk.LISTENING) and self._turn is None

    def _released(self, event: e.ButtonReleased) -> Commands:
        if event.button != "mute":
            self._clear("long press")
        return []

    def _set_mute(self, muted: bool) -> Commands:
        if muted is (self.microphone is Microphone.MUTED):
            return []
        self.microphone = Microphone.MUTED if muted else Microphone.OPEN
        self._gate.forget()
        out: Commands = [
            c.SaveMute(muted),
            c.PlayEarcon("muted" if muted else "unmuted"),
            c.Note("mic.muted" if muted else "mic.open", {}),
        ]
        if muted and self.talk is Talk.LISTENING:
            out += self._give_up("muted")
        elif self.talk is Talk.ASLEEP:
            self._rest()
        return out

    def _stop(self, event: e.StopRequested) -> Commands:
        self._stopping = True
        self._deadlines.clear()
        self._gate.forget()
        self._intent = Intent("stop", "stop", event.at)
        return [c.Note("agent.stopping", {"why": "asked to"}), c.CutPlayback()]

    def _stopped(self, event: e.Event) -> Commands:
        """Only the answer to the last `CutPlayback` still counts."""
        out: Commands = []
        if isinstance(event, e.PlaybackCut) and self._intent is not None:
            out = self._playback_cut(event)
        return self._sendable(out)

    def _fire_due(self) -> Commands:
        out: Commands = []
        due = sorted((at, name) for name, at in self._deadlines.items() if at <= self._now)
        for _at, name in due:
            if self._deadlines.get(name, self._now + 1) <= self._now:
                del self._deadlines[name]
                out += self._when_due[name]()
        return out

    def _appearance(self) -> Commands:
        out: Commands = []
        light = self._light_now()
        if light != self._light:
            self._light = light
            out.append(c.ShowLight(light))
        status = f"{self.talk.value}; link {self.link.value}; microphone {self.microphone.value}"
        if status != self._status:
            self._status = status
            out.append(c.SetStatus(status))
        return out

    def _light_now(self) -> str:
        if self._stopping:
            return "off"
        if self.microphone is Microphone.MUTED:
            return "muted"
        if not self._device_ok:
            return "device_down"
        if self._rings and self.talk is Talk.ASLEEP:
            return "alarm"
        down = self.link is not Link.READY and self._link_trouble is not None
        if self.talk is Talk.ASLEEP or (self.talk is Talk.THINKING and down):
            if down and self._link_trouble is not None:
                return "refused" if self._link_trouble.refused else "offline"
            return "asleep" if self.talk is Talk.ASLEEP else "thinking"
        return str(self.talk.value)

    def _unknown(self, event: e.Event) -> Commands:
        """A room of another version knows more events than this dialogue."""
        self._slipped(c.Note("dialogue.unknown_event", {"kind": type(event).__name__}))
        return []

    @staticmethod
    def _ignore(_event: e.Event) -> Commands:
        """Known, and of no consequence to the dialogue in this version."""
        return []
