"""The loudspeaker rests while nobody needs it, and nobody notices: the whole daemon."""

from __future__ import annotations

import asyncio

from whole_house import PATIENCE_S, Answers, faults, first_sound, play, ready, silence, still_works

from edge_agent.contract.errors import DeviceLost
from edge_agent.contract.events import AlarmDue
from edge_agent.demo.stage import Stage
from edge_agent.simulation.sound.room import Room

RESTS_S = 13.0
"""More than the default of 10 s and the look that follows."""


def brain() -> Answers:
    return Answers("answer_lisbon")


async def rests(stage: Stage) -> None:
    """Until the card is not asked for sound any more."""
    await asyncio.sleep(RESTS_S)
    asked = stage.room.frames_rendered
    await asyncio.sleep(1.0)
    assert stage.room.frames_rendered == asked


def test_it_rests_and_stays_healthy_and_hears() -> None:
    async def talk() -> None:
        async with Stage(brain=brain()) as stage:
            await ready(stage)
            await rests(stage)
            heard, asked = stage.room.frames_captured, stage.room.frames_rendered
            begin = stage.now()
            await asyncio.sleep(60.0)
            assert stage.room.frames_rendered == asked
            assert stage.room.frames_captured - heard > 59 * stage.room.rate_hz
            fed = [at for at, line in stage.notifier.told if line == "WATCHDOG=1" and at > begin]
            assert len(fed) >= 55
            assert not stage.score.codes("device.down")
            assert not stage.score.codes("watchdog.stalled")
            await still_works(stage)
            assert not faults(stage)
            await rests(stage)

    play(talk())


def test_an_answer_after_a_rest_can_be_interrupted_and_does_not_interrupt_itself() -> None:
    async def talk() -> None:
        async with Stage(brain=brain()) as stage:
            await ready(stage)
            await rests(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.sleep_until(first + 1.5)  # a second until it knows its own voice
            assert not stage.score.codes("talk.interrupted")
            over = await stage.say("stop_wait")
            silent = await silence(stage, over.onset_at)
            assert silent - over.onset_at < 0.6
            assert len(stage.score.codes("talk.interrupted")) == 1

    play(talk())


def test_an_alarm_wakes_the_loudspeaker_but_nobody_else() -> None:
    async def talk() -> None:
        async with Stage(brain=brain()) as stage:
            await ready(stage)
            await rests(stage)
            begin = stage.now()
            stage.daemon.post(AlarmDue(at=begin, name="pasta"))
            await asyncio.sleep(2.0)
            assert stage.room.speaker_level(begin, stage.now()) > -40.0
            assert stage.talk == "asleep"

    play(talk())


def test_a_card_pulled_out_in_a_rest_is_missed_and_used_again() -> None:
    async def talk() -> None:
        async with Stage(brain=brain()) as stage:
            await ready(stage)
            await rests(stage)
            stage.room.unplug()
            await asyncio.sleep(5.0)
            codes = [line.fields["code"] for line in stage.score.codes("device.down")]
            assert "device.lost" in codes
            stage.room.replug()
            await asyncio.sleep(10.0)
            await still_works(stage)
            await rests(stage)

    play(talk())


def test_a_card_that_does_not_start_again_is_opened_again() -> None:
    class Sleepy(Room):
        def resume_render(self) -> None:
            raise DeviceLost("It does not wake.", fix="Pull it out and put it in again.")

    async def talk() -> None:
        async with Stage(brain=brain()) as stage:
            await ready(stage)
            stage.room.__class__ = Sleepy
            await rests(stage)
            await stage.say("wake_what_time")
            await stage.until(
                lambda: stage.score.codes("device.down"), PATIENCE_S, "it is given up"
            )
            stage.room.__class__ = Room
            await stage.until(
                lambda: len(stage.score.codes("device.ready")) == 2, PATIENCE_S, "it is opened"
            )
            await stage.until_talk("asleep", PATIENCE_S)
            await still_works(stage)
            await asyncio.sleep(RESTS_S)  # once was enough: each time costs a turn
            asked = stage.room.frames_rendered
            await asyncio.sleep(1.0)
            assert stage.room.frames_rendered > asked

    play(talk())


def test_a_card_that_clicks_may_be_left_running() -> None:
    async def talk() -> None:
        async with Stage(brain=brain(), settings={"device": {"rest_after_s": 0}}) as stage:
            await ready(stage)
            await asyncio.sleep(RESTS_S)
            asked = stage.room.frames_rendered
            await asyncio.sleep(1.0)
            assert stage.room.frames_rendered - asked > 0.9 * stage.room.rate_hz

    play(talk())
