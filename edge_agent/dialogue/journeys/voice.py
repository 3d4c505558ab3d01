"""Voice: an answer, from the first word that comes to the last one that is heard.

What follows its end or its cut is `TurnTaking`'s; `Moves.fall_silent` asks for a cut.

Thread: event loop; pure.  It never plays a chunk of a cut item, and never ends an answer before the
speaker says that it has been heard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from edge_agent.contract import commands as c
from edge_agent.contract import error_codes, net_faults
from edge_agent.contract import events as e
from edge_agent.dialogue.answers import Answers, crossed
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate
from edge_agent.dialogue.journeys.costs import Costs
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.state import (
    AWAITING,
    Cause,
    Commands,
    Deadline,
    Link,
    Microphone,
    Talk,
    TalkState,
)

ASK_AGAIN_S = 3.0
"""Where the server does not say when; then as long again as it has been."""
ASK_AGAIN_MAX_S = 20.0
"""Nobody stands by a speaker for longer: then they are told."""
LOST_WITH_THE_SERVER = ("", error_codes.ABOUT_REQUEST, error_codes.ABOUT_COMMIT)
"""What an error of the server's own must be about for the answer to be lost."""
REFUSED_FOR_NOW = ("", error_codes.ABOUT_REQUEST)
"""What a rate limit must be about for the answer to be refused."""


class Question(Protocol):
    """What the voice needs of a question for consent.  None: that is not about the question."""

    def ask_due(self) -> Commands:
        """Ask what the calls of a response need."""

    def unanswered(self) -> Commands | None:
        """No sign of the response that was asked for."""


