"""What the owner has tried out on a whole speaker: it hears itself, and nobody is disturbed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from whole_house import PATIENCE_S, Answers, faults, play, ready

from edge_agent.app.sound.check import QUIET_S
from edge_agent.contract.events import ButtonPressed, ButtonReleased
from edge_agent.contract.ports import DeviceState
from edge_agent.demo.stage import Stage
from edge_agent.host.service.control import ControlError


async def ask(stage: Stage, do: str, **request: Any) -> dict[str, Any]:
    answer = stage.daemon.owner_commands[do]({"do": do, **request})
    return await answer if asyncio.iscoroutine(answer) else answer  # type: ignore[return-value]


async def checked(stage: Stage, do: str) -> dict[str, Any]:
    assert await ask(stage, do, start=True) == {"done": False}
    with pytest.raises(ControlError, match="Another check"):
        await ask(stage, do, start=True)
    for _second in range(20):
        answer = await ask(stage, do)
        if answer["done"]:
            return answer
        await asyncio.sleep(1.0)
    raise AssertionError(f"{do} does not end")


def test_the_speaker_hears_itself_and_wakes_nobody() -> None:
    async def house() -> None:
        rests = {"device": {"rest_after_s": 1.0}}
        async with Stage(brain=Answers("answer_tea"), settings=rests) as stage:
            await ready(stage)
            supervisor = stage.daemon.sound.supervisor
            await stage.until(
                lambda: supervisor.state is DeviceState.RESTING, PATIENCE_S, "the loudspeaker rests"
            )
            found = await checked(stage, "check_sound")
            assert found["heard"]
            assert 0 < found["delay_ms"] < 100
            assert -40 < found["echo_db"] < 10
            assert found["noise_dbfs"] < found["level_dbfs"] - 10
            assert found["wake_word"] == "okay_nabu"
            assert found["wake_direct_score"] > found["wake_cutoff"]
            assert len(json.dumps(found)) < 1000, "measures, and no sound"
            await asyncio.sleep(2.0)
            assert stage.daemon.dialogue.talk.value == "asleep"
            assert "talk.woken" not in {note.code for note in stage.score.journal}
            assert stage.brain.answered == []
            assert not faults(stage)

    play(house())


def test_muted_no_check_begins_and_a_mute_meanwhile_ends_the_recording() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            await ask(stage, "check_sound", start=True)
            await asyncio.sleep(QUIET_S / 2)
            await ask(stage, "mute", to="on")
            await asyncio.sleep(PATIENCE_S / 4)
            with pytest.raises(ControlError, match="was muted meanwhile"):
                await ask(stage, "check_sound")
            with pytest.raises(ControlError, match="muted and stays shut"):
                await ask(stage, "check_sound", start=True)
            with pytest.raises(ControlError, match="No check was begun"):
                await ask(stage, "check_sound")

    play(house())


def test_a_talk_is_not_played_into() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            await stage.say("wake_only")
            await stage.until(lambda: stage.daemon.dialogue.talk.value != "asleep", 5.0, "woken")
            with pytest.raises(ControlError, match="in use"):
                await ask(stage, "check_sound", start=True)

    play(house())


def test_a_press_meanwhile_begins_a_talk_and_ends_the_check() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            await ask(stage, "check_sound", start=True)
            await asyncio.sleep(QUIET_S / 2)
            stage.daemon.post(ButtonPressed(at=stage.now(), button="talk"))
            stage.daemon.post(ButtonReleased(at=stage.now(), button="talk"))
            pressed_at = stage.now()
            await stage.say("button_question")
            await stage.until(
                lambda: [one for one in stage.brain.answered if one.at > pressed_at],
                PATIENCE_S,
                "it was heard all the same",
            )
            await asyncio.sleep(5.0)  # its end
            with pytest.raises(ControlError, match="A talk began meanwhile"):
                await ask(stage, "check_sound")

    play(house())


def test_a_press_is_noticed_and_the_light_is_as_before() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            assert await checked(stage, "check_panel") == {
                "done": True,
                "panel": True,
                "pressed": [],
            }
            await ask(stage, "check_panel", start=True)
            stage.daemon.post(ButtonPressed(at=stage.now(), button="mute"))
            stage.daemon.post(ButtonReleased(at=stage.now(), button="mute"))
            await asyncio.sleep(1.0)
            assert (await ask(stage, "check_panel"))["pressed"] == ["mute"]

    play(house())
