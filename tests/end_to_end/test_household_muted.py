"""A muted speaker records nothing, and that can be seen; it still rings, speaks and stays alive."""

from __future__ import annotations

import asyncio
from pathlib import Path

from whole_house import (
    PATIENCE_S,
    Answers,
    clip,
    faults,
    first_sound,
    play,
    ready,
    said_sentence,
    silence,
    spoken,
    still_works,
)

from edge_agent.contract.errors import DeviceMissing
from edge_agent.contract.events import AlarmDue
from edge_agent.demo.stage import Stage

SOON_S = 0.1
TOLD_S = 8.0
"""Half a second until it is known, and the longest sentence."""


def brain() -> Answers:
    return Answers("answer_lisbon")


async def mute_button(stage: Stage) -> None:
    stage.press("mute")
    stage.release("mute")
    await asyncio.sleep(SOON_S)


def test_muted_nobody_records_and_the_speaker_lives() -> None:
    async def talk() -> None:
        async with Stage(brain=brain()) as stage:
            await ready(stage)
            assert stage.room.is_recorded
            await mute_button(stage)
            assert not stage.room.is_recorded
            begin, heard = stage.now(), stage.room.frames_captured
            await asyncio.sleep(60.0)
            assert stage.room.frames_captured == heard
            fed = [at for at, line in stage.notifier.told if line == "WATCHDOG=1" and at > begin]
            assert len(fed) >= 55
            assert not stage.score.codes("watchdog.stalled")
            assert not stage.score.codes("device.down")
            assert stage.daemon.status.snapshot().capture_closed
            stage.daemon.post(AlarmDue(at=stage.now(), name="pasta"))
            await asyncio.sleep(10.0)
            assert stage.score.codes("alarm.ringing")
            assert said_sentence(stage, "bell_muted", begin)
            await mute_button(stage)
            assert stage.room.is_recorded
            assert not stage.daemon.status.snapshot().capture_closed
            stage.press("talk")
            stage.release("talk")
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_an_answer_is_heard_to_its_end_although_the_microphone_is_muted_in_it() -> None:
    async def talk() -> None:
        async with Stage(brain=brain()) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.sleep_until(first + 1.0)
            await mute_button(stage)
            assert not stage.room.is_recorded
            end = await silence(stage, first)
            assert spoken(stage, clip("answer_lisbon"), first - 0.5).is_whole
            await stage.until_talk("asleep", PATIENCE_S)
            done = stage.score.codes("talk.answer_done")
            assert len(done) == 1
            assert done[0].at - end < 1.0

    play(talk())


def test_a_speaker_that_starts_muted_is_ready_and_was_never_heard(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"version": 1, "muted": true}')

    async def talk() -> None:
        settings = {"state": {"path": str(state)}}
        async with Stage(brain=brain(), settings=settings) as stage:
            await ready(stage)
            await stage.until(
                lambda: any(line == "READY=1" for _at, line in stage.notifier.told),
                PATIENCE_S,
                "READY",
            )
            await asyncio.sleep(20.0)
            assert stage.room.frames_captured == 0
            assert not stage.room.is_recorded
            assert stage.score.codes("device.muted")
            assert not stage.score.codes("device.ready")
            await mute_button(stage)
            await still_works(stage)

    play(talk())


def test_a_microphone_that_was_pulled_out_meanwhile_is_told_by_voice() -> None:
    async def talk() -> None:
        async with Stage(brain=brain()) as stage:
            await ready(stage)
            await mute_button(stage)
            await asyncio.sleep(5.0)
            stage.room.refuse_next_open(
                DeviceMissing("No microphone was found.", code="device.no_microphone")
            )
            begin = stage.now()
            await mute_button(stage)
            assert stage.score.codes("device.deaf")
            assert stage.panel is not None
            assert stage.panel.light == "device_down"
            await asyncio.sleep(TOLD_S)
            assert said_sentence(stage, "no_microphone", begin)
            await stage.until(
                lambda: stage.score.codes("device.ready", begin), PATIENCE_S, "it is opened"
            )
            assert stage.room.is_recorded
            await still_works(stage)
            assert not faults(stage)

    play(talk())
