"""Speaking: from the first word of an answer to its end, or to the cut (purpose).

Owner thread: event loop.  Must never play a chunk of a cut item, nor end an answer before the
speaker says that it has been heard.
"""

from __future__ import annotations

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.dialogue.talk.listening import MIN_TURN_SPEECH_FRAMES, Listening
from edge_agent.dialogue.talk.states import Cause, Link, Microphone, Talk
from edge_agent.dialogue.talk.talk_core import Commands, Intent


class Speaking(Listening):
    """The answer, its tools, and the cut."""

    def _response_started(self, event: e.ResponseStarted) -> Commands:
        out: Commands = []
        turn = self._turn
        spoken = turn is not None and (
            turn.server_heard or turn.speech_frames >= MIN_TURN_SPEECH_FRAMES
        )
        if self.talk is Talk.LISTENING and spoken and self._answers.takes_unasked:
            out += self._end_turn(by_us=False)  # a server that does not announce its commit
        if "thinking" in self._deadlines:
            self._at("thinking", self.config.thinking_max_s)
        return out + self._answers.started(event.response)

    def _voice_chunk(self, event: e.VoiceChunk) -> Commands:
        if self._stopping or not self._device_ok or not self._answers.chunk(event):
            return []
        if self.talk is not Talk.SPEAKING:
            self._go(Cause.ANSWER_STARTED)
            self._clear("thinking", "follow-up", "quiet", "utterance", "announce", "one breath")
            self._breath_from = None
            self._gate.shut()
            self._barge_in.reset()
        self._turn = None  # it is being answered: nothing to replay
        self._broken_answer = False
        self._asked_again_since = None
        self._at("stalled", self.config.thinking_max_s)
        return [c.PlayVoice(event.item, event.pcm24k)]

    def _answer_stalled(self) -> Commands:
        """Nothing more came of an answer that is not over: not every server can be asked for a
        sign of life, and one that only answers pings would leave us speaking for ever."""
        if self.talk is not Talk.SPEAKING or self._answers.active is None:
            return []
        return [c.Note("talk.no_answer", {}), c.ReopenLink("no answer")]

    def _voice_text(self, event: e.VoiceText) -> Commands:
        if self._answers.wants(event.response):
            self._memory.assistant_text(event.item, event.text)
        return []

    def _voice_ended(self, event: e.VoiceEnded) -> Commands:
        return [c.EndVoice(event.item)] if self._answers.voice_ended(event.item) else []

    def _response_ended(self, event: e.ResponseEnded) -> Commands:
        ours = self._answers.active == event.response and self._answers.wants(event.response)
        out: Commands = [
            c.EndVoice(item)
            for item, spoken in self._answers.speaking.items()
            if spoken.response == event.response and self._answers.voice_ended(item)
        ]
        out += self._answers.ended(event)
        if event.usage is not None:
            out.append(c.Note("usage.response", _usage_fields(event.usage)))
        verdict, counted = self._spending.count(event.usage)
        out += counted
        if verdict:
            out.append(self._say(verdict))
        if not ours:
            return out if self._tools.waiting else out + self._answers.ask_waiting()
        self._clear("stalled")
        if event.status == "failed":
            return out + self._answer_failed(event)
        by_voice = self.config.consent_by_voice and self.microphone is Microphone.OPEN
        calls = self._tools.take(
            event.calls, self._now, by_voice=by_voice and self.talk is not Talk.ASLEEP
        )
        out += calls
        if calls or self._tools.waiting:
            self._turn = None  # it has been understood; a replay would run the calls twice
        elif self._turn is not None and self._turn.ended:
            self._unanswered = event.status == "cancelled"  # somebody goes on speaking, it seems
            if not self._unanswered:
                out.append(self._say(f"response.{event.code or 'empty'}"))
        out += self._ask_consent()
        if not self._tools.waiting:
            if calls:
                out += self._answers.request(c.RequestResponse(), insist=True)
            else:
                out += self._answers.ask_waiting()
        return out + self._settle()

    def _answer_failed(self, event: e.ResponseEnded) -> Commands:
        code = event.code or "server_error"
        out: Commands = [c.Note("response.failed", {"code": code})]
        self._memory.forget_last_user()
        self._turn = None
        return [*out, self._say(f"response.{code}"), *self._give_up("answer failed")]

    def _settle(self) -> Commands:
        """Is the answer over, or is there more to come?"""
        if self._tools.waiting or self._answers.pending:
            if self.talk is Talk.SPEAKING and not self._answers.speaking:
                self._go(Cause.ANSWER_PAUSED)
                self._arm_at_once()
                self._at("thinking", self.config.thinking_max_s)
            return []
        if self.talk not in (Talk.SPEAKING, Talk.THINKING):
            return []
        self._turn = None
        self._go(Cause.ANSWER_DONE)
        self._clear("thinking")
        if self._broken_answer:
            self._at("announce", self.config.announce_after_s)
        if self._tools.take_finish() or self.microphone is Microphone.MUTED:
            return self._give_up("talk finished")
        if not self._spending.may_start_turn(by_button=False):
            return self._give_up("budget spent")
        self._arm_at_once()
        self._at("follow-up", self.config.follow_up_s)
        return []

    def _no_answer(self) -> Commands:
        turn = self._turn
        if self._tools.waiting:
            self._at("thinking", self.config.thinking_max_s)
            return []
        out: Commands = [c.Note("talk.no_answer", {}), c.ReopenLink("no answer")]
        if turn is not None and turn.replays == 0:
            self._at("thinking", self.config.thinking_max_s)  # in case nothing comes of it
            turn.replays += 1
            return out
        return [*out, self._say("server_trouble"), *self._give_up("no answer")]

    def _follow_up_over(self) -> Commands:
        out: Commands = [self._say("response.empty")] if self._unanswered else []
        return out + self._give_up("follow-up window over")

    def _playback_cut(self, event: e.PlaybackCut) -> Commands:
        intent, self._intent = self._intent, None
        heard = self._answers.heard_ms(event)
        corrections: Commands = []
        for item, heard_ms in heard.items():
            received_ms = int(self._answers.speaking[item].received_ms)
            share = heard_ms / received_ms if received_ms else 0.0
            corrections += self._memory.assistant_cut(item, share)
        out = self._answers.cut(event) + corrections
        self._sentences = 0
        self._answer_audible = False
        self._clear("stalled")
        self._ring_again()
        if intent is None:
            return out + self._settle()
        if intent.kind == "hush":
            return out
        if intent.kind == "stop":
            return [*out, c.Exit()]
        if intent.kind == "sleep":
            return out + self._give_up(intent.cause)
        self._broken_answer = False
        if heard:
            self._explained.clear()
            fields = {
                "cause": intent.cause,
                "audio_end_ms": heard.get(event.item or "", 0),
                "latency_ms": round((self._now - intent.at) * 1000),
            }
            out.append(c.Note("talk.interrupted", fields))
        out += self._tools.withdraw("interrupted") + self._tools.interrupted()
        self._tools.take_finish()  # the talk goes on after all
        self._clear("thinking", "confirm", "transcript", "announce", "keep")
        return out + self._listen_after(intent)

    def _listen_after(self, intent: Intent) -> Commands:
        """We fell silent because somebody wants to say something: listen."""
        if self.talk is Talk.ASLEEP and intent.cause in ("speech", "server"):
            return []  # a deadline ended the talk between the cut and its report
        self._go(Cause.INTERRUPTED)
        turn, self._turn = self._turn, None
        owed = turn is not None and turn.ended
        self._answers.abandon(owed=owed)
        if self.microphone is Microphone.MUTED:
            return self._give_up("interrupted while muted")
        if intent.cause in ("speech", "server"):
            out = self._open(self.config.interrupt_pre_roll_ms)
            if self._turn is not None and intent.cause == "server":
                self._turn.server_heard = True
                self._answers.expect()
            return out
        return self._wake(intent.cause, intent.at)

    # --- the loudspeaker --------------------------------------------------------------------

    def _playback_started(self, event: e.PlaybackStarted) -> Commands:
        if event.item not in self._answers.speaking or self._answer_audible:
            return []
        self._answer_audible = True
        self._barge_in.playback_started(event.at)
        ended_at = event.at if self._turn_ended_at is None else self._turn_ended_at
        latency_ms = round((event.at - ended_at) * 1000)
        return [c.Note("talk.answer_started", {"latency_ms": latency_ms})]

    def _playback_drained(self, event: e.PlaybackDrained) -> Commands:
        spoken = self._answers.drained(event.item)
        if spoken is None or self._answers.speaking:
            return []
        self._answer_audible = False
        if not self._broken_answer:
            self._explained.clear()
        return [c.Note("talk.answer_done", {"ms": round(event.played_ms)}), *self._settle()]

    def _sentence_drained(self, _event: e.SentenceDrained) -> Commands:
        self._sentences = max(0, self._sentences - 1)
        return []

    def _ask_consent(self) -> Commands:
        """Ask the household what has to be asked (`confirming`)."""
        return []

    def _tell_news(self) -> Commands:
        """Tell of calls that outlived their session (`confirming`)."""
        return []

    def _tool_finished(self, event: e.ToolFinished) -> Commands:
        out = self._tools.finished(event) + self._tell_news()
        nobody_waits = self.talk in (Talk.ASLEEP, Talk.LISTENING)
        if not out or self._tools.waiting or nobody_waits or self.link is not Link.READY:
            return out  # the next answer, or the next session, tells of it
        out += self._answers.request(c.RequestResponse(), insist=True)
        if self.talk is Talk.THINKING:
            self._at("thinking", self.config.thinking_max_s)
        return out


def _usage_fields(usage: e.Usage) -> dict[str, object]:
    return {
        "text_in": usage.text_in,
        "audio_in": usage.audio_in,
        "cached_in": usage.cached_text_in + usage.cached_audio_in + usage.cached_image_in,
        "text_out": usage.text_out,
        "audio_out": usage.audio_out,
    }
