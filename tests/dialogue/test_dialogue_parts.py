"""Parts of the dialogue alone: gate, memory, barge-in, answers, consent, table."""

from __future__ import annotations

import pytest
from driver import frame_numbers, frame_pcm
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract import commands as c
from edge_agent.contract import events as e
from edge_agent.contract.pcm import SILENT_FRAME, WIRE_BYTES_PER_MS, silence
from edge_agent.dialogue.answers import Answers
from edge_agent.dialogue.barge_in import PAUSE_FRAMES, BargeIn
from edge_agent.dialogue.gate import Gate, GateState
from edge_agent.dialogue.recall.memory import Memory
from edge_agent.dialogue.state import TRANSITIONS, Cause, Talk, diagram
from edge_agent.dialogue.turn import UserTurn


def heard(number: int, *, speech: bool = False, over: bool = False) -> e.HeardFrame:
    return e.HeardFrame(
        at=number / 100, pcm24k=frame_pcm(number), speech=speech, over_playback=over
    )


# --- gate -----------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(["hear", "shut", "arm", "open", "forget"]), st.integers(1, 1200)),
        max_size=80,
    )
)
def test_gate_sends_every_frame_at_most_once_in_order_and_only_while_open(
    steps: list[tuple[str, int]],
) -> None:
    gate, number, sent, forgotten = Gate(800), 0, [], 0
    for what, value in steps:
        before = gate.state
        if what == "hear":
            for _ in range(value % 30):
                number += 1
                pcm24k = gate.hear(heard(number))
                assert bool(pcm24k) is (before is GateState.OPEN)
                sent += frame_numbers(pcm24k)
        elif what == "open":
            pre_roll = gate.open(value)
            sent += frame_numbers(pre_roll.unsent)
            assert set(frame_numbers(pre_roll.unsent)) <= set(frame_numbers(pre_roll.words))
            assert len(pre_roll.words) <= max(10, min(value, 800)) * WIRE_BYTES_PER_MS
        elif what == "arm":
            gate.arm(number / 100)
        elif what == "forget":
            gate.forget()
            forgotten = number
        else:
            gate.shut()
        fresh = [n for n in sent if n > forgotten]
        assert fresh == sorted(set(fresh))
    assert sent == sorted(set(sent))


def test_armed_gate_counts_from_its_floor_and_sends_from_a_little_before() -> None:
    gate = Gate(800)
    for number in range(1, 51):
        gate.hear(heard(number, speech=True))
    gate.arm(0.50, send_from=0.40)
    assert not gate.onset()
    for number in range(51, 56):
        gate.hear(heard(number, speech=True))
    assert gate.onset()
    assert frame_numbers(gate.open(400).unsent) == list(range(40, 56))


@pytest.mark.parametrize(("over", "needed"), [(False, 5), (True, 7)])
def test_onset_needs_more_evidence_over_our_own_voice(over: bool, needed: int) -> None:
    gate = Gate(800)
    gate.arm(0.0)
    for number in range(1, needed):
        gate.hear(heard(number, speech=True, over=over))
    assert not gate.onset()
    gate.hear(heard(needed, speech=True, over=over))
    assert gate.onset()


def test_own_voice_is_sent_as_silence_of_the_same_length() -> None:
    gate = Gate(1000)
    for number in range(1, 81):
        gate.hear(heard(number, over=True))
    gate.hear(heard(81, speech=True, over=True))
    words = gate.open(1000).words
    assert len(words) == 81 * len(SILENT_FRAME)
    passed = [n for n in frame_numbers(words) if n]
    assert passed == list(range(46, 82)), "what a soft voice may need until it is believed"
    for number in range(42, 80):
        sent = gate.hear(heard(number, over=True))
        assert len(sent) == len(SILENT_FRAME)
    assert sent == SILENT_FRAME


# --- memory ------------------------------------------------------------------------------------


def seeds_of(memory: Memory) -> list[c.AddMessage]:
    """What a fresh session is told, where no tool was called."""
    seeds = memory.reseed()
    messages = [seed for seed in seeds if isinstance(seed, c.AddMessage)]
    assert messages == seeds
    return messages


