"""The shipped clips: format, levels, size, what wakes and what must not, and the play."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lab.wake_check import wake_score

from edge_agent.simulation.brains import Speech, load_play
from edge_agent.simulation.clock import run
from edge_agent.simulation.sound import acoustics, voices
from edge_agent.simulation.sound.room import Room

WORDS = ("okay_nabu", "hey_jarvis", "alexa", "hey_mycroft")
CLIPS = voices.clips()
WAKING = sorted(name for name, clip in CLIPS.items() if clip.wakes)
QUIET = sorted(name for name, clip in CLIPS.items() if not clip.wakes)
SIZE_LIMIT_BYTES = 2_000_000


def pcm_of(name: str) -> tuple[int, np.ndarray]:
    rate_hz, data = voices.load(name)
    return rate_hz, np.frombuffer(data, "<i2")


def test_there_is_a_clip_for_every_act_of_the_demo() -> None:
    acts = {
        "wake_what_time", "wake_only", "stop_wait", "follow_up", "button_question",
        "network_question", "said_while_muted", "thanks", "hey_jarvis",
    }  # fmt: skip
    assert acts <= set(CLIPS)
    assert len([clip for clip in CLIPS.values() if clip.role == "answer"]) >= 6


@pytest.mark.parametrize("name", WAKING)
@pytest.mark.parametrize("shift_ms", [0, 10, 20])
@pytest.mark.parametrize("noise_db", [None, 20.0])
def test_a_wake_clip_wakes(name: str, shift_ms: int, noise_db: float | None) -> None:
    rate_hz, pcm = pcm_of(name)
    if noise_db is not None:
        sound = acoustics.from_pcm(pcm)
        level_db = acoustics.active_level_dbfs(sound, rate_hz) - noise_db
        noise = acoustics.pink_noise(rate_hz, 9)[: len(sound)] * acoustics.gain(level_db)
        pcm = acoustics.to_pcm(sound + noise)
    score, cutoff = wake_score(pcm, rate_hz, CLIPS[name].wakes, lead_ms=1000 + shift_ms)
    assert score > cutoff


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_no_clip_wakes_a_word_it_does_not_say(name: str) -> None:
    rate_hz, pcm = pcm_of(name)
    for word in WORDS:
        if word != CLIPS[name].wakes:
            score, cutoff = wake_score(pcm, rate_hz, word)
            assert score <= cutoff, word


@pytest.mark.parametrize("name", [name for name in WAKING if "jarvis" not in name])
def test_a_wake_clip_wakes_through_the_room(name: str) -> None:
    rate_hz, data = voices.load(name)
    heard: list[bytes] = []

    async def main() -> None:
        import asyncio

        room = Room()
        room.open(lambda block, _adc: heard.append(block), lambda n, _dac: bytes(2 * n))
        said = room.say(data, rate_hz, at=1001.0)
        await asyncio.sleep(said.end_at - 1000.0 + 0.5)
        room.stop()

    run(main())
    pcm = np.frombuffer(b"".join(heard), "<i2")
    score, cutoff = wake_score(pcm, 48_000, CLIPS[name].wakes)
    assert score > cutoff


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_format_level_and_edges(name: str) -> None:
    rate_hz, pcm = pcm_of(name)
    clip = CLIPS[name]
    assert rate_hz == clip.rate_hz == (24_000 if clip.role == "answer" else 16_000)
    sound = acoustics.from_pcm(pcm)
    assert acoustics.active_level_dbfs(sound, rate_hz) == pytest.approx(-23, abs=0.5)
    assert np.abs(sound).max() < 0.9
    edge = rate_hz // 50  # 20 ms: the faded silence is 30
    assert np.abs(sound[:edge]).max() < 0.01
    assert np.abs(sound[-edge:]).max() < 0.01
    assert 0.5 < len(sound) / rate_hz < 10


def test_all_clips_together_stay_small() -> None:
    folder = Path(voices.__file__).parents[1] / "assets"
    files = list(folder.rglob("*.wav"))
    assert {file.stem for file in files} == set(CLIPS)
    assert sum(file.stat().st_size for file in files) < SIZE_LIMIT_BYTES


def test_an_unknown_clip_or_play_is_named() -> None:
    with pytest.raises(KeyError, match="nosuch"):
        voices.load("nosuch")
    with pytest.raises(KeyError, match="nosuch"):
        voices.play_path("nosuch")


def test_the_play_says_what_its_clips_say() -> None:
    play = load_play(voices.play_path())
    texts = {clip.text for clip in CLIPS.values()}
    answers = {clip.text: name for name, clip in CLIPS.items() if clip.role == "answer"}
    for line in play.lines:
        (part,) = line.reply.parts
        assert isinstance(part, Speech)
        assert voices.load(answers[part.transcript]) == (24_000, part.pcm24k)
        said = line.heard.lower()
        assert any(text.lower().endswith(said) for text in texts), line.heard
    assert len(play.lines) == len(answers)
