"""What the owner has tried out on a whole speaker: it hears itself, and nobody is disturbed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from whole_house import PATIENCE_S, Answers, faults, play, ready

from edge_agent.app.hearing import FORGOTTEN_AFTER_S
from edge_agent.app.sound.check import QUIET_S
from edge_agent.audio.resample import Resampler, array_to_pcm, pcm_to_array, to_int16
from edge_agent.contract.events import ButtonPressed, ButtonReleased
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.ports import DeviceState, EchoPath
from edge_agent.demo.stage import Stage
from edge_agent.host.service.control import ControlError
from edge_agent.host.stores.echo_store import EchoStore, echo_path_file
from edge_agent.simulation.sound import voices


async def ask(stage: Stage, do: str, **request: Any) -> dict[str, Any]:
    answer = stage.daemon.owner_commands[do]({"do": do, **request})
    return await answer if asyncio.iscoroutine(answer) else answer  # type: ignore[return-value]


async def checked(stage: Stage, do: str, **wishes: Any) -> dict[str, Any]:
    assert await ask(stage, do, start=True, **wishes) == {"done": False}
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


def test_it_calibrates_itself_and_starts_from_that() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            found = await checked(stage, "calibrate", keep=True, series=True)
            assert (found["heard"], found["sweeps_heard"], found["kept"]) == (True, 3, True)
            assert found["spread_ms"] < 5
            assert len(json.dumps(found)) < 8000, "levels by the millisecond, and no sound"
            strongest = max(found["impulse_db"])
            late = found["impulse_from_ms"] + found["impulse_db"].index(strongest)
            assert abs(late - found["delay_ms"]) < 3
            assert strongest > sorted(found["impulse_db"])[150] + 20, "an echo, no noise"
            assert len(found["thirds_db"]) == len(found["thirds_hz"])
            store = EchoStore(echo_path_file(stage.settings.state.path), stage.daemon.journal.note)
            kept = store.load()[found["cards"]]
            assert (kept.delay_s, kept.strength_db) == (
                round(found["delay_ms"] / 1000, 4),
                found["echo_db"],
            )
            sound = stage.daemon.sound
            rate_hz, voice = voices.load("answer_weather")
            voice24k = Resampler(rate_hz, WIRE_RATE_HZ).process_array(pcm_to_array(voice))
            sound.playout.earcon(array_to_pcm(to_int16(voice24k)))
            await asyncio.sleep(8.0)
            learned = sound.front_end.echo_path
            assert learned is not None, "what the canceller makes of a voice of ours"
            assert abs(learned.delay_s - kept.delay_s) < 0.004
            assert abs(learned.strength_db - kept.strength_db) < 4
            assert not faults(stage)
            assert {note.code for note in stage.score.journal}.isdisjoint({"talk.woken"})

    play(house())


def test_what_was_kept_of_one_pair_of_cards_is_no_other_pairs() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            sound, room, path = stage.daemon.sound, stage.room, EchoPath(0.123, -7.0)

            async def takes(name: str) -> EchoPath | None:
                room.unplug()
                await stage.until(lambda: not sound.supervisor.present, PATIENCE_S, "it is gone")
                room.name = name
                room.replug()
                await stage.until(lambda: sound.supervisor.present, PATIENCE_S, "it is there")
                return sound.front_end.echo_path

            assert await sound.keep(path)
            ours = room.name
            assert await takes("another card") is None
            assert await takes(ours) == path

    play(house())


def test_what_it_hears_is_told_while_somebody_asks_and_nothing_while_muted() -> None:
    async def house() -> None:
        async with Stage(brain=Answers("answer_tea")) as stage:
            await ready(stage)
            observers = len(stage.daemon.agent.observers)
            journal = len(stage.score.journal)
            assert (await ask(stage, "hearing"))["frames"] == 0
            await asyncio.sleep(1.0)
            quiet = await ask(stage, "hearing")
            assert 90 <= quiet["frames"] <= 110
            assert quiet["floor_dbfs"] <= quiet["level_dbfs"] <= quiet["peak_dbfs"] < -30
            assert (quiet["gate"], quiet["talk"], quiet["open_percent"]) == ("shut", "asleep", 0)
            assert quiet["wake"][0]["score"] < 0.5 < quiet["wake"][0]["cutoff"]
            assert len(stage.score.journal) == journal, "nobody reads of it in the journal"
            await stage.say("wake_only")
            await asyncio.sleep(1.5)
            woken = await ask(stage, "hearing")
            assert woken["wake"][0]["score"] > woken["wake"][0]["cutoff"]
            assert woken["speech_percent"] > quiet["speech_percent"]
            assert woken["peak_dbfs"] > quiet["peak_dbfs"] + 10
            assert (woken["talk"], woken["light"]) == ("listening", "listening")
            words = [value for value in woken.values() if isinstance(value, str)]
            assert set(words) <= {"open", "listening", "searching", "none", "found", "armed"}
            await ask(stage, "mute", to="on")
            assert await ask(stage, "hearing") == {"microphone": "muted"}
            assert len(stage.daemon.agent.observers) == observers
            await ask(stage, "mute", to="off")
            await asyncio.sleep(1.0)
            assert (await ask(stage, "hearing"))["frames"] == 0, "nothing from before"
            await asyncio.sleep(FORGOTTEN_AFTER_S + 0.1)
            assert len(stage.daemon.agent.observers) == observers, "nobody asks any more"
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
