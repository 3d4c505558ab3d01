"""The persona holds in every answer: language, safety rules and the household's own words."""

from __future__ import annotations

from whole_house import (
    PATIENCE_S,
    Answers,
    answered,
    faults,
    first_sound,
    play,
    ready,
    silence,
)

from edge_agent.demo.stage import Stage
from edge_agent.dialogue.journeys.link_watch import CONTINUE


def test_an_answer_that_a_lost_line_broke_off_goes_on_as_the_same_persona() -> None:
    async def talk() -> None:
        own = "The child is called Mia."
        told = {"persona": "kids", "language": "de", "instructions": own}
        brain = Answers("answer_weather", "answer_bye")
        async with Stage(brain=brain, settings={"realtime": told}) as stage:
            await ready(stage)
            stage.server.faults.set_from("close_after_deltas=12")
            said = await stage.say("wake_what_time")
            first = await first_sound(stage, said.offset_at)
            await stage.until(lambda: len(answered(stage)) == 2, PATIENCE_S, "asked to go on")
            await silence(stage, first)
            begun, continued = answered(stage)
            assert continued.turn.transcript[-1] == ("system", CONTINUE)
            assert continued.turn.instructions == begun.turn.instructions
            for part in ("get a grown-up now", "German (de)", own):
                assert part in continued.turn.instructions
            assert not faults(stage)

    play(talk())
