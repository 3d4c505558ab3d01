"""A child is brought to bed: a guided talk, the whole way to the server and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from lab.long_talk import BREATH_S, LongTalk
from whole_house import PATIENCE_S, Answers, answered, faults, first_sound, play, ready, silence

from edge_agent.app.session_start import session_start
from edge_agent.app.tools.offer import offer
from edge_agent.app.wiring import session_config
from edge_agent.contract import events as e
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.pcm import WIRE_FRAME_SAMPLES
from edge_agent.demo.stage import Stage
from edge_agent.dialogue.prompting.flow import IN_EVERY_STEP
from edge_agent.dialogue.prompting.prompt import named_tools
from edge_agent.dialogue.state import Talk
from edge_agent.host.personas import load_persona
from edge_agent.host.settings.root import Settings
from edge_agent.simulation import clock
from edge_agent.simulation.brains import BYTES_PER_MS, Brain, Call, Reply, Speech, Text, Turn
from edge_agent.tools.catalogue import shipped_tools

MOVE = "set_conversation_state"


def to(state: str) -> list[Call]:
    return [Call(MOVE, f'{{"state": "{state}"}}')]


def test_bedtime_with_an_illegal_move_and_a_lost_line() -> None:
    async def talk() -> None:
        plan = load_persona("bedtime").plan
        assert plan is not None
        brain = Answers(to("breathing"), "answer_tea", to("brush"), "answer_bye")
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
            assert plan.states["brush"].goal in moved.turn.instructions
            assert plan.states["tidy"].goal not in moved.turn.instructions

            await stage.until_talk("asleep", PATIENCE_S)
            await stage.network.down()
            await stage.until(lambda: stage.link != "ready", PATIENCE_S, "the line is lost")
            await stage.network.up()
            await ready(stage)
            said = await stage.say("wake_what_time")
            await silence(stage, await first_sound(stage, said.offset_at))
            assert plan.states["brush"].goal in answered(stage)[-1].turn.instructions
            assert not faults(stage)

    play(talk())


MINUTE_S, HOUR_S = 60.0, 3600.0
ANSWER = Speech(bytes(2000 * BYTES_PER_MS), "Good.")


@dataclass(frozen=True)
class Scene:
    """After a pause somebody comes to the sleeping speaker and says something."""

    pause_s: float
    says: str
    calls: Sequence[Call]
    step: str
    """Where the talk stands then."""
    between: str = ""
    """What happens in the pause."""


EVENING = (
    Scene(45 * MINUTE_S, "It is time for bed.", (), "tidy"),
    Scene(5 * MINUTE_S, "The blocks are in the box.", (), "tidy"),
    Scene(3 * MINUTE_S, "All is tidy.", (*to("brush"), Call("set_timer")), "brush"),
    Scene(3 * MINUTE_S, "It rang too soon.", (Call("cancel_timer"),), "brush", "roll-over"),
    Scene(2 * MINUTE_S, "My teeth are clean.", to("choose_story"), "choose_story", "lost"),
    Scene(1 * MINUTE_S, "The fox.", to("story"), "story"),
    Scene(2 * MINUTE_S, "And then?", (Call("repeat_last_answer"),), "story", "down"),
    Scene(4 * MINUTE_S, "That was nice.", to("breathing"), "breathing"),
    Scene(1 * MINUTE_S, "I am tired.", (*to("good_night"), Call("finish_session")), "good_night"),
    Scene(20 * MINUTE_S, "I cannot sleep.", (Call("finish_session"),), "good_night"),
    Scene(5 * HOUR_S, "Good morning.", (), "tidy"),
)
"""The first session is renewed five minutes before it is an hour old."""


class Bedside(Brain):
    """A model that knows the evening; `turns` are what it was given."""

    def __init__(self, words: Callable[[bytes], str]) -> None:
        self._words = words
        self._calls = {scene.says: scene.calls for scene in EVENING}
        self.turns: list[Turn] = []

    def transcribe(self, pcm24k: bytes) -> str:
        return self._words(pcm24k)

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            return Reply((Text("A child is brought to bed."),))
        self.turns.append(turn)
        calls = () if turn.outputs else self._calls[self._words(turn.heard[-1])]
        return Reply(tuple(calls) or (ANSWER,))


def test_an_evening_from_the_toys_to_good_night_with_pauses_of_minutes() -> None:
    registry = shipped_tools()
    settings = Settings.model_validate({"realtime": {"persona": "bedtime"}})
    plan = load_persona("bedtime").plan
    assert plan is not None
    begin = session_start(settings, replace(offer(settings, registry), off={}))
    everything = {*registry.risks(), MOVE}

    def check(turn: Turn, step: str) -> None:
        goals = [name for name, one in plan.states.items() if one.goal in turn.instructions]
        assert goals == [step]
        offered = {tool["name"] for tool in turn.session["tools"]}
        assert offered - IN_EVERY_STEP == {*(plan.states[step].tools or ()), MOVE}
        assert set(named_tools(turn.instructions, everything)) <= offered
        [move] = [tool for tool in turn.session["tools"] if tool["name"] == MOVE]
        ways = move["parameters"]["properties"]["state"]["description"]
        assert all(f"{to}, when: {when}" in ways for to, when in plan.states[step].when.items())

    async def evening() -> None:
        session = session_config(settings, begin)
        session = replace(session, turn_detection=None, transcription_model="whisper-1")
        terms = {"flow": begin.flow, "tool_risks": registry.risks()}
        talk = LongTalk(Bedside, terms, session=session)
        assert isinstance(talk.brain, Bedside)
        async with talk:
            stood = "tidy"
            for scene in EVENING:
                await talk.asleep()
                await interval(talk, scene)
                assert talk.dialogue.talk is Talk.ASLEEP
                begun = len(talk.brain.turns)
                if scene.pause_s > HOUR_S:
                    stood = "tidy"
                await wake(talk)
                await talk.say(scene.says)
                asked, *more = talk.brain.turns[begun:]
                check(asked, stood)
                for turn in more:
                    check(turn, scene.step)
                assert len(more) == (1 if scene.calls else 0)
                outputs = [out.output for turn in more for out in turn.outputs]
                assert len(outputs) == len(scene.calls)
                assert not [output for output in outputs if "efused" in output]
                stood = scene.step
            assert not talk.faults
            assert not [error for one in talk.server.sessions for error in one.errors]

    clock.run(evening(), limit_s=24 * HOUR_S)


async def wake(talk: LongTalk) -> None:
    """Somebody says the wake word, and takes a breath."""
    frame = bytes(2 * WIRE_FRAME_SAMPLES)
    word = e.HeardFrame(
        at=talk.loop.time(), pcm24k=frame, speech=True, over_playback=False, wake="okay_nabu"
    )
    talk.post(word)
    await talk.until(lambda: talk.dialogue.talk is Talk.LISTENING)
    await talk.pause(BREATH_S)


async def interval(talk: LongTalk, scene: Scene) -> None:
    """Nobody speaks.  The session is renewed in time, or lost, or the line is down for a while."""
    begun = talk.server.sessions_begun
    await talk.pause(scene.pause_s / 2)
    if scene.between == "lost":
        talk.network.cut()
    elif scene.between == "down":
        talk.network.down()
    await talk.pause(scene.pause_s / 2)
    talk.network.up()
    await talk.ready()
    assert talk.server.sessions_begun - begun == bool(scene.between) or scene.pause_s > HOUR_S


@pytest.mark.parametrize(
    ("settings", "off"),
    [
        ({"facts": {"enabled": True}, "supervisor": {"model": "gpt-5"}}, set()),
        ({}, {"answer", "remember", "recall", "forget"}),
    ],
)
def test_the_command_line_judges_prompts_by_the_tools_that_the_speaker_has(
    settings: dict[str, dict[str, Any]], off: set[str]
) -> None:
    async def talk() -> None:
        async with Stage(brain=Answers("answer_tea"), settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: answered(stage), PATIENCE_S, "the model is asked")
            tools = answered(stage)[0].turn.session["tools"]
            names = {tool["name"] for tool in tools}
            assert names == offer(Settings.model_validate(settings)).names
            assert names == shipped_tools().risks().keys() - off

    play(talk())


def test_a_step_goes_without_a_tool_that_is_switched_off(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[role]\nrole = "A guide."\n[flow]\nguided = true\n[flow.states.a]\ngoal = "x"\n'
        'final = true\ntools = ["answer", "get_volume"]\n'
    )

    async def talk() -> None:
        settings = {"realtime": {"persona": str(file)}}
        async with Stage(brain=Answers("answer_tea"), settings=settings) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: answered(stage), PATIENCE_S, "the model is asked")
            tools = answered(stage)[0].turn.session["tools"]
            assert {tool["name"] for tool in tools} == {"get_volume", "stay_silent"}
            [line] = [x for x in stage.score.journal if x.code == "persona.tool_off"]
            assert line.fields == {"tool": "answer", "steps": "a", "setting": "supervisor.model"}

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
