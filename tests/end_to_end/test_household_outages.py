"""The line dies, at every phase of a talk and in every way; the household is told and answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from whole_house import (
    PATIENCE_S,
    Answers,
    answered,
    clip,
    faults,
    first_sound,
    heard,
    memory_network,
    next_answer,
    play,
    ready,
    said_sentence,
    silence,
    spoken,
    still_works,
    times_spoken,
    words_of,
)

from edge_agent.demo.judge import measure
from edge_agent.demo.stage import Stage

OUTAGE_S = 4.0
TOLD_WITHIN_S = 3.0
"""The promise: nobody wonders for longer than this."""


async def reach(stage: Stage, phase: str) -> None:
    """Bring the talk to a phase."""
    await ready(stage)
    if phase == "asleep":
        return
    said = stage.speak("wake_what_time")
    if phase == "listening":
        await stage.sleep_until(said.start_at + 1.6)
    elif phase == "thinking":
        await stage.until_talk("thinking", PATIENCE_S)
    else:
        first = await first_sound(stage, said.offset_at)
        await stage.sleep_until(first + 1.0)
        if phase == "follow-up":
            await silence(stage, first)
            await stage.until_talk("listening", PATIENCE_S)


@pytest.mark.parametrize("phase", ["asleep", "listening", "thinking", "speaking", "follow-up"])
@pytest.mark.parametrize("how", ["reset", "unplugged", "black hole"])
def test_a_turn_survives_the_loss_of_the_line(phase: str, how: str) -> None:
    async def talk() -> None:
        brain = Answers("answer_tea", "answer_tea", "answer_weather")
        async with Stage(brain=brain, server={"first_delta_ms": 1500}) as stage:
            await reach(stage, phase)
            begin = stage.now()
            network = memory_network(stage)
            if how == "reset":
                network.cut()
            elif how == "unplugged":
                network.down()
            else:
                network.black_hole()
            await asyncio.sleep(0.05 if how == "reset" else OUTAGE_S)
            network.up()
            await stage.until(
                lambda: stage.link == "ready" and len(stage.server.open_sessions) > 0,
                PATIENCE_S,
                "the link comes back",
            )
            await stage.until_talk("asleep", PATIENCE_S)
            if phase in ("listening", "thinking"):
                given = answered(stage)[-1]
                assert heard(given, words_of("wake_what_time")).is_whole
                assert times_spoken(stage, clip("answer_tea"), begin) == 1
            tail = clip("answer_tea")[-round(1.0 * measure.COMPARE_RATE_HZ) :]
            if phase == "speaking" and how != "reset":
                # What had come before the cut is heard to its end, not cut off with the line.
                assert spoken(stage, tail, begin).is_whole
            if phase in ("asleep", "follow-up"):
                assert len(answered(stage, begin)) == 0
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_the_reason_is_spoken_soon_and_in_the_right_words() -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            await stage.network.down()
            await asyncio.sleep(1.0)
            begin = stage.now()
            said = await stage.say("wake_only")
            first = None
            while first is None or first[0] < said.end_at:  # the chime may come before
                await asyncio.sleep(0.5)
                first = stage.room.spoken.audible(said.end_at + 0.6)
                assert stage.now() < said.end_at + PATIENCE_S
            woken = stage.score.codes("talk.woken", begin)[0].at
            assert first[0] - woken < TOLD_WITHIN_S
            await silence(stage, first[0], hold_s=1.5)
            assert said_sentence(stage, "no_internet", begin)
            assert stage.score.audio_up_bytes(begin) == 0

    play(talk())


@pytest.mark.parametrize(
    ("faults_text", "code", "words"),
    [
        ("refuse_status=401", "link.bad_key", "bad_key"),
        ("refuse_status=403", "link.no_model", "no_model"),
        ("refuse_status=404", "link.bad_url", "bad_url"),
        ("accept_then_close=3000", "link.bad_key", "bad_key"),
    ],
)
def test_a_refusal_has_its_own_sentence_and_heals(faults_text: str, code: str, words: str) -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            stage.server.faults.set_from(faults_text)
            stage.server.close_sessions(1001)
            await stage.until(lambda: stage.score.codes("link.refused"), PATIENCE_S, "refused")
            assert {n.fields["code"] for n in stage.score.codes("link.refused")} == {code}
            begin = stage.now()
            dials = stage.server.dials
            await stage.say("wake_what_time")
            await first_sound(stage, begin)
            await silence(stage, begin, hold_s=1.5)
            assert said_sentence(stage, words, begin)
            assert stage.panel is not None
            assert stage.panel.light == "refused"
            await asyncio.sleep(20.0)
            assert stage.server.dials - dials <= 1  # nobody is hammered
            stage.server.faults.set_from("refuse_status=0,accept_then_close=0")
            await stage.until(lambda: stage.link == "ready", 120.0, "it heals by itself")
            await still_works(stage)

    play(talk())


def test_a_key_that_is_put_in_place_is_found_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "key"

    async def talk() -> None:
        file.write_text("sk-old-and-wrong\n")
        settings: dict[str, dict[str, object]] = {
            "realtime": {"api_key": "sk-old-and-wrong", "api_key_file": str(file)}
        }
        server = {"keys": frozenset({"sk-new-and-right"})}
        async with Stage(settings=settings, server=server) as stage:
            await stage.until(lambda: stage.score.codes("link.refused"), PATIENCE_S, "refused")
            file.write_text("sk-new-and-right\n")
            await stage.until(lambda: stage.link == "ready", 10.0, "the new key is tried")
            text = " ".join(str(line.fields) for line in stage.score.journal)
            assert "sk-" not in text

    play(talk())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("insufficient_quota", "no_quota"),
        ("content_filter", "not_allowed"),
        ("server_error", "server_trouble"),
    ],
)
def test_an_answer_that_fails_has_its_own_sentence(code: str, words: str) -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            stage.server.faults.set_from(f"fail_code={code},fail_count=1")
            begin = stage.now()
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await silence(stage, first, hold_s=1.5)
            assert said_sentence(stage, words, begin)
            assert [n.fields["code"] for n in stage.score.codes("response.failed")] == [code]
            await still_works(stage)

    play(talk())


def test_a_server_that_says_nothing_is_left_and_the_turn_is_answered() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            said = stage.speak("wake_what_time")
            await stage.until_talk("listening", PATIENCE_S)
            stage.server.faults.stall = True
            await asyncio.sleep(6.0)
            stage.server.faults.stall = False
            await stage.until_talk("speaking", PATIENCE_S)
            given = answered(stage)[-1]
            assert heard(given, words_of(said.clip)).is_whole
            await stage.until_talk("asleep", PATIENCE_S)
            assert times_spoken(stage, clip("answer_tea"), said.start_at) == 1
            await still_works(stage)

    play(talk())


def test_what_was_asked_while_the_line_was_down_is_answered_once() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_train", "answer_tea")) as stage:
            await ready(stage)
            await stage.network.down()
            await asyncio.sleep(0.5)
            said = await stage.say("wake_what_time")
            await asyncio.sleep(5.0)
            await stage.network.up()
            given = await next_answer(stage, said.start_at)
            assert heard(given, words_of(said.clip)).is_whole
            await first_sound(stage, given.at)
            await stage.until_talk("asleep", PATIENCE_S)
            assert times_spoken(stage, clip("answer_train"), said.start_at) == 1
            assert len(answered(stage)) == 1
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_the_session_limit_is_nobodys_business() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_tea", "answer_weather")) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await next_answer(stage, said.start_at)
            await stage.until_talk("asleep", PATIENCE_S)
            begin = stage.now()
            stage.server.expire_sessions()
            await asyncio.sleep(2.0)
            assert stage.link == "ready"
            assert stage.room.spoken.audible(begin) is None  # not a word about it
            await still_works(stage)

    play(talk())
