"""Whole talks with the whole daemon, in virtual time, judged by what room and server heard."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from whole_house import (
    PATIENCE_S,
    Answers,
    answered,
    clip,
    faults,
    first_sound,
    heard,
    next_answer,
    play,
    ready,
    silence,
    speech,
    spoken,
    still_works,
    times_spoken,
    whole_turn,
    words_of,
)

from edge_agent.audio.speaker.earcons import render_earcon
from edge_agent.demo.judge import measure
from edge_agent.demo.stage import Stage
from edge_agent.panel.patterns import EARCONS
from edge_agent.simulation.brains import Reply, Speech, Text, Turn

CUT_WITHIN_S = 0.35


def earcon(name: str) -> measure.Sound:
    return measure.sound(render_earcon(EARCONS[name]), 24_000)


def test_wake_and_question_in_one_breath() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            begin = stage.now()
            said = await stage.say("wake_what_time")
            await whole_turn(stage, said, "answer_tea")
            woken = stage.score.codes("talk.woken", begin)[0].at
            assert stage.score.audio_up_bytes(begin, woken) == 0
            # No chime while the person goes on.
            assert stage.room.spoken.audible(begin, said.end_at) is None
            await stage.until_talk("asleep", PATIENCE_S)
            asleep_at = stage.now()
            await stage.say("thanks")
            assert stage.score.audio_up_bytes(asleep_at) == 0
            assert not faults(stage)

    play(talk())


def test_a_soft_chime_into_the_first_words_leaves_them_whole() -> None:
    async def talk() -> None:
        # Before the room is learnt, no frame under our sound is called speech.
        settings = {"listen": {"chime": "always"}}
        async with Stage(brain=Answers("answer_tea"), settings=settings) as stage:
            await ready(stage)
            begin = stage.now()
            said = await stage.say("wake_what_time")
            at, until = stage.room.spoken.audible(begin, said.end_at) or (0.0, 0.0)
            assert said.onset_at < at < said.offset_at
            assert until - at < 0.15
            await whole_turn(stage, said, "answer_tea")
            assert stage.score.codes("talk.interrupted", begin) == []
            assert len(answered(stage)) == 1
            assert not faults(stage)

    play(talk())


def test_wake_pause_chime_question() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_story")) as stage:
            await ready(stage)
            begin = stage.now()
            woke = await stage.say("wake_only")
            await silence(stage, await first_sound(stage, begin), hold_s=0.1)
            chimed = spoken(stage, earcon("woken"), begin)
            assert chimed.correlation > 0.9
            assert begin + chimed.at_s > woke.offset_at
            assert stage.score.audio_up_bytes(begin) == 0
            said = await stage.say("button_question", in_s=0.3)
            given = await whole_turn(stage, said, "answer_story")
            # Neither the wake word nor the chime is part of what the model has to understand.
            assert heard(given, clip("wake_only")).correlation < 0.3
            assert heard(given, earcon("woken")).correlation < 0.3
            assert not faults(stage)

    play(talk())


def test_button_mode_is_deaf_to_the_wake_word() -> None:
    async def talk() -> None:
        async with Stage(
            brain=Answers("answer_story"), settings={"listen": {"mode": "button"}}
        ) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await asyncio.sleep(1.0)
            assert stage.talk == "asleep"
            assert stage.score.audio_up_bytes(0.0) == 0
            await stage.push()
            said = await stage.say("button_question", in_s=0.75)
            await whole_turn(stage, said, "answer_story")
            assert not faults(stage)

    play(talk())


def test_a_question_right_after_the_press_is_whole() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_story")) as stage:
            await ready(stage)
            stage.press()
            said = stage.speak("button_question", in_s=0.0)
            await asyncio.sleep(0.15)
            stage.release()
            await stage.sleep_until(said.end_at)
            await whole_turn(stage, said, "answer_story")

    play(talk())


def test_always_mode_needs_no_word() -> None:
    async def talk() -> None:
        async with Stage(
            brain=Answers("answer_story", "answer_bye"), settings={"listen": {"mode": "always"}}
        ) as stage:
            await ready(stage)
            await asyncio.sleep(1.0)
            assert stage.score.audio_up_bytes(0.0) == 0  # a silent room
            said = await stage.say("button_question")
            await whole_turn(stage, said, "answer_story")
            await stage.until_talk("asleep", PATIENCE_S)
            await asyncio.sleep(1.0)
            said = await stage.say("thanks")
            await whole_turn(stage, said, "answer_bye")
            assert not faults(stage)

    play(talk())


@pytest.mark.parametrize("end_of_turn", ["server_vad", "semantic_vad", "local"])
def test_every_way_to_end_a_turn(end_of_turn: str) -> None:
    async def talk() -> None:
        listen: dict[str, object] = {"end_of_turn": end_of_turn, "semantic_eagerness": "high"}
        async with Stage(
            brain=Answers("answer_tea", "answer_tomorrow"), settings={"listen": listen}
        ) as stage:
            await ready(stage)
            said = await stage.say("wake_tea_second_voice")
            await whole_turn(stage, said, "answer_tea")
            said = await stage.say("follow_up", in_s=0.3)
            await whole_turn(stage, said, "answer_tomorrow")
            commits = stage.score.sent("input_audio_buffer.commit", up=True)
            assert len(commits) == (2 if end_of_turn == "local" else 0)
            assert not faults(stage)

    play(talk())


def test_follow_up_window_closes() -> None:
    async def talk() -> None:
        async with Stage(
            brain=Answers("answer_tea"), settings={"listen": {"follow_up_s": 3.0}}
        ) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await whole_turn(stage, said, "answer_tea")
            done = stage.score.codes("talk.answer_done")[0].at
            asleep = await stage.until_talk("asleep", PATIENCE_S)
            assert abs(asleep - done - 3.0) < 0.1
            await stage.say("follow_up")
            await asyncio.sleep(2.0)
            assert len(answered(stage)) == 1
            assert stage.score.audio_up_bytes(asleep) == 0

    play(talk())


def test_false_wake_ends_quietly_and_nothing_was_sent() -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            begin = stage.now()
            await stage.say("wake_only")
            await stage.until_talk("listening", PATIENCE_S)
            await stage.until_talk("asleep", PATIENCE_S)
            assert stage.score.audio_up_bytes(begin) == 0
            assert answered(stage) == []
            assert stage.score.codes("talk.false_wake")
            await still_works(stage)

    play(talk())


def test_two_wake_words() -> None:
    async def talk() -> None:
        settings = {"listen": {"wake_words": ("okay_nabu", "hey_jarvis")}}
        async with Stage(brain=Answers("answer_bye"), settings=settings) as stage:
            await ready(stage)
            said = await stage.say("hey_jarvis")
            await next_answer(stage, said.start_at)
            await stage.until_talk("asleep", PATIENCE_S)
            said = await stage.say("wake_what_time")
            await next_answer(stage, said.start_at)
            words = [line.fields["word"] for line in stage.score.codes("talk.woken")]
            assert words == ["hey_jarvis", "okay_nabu"]

    play(talk())


def test_television_that_talks_on_is_cut_off() -> None:
    async def talk() -> None:
        async with Stage(
            brain=Answers("answer_bye"), settings={"listen": {"utterance_max_s": 5.0}}
        ) as stage:
            await ready(stage)
            begin = stage.now()
            stage.speak("wake_what_time")
            at = begin + 2.3
            for _ in range(4):  # hardly a pause between them
                at = stage.speak("network_question", in_s=at - stage.now()).offset_at
            await stage.until(
                lambda: stage.score.codes("talk.utterance_capped"), PATIENCE_S, "it is cut off"
            )
            capped = stage.score.codes("talk.utterance_capped")[0].at
            assert 5.0 <= capped - stage.score.codes("talk.woken")[0].at < 6.5

    play(talk())


# --- barge-in -----------------------------------------------------------------------------------


async def cut_by(stage: Stage, cause: str) -> float:
    """Interrupt the running answer; returns when the cause began."""
    if cause == "speech":
        return stage.speak("stop_wait").onset_at
    if cause == "wake word":
        return stage.speak("wake_only").onset_at
    if cause == "button":
        await stage.push()
        return stage.now() - 0.15
    # Its word counts where somebody is heard.
    await stage.sleep_until(stage.speak("stop_wait").onset_at + 0.5)
    session = stage.server.sessions[-1]
    session.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_late")
    return stage.now()


@pytest.mark.parametrize(
    ("cause", "limit_s"),
    [("speech", CUT_WITHIN_S), ("wake word", 1.3), ("button", 0.1), ("server", 0.1)],
)
def test_every_cause_cuts_the_answer_and_tells_the_model_what_was_heard(
    cause: str, limit_s: float
) -> None:
    async def talk() -> None:
        settings: dict[str, dict[str, object]] = {}
        if cause in ("wake word", "server"):
            settings = {"barge_in": {"by_speech": False}}
        async with Stage(brain=Answers("answer_lisbon"), settings=settings) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            given = await next_answer(stage, said.start_at)
            first = await first_sound(stage, given.at)
            await stage.sleep_until(first + 2.0)
            began = await cut_by(stage, cause)
            truncates = stage.score.sent
            await stage.until(
                lambda: truncates("conversation.item.truncate", up=True), PATIENCE_S, "truncated"
            )
            cut_at = stage.now()
            await asyncio.sleep(0.1)
            answer = clip("answer_lisbon")
            track = stage.room.spoken
            last = measure.last_sound_s(track.samples(first, cut_at + 0.1), track.rate_hz)
            assert first + last - began < limit_s
            truncate = truncates("conversation.item.truncate", up=True)
            assert len(truncate) == 1
            head = answer[: round(1.5 * measure.COMPARE_RATE_HZ)]
            like = spoken(stage, head, first - 0.5, cut_at)
            emitted_ms = (last - (like.at_s - 0.5)) * 1000
            assert abs(truncate[0].audio_end_ms - emitted_ms) <= 10
            assert not faults(stage)

    play(talk())


def test_what_was_said_over_the_answer_is_answered_next() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_lisbon", "answer_weather")) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.sleep_until(first + 2.0)
            said = await stage.say("stop_wait")
            given = await whole_turn(stage, said, "answer_weather")
            # Our own voice did not go to the model with it.
            assert heard(given, clip("answer_lisbon")).correlation < 0.2
            assert not faults(stage)

    play(talk())


@pytest.mark.parametrize("echo_gain_db", [-20.0, -6.0, 0.0])
def test_it_never_interrupts_itself(echo_gain_db: float) -> None:
    async def talk() -> None:
        async with Stage(
            brain=Answers("answer_lisbon"), room={"echo_gain_db": echo_gain_db}
        ) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await whole_turn(stage, said, "answer_lisbon")
            assert stage.score.sent("conversation.item.truncate", up=True) == []
            await asyncio.sleep(1.0)
            assert len(answered(stage)) == 1

    play(talk())


def test_interrupting_while_it_thinks() -> None:
    async def talk() -> None:
        async with Stage(
            brain=Answers("answer_lisbon", "answer_weather"), server={"first_delta_ms": 3000}
        ) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await stage.until_talk("thinking", PATIENCE_S)
            await asyncio.sleep(1.0)
            said = await stage.say("stop_wait")
            given = answered(stage, said.start_at)
            await stage.until(lambda: answered(stage, said.start_at), PATIENCE_S, "asked again")
            given = answered(stage, said.start_at)
            assert heard(given[-1], words_of("stop_wait")).is_whole
            first = await first_sound(stage, said.offset_at)
            await silence(stage, first)
            assert times_spoken(stage, clip("answer_lisbon"), 0.0) == 0
            assert spoken(stage, clip("answer_weather"), first - 0.5).is_whole
            assert not faults(stage)

    play(talk())


# --- several items ------------------------------------------------------------------------------


def items(*names: str) -> list[Speech]:
    return [speech(name) for name in names]


def test_several_spoken_items_are_heard_in_order_without_a_gap() -> None:
    async def talk() -> None:
        brain = Answers(items("answer_tea", "answer_weather", "answer_bye"))
        async with Stage(brain=brain) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await silence(stage, first, hold_s=2.0)
            places = []
            for name in ("answer_tea", "answer_weather", "answer_bye"):
                like = spoken(stage, clip(name), first - 0.5)
                assert like.is_whole
                places.append((like.at_s, len(clip(name)) / measure.COMPARE_RATE_HZ))
            for (at_s, length_s), (next_s, _) in pairwise(places):
                assert abs(next_s - at_s - length_s) < 0.02
            assert len(stage.score.codes("talk.answer_done")) == 1

    play(talk())


@pytest.mark.parametrize("after_s", [1.5, 5.5])
def test_a_cut_in_one_of_several_items(after_s: float) -> None:
    async def talk() -> None:
        brain = Answers(items("answer_tea", "answer_weather", "answer_bye"), "answer_tomorrow")
        async with Stage(brain=brain) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.sleep_until(first + after_s)
            await stage.push()
            said = await stage.say("button_question", in_s=0.75)
            await whole_turn(stage, said, "answer_tomorrow")
            truncates = stage.score.sent("conversation.item.truncate", up=True)
            deletes = stage.score.sent("conversation.item.delete", up=True)
            assert len(truncates) == 1
            in_first = after_s < len(clip("answer_tea")) / measure.COMPARE_RATE_HZ
            assert len(deletes) == (2 if in_first else 1)
            assert times_spoken(stage, clip("answer_bye"), first) == 0
            assert not faults(stage)

    play(talk())


# --- words in the journal -----------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [False, True])
def test_words_are_in_the_journal_only_if_asked_for(wanted: bool) -> None:
    async def talk() -> None:
        settings: dict[str, dict[str, Any]] = {
            "realtime": {"transcription_model": "whisper-1"},
            "journal": {"transcripts": wanted},
        }
        async with Stage(settings=settings) as stage:
            stage.daemon.journal._transcripts = wanted
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until_talk("asleep", PATIENCE_S)
            lines = [dict(line.fields) for line in stage.score.codes("talk.words")]
            texts = {str(line["who"]): str(line["text"]) for line in lines}
            assert set(texts) == ({"household", "speaker"} if wanted else set())
            if wanted:
                assert "Lisbon" in texts["speaker"]
            everything = " ".join(
                str(line.fields) for line in stage.score.journal if line.code != "talk.words"
            )
            assert "Lisbon" not in everything

    play(talk())


class Scribe(Answers):
    """Writes this down of every turn, if asked to."""

    def __init__(self, written: str, *answers: str) -> None:
        super().__init__(*answers)
        self.written = written
        self.asked = 0

    def reply(self, turn: Turn) -> Reply:
        if not turn.out_of_band:
            return super().reply(turn)
        self.asked += 1
        return Reply((Text(self.written),) if self.written else ())


@pytest.mark.parametrize("written", ["[unclear]", "", "What time is it?"])
def test_a_turn_in_which_no_word_can_be_made_out_has_none(written: str) -> None:
    async def talk() -> None:
        brain = Scribe(written, "answer_bye")
        settings: dict[str, dict[str, Any]] = {
            "realtime": {"transcription": "out_of_band"},
            "journal": {"transcripts": True},
        }
        async with Stage(brain=brain, settings=settings) as stage:
            stage.daemon.journal._transcripts = True
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until_talk("asleep", PATIENCE_S)
            lines = [dict(line.fields) for line in stage.score.codes("talk.words")]
            words = [line["text"] for line in lines if line["who"] == "household"]
            assert brain.asked == 1
            assert words == ([written] if written == "What time is it?" else [])
            assert not stage.score.codes("transcript.failed")
            assert not stage.score.codes("transcript.failing")
            assert not faults(stage)

    play(talk())