@given(words=st.integers(1, 60), share=st.floats(-0.5, 1.5), seeded=st.booleans())
def test_cut_answer_is_remembered_in_proportion(words: int, share: float, seeded: bool) -> None:
    memory = Memory(12, 60)
    memory.user_said(b"\x01\x00")
    full = " ".join(f"word{i}" for i in range(words))
    memory.assistant_text("a", full)
    if seeded:
        memory.reseed()
    fixes = memory.assistant_cut("a", share)
    kept = [m.text for m in seeds_of(memory) if m.role == "assistant"]
    text = kept[0] if kept else ""
    assert full.startswith(text)
    assert len(text) <= max(0.0, min(1.0, share)) * len(full) + 1
    assert not text or full == text or full[len(text)] == " ", "no half word"
    changed = text != full
    assert [type(f) for f in fixes] == (
        [] if not (seeded and changed) else [c.DeleteItem, c.AddMessage][: 2 if text else 1]
    )


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("user"), st.integers(0, 3000)),
            st.tuples(st.just("answer"), st.sampled_from("abc")),
            st.tuples(st.just("text"), st.sampled_from("abc")),
            st.tuples(st.just("cut"), st.sampled_from("abc")),
            st.tuples(st.just("forget"), st.none()),
        ),
        max_size=60,
    )
)
def test_memory_is_bounded_and_keeps_the_newest_words(steps: list[tuple[str, object]]) -> None:
    memory = Memory(3, 4.0)
    for kind, value in steps:
        if kind == "user":
            assert isinstance(value, int)
            memory.user_said(silence(value))
            newest = seeds_of(memory)
            if value:
                assert len(newest[-1].pcm24k) == len(silence(value))
        elif kind == "answer":
            memory.assistant_text(str(value), "words ")
        elif kind == "text":
            memory.user_item(str(value))
            memory.user_text(str(value), "hello")
        elif kind == "cut":
            memory.assistant_cut(str(value), 0.5)
        else:
            memory.forget_last_user()
        assert len(memory) <= 6
        seeds = seeds_of(memory)
        assert sum(len(m.pcm24k) for m in seeds) <= 4000 * WIRE_BYTES_PER_MS
        assert all(m.role == "user" or not m.pcm24k for m in seeds)
        assert len({m.item for m in seeds}) == len(seeds)


def test_newest_words_stay_even_if_they_alone_are_too_long() -> None:
    memory = Memory(3, 1.0)
    memory.user_said(silence(500))
    memory.user_said(silence(2000))
    assert [len(m.pcm24k) for m in seeds_of(memory)] == [2000 * WIRE_BYTES_PER_MS]


def test_late_transcript_replaces_the_sound() -> None:
    memory = Memory(12, 60)
    memory.user_said(silence(1000))
    memory.user_item("u1")
    memory.user_said(silence(1000))
    memory.user_item("u2")
    memory.user_text("u1", " what time is it ")
    memory.user_text("unknown", "x")
    memory.user_text("u2", "  ")
    first, second = seeds_of(memory)
    assert (first.text, first.pcm24k) == ("what time is it", b"")
    assert (second.text, len(second.pcm24k)) == ("", 1000 * WIRE_BYTES_PER_MS)


# --- barge-in --------------------------------------------------------------------------------


def test_barge_in_wants_eight_of_ten() -> None:
    barge_in = BargeIn(10, 8, 150)
    pattern = [True, False, True, True, True, False, True, True, True, True]
    results = [barge_in.hear(heard(i + 1, speech=s, over=True)) for i, s in enumerate(pattern)]
    assert results == [False] * 9 + [True]
    assert barge_in.onset_at == pytest.approx(0.01)


