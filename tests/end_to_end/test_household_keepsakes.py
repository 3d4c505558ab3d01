"""Words and sound of an evening on the disk: what was asked for, redacted, and nothing else."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from whole_house import (
    PATIENCE_S,
    Answers,
    clip,
    faults,
    first_sound,
    play,
    ready,
    silence,
    still_works,
    words_of,
)

from edge_agent.demo.judge import measure
from edge_agent.demo.judge.measure import Sound
from edge_agent.demo.stage import Stage
from edge_agent.host.stores.keepsakes import recordings


class Dictated(Answers):
    """Hears the same words in every turn."""

    def transcribe(self, pcm24k: bytes) -> str:
        del pcm24k
        return "It's Anna, 0171 2345678."


def at_home(folder: Path, **privacy: object) -> Mapping[str, Mapping[str, object]]:
    return {
        "state": {"path": str(folder / "state.json")},
        "privacy": {"redact_names": ["anna"], **privacy},
        "realtime": {"transcription_model": "whisper-1"},
    }


def sounds(folder: Path, who: str) -> list[Sound]:
    found = []
    for path in recordings(folder / "recordings"):
        if path.stem.endswith(who):
            with wave.open(str(path)) as wav:
                pcm = wav.readframes(wav.getnframes())
            found.append(measure.sound(pcm, wav.getframerate()))
    return found


async def evening(stage: Stage) -> None:
    await ready(stage)
    said = await stage.say("wake_what_time")
    await silence(stage, await first_sound(stage, said.offset_at))
    await stage.until_talk("asleep", PATIENCE_S)


def test_words_are_kept_redacted(tmp_path: Path) -> None:
    async def life() -> None:
        home = at_home(tmp_path, keep_transcripts_days=1)
        async with Stage(brain=Dictated("answer_tea"), settings=home) as stage:
            await evening(stage)
            assert not faults(stage)
        assert not (tmp_path / "recordings").exists()
        [file] = (tmp_path / "transcripts").iterdir()
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        kept = [(line["who"], line["text"]) for line in lines]
        assert sorted(who for who, _ in kept) == ["household", "speaker"]
        assert ("household", "It's [name], [number].") in kept

    play(life())


def test_nothing_is_kept_by_itself(tmp_path: Path) -> None:
    async def life() -> None:
        async with Stage(brain=Dictated("answer_tea"), settings=at_home(tmp_path)) as stage:
            await evening(stage)

    play(life())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "echo.json",
        "state.json",
        "state.json.known",
        "usage.json",
    ]


def test_a_turn_and_its_answer_are_kept_as_they_sounded(tmp_path: Path) -> None:
    async def life() -> None:
        home = at_home(tmp_path, keep_audio_days=1)
        async with Stage(brain=Dictated("answer_tea"), settings=home) as stage:
            await evening(stage)
            assert not faults(stage)
        [turn] = sounds(tmp_path, "household")
        [answer] = sounds(tmp_path, "speaker")
        assert measure.likeness(words_of("wake_what_time"), turn).is_whole
        assert measure.likeness(clip("answer_tea"), answer).is_whole
        assert len(answer) <= len(clip("answer_tea")) * 1.02
        assert not (tmp_path / "transcripts").exists()

    play(life())


def test_an_answer_that_was_cut_is_kept_as_far_as_it_was_heard(tmp_path: Path) -> None:
    async def life() -> None:
        home = at_home(tmp_path, keep_audio_days=1)
        brain = Dictated("answer_lisbon", "answer_bye")
        async with Stage(brain=brain, settings=home) as stage:
            await ready(stage)
            said = await stage.say("wake_what_time")
            await stage.sleep_until(await first_sound(stage, said.offset_at) + 2.0)
            await stage.say("stop_wait")
            await stage.until_talk("asleep", PATIENCE_S)
        cut, bye = sounds(tmp_path, "speaker")
        heard_s = len(cut) / measure.COMPARE_RATE_HZ
        assert 2.0 < heard_s < 3.5 < len(clip("answer_lisbon")) / measure.COMPARE_RATE_HZ
        assert np.corrcoef(cut, clip("answer_lisbon")[: len(cut)])[0, 1] > 0.9
        assert measure.likeness(clip("answer_bye"), bye).is_whole
        assert len(sounds(tmp_path, "household")) == 2

    play(life())


def test_words_said_while_the_line_is_down_are_kept_once(tmp_path: Path) -> None:
    async def life() -> None:
        home = at_home(tmp_path, keep_audio_days=1)
        async with Stage(brain=Dictated("answer_tea"), settings=home) as stage:
            await ready(stage)
            await stage.network.down()
            await stage.until(lambda: stage.link != "ready", PATIENCE_S, "the line is lost")
            said = await stage.say("wake_what_time")
            await asyncio.sleep(4.0)
            await stage.network.up()
            await ready(stage)
            await first_sound(stage, max(said.offset_at, stage.now()))
            await stage.until_talk("asleep", PATIENCE_S)
        [turn] = sounds(tmp_path, "household")
        assert measure.likeness(words_of("wake_what_time"), turn).is_whole

    play(life())


def test_a_disk_that_cannot_be_written_does_not_disturb_talk(tmp_path: Path) -> None:
    for name in ("transcripts", "recordings"):
        (tmp_path / name).write_text("in the way")

    async def life() -> None:
        home = at_home(tmp_path, keep_audio_days=1, keep_transcripts_days=1)
        async with Stage(brain=Dictated("answer_tea"), settings=home) as stage:
            await evening(stage)
            await still_works(stage)
            assert [n.code for n in stage.score.codes("keepsakes.unwritable")] == [
                "keepsakes.unwritable"
            ]
            assert not faults(stage)

    play(life())
