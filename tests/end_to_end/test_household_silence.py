"""The model says nothing to what was not meant for it, and the house stays quiet: the whole way."""

from __future__ import annotations

from whole_house import PATIENCE_S, Answers, answered, faults, play, ready

from edge_agent.contract.persona import SILENCE_TOOL
from edge_agent.demo.stage import Stage
from edge_agent.simulation.brains import Call


def test_silence_by_tool_is_one_line_and_no_sound() -> None:
    async def talk() -> None:
        async with Stage(brain=Answers([Call(SILENCE_TOOL)])) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await stage.until_talk("thinking", PATIENCE_S)
            await stage.until_talk("listening", PATIENCE_S)
            await stage.until_talk("asleep", PATIENCE_S)
            assert stage.room.spoken.audible(said.offset_at) is None
            assert [dict(n.fields)["how"] for n in stage.score.codes("talk.silent")] == ["tool"]
            assert not stage.score.codes("tool.started")
            assert len(answered(stage)) == 1  # nothing was asked for behind its output
            assert not faults(stage)

    play(talk())
