"""Whether a recording can be of its sentence, and what it may not be."""

from __future__ import annotations

from pathlib import Path

import pytest
from speech_service import tone

from edge_agent.contract.pcm import silence
from edge_agent.host.voice.pack_store import UNREAD_MAX, Pack, Recipe
from edge_agent.host.voice.sentences import Sentences
from edge_agent.host.voice.verbatim import Misread, misread

TEXT = "I can't reach the internet. Please check the router."  # 52 characters, some 3 s


@pytest.mark.parametrize("name", sorted(Sentences().texts))
def test_the_shipped_recordings_pass(name: str) -> None:
    english = Sentences()
    text = english.text(name)
    assert misread(text, english.pcm24k(name), text, speed=1.0) == ""


@pytest.mark.parametrize(
    ("pcm", "words", "why"),
    [
        (b"", TEXT, "no sound"),
        (b"\x00", TEXT, "no sound"),
        (silence(3000), TEXT, "only silence"),
        (tone(3.0), TEXT, ""),
        (tone(3.0)[:-1], TEXT, ""),
        (tone(3.0), "", ""),
        (tone(1.5), TEXT, "too few"),
        (tone(13.0), TEXT, "too many"),
        (tone(3.0), "I can not reach the internet! Please check the router", ""),
        (tone(3.0), f"Sure, here it is: {TEXT}", "other words"),
        (tone(3.0), "I can't reach the internet.", "other words"),
        (tone(3.0), "Have you tried to restart it?", "other words"),
    ],
)
def test_what_can_be_of_a_sentence(pcm: bytes, words: str, why: str) -> None:
    found = misread(TEXT, pcm, words, speed=1.0)
    assert why in found
    assert bool(why) == bool(found)


@pytest.mark.parametrize(("speed", "seconds"), [(0.25, 30.0), (1.5, 1.3)])
def test_a_slow_voice_takes_longer(speed: float, seconds: float) -> None:
    assert misread(TEXT, tone(seconds), TEXT, speed=speed) == ""
    assert misread(TEXT, tone(seconds), TEXT, speed=1.0)


@pytest.mark.parametrize("text", ["Good bye.", " ".join([TEXT] * 4)])
@pytest.mark.parametrize("said", ["Sure! {}", "{} OK?", "You wrote: {}"])
def test_one_word_more_is_noticed_in_a_sentence_of_any_length(text: str, said: str) -> None:
    sound = tone(len(text) / 15)
    assert misread(text, sound, text, speed=1.0) == ""
    assert misread(text, sound, said.format(text), speed=1.0) == "other words were said"


def test_who_reads_nothing_as_it_stands_is_not_asked_for_all(tmp_path: Path) -> None:
    asked: list[str] = []

    def speak(text: str) -> bytes:
        asked.append(text)
        raise Misread("other words were said")

    texts = {f"name_{n}": f"text {n}" for n in range(UNREAD_MAX + 5)}
    with pytest.raises(Misread) as caught:
        Pack(tmp_path / "packs", "de").build(texts, Recipe("x", "de"), speak)
    assert asked == list(texts.values())[:UNREAD_MAX]
    assert all(f"{name} (other words" in caught.value.message for name in list(texts)[:UNREAD_MAX])
