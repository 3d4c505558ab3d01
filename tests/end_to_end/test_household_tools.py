"""The model asks for something to be done, and the household hears of it: the whole way."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from whole_house import (
    PATIENCE_S,
    Answers,
    answered,
    clip,
    faults,
    first_sound,
    named_outputs,
    play,
    ready,
    silence,
    speech,
    spoken,
    still_works,
)

from edge_agent.demo.stage import Stage
from edge_agent.simulation.brains import Call, Part


def test_a_tool_runs_once_and_the_answer_is_spoken() -> None:
    async def talk() -> None:
        brain = Answers([Call("set_volume", '{"percent": 35}')], "answer_tea", "answer_bye")
        async with Stage(brain=brain) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await silence(stage, first)
            assert spoken(stage, clip("answer_tea"), first - 0.5).is_whole
            [(name, output)] = named_outputs(stage)
            assert name == "set_volume"
            assert output.startswith("The volume is 35 percent now;")
            assert stage.daemon.speaker_api.volume() == 35
            assert len(answered(stage)) == 2  # the call, and the answer after it
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_what_the_model_is_told_is_in_the_language_of_the_house() -> None:
    async def talk() -> None:
        settings: dict[str, dict[str, object]] = {"realtime": {"language": "de"}}
        calls: list[Part] = [Call("current_time"), Call("device_status")]
        async with Stage(brain=Answers(calls, "answer_tea"), settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: len(answered(stage)) == 2, PATIENCE_S, "asked again")
            told = str(answered(stage)[0].turn.session["instructions"])
            assert "Bitte komm näher oder drück auf die Taste." in told
            assert "Please come closer or press the button.\n" not in told
            assert "that you speak German here; do not change." in told
            outputs = [output for _name, output in named_outputs(stage)]
            assert not [output for output in outputs if re.search(r"\d:\d|\d-\d|[%`]", output)]
            await stage.until_talk("asleep", PATIENCE_S)
            assert not faults(stage)

    play(talk())


def test_a_persona_speaks_in_its_own_voice_and_no_louder_than_it_says(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    head = 'voice = "id:voice_1"\nspeed = 0.8\nvolume_max_percent = 60\n'
    mine.write_text(f'{head}[role]\nrole = "A voice."\n')

    async def talk() -> None:
        brain = Answers([Call("set_volume", '{"percent": 80}')], "answer_tea")
        async with Stage(brain=brain, settings={"realtime": {"persona": str(mine)}}) as stage:
            await ready(stage)
            [session] = stage.server.sessions
            config: Any = session.config
            output = config["audio"]["output"]
            assert (output["voice"], output["speed"]) == ({"id": "voice_1"}, 0.8)
            status = stage.daemon.speaker_api.snapshot()
            assert (status.volume_percent, status.volume_max_percent) == (60, 60)
            await stage.say("wake_what_time")
            await stage.until(lambda: len(answered(stage)) == 2, PATIENCE_S, "the call is answered")
            [(_, told)] = named_outputs(stage)
            assert told == "The loudest allowed is 60 percent; it is 60 now."
            assert stage.daemon.speaker_api.volume() == 60
            assert not faults(stage)

    play(talk())


def test_speech_and_two_calls_in_one_response() -> None:
    async def talk() -> None:
        calls: list[Part] = [speech("answer_bye"), Call("get_volume"), Call("current_time")]
        async with Stage(brain=Answers(calls, "answer_tea")) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.until(lambda: len(answered(stage)) == 2, PATIENCE_S, "asked again")
            await silence(stage, first, hold_s=2.0)
            assert spoken(stage, clip("answer_bye"), first - 0.5).is_whole
            assert spoken(stage, clip("answer_tea"), first - 0.5).is_whole
            names = sorted(name for name, _output in named_outputs(stage))
            assert names == ["current_time", "get_volume"]
            assert len(answered(stage)) == 2  # one more response, after the last output
            assert not faults(stage)

    play(talk())


@pytest.mark.parametrize(
    "call", [Call("no_such_tool"), Call("set_volume", '{"percent": 900}'), Call("set_volume", "{")]
)
def test_a_call_that_cannot_be_done_is_told_to_the_model(call: Call) -> None:
    async def talk() -> None:
        async with Stage(brain=Answers([call], "answer_tea")) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            # A tool that nobody knows is a risk: it waits for the button, and then it is refused.
            await stage.until(lambda: len(answered(stage)) >= 2, 60.0, "the model is told")
            assert len(named_outputs(stage)) == 1
            await stage.until_talk("asleep", PATIENCE_S)
            assert stage.daemon.speaker_api.volume() == stage.settings.device.volume_percent
            await still_works(stage)
            assert not faults(stage)

    play(talk())


def test_goodbye_ends_the_talk_without_a_follow_up() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers([Call("finish_session")], "answer_bye")) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            end = await silence(stage, first)
            await stage.until_talk("asleep", PATIENCE_S)
            asleep = next(n.at for n in reversed(stage.score.codes("talk.asleep")))
            assert asleep - end < 1.0
            await stage.say("follow_up")
            await asyncio.sleep(1.0)
            assert len(answered(stage)) == 2

    play(talk())


def test_a_muted_microphone_asked_for_aloud_stays_muted() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers([Call("mute_microphone")], "answer_bye")) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            end = await silence(stage, first)
            assert spoken(stage, clip("answer_bye"), first - 0.5).is_whole
            assert stage.score.state("microphone") == "muted"
            await stage.say("wake_what_time")
            await asyncio.sleep(1.0)
            assert stage.score.audio_up_bytes(end) == 0

    play(talk())


def test_an_interruption_right_after_a_call_leaves_one_output() -> None:
    async def talk() -> None:
        calls: list[Part] = [speech("answer_lisbon"), Call("current_time")]
        async with Stage(brain=Answers(calls, "answer_weather")) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.sleep_until(first + 2.0)
            said = await stage.say("stop_wait")
            await stage.until_talk("asleep", PATIENCE_S)
            items = [
                item
                for session in stage.server.sessions
                for item in session.conversation.items
                if item.kind == "function_call_output"
            ]
            assert len(items) <= 1
            assert spoken(stage, clip("answer_weather"), said.offset_at).is_whole
            await still_works(stage)
            assert not faults(stage)

    play(talk())
