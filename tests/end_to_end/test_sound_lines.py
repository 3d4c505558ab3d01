"""What the admin can see of the sound: the echo, a gain that is too high, holes of the device."""

from __future__ import annotations

import asyncio

from whole_house import Answers, faults, first_sound, play, ready, silence

from edge_agent.demo.stage import Stage
from edge_agent.host.service.status import in_words

BLOCK = b"\xff\x7f" * 480


def test_the_echo_is_told_once_and_shown() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_lisbon")) as stage:
            await ready(stage)
            assert dict(in_words(stage.daemon.status.snapshot()))["Echo"].startswith(
                "not found yet"
            )
            for _ in range(2):
                said = await stage.say("wake_what_time")
                await silence(stage, await first_sound(stage, said.offset_at), hold_s=2.0)
                await stage.until_talk("asleep", 20.0)
            [found] = stage.score.codes("echo.found")
            assert float(str(found.fields["erle_db"])) > 10
            assert "dB quieter" in dict(in_words(stage.daemon.status.snapshot()))["Echo"]
            assert not faults(stage)

    play(talk())


def test_a_gain_that_is_too_high_is_told_once() -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            for _ in range(8):
                stage.daemon.sound.front_end.on_capture(BLOCK, stage.now())
                await asyncio.sleep(1.0)
            [told] = stage.score.codes("audio.clipped")
            assert int(str(told.fields["count"])) >= 3
            assert stage.daemon.status.snapshot().mic_clipped >= 6

    play(talk())


def test_what_the_sound_system_lost_is_told_and_shown() -> None:
    async def talk() -> None:
        async with Stage() as stage:
            await ready(stage)
            stage.room.overflows = 2  # type: ignore[attr-defined]
            front_end = stage.daemon.sound.front_end
            for count in range(3):  # while we speak: else nobody would hear it
                front_end.playback_frames += 100
                stage.room.underflows = count + 1  # type: ignore[attr-defined]
                await asyncio.sleep(1.0)
            [mic] = stage.score.codes("audio.mic_lost")
            [speaker] = stage.score.codes("audio.underflow")  # one line a minute
            assert (mic.fields["count"], speaker.fields["count"]) == ("2", "1")
            status = stage.daemon.status.snapshot()
            assert (status.mic_lost, status.underflows) == (2, 3)

    play(talk())