class Voice:
    """The model's answer in the household's loudspeaker."""

    def __init__(
        self,
        state: TalkState,
        moves: Moves,
        *,
        gate: Gate,
        barge_in: BargeIn,
        answers: Answers,
        tools: ToolCalls,
        memory: Memory,
        costs: Costs,
        question: Question,
        settle: Callable[[], Commands],
        silence: Callable[[str], Commands],
    ) -> None:
        self._state = state
        self._moves = moves
        self._gate = gate
        self._barge_in = barge_in
        self._answers = answers
        self._tools = tools
        self._memory = memory
        self._costs = costs
        self._question = question
        self._settle = settle
        self._silence = silence
        self._worded = ""
        """The answer under way, once there was a word or a sound of it."""
        self._is_audible = False
        """The start of the present answer has been reported."""

    # --- an answer comes ------------------------------------------------------------------

    def response_started(self, event: e.ResponseStarted) -> Commands:
        """The model begins to answer.

        Asleep, or in a window in which nobody has said anything, nobody waits for an answer: one
        that the server begins all the same is not played, runs no tool and opens no window.
        """
        state, deadlines = self._state, self._state.deadlines
        self._worded = ""  # another session may use the same ids
        if Deadline.THINKING in deadlines:
            deadlines.set(Deadline.THINKING, self._state.config.thinking_max_s)
        nobody_waits = state.talk in (Talk.ASLEEP, Talk.LISTENING) and state.turn is None
        if nobody_waits and self._answers.takes_unasked:
            more = state.server_notes_missed
            fields = {"state": state.talk.value, "more": more}
            noted = state.server_note(c.Note("response.unasked", fields))
            return [*noted, *self._answers.started(event.response, wanted=False)]
        out = self._answers.started(event.response)
        if self._answers.wants(event.response):
            deadlines.clear(Deadline.ASK_AGAIN)  # it comes after all: a second one is not wanted
        return out

    def chunk(self, event: e.VoiceChunk) -> Commands:
        """A piece of the answer's sound."""
        state, deadlines = self._state, self._state.deadlines
        if not state.device_ok or not self._answers.chunk(event):
            return []
        if state.talk is not Talk.SPEAKING:
            state.transition(Cause.ANSWER_STARTED)
            deadlines.clear(*AWAITING)
            deadlines.clear(Deadline.FOLLOW_UP, Deadline.QUIET)
            deadlines.clear(Deadline.UTTERANCE, Deadline.ANNOUNCE, Deadline.ONE_BREATH)
            state.breath_from = None
            self._gate.shut()
            self._barge_in.reset()
        self._worded = event.response
        state.is_served = True
        state.turn = None  # it is being answered: nothing to replay
        state.owed.broken_answer = False
        state.owed.asked_again_since = state.owed.refused_since = None
        deadlines.set(Deadline.STALLED, state.config.thinking_max_s)
        return [c.PlayVoice(event.item, event.pcm24k)]

    def stalled(self) -> Commands:
        """Nothing more came of an answer that is not over: not every server can be asked for a
        sign of life, and one that only answers pings would leave us speaking for ever."""
        if self._state.talk is not Talk.SPEAKING or self._answers.active is None:
            return []
        return [c.Note("talk.no_answer", {}), c.ReopenLink("no answer")]

    def text(self, event: e.VoiceText) -> Commands:
        """A piece of the answer's words."""
        if self._answers.wants(event.response):
            self._memory.assistant_text(event.item, event.text)
            if event.text.strip():
                self._worded = event.response
        return []

    def ended(self, event: e.VoiceEnded) -> Commands:
        """All sound of an item is here."""
        return [c.EndVoice(event.item)] if self._answers.voice_ended(event.item) else []

    def response_ended(self, event: e.ResponseEnded) -> Commands:
        """The model has said all it will say, or wants something done."""
        state, answers, tools = self._state, self._answers, self._tools
        ours = answers.active == event.response and answers.wants(event.response)
        out: Commands = [
            c.EndVoice(item)
            for item, spoken in answers.speaking.items()
            if spoken.response == event.response and answers.voice_ended(item)
        ]
        out += answers.ended(event)
        out += self._costs.response(event.usage)
        if not ours:
            return out if tools.waiting else out + answers.ask_waiting()
        state.deadlines.clear(Deadline.STALLED)
        if event.status == "failed":
            return out + self._failed(event)
        by_voice = state.config.consent_by_voice and state.microphone is Microphone.OPEN
        calls = tools.take(
            event.calls, state.now, by_voice=by_voice and state.talk is not Talk.ASLEEP
        )
        out += calls
        silent = tools.chose_silence(event.calls)
        says_nothing = silent or self._is_empty(event)
        if calls or tools.waiting:
            state.turn = None  # it has been understood; a replay would run the calls twice
            state.is_served |= not silent
        elif state.turn is not None and state.turn.ended and not says_nothing:
            # Somebody goes on speaking, it seems.
            state.owed.server_cancelled = event.status == "cancelled"
            if not state.owed.server_cancelled:
                out.append(self._moves.say(f"response.{event.code or 'empty'}"))
                return out + self._moves.end_talk("empty answer")  # a sentence opens no window
        asked = self._question.ask_due()
        out += asked
        if not (tools.waiting or asked):  # else it goes on from there
            if calls and not silent:
                out += answers.request(c.RequestResponse(), insist=True)
            else:
                out += answers.ask_waiting()
                if says_nothing and not answers.pending:
                    return out + self._silence("tool" if silent else "empty")
        return out + self._settle()

    def _is_empty(self, event: e.ResponseEnded) -> bool:
        """Has the model said nothing, of its own will?  One that failed, was stopped or was only
        written is a fault: somebody would wait for it."""
        said = event.calls or self._worded == event.response
        return event.status == "completed" and not said

    def _failed(self, event: e.ResponseEnded) -> Commands:
        code = event.code or "server_error"
        more = self._state.server_notes_missed
        out = self._state.server_note(c.Note("response.failed", {"code": code, "more": more}))
        if self._state.talk is Talk.ASLEEP:
            return out  # nobody waits for it
        if _may_be_asked_again(event) and self._is_asked_again(event.retry_in_s):
            return out
        return out + self._give_up(code)

    def _give_up(self, code: str) -> Commands:
        """There will be no answer, and the household hears why."""
        self._memory.forget_last_user()
        self._state.turn = None
        told = self._moves.say(f"response.{code}")
        return [told, *self._moves.end_talk("answer failed")]

    def _is_asked_again(self, in_s: float | None) -> bool:
        """Whether an answer that was refused for the moment will be asked for again by itself."""
        state, owed = self._state, self._state.owed
        if state.talk is not Talk.THINKING:
            return False  # half of it has been heard
        since = owed.refused_since = state.now if owed.refused_since is None else owed.refused_since
        wait_s = max(in_s or ASK_AGAIN_S, state.now - since)
        if state.now + wait_s - since > ASK_AGAIN_MAX_S:
            owed.refused_since = None
            return False
        state.deadlines.set(Deadline.ASK_AGAIN, wait_s)
        state.deadlines.set(Deadline.THINKING, wait_s + state.config.thinking_max_s)
        return True

    def ask_again(self) -> Commands:
        """The moment may be over."""
        if self._state.talk is not Talk.THINKING or self._state.link is not Link.READY:
            return []
        return self._answers.request(c.RequestResponse(), insist=True)

    def complained(self, event: e.ServerComplained) -> Commands:
        """The server will not begin a response, was giving another one, or has failed."""
        if crossed(event):
            self._answers.collided()
        elif event.about.startswith(error_codes.ABOUT_REQUEST):
            self._answers.request_refused()
        is_awaited = Deadline.THINKING in self._state.deadlines
        if event.code == error_codes.SERVER_ERROR and event.about in LOST_WITH_THE_SERVER:
            # Often the only sign that nothing will come.
            return self.no_answer() if is_awaited else []
        if _may_be_asked_again(event) and event.about in REFUSED_FOR_NOW:
            runs = self._answers.active is not None or self._state.talk is not Talk.THINKING
            if is_awaited and not (runs or self._is_asked_again(event.retry_in_s)):
                return self._give_up(event.code)
        return []

    def no_answer(self) -> Commands:
        """No sign of the answer for so long that the session must be dead."""
        state, turn = self._state, self._state.turn
        asked = self._question.unanswered()
        if asked is not None:
            return asked
        if self._tools.waiting:
            state.deadlines.set(Deadline.THINKING, state.config.thinking_max_s)
            return []
        out: Commands = [c.Note("talk.no_answer", {}), c.ReopenLink("no answer")]
        if turn is not None and turn.replays == 0:
            # In case nothing comes of it.
            state.deadlines.set(Deadline.THINKING, state.config.thinking_max_s)
            turn.replays += 1
            return out
        return [*out, self._moves.say("server_trouble"), *self._moves.end_talk("no answer")]

    def still_waiting(self) -> Commands:
        """No answer yet, and nobody has been told why: it is still wanted."""
        state = self._state
        is_told = state.link is not Link.READY or self._moves.sounding
        if state.talk is not Talk.THINKING or is_told:
            return []
        return [self._moves.say("still_waiting")]

    # --- the loudspeaker ------------------------------------------------------------------

    def playback_started(self, event: e.PlaybackStarted) -> Commands:
        """The first sample of an item has sounded."""
        if event.item not in self._answers.speaking or self._is_audible:
            return []
        self._is_audible = True
        self._barge_in.playback_started(event.at)
        turn_ended_at = self._state.turn_ended_at
        ended_at = event.at if turn_ended_at is None else turn_ended_at
        return [c.Note("talk.answer_started", {"latency_ms": round((event.at - ended_at) * 1000)})]

    def playback_drained(self, event: e.PlaybackDrained) -> Commands:
        """An item has been heard to its end."""
        spoken = self._answers.drained(event.item)
        if spoken is None or self._answers.speaking:
            return []
        self._is_audible = False
        if not self._state.owed.broken_answer:
            self._state.owed.explained.clear()
        return [c.Note("talk.answer_done", {"ms": round(event.played_ms)}), *self._settle()]

    def own_words_over(self, event: e.SentenceDrained | e.TextDrained | e.TextFailed) -> Commands:
        """One of our own sentences has been heard, or will not be."""
        state = self._state
        if event.name in state.sentences:
            state.sentences -= Counter((event.name,))
            state.own_words_until = state.now
        return []

    def playback_cut(self, _event: e.PlaybackCut) -> Commands:
        """The speaker has fallen silent, whatever for."""
        self._is_audible = False
        self._state.sentences.clear()
        self._state.own_words_until = self._state.now
        self._state.deadlines.clear(Deadline.STALLED)
        return []


def _may_be_asked_again(refusal: e.ResponseEnded | e.ServerComplained) -> bool:
    return net_faults.of_word(refusal.code) is net_faults.TOO_MUCH
