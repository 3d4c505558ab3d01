"""Journeys and what they stand on, each built alone: a state, its helpers, and stand-ins."""

from __future__ import annotations

from typing import Any

import pytest
from driver import frame_pcm
from house_config import household_config
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.risk import Risk
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.barge_in import BargeIn
from edge_agent.dialogue.calls.tool_calls import ToolCalls
from edge_agent.dialogue.gate import Gate, GateState
from edge_agent.dialogue.journeys.alarms import RING_RETRY_S, Alarms
from edge_agent.dialogue.journeys.appearance import Appearance
from edge_agent.dialogue.journeys.consent_question import ConsentQuestion
from edge_agent.dialogue.journeys.consent_reply import ConsentReply
from edge_agent.dialogue.journeys.costs import Costs
from edge_agent.dialogue.journeys.ears import Ears
from edge_agent.dialogue.journeys.hands import Hands
from edge_agent.dialogue.journeys.link_watch import LinkWatch
from edge_agent.dialogue.journeys.outage import Outage
from edge_agent.dialogue.journeys.transcripts import Transcripts
from edge_agent.dialogue.manager import DialogueManager
from edge_agent.dialogue.money.spending import Spending
from edge_agent.dialogue.moves import Moves
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.side_questions import SideQuestions
from edge_agent.dialogue.state import (
    OUTLIVE_TALK,
    Commands,
    CutFor,
    Deadline,
    Deadlines,
    Link,
    Microphone,
    Talk,
    TalkState,
)
from edge_agent.dialogue.turn import UserTurn


class Parts:
    """A state and every helper, of which a journey takes what it needs."""

    def __init__(self, **config: Any) -> None:
        self.state = TalkState(household_config(**config), strict=True)
        self.state.deadlines.now = 100.0
        self.gate = Gate(1000)
        self.answers = Answers()
        self.tools = ToolCalls(self.state.config.tool_risks, window_s=self.state.config.confirm_s)
        self.memory = Memory(12, 60.0)
        self.side_questions = SideQuestions(self.state)
        self.moves = Moves(self.state, self.gate, self.answers, self.tools)

    def speaks(self) -> None:
        """The household is in the middle of a turn."""
        self.state.talk = Talk.LISTENING
        self.state.turn = UserTurn(self.state.now, 60.0)


class Silent:
    """A bell that does not ring, and no question for consent."""

    rings = False
    is_given = False
    stands = False

    def silence(self, cause: str, *, unheard: bool = False) -> Commands:
        return []

    def begins(self) -> bool:
        return False

    def woken(self) -> None:
        """Nothing had been refused."""

    def talked_over(self) -> None:
        """Nothing was asked."""

    def held(self) -> None:
        """No press was to agree to anything."""

    def turn_ended(self, *, by_us: bool) -> Commands:
        return []

    def nobody_spoke(self) -> Commands:
        return []

    def pressed(self, at: float) -> Commands:
        return []

    def released(self) -> Commands:
        return []

    def withdraw(self, why: str) -> Commands:
        return []


