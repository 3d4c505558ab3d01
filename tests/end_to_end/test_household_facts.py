"""A fact is told, remembered, recalled after a restart and forgotten: the whole way."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest
from whole_house import (
    PATIENCE_S,
    Answers,
    answered,
    clip,
    faults,
    first_sound,
    outputs,
    play,
    ready,
    silence,
    spoken,
    still_works,
)

from edge_agent.demo.stage import Stage
from edge_agent.simulation.brains import Call

KEY = "The spare key is at Mia's"


def at_home(folder: Path, **facts: object) -> Mapping[str, Mapping[str, object]]:
    return {
        "state": {"path": str(folder / "state.json")},
        "facts": {"enabled": True, **facts},
        "privacy": {"redact_names": ["Anna"]},
    }


def call(tool: str, arguments: str = "{}") -> Answers:
    return Answers([Call(tool, arguments)], "answer_tea", "answer_bye")


async def told(stage: Stage) -> str:
    """The household speaks, the model calls its tool and answers: what was it told?"""
    await ready(stage)
    said = await stage.say("wake_what_time")
    first = await first_sound(stage, said.offset_at)
    await silence(stage, first)
    assert spoken(stage, clip("answer_tea"), first - 0.5).is_whole
    await stage.until_talk("asleep", PATIENCE_S)
    [output] = outputs(stage)
    assert not faults(stage)
    return output


def test_told_remembered_recalled_after_a_restart_and_forgotten(tmp_path: Path) -> None:
    async def life() -> None:
        home = at_home(tmp_path)
        brain = call("remember", f'{{"fact": "{KEY}, says Anna, 0171 2345678"}}')
        async with Stage(brain=brain, settings=home) as stage:
            output = await told(stage)
            assert output.startswith(f"Remembered: {KEY}, says [name], [number] Parts were left")
            assert KEY not in str([n.fields for n in stage.score.journal])
        async with Stage(brain=call("recall", '{"about": "key"}'), settings=home) as stage:
            assert f"1: {KEY}, says [name], [number]" in await told(stage)
            instructions = answered(stage)[0].turn.instructions
            assert "Mia" not in instructions, "facts are looked up, not sent along"
            assert "`recall`" in instructions
        async with Stage(brain=call("forget", '{"number": 1}'), settings=home) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until_talk("confirming", PATIENCE_S)
            await asyncio.sleep(0.5)  # a press into the question's last word agrees to nothing
            await stage.push()
            await stage.until(lambda: len(answered(stage)) >= 2, PATIENCE_S, "the model is told")
            await stage.until_talk("asleep", PATIENCE_S)
            outputs = [o.output for given in answered(stage) for o in given.turn.outputs]
            assert outputs == [f"Forgotten: {KEY}, says [name], [number]"]
            assert not faults(stage)
        async with Stage(brain=call("recall"), settings=home) as stage:
            assert await told(stage) == "Nothing has been remembered yet."
        assert b"Mia" not in (tmp_path / "facts.sqlite").read_bytes()

    play(life())


def test_nothing_is_kept_unless_the_owner_wants_it(tmp_path: Path) -> None:
    async def life() -> None:
        home = {**at_home(tmp_path), "facts": {}}
        async with Stage(brain=Answers("answer_tea"), settings=home) as stage:
            await ready(stage)
            await stage.say("wake_what_time")
            await stage.until(lambda: answered(stage), PATIENCE_S, "the model is asked")
            turn = answered(stage)[0].turn
            names = {tool["name"] for tool in turn.session["tools"]}
            assert "set_timer" in names
            assert not names & {"remember", "recall", "forget"}
            assert "`remember`" not in turn.instructions
            await still_works(stage)
        assert not (tmp_path / "facts.sqlite").exists()

    play(life())


@pytest.mark.parametrize("trouble", ["damaged", "newer", "locked"])
def test_a_file_in_trouble_is_told_and_talk_goes_on(tmp_path: Path, trouble: str) -> None:
    path = tmp_path / "facts.sqlite"
    (tmp_path / "state.json").write_text('{"version": 1, "muted": false}')
    other = None
    if trouble == "damaged":
        path.write_bytes(b"no database" * 99)
    else:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA user_version = 9" if trouble == "newer" else "BEGIN EXCLUSIVE")

    async def life() -> None:
        brain = call("remember", f'{{"fact": "{KEY}"}}')
        async with Stage(brain=brain, settings=at_home(tmp_path)) as stage:
            words = {"damaged": "put aside", "newer": "newer version", "locked": "Try again"}
            assert words[trouble] in await told(stage)
            codes = {n.code for n in stage.score.journal if n.code.startswith("facts.")}
            noted = {"damaged": {"facts.repaired"}, "newer": {"facts.unusable"}, "locked": set()}
            assert codes == noted[trouble]
            await still_works(stage)

    play(life())
    if other is not None:
        other.close()
    if trouble == "damaged":
        assert (tmp_path / "facts.sqlite.unusable").read_bytes() == b"no database" * 99