def test_what_was_said_before_a_gap_cuts_nothing_that_sounds_after_it() -> None:
    """Frames are only judged while we are audible: the last sentence's speech is history."""
    barge_in = BargeIn(10, 8, 150)
    assert not any(barge_in.hear(heard(n, speech=True, over=True)) for n in range(7))
    assert not barge_in.hear(heard(300, over=True))
    assert not any(barge_in.hear(heard(n, speech=True, over=True)) for n in range(400, 407))
    assert barge_in.hear(heard(407, speech=True, over=True))
    assert barge_in.onset_at == pytest.approx(4.0)


def test_barge_in_holds_off_after_an_answer_became_audible() -> None:
    barge_in = BargeIn(10, 8, 150)
    barge_in.playback_started(1.0)
    results = [barge_in.hear(heard(n, speech=True, over=True)) for n in range(100, 130)]
    assert results.index(True) == 15 + 7


@given(st.lists(st.booleans(), max_size=80))
def test_barge_in_never_fires_on_less_than_it_asks_for(labels: list[bool]) -> None:
    barge_in = BargeIn(10, 8, 0)
    for index, label in enumerate(labels):
        fired = barge_in.hear(heard(index + 1, speech=label, over=True))
        assert fired == (sum(labels[max(0, index - 9) : index + 1]) >= 8)


def test_a_pause_of_ours_is_interrupted_by_half_a_second_of_speech() -> None:
    """The last of our voice in the room, or a knock, is speech to the ordinary detector."""
    barge_in = BargeIn(6, 5, 0)
    knock = [barge_in.hear(heard(n, speech=True)) for n in range(1, PAUSE_FRAMES)]
    assert not any(knock)
    assert not barge_in.hear(heard(PAUSE_FRAMES, speech=False))
    first = PAUSE_FRAMES + 1
    words = [barge_in.hear(heard(n, speech=True)) for n in range(first, first + PAUSE_FRAMES)]
    assert words == [False] * (PAUSE_FRAMES - 1) + [True]
    assert barge_in.onset_at == pytest.approx(first / 100)


def test_who_speaks_on_as_our_voice_goes_on_is_judged_over_it() -> None:
    barge_in = BargeIn(6, 5, 0)
    assert not any(barge_in.hear(heard(n, speech=True, over=True)) for n in range(1, 4))
    assert not any(barge_in.hear(heard(n, speech=True)) for n in range(4, 30))
    again = [barge_in.hear(heard(n, speech=True, over=True)) for n in range(30, 36)]
    assert again.index(True) == 4
    assert barge_in.onset_at == pytest.approx(0.01)


# --- answers ------------------------------------------------------------------------------------


def chunk(response: str, item: str, ms: float = 100) -> e.VoiceChunk:
    return e.VoiceChunk(at=0.0, response=response, item=item, pcm24k=silence(ms))


def ended(response: str, *items: str) -> e.ResponseEnded:
    return e.ResponseEnded(at=0.0, response=response, status="completed", items=items)


def cut(item: str | None, ms: float, *never: str) -> e.PlaybackCut:
    return e.PlaybackCut(at=0.0, item=item, played_ms=ms, never_started=never)


@given(st.integers(1, 3000), st.floats(allow_nan=False))
def test_audio_end_is_between_nothing_and_what_was_received(received: int, played: float) -> None:
    answers = Answers()
    answers.started("r")
    answers.chunk(chunk("r", "i", received))
    commands = answers.cut(cut("i", played))
    ends = [x.audio_end_ms for x in commands if isinstance(x, c.TruncateItem)]
    assert all(0 < end <= received for end in ends)
    assert bool(ends) is (played >= 1)
    assert bool(ends) is not any(isinstance(x, c.DeleteItem) for x in commands)


def test_item_rendered_to_its_end_is_neither_truncated_nor_deleted() -> None:
    answers = Answers()
    answers.started("r")
    for item in ("one", "two", "three"):
        answers.chunk(chunk("r", item))
        answers.voice_ended(item)
    answers.ended(ended("r", "one", "two", "three"))
    assert answers.cut(cut("two", 40, "three")) == [
        c.TruncateItem("two", 40),
        c.DeleteItem("three"),
    ]


