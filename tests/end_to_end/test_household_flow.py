"""A child is brought to bed: a guided talk, the whole way to the server and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from whole_house import PATIENCE_S, Answers, answered, faults, first_sound, play, ready, silence

from edge_agent.contract.errors import ConfigError
from edge_agent.demo.stage import Stage
from edge_agent.host.personas import load_persona
from edge_agent.simulation.brains import Call
from edge_agent.tools.catalogue import shipped_tools

MOVE = "set_conversation_state"


def to(state: str) -> list[Call]:
    return [Call(MOVE, f'{{"state": "{state}"}}')]


def test_bedtime_with_an_illegal_move_and_a_lost_line() -> None:
    async def talk() -> None:
        plan = load_persona("bedtime").plan
        assert plan is not None
        brain = Answers(to("breathing"), "answer_tea", to("choose_story"), "answer_bye")
        settings = {"realtime": {"persona": "bedtime", "instructions": "The child is Mia."}}
        async with Stage(brain=brain, settings=settings) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await silence(stage, await first_sound(stage, said.offset_at))
            asked, refused = answered(stage)
            assert "# Role & Objective" in asked.turn.instructions
            assert "The child is Mia." in asked.turn.instructions
            assert plan.states["tidy"].goal in asked.turn.instructions
            assert "breathing does not follow here" in refused.turn.outputs[-1].output
            assert refused.turn.instructions == asked.turn.instructions
            enums = [
                tool["parameters"]["properties"]["state"]["enum"]
                for tool in refused.turn.session["tools"]
                if tool["name"] == MOVE
            ]
            assert enums == [list(plan.states["tidy"].next)]

            said = await stage.say("wake_what_time")
            await silence(stage, await first_sound(stage, said.offset_at))
            moved = answered(stage)[-1]
            assert plan.states["choose_story"].goal in moved.turn.instructions
            assert plan.states["tidy"].goal not in moved.turn.instructions

            await stage.network.down()
            await stage.until(lambda: stage.link != "ready", PATIENCE_S, "the line is lost")
            await stage.network.up()
            await ready(stage)
            said = await stage.say("wake_what_time")
            await silence(stage, await first_sound(stage, said.offset_at))
            assert "# The Present Step" in answered(stage)[-1].turn.instructions
            assert not faults(stage)

    play(talk())


def test_the_command_line_judges_prompts_by_the_tools_that_the_speaker_has() -> None:
    async def talk() -> None:
        async with Stage(
            brain=Answers("answer_tea"),
            settings={"facts": {"enabled": True}, "supervisor": {"model": "gpt-5"}},
        ) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: answered(stage), PATIENCE_S, "the model is asked")
            tools = answered(stage)[0].turn.session["tools"]
            assert {tool["name"] for tool in tools} == set(shipped_tools().risks())

    play(talk())


def test_a_persona_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[role]\nrole = "A guide."\n[flow]\nguided = true\n[flow.states.a]\ngoal = "x"\n'
    )

    async def talk() -> None:
        settings = {"realtime": {"persona": str(file)}}
        with pytest.raises(ConfigError, match=r"flow\.states\.a: is a dead end") as caught:
            async with Stage(settings=settings):
                pass
        assert str(file) in str(caught.value)

    play(talk())
