"""The manager: one event in, the commands that follow from it out (purpose).

Owner thread: event loop.  Must never read a clock, do I/O or raise: `handle` is total.  Time is
`event.at`; the pump calls again with `Tick` at `next_deadline()`.

Three coupled machines (`states`): link, microphone, talk.  Every cause that ends our own speech
enters `_interrupt`; what the speaker then reports (`PlaybackCut`) is handled before any other
event, so that cancelling, truncating and the pre-roll leave in that order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.config import DialogueConfig
from edge_agent.dialogue.listening import MIN_TURN_SPEECH_FRAMES
from edge_agent.dialogue.speaking import Speaking
from edge_agent.dialogue.spending import Spending
from edge_agent.dialogue.states import Cause, Link, Microphone, Talk
from edge_agent.dialogue.talk_core import Commands, Intent

ANNOUNCE_RETRY_S = 0.25
ANNOUNCE_AT_LATEST_S = 2.5
"""Wait for a pause before saying why nobody answers, but keep the promise of 3 s."""
CONTINUE = (
    "The connection was lost while you were answering. Go on from where your last message stops, "
    "briefly, without repeating what was already said and without apologising."
)


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
    e.ServerComplained,
)
"""Without a session there is nobody who could have said it."""


class DialogueManager(Speaking):
    """The seam, and what belongs to no single journey: link, device, button, light."""

    def __init__(
        self, config: DialogueConfig, *, muted: bool = False, spending: Spending | None = None
    ) -> None:
        super().__init__(config, muted=muted, spending=spending)
        self._light = ""
        self._status = ""
        self._link_from: float | None = None
        """When the present attempt to get a session began."""
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
            e.SideAnswer: self._ignore,
            e.ItemAdded: self._ignore,
            e.ItemDeleted: self._ignore,
            e.ServerComplained: self._complained,
            e.ToolFinished: self._tool_finished,
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
            "confirm": lambda: self._settle_consent(self._tools.refuse()),
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
            out += self._handlers.get(type(event), self._ignore)(event)
        out += self._appearance()
        return self._sendable(out)

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
        fields = {"capture_name": event.capture_name, "render_name": event.render_name}
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

    # --- the link -----------------------------------------------------------------------------

    def _link_connecting(self, _event: e.LinkConnecting) -> Commands:
        if self.link is Link.DOWN:
            self.link = Link.CONNECTING
        if self.link is not Link.READY and self._link_from is None:
            self._link_from = self._now
        return []

    def _link_ready(self, event: e.LinkReady) -> Commands:
        # A second session may come without a word about the end of the first.
        out = self._session_over() if self.link is Link.READY else []
        self.link = Link.READY
        self._spending.model = event.model or self._spending.model
        self._link_trouble = None
        self._explained = False
        self._clear("announce", "keep")
        seconds = round(self._now - self._link_from, 2) if self._link_from is not None else 0.0
        self._link_from = None
        out.append(c.Note("link.ready", {"model": event.model, "seconds": seconds}))
        out += self._tools.tell_step()
        if in_vain := self._asks_in_vain():
            self._memory.forget_last_user()  # or it ends this session too
        out += self._memory.reseed()
        if in_vain:
            trouble = self._say("server_trouble")
            return [*out, c.Note("talk.no_answer", {}), trouble, *self._give_up("no answer")]
        turn = self._turn
        if turn is not None:
            seconds = round(turn.ms / 1000, 1)
            out.append(c.Note("talk.replayed", {"seconds": seconds}))
            turn.server_heard = False  # this server has not
        if turn is not None and not turn.ended:
            out.append(c.SendAudio(turn.pcm24k))
        elif turn is not None:
            turn.replays += 1
            out += self._ask_again("")
        elif self._broken_answer:
            out.append(c.Note("talk.continued", {}))
            out += self._ask_again(CONTINUE if self._memory.ends_with_answer else "")
        return out

    def _roll_over_due(self, _event: e.RollOverDue) -> Commands:
        """Change sessions in a quiet moment only: nobody speaks, nothing is owed."""
        listening = self.talk is Talk.LISTENING and self._turn is None and self._breath_from is None
        busy = self._answers.pending or self._tools.waiting or self._sounding
        quiet = (self.talk is Talk.ASLEEP or listening) and not busy
        return [c.RollOver()] if quiet else []

    def _session_over(self) -> Commands:
        """What only the session that has ended knew is void."""
        awaited = self._answers.awaited or self._tools.waiting
        if self._turn is None and (
            self.talk in (Talk.THINKING, Talk.CONFIRMING)
            or (self.talk is Talk.SPEAKING and awaited)
        ):
            self._broken_answer = True
        out: Commands = [c.EndVoice(item) for item in self._answers.session_lost()]
        out += self._tools.session_lost()
        self._commits_due = 0
        self._clear("thinking", "stalled", "confirm")
        if self.talk is Talk.CONFIRMING:
            self._go(Cause.CONSENT_SETTLED)
        return out

    def _asks_in_vain(self) -> bool:
        """Has session after session died of the same question, without one word of an answer?

        Each costs money, and the household would hear why for ever.
        """
        owed = (self._turn is not None and self._turn.ended) or self._broken_answer
        since = self._asked_again_since
        return owed and since is not None and self._now - since > self.config.keep_max_age_s

    def _ask_again(self, instructions: str) -> Commands:
        self._broken_answer = False
        if self._asked_again_since is None:
            self._asked_again_since = self._now
        self._clear("follow-up")
        if self.talk is Talk.LISTENING:  # its first half has been heard to the end
            self._go(Cause.TURN_ENDED)
        if self.talk is Talk.THINKING:
            self._arm_at_once()
            self._at("thinking", self.config.thinking_max_s)
        return self._answers.request(c.RequestResponse(instructions), insist=True)

    def _link_down(self, event: e.LinkDown) -> Commands:
        had_session = self.link is Link.READY
        self.link = Link.DOWN
        self._link_trouble = event
        note = "link.refused" if event.refused else "link.down"
        fields = {"code": event.code, "message": event.message, "fix": event.fix}
        out: Commands = [c.Note(note, {**fields, "retry_in_s": round(event.retry_in_s, 2)})]
        if had_session:
            self._link_from = self._now
            out += self._session_over()
        waiting = self.talk in (Talk.LISTENING, Talk.THINKING)
        if event.refused and (waiting or self._broken_answer):
            return [*out, self._say(event.code), *self._give_up("link refused")]
        if (waiting or self._broken_answer) and "announce" not in self._deadlines and had_session:
            self._at("announce", self.config.announce_after_s)
        if self.talk is Talk.THINKING:
            self._gate.shut()  # what is said between people now is not for us
            if "keep" not in self._deadlines:
                self._at("keep", self.config.keep_max_age_s)
        return out

    def _announce(self) -> Commands:
        """Say why nobody answers, in a pause if there is one."""
        if self.link is Link.READY or self.talk is Talk.ASLEEP:
            return []
        turn = self._turn
        talking = turn is not None and not turn.ended and self._now - turn.last_speech_at < 0.5
        lost_at = self._link_trouble.at if self._link_trouble else self._woken_at
        owed_since = max(self._woken_at, lost_at)
        if self.talk is Talk.SPEAKING or (
            talking and self._now - owed_since < ANNOUNCE_AT_LATEST_S
        ):
            self._at("announce", ANNOUNCE_RETRY_S)
            return []
        self._explained = True
        return [self._say(self._link_trouble.code if self._link_trouble else "link.connecting")]

    def _kept_too_long(self) -> Commands:
        if self.link is Link.READY or self.talk is not Talk.THINKING:
            return []
        self._memory.forget_last_user()
        seconds = round(self._turn.ms / 1000, 1) if self._turn is not None else 0.0
        return [
            c.Note("talk.dropped_old", {"seconds": seconds}),
            self._say("too_old"),
            *self._give_up("kept too long"),
        ]

    def _complained(self, event: e.ServerComplained) -> Commands:
        if event.code == "conversation_already_has_active_response":
            self._answers.collided()
            return []
        if event.about.startswith("response.create"):
            self._answers.request_refused()
        elif event.about.startswith("input_audio_buffer.commit"):
            self._commits_due = max(0, self._commits_due - 1)
        return [c.Note("server.complaint", {"code": event.code})]

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
        if self.talk is Talk.CONFIRMING:
            return self._settle_consent(self._tools.grant(self._now))
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

    def _settle_consent(self, decided: Commands) -> Commands:
        if self.talk is not Talk.CONFIRMING:
            return decided
        self._clear("confirm")
        self._go(Cause.CONSENT_SETTLED)
        self._arm_at_once()
        self._at("thinking", self.config.thinking_max_s)
        if not self._tools.waiting:
            again = self._answers.request(c.RequestResponse(), insist=True)
            decided = [*decided, *again]
        return decided

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

    @staticmethod
    def _ignore(_event: e.Event) -> Commands:
        """Known, and of no consequence to the dialogue in this version."""
        return []
