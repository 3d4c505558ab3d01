"""A microphone, a loudspeaker or a card that is there and does not do its work: what the household
hears and sees, and what the admin reads, once each.

Judged by the room's samples, the light, the journal and the status.  Nobody wakes it by a word
here, and its echo is left alone: neither is what is asked, and both cost much.
"""

from __future__ import annotations

import asyncio

from whole_house import (
    PATIENCE_S,
    Answers,
    clip,
    faults,
    first_sound,
    next_answer,
    play,
    ready,
    said_sentence,
    times_spoken,
)

from edge_agent.app.spoken_status import spoken_status
from edge_agent.demo.stage import Stage
from edge_agent.host.service.status import in_words
from edge_agent.host.service.troubles import troubles

BY_BUTTON: dict[str, dict[str, object]] = {
    "listen": {"mode": "button", "chime": "never", "quiet_end_s": 4.0},
    "echo": {"mode": "off"},
}
QUIET_S = 7.0
"""Longer than a card takes to be opened again, once that was said."""


TOLD_S = 10.0
"""A look that finds it, and the longest of the sentences."""


def stage_of(*answers: str) -> Stage:
    return Stage(brain=Answers(*answers) if answers else None, settings=BY_BUTTON)


def light(stage: Stage) -> str:
    assert stage.panel is not None
    return stage.panel.light


def wrong(stage: Stage) -> list[str]:
    """The troubles that `status`, `status --check` and `doctor` list."""
    return [trouble.code for trouble in troubles(stage.daemon.status.snapshot())]


async def call(stage: Stage) -> float:
    """Somebody presses the button and is not heard; when that was."""
    at = stage.now()
    stage.press()
    stage.release()
    await stage.until_talk("listening", PATIENCE_S)
    await stage.until_talk("asleep", PATIENCE_S)
    return at


async def ask(stage: Stage) -> float:
    """Somebody presses the button, asks and is answered; when that began to sound."""
    stage.press()
    stage.release()
    await stage.until_talk("listening", PATIENCE_S)
    said = await stage.say("button_question", in_s=0.8)
    given = await next_answer(stage, said.start_at)
    return await first_sound(stage, given.at)


async def told(stage: Stage, sentence: str, begin: float) -> None:
    """Give it the time to say something, and see that it was this."""
    await asyncio.sleep(TOLD_S)
    assert said_sentence(stage, sentence, begin)


def test_who_calls_a_microphone_that_gives_zeros_hears_why_and_that_once() -> None:
    async def talk() -> None:
        async with stage_of("answer_tea") as stage:
            await ready(stage)
            stage.room.capsule.zeros = True
            await asyncio.sleep(QUIET_S)
            # It may be a gate in a quiet room: only `status` says so.
            assert (wrong(stage), light(stage)) == ([], "asleep")
            status = stage.daemon.status.snapshot()
            assert "all silent" in dict(in_words(status))["Microphone"]
            assert "all silent" in spoken_status(status)
            await told(stage, "mic_off", await call(stage) + 2.0)
            [line] = stage.score.codes("device.deaf")
            assert line.fields["code"] == "device.switched_off"
            assert (wrong(stage), light(stage)) == (["device.switched_off"], "device_down")
            # Opened again, in case that helps; it does not, and nobody is told once more.
            [line] = stage.score.codes("device.down")
            assert line.fields["code"] == "device.switched_off"
            await call(stage)
            assert len(stage.score.codes("device.deaf")) == 1
            assert (wrong(stage), light(stage)) == (["device.switched_off"], "device_down")
            stage.room.capsule.zeros = False
            await asyncio.sleep(1.5)
            assert (wrong(stage), light(stage)) == ([], "asleep")
            assert len(stage.score.codes("audio.mic_back")) == 1
            await ask(stage)
            assert not faults(stage)

    play(talk())


def test_a_switch_that_the_card_knows_of_is_told_at_once_and_muted_by_us_is_no_fault() -> None:
    async def talk() -> None:
        async with stage_of() as stage:
            await ready(stage)
            begin = stage.now()
            stage.room.capsule.zeros = stage.room.capsule.says_off = True
            await told(stage, "mic_off", begin)
            assert (wrong(stage), light(stage)) == (["device.switched_off"], "device_down")
            stage.press("mute")
            stage.release("mute")
            await asyncio.sleep(3.0)
            assert (wrong(stage), light(stage)) == ([], "muted")
            assert len(stage.score.codes("device.deaf")) == 1
            assert stage.score.codes("device.down") == []

    play(talk())


def test_a_faint_microphone_is_told_to_who_called_three_times() -> None:
    async def talk() -> None:
        async with stage_of("answer_tea") as stage:
            await ready(stage)
            stage.room.capsule.gain_db = -20.0
            for _ in range(3):
                assert stage.score.codes("audio.faint") == []
                called_at = await call(stage)
            await told(stage, "mic_faint", called_at + 2.0)
            assert len(stage.score.codes("audio.faint")) == 1
            assert (wrong(stage), light(stage)) == (["audio.faint"], "asleep")
            stage.room.capsule.gain_db = 0.0
            await ask(stage)
            assert wrong(stage) == []

    play(talk())


def test_clipping_and_a_dead_channel_are_written_down_and_only_the_gain_is_told() -> None:
    async def talk() -> None:
        async with stage_of() as stage:
            await ready(stage)
            stage.room.capsule.gain_db = 70.0
            stage.room.capsule.channels = (2, 1)
            await told(stage, "mic_too_loud", 0.0)
            assert len(stage.score.codes("audio.clipped")) == 1
            [line] = stage.score.codes("audio.dead_channel")
            assert (line.fields["count"], line.fields["channels"]) == ("1", "2")
            assert wrong(stage) == ["audio.clipped", "audio.dead_channel"]
            assert not any(one.is_serious for one in troubles(stage.daemon.status.snapshot()))
            assert light(stage) == "asleep"

    play(talk())


def test_a_loudspeaker_that_stalls_and_another_card_in_mid_sentence_come_back() -> None:
    async def talk() -> None:
        async with stage_of("answer_lisbon") as stage:
            await ready(stage)
            await stage.sleep_until(await ask(stage) + 1.0)
            stage.room.rest_render()
            await stage.until(lambda: stage.score.codes("device.down"), PATIENCE_S, "it is noticed")
            [line] = stage.score.codes("device.down")
            assert line.fields["code"] == "device.speaker_stalled"
            assert (wrong(stage), light(stage)) == (["device.speaker_stalled"], "device_down")
            await asyncio.sleep(2.0)
            assert (wrong(stage), light(stage)) == ([], "asleep")
            await stage.sleep_until(await ask(stage) + 1.0)
            stage.room.unplug()
            gone = "it is noticed again"
            await stage.until(lambda: len(stage.score.codes("device.down")) == 2, PATIENCE_S, gone)
            stage.room.name = "other"
            stage.room.replug()
            back = "the other card is taken"
            await stage.until(lambda: len(stage.score.codes("device.ready")) == 3, PATIENCE_S, back)
            line = stage.score.codes("device.ready")[-1]
            assert line.fields["capture"] == "other microphone"
            assert "other microphone in" in dict(in_words(stage.daemon.status.snapshot()))["Sound"]
            back_at = stage.now()
            await asyncio.sleep(3.0)
            assert times_spoken(stage, clip("answer_lisbon"), back_at) == 0
            assert not faults(stage)

    play(talk())