class Listening:
    """Ears that only write down what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def called(self, cause: str, at: float, word: str = "") -> Commands:
        self.told.append(f"called by {cause}")
        return []

    def end_turn(self, *, by_us: bool) -> Commands:
        self.told.append("turn ended by us" if by_us else "turn ended")
        return []


# --- tables ----------------------------------------------------------------------------------


def test_every_deadline_is_in_the_table() -> None:
    assert list(DialogueManager(household_config()).when_due) == list(Deadline)


# --- deadlines -------------------------------------------------------------------------------


def test_what_is_due_comes_in_order_and_may_clear_what_comes_behind_it() -> None:
    deadlines = Deadlines()
    deadlines.now = 10.0
    deadlines.set(Deadline.QUIET, 2.0)
    deadlines.set(Deadline.RING, 1.0)
    deadlines.set(Deadline.THINKING, 3.0)
    deadlines.set(Deadline.KEEP, 9.0)
    deadlines.now = 14.0
    due = []
    for deadline in deadlines.take_due():
        due.append(deadline)
        deadlines.clear(Deadline.THINKING)
    assert due == [Deadline.RING, Deadline.QUIET]
    assert deadlines.next() == 19.0
    assert list(deadlines) == [Deadline.KEEP]


@given(st.dictionaries(st.sampled_from(Deadline), st.floats(0.0, 100.0)))
def test_the_end_of_a_talk_leaves_what_outlives_it(set_for: dict[Deadline, float]) -> None:
    deadlines = Deadlines()
    deadlines.now = 1.0
    for deadline, in_s in set_for.items():
        deadlines.set(deadline, in_s)
    assert deadlines.next() == min((1.0 + s for s in set_for.values()), default=None)
    deadlines.clear_talk()
    assert set(deadlines) == set_for.keys() & OUTLIVE_TALK
    deadlines.clear_all()
    assert deadlines.next() is None


# --- moves -----------------------------------------------------------------------------------


def test_a_cut_is_asked_for_once_and_only_a_greater_cause_overrules_it() -> None:
    parts = Parts()
    assert parts.moves.interrupt("speech", 99.0) == [c.CutPlayback()]
    assert parts.moves.fall_silent(CutFor.HUSH, "speech", 100.0) == []
    pending = parts.state.pending_cut
    assert pending is not None
    assert (pending.why, pending.at) == (CutFor.INTERRUPT, 99.0)
    stop = parts.moves.fall_silent(CutFor.STOP, "stop", 100.0, overrule=True)
    assert stop == [c.CutPlayback()]
    assert parts.state.pending_cut is not None
    assert parts.state.pending_cut.why is CutFor.STOP


@pytest.mark.parametrize("mode", ["wake", "button", "always"])
def test_between_talks_only_an_open_microphone_in_mode_always_arms_the_gate(mode: str) -> None:
    parts = Parts(mode=mode)
    parts.moves.close_gate()
    assert parts.gate.state is (GateState.ARMED if mode == "always" else GateState.SHUT)
    parts.state.microphone = Microphone.MUTED
    parts.moves.close_gate()
    assert parts.gate.state is GateState.SHUT


# --- journeys --------------------------------------------------------------------------------


def test_alarms_wait_for_a_pause_and_begin_again_after_a_cut() -> None:
    parts = Parts()
    alarms = Alarms(parts.state, parts.moves, answers=parts.answers)
    parts.speaks()
    assert alarms.alarm_due(e.AlarmDue(at=100.0, name="tea")) == [c.PlayEarcon("timer")]
    assert parts.state.deadlines.due_at(Deadline.RING) == 100.0 + RING_RETRY_S
    parts.state.turn = None
    assert c.RingAlarm("tea") in alarms.ring()
    alarms.playback_cut(e.PlaybackCut(at=100.0, item=None, played_ms=0.0))
    assert not alarms.rings
    assert Deadline.RING in parts.state.deadlines
    assert alarms.silence("wake word")[0] == c.StopAlarm(("tea",))
    assert len(parts.state.deadlines) == 0


def heard(at: float, *, speech: bool, wake: str | None = None) -> e.HeardFrame:
    pcm24k = frame_pcm(round(at * 100) % 65536)
    return e.HeardFrame(at=at, pcm24k=pcm24k, speech=speech, over_playback=False, wake=wake)


def test_ears_stream_somebody_who_goes_on_after_the_wake_word() -> None:
    parts = Parts()
    ears = Ears(
        parts.state,
        parts.moves,
        gate=parts.gate,
        barge_in=BargeIn(9, 7, 250),
        answers=parts.answers,
        memory=parts.memory,
        costs=Costs(parts.state, parts.moves, spending=Spending()),
        bell=Silent(),
        reply=Silent(),
        explain_link=list,
    )
    said = [ears.frame_heard(heard(100.0, speech=True, wake="okay_nabu"))]
    assert said == [[c.Note("talk.woken", {"cause": "wake word", "word": "okay_nabu"})]]
    for number in range(1, 30):
        parts.state.deadlines.now = 100.0 + number / 100
        said.append(ears.frame_heard(heard(parts.state.now, speech=True)))
    assert isinstance(said[-1][0], c.SendAudio)
    assert parts.state.turn is not None
    parts.state.link = Link.READY
    assert c.CommitAudio() in ears.end_turn(by_us=True)
    assert parts.state.talk is Talk.THINKING


@pytest.mark.parametrize(
    ("talk", "told", "out"),
    [
        (Talk.ASLEEP, ["called by button"], []),
        (Talk.THINKING, [], [c.CutPlayback()]),
        (Talk.SPEAKING, ["called by button"], []),
    ],
)
def test_hands_press_the_button(talk: Talk, told: list[str], out: Commands) -> None:
    parts, ears = Parts(), Listening()
    hands = Hands(
        parts.state,
        parts.moves,
        gate=parts.gate,
        tools=parts.tools,
        listener=ears,
        bell=Silent(),
        reply=Silent(),
        sessions=link_watch(parts),
    )
    parts.state.talk = talk
    assert hands.pressed(e.ButtonPressed(at=100.0)) == out
    assert ears.told == told
    assert Deadline.LONG_PRESS in parts.state.deadlines
    assert c.SaveMute(True) in hands.held()


class NoSession:
    """Notes and lost calls of a household that has neither."""

    def session_over(self) -> None:
        """Nothing to forget."""

    def remember_news(self) -> None:
        """Nothing to remember."""

    def tell_news(self) -> Commands:
        return []

    def tell_still_running(self) -> Commands:
        return []


def link_watch(parts: Parts) -> LinkWatch:
    return LinkWatch(
        parts.state,
        parts.moves,
        gate=parts.gate,
        answers=parts.answers,
        tools=parts.tools,
        memory=parts.memory,
        side_questions=parts.side_questions,
        notes=NoSession(),
        lost_calls=NoSession(),
        outage=Outage(parts.state, parts.moves, memory=parts.memory),
    )


def test_outage_explains_a_refusal_at_once_and_a_loss_after_a_moment() -> None:
    parts = Parts()
    link = Outage(parts.state, parts.moves, memory=parts.memory)
    parts.speaks()
    assert link.explain() == []
    assert Deadline.ANNOUNCE in parts.state.deadlines
    parts.state.deadlines.clear(Deadline.ANNOUNCE)
    parts.state.link_trouble = e.LinkDown(at=100.0, code="link.bad_key", message="", refused=True)
    assert c.PlaySentence("link.bad_key") in link.explain()
    assert parts.state.talk is Talk.ASLEEP


def test_link_watch_sends_the_words_of_an_unfinished_turn_to_a_fresh_session() -> None:
    parts = Parts()
    link = link_watch(parts)
    parts.speaks()
    assert parts.state.turn is not None
    parts.state.turn.add(frame_pcm(7), 100.0, speech_frames=1)
    assert link.ready(e.LinkReady(at=100.0))[-1] == c.SendAudio(frame_pcm(7))


def test_a_question_is_heard_out_before_it_can_be_answered() -> None:
    parts = Parts(tool_risks={"shop": Risk.MEDIUM})
    question = ConsentQuestion(
        parts.state,
        parts.moves,
        gate=parts.gate,
        answers=parts.answers,
        tools=parts.tools,
        barge_in=BargeIn(9, 7, 150),
    )
    reply = ConsentReply(
        parts.state,
        parts.moves,
        gate=parts.gate,
        answers=parts.answers,
        tools=parts.tools,
        side_questions=parts.side_questions,
        asking=question,
    )
    parts.state.talk, parts.state.link = Talk.THINKING, Link.READY
    parts.tools.take([e.ToolCall(call_id="1", name="shop", arguments="{}")], 100.0, by_voice=True)
    [asked] = question.ask_due()
    assert isinstance(asked, c.SayText)
    assert not reply.begins()
    parts.state.deadlines.now = 101.0
    question.text_started(e.TextStarted(at=101.0, name=asked.name))
    assert not reply.begins()
    parts.state.deadlines.now = 102.0
    question.text_drained(e.TextDrained(at=102.0, name=asked.name))
    assert parts.state.talk is Talk.CONFIRMING
    assert reply.begins()
    assert reply.is_given


def test_words_are_remembered_and_read_by_whoever_waits_for_them() -> None:
    parts = Parts(transcription="out_of_band")
    read: list[tuple[str, str | None]] = []

    def reads(item: str, words: str | None) -> Commands:
        read.append((item, words))
        return []

    transcripts = Transcripts(
        parts.state, memory=parts.memory, side_questions=parts.side_questions, read=reads
    )
    parts.state.link = Link.READY
    [asked] = transcripts.committed(e.UserTurnCommitted(at=100.0, item="i"))
    assert isinstance(asked, c.AskSideQuestion)
    parts.side_questions.answered(e.SideAnswer(at=101.0, tag=asked.tag, text="Good morning."))
    assert read == [("i", "Good morning.")]
    assert len(parts.state.deadlines) == 0


def test_a_side_question_is_given_up_in_time_and_with_its_session() -> None:
    parts = Parts()
    answers: list[e.SideAnswer | None] = []

    def then(answer: e.SideAnswer | None) -> Commands:
        answers.append(answer)
        return []

    def ask() -> Commands:
        return parts.side_questions.ask("notes", "", then, within_s=5.0)

    assert ask() == []  # no session
    parts.state.link = Link.READY
    ask()
    assert parts.state.deadlines.due_at(Deadline.SIDE_QUESTION) == 105.0
    parts.state.deadlines.now = 105.0
    parts.side_questions.overdue()
    ask()
    parts.side_questions.session_lost()
    assert answers == [None, None, None]
    assert len(parts.state.deadlines) == 0


def test_light_and_status_are_shown_when_they_change_and_never_twice() -> None:
    parts = Parts()
    appearance = Appearance(parts.state, bell=Silent())
    status = c.SetStatus("asleep; link down; microphone open")
    assert appearance.changes() == [c.ShowLight("asleep"), status]
    assert appearance.changes() == []
    parts.state.microphone = Microphone.MUTED
    status = c.SetStatus("asleep; link down; microphone muted")
    assert appearance.changes() == [c.ShowLight("muted"), status]
    parts.state.link_trouble = e.LinkDown(at=1.0, code="link.bad_key", message="No.", refused=True)
    status = c.SetStatus("asleep; link down; microphone muted", "link.bad_key")
    assert appearance.changes() == [status]
