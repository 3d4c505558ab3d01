"""A timer is set by voice and heard in the room: without internet, muted, and after a restart."""

from __future__ import annotations

import asyncio
import functools
import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from whole_house import (
    PATIENCE_S,
    Answers,
    answered,
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

from edge_agent.app.world import World
from edge_agent.audio.speaker.earcons import render_earcon
from edge_agent.demo.judge import measure
from edge_agent.demo.stage import Stage
from edge_agent.panel.patterns import ALARM_SOUND
from edge_agent.simulation.brains import Call

BELL = measure.sound(render_earcon(ALARM_SOUND[:-1]), 24_000)
START = datetime(2026, 11, 20, 18, 0, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The wall clock goes with virtual time; what is appended has passed beside it."""
    beside_s: list[float] = []

    def now() -> datetime:
        loop_s = asyncio.get_running_loop().time()
        return START + timedelta(seconds=loop_s + sum(beside_s))

    made = functools.partial(World, now=now)
    monkeypatch.setattr("edge_agent.demo.stage.World", made)
    return beside_s


def rings(stage: Stage, begin: float, end: float | None = None) -> bool:
    like = spoken(stage, BELL, begin, end)
    return like.is_whole and like.correlation > 0.9


async def ringing(stage: Stage, within_s: float = 60.0) -> float:
    """Wait until the bell is ordered."""
    return await stage.until(
        lambda: [n for n in stage.score.journal if n.code == "alarm.ringing"], within_s, "it rings"
    )


async def rung(stage: Stage, within_s: float = 60.0) -> float:
    """Wait until the bell is ordered, and two seconds more; it must be in the room."""
    at = await ringing(stage, within_s)
    await asyncio.sleep(2.5)
    assert rings(stage, at - 0.5)
    return at


async def timer_set(stage: Stage) -> None:
    """The household asks for a timer, and the answer is heard to its end."""
    await ready(stage)
    said = await stage.say("wake_what_time")
    first = await first_sound(stage, said.offset_at)
    await silence(stage, first)
    assert spoken(stage, clip("answer_tea"), first - 0.5).is_whole
    await stage.until_talk("asleep", PATIENCE_S)


def pasta(seconds: int) -> Answers:
    call = Call("set_timer", json.dumps({"seconds": seconds, "name": "pasta"}))
    return Answers([call], "answer_tea", "answer_bye")


def test_it_rings_without_internet_and_the_word_stops_it() -> None:
    async def talk() -> None:
        async with Stage(brain=pasta(30)) as stage:
            await timer_set(stage)
            [output] = [o for given in answered(stage) for o in given.turn.outputs]
            assert output.output == "The timer pasta rings in 30 seconds."
            await stage.network.down()
            await rung(stage)
            assert stage.panel is not None
            assert stage.panel.light == "alarm"
            assert stage.score.state("talk") == "asleep"
            said = await stage.say("wake_only")
            await stage.until_talk("listening", 2.0)
            await asyncio.sleep(4.0)
            assert not rings(stage, said.end_at + 0.3)
            await stage.network.up()
            await still_works(stage)
            assert not faults(stage)
            assert not any("pasta" in str(n.fields) for n in stage.score.journal)

    play(talk())


@pytest.mark.parametrize("meanwhile", ["it says how", "it rings on"])
def test_it_rings_while_muted_and_the_button_stops_it(meanwhile: str) -> None:
    async def talk() -> None:
        async with Stage(brain=pasta(25)) as stage:
            await timer_set(stage)
            await stage.push(button="mute")
            at = await ringing(stage)
            if meanwhile == "it says how":
                await asyncio.sleep(1.0)
                assert not said_sentence(stage, "bell_muted", at)
            else:
                await asyncio.sleep(6.0)
                assert said_sentence(stage, "bell_muted", at)
                assert rings(stage, at + 3.0)
            sent = stage.score.audio_up_bytes(stage.now() - 3.0)
            pressed = stage.now()
            await stage.push()
            quiet = await silence(stage, pressed, hold_s=3.0)
            assert quiet - pressed < 0.3
            assert sent == stage.score.audio_up_bytes(quiet) == 0
            assert stage.score.state("microphone") == "muted"
            assert not faults(stage)

    play(talk())


def test_it_survives_a_restart_and_the_button_stops_it(tmp_path: Path, wall: list[float]) -> None:
    settings = {"state": {"path": str(tmp_path / "state.json")}}

    async def talk() -> None:
        async with Stage(brain=pasta(600), settings=settings) as stage:
            await timer_set(stage)
        wall.append(560.0)  # switched off for as long
        async with Stage(settings=settings) as stage:
            await stage.network.down()
            await rung(stage)
            pressed = stage.now()
            await stage.push()
            assert await silence(stage, pressed, hold_s=3.0) - pressed < 0.3
            assert stage.talk == "asleep"
            assert not faults(stage)
        async with Stage(settings=settings) as stage:  # and it is over
            await asyncio.sleep(5.0)
            assert not [n for n in stage.score.journal if n.code.startswith("alarm.")]
        assert "pasta" in (tmp_path / "timers.json").read_text()  # what was that?

    play(talk())


@pytest.mark.parametrize(("off_s", "does_ring"), [(700.0, True), (7000.0, False)])
def test_what_was_missed_while_off_is_told(
    tmp_path: Path, wall: list[float], off_s: float, *, does_ring: bool
) -> None:
    settings = {"state": {"path": str(tmp_path / "state.json")}}

    async def talk() -> None:
        async with Stage(brain=pasta(100), settings=settings) as stage:
            await timer_set(stage)
        wall.append(off_s)
        async with Stage(settings=settings) as stage:
            begin = stage.now()
            await asyncio.sleep(12.0)
            assert said_sentence(stage, "alarm_missed", begin - 3.0)
            assert rings(stage, begin) is does_ring
            assert not faults(stage)

    play(talk())


@pytest.mark.parametrize("text", ["{", '{"version": 99}', '{"version": 1, "timers": 3}'])
def test_a_file_that_is_of_no_use_is_kept_and_does_not_matter(tmp_path: Path, text: str) -> None:
    (tmp_path / "timers.json").write_text(text)
    (tmp_path / "state.json").write_text('{"version": 1, "muted": false}')

    async def talk() -> None:
        settings = {"state": {"path": str(tmp_path / "state.json")}}
        async with Stage(brain=pasta(20), settings=settings) as stage:
            assert [n for n in stage.score.journal if n.code == "timers.repaired"]
            await timer_set(stage)
            await rung(stage)

    play(talk())
    assert (tmp_path / "timers.json.unusable").read_text() == text


def test_the_model_hears_stop_in_the_follow_up_window() -> None:
    async def talk() -> None:
        brain = Answers(
            [Call("set_timer", '{"seconds": 3}')], "answer_tea", [Call("stop_alarm")], "answer_bye"
        )
        async with Stage(brain=brain) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await first_sound(stage, said.offset_at)
            await rung(stage)
            assert stage.talk == "listening"
            said = await stage.say("stop_wait")
            await stage.until(lambda: len(answered(stage)) == 4, PATIENCE_S, "the model is told")
            await stage.until_talk("asleep", PATIENCE_S)
            outputs = [o.output for given in answered(stage) for o in given.turn.outputs]
            assert outputs[-1] == "Stopped: timer."
            await silence(stage, said.end_at, hold_s=5.0)
            assert spoken(stage, clip("answer_bye"), said.end_at).is_whole
            assert not faults(stage)

    play(talk())