def test_an_item_of_another_session_is_not_one_that_was_heard() -> None:
    """Services may name their items alike in every session."""
    answers = Answers()
    answers.started("r")
    answers.chunk(chunk("r", "item_1"))
    answers.ended(ended("r", "item_1"))
    assert answers.drained("item_1")
    answers.session_lost()
    answers.started("s")
    answers.abandon(owed=False)
    assert answers.ended(ended("s", "item_1")) == [c.DeleteItem("item_1")]


def test_a_request_that_waits_is_given_up_with_the_talk() -> None:
    answers = Answers()
    answers.started("r")
    assert answers.request(c.RequestResponse(), insist=True) == []
    assert answers.abandon(owed=False) == [c.CancelResponse("r")]
    answers.ended(ended("r"))
    assert answers.ask_waiting() == []
    assert not answers.pending


def test_second_request_waits_for_the_end_of_the_first() -> None:
    answers = Answers()
    first, second = c.RequestResponse(), c.RequestResponse(may_call=False)
    assert answers.request(first, insist=False) == [first]
    assert answers.request(second, insist=False) == []
    answers.started("r")
    assert answers.ask_waiting() == []
    answers.ended(ended("r"))
    assert answers.ask_waiting() == [second]
    assert answers.ask_waiting() == []


def test_abandoned_request_is_cancelled_when_it_begins_and_the_next_is_wanted() -> None:
    answers = Answers()
    answers.request(c.RequestResponse(), insist=False)
    answers.abandon(owed=False)
    assert answers.request(c.RequestResponse(may_call=False), insist=False) == []
    assert answers.started("old") == [c.CancelResponse("old")]
    assert not answers.chunk(chunk("old", "i"))
    assert answers.ended(ended("old", "i")) == [c.DeleteItem("i")]
    assert answers.ask_waiting() == [c.RequestResponse(may_call=False)]
    assert answers.started("new") == []
    assert answers.chunk(chunk("new", "j"))


@pytest.mark.parametrize(("insist", "again"), [(True, 1), (False, 0)])
def test_collision_is_retried_once_if_we_insist(insist: bool, again: int) -> None:
    answers = Answers()
    answers.request(c.RequestResponse(), insist=insist)
    answers.started("the server's own")
    answers.collided()
    answers.ended(ended("the server's own"))
    assert len(answers.ask_waiting()) == again
    answers.started("another of its own")
    answers.collided()
    answers.ended(ended("another of its own"))
    assert answers.ask_waiting() == []


def test_tables_of_the_dead_stay_small() -> None:
    answers = Answers()
    for number in range(2000):
        answers.started(f"r{number}")
        answers.chunk(chunk(f"r{number}", f"i{number}"))
        answers.cut(cut(f"i{number}", 50))
        answers.ended(ended(f"r{number}"))
    assert len(answers._dead) <= 256
    assert len(answers._gone_items) <= 256
    assert len(answers._kept_items) <= 256


# --- turn, table -----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 30)), max_size=40))
def test_turn_keeps_the_latest_words_within_its_bound(pieces: list[tuple[int, int]]) -> None:
    turn = UserTurn(0.0, 1.0)
    for index, (ms, speech_frames) in enumerate(pieces):
        turn.add(silence(ms), float(index), speech_frames=speech_frames)
    total = sum(ms for ms, _ in pieces)
    assert turn.ms == min(1000, total)
    assert turn.dropped_ms == max(0, total - 1000)
    assert turn.speech_frames == sum(count for _, count in pieces)


def test_diagram_shows_every_transition_once() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> asleep"]
    assert len(lines) == 2 + len(TRANSITIONS)
    assert "    speaking --> listening: interrupted" in lines


def test_every_state_can_be_reached_and_left_for_sleep() -> None:
    for start in Talk:
        reached = {start}
        while True:
            more = {after for (before, _), after in TRANSITIONS.items() if before in reached}
            if more <= reached:
                break
            reached |= more
        assert reached == set(Talk)
    assert {cause for _, cause in TRANSITIONS} == set(Cause)
