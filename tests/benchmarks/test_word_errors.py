"""The table of word errors: scored rightly, and both ways really asked in a session."""

from __future__ import annotations

import json
import random
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from house_config import household_provider, household_session, household_timings

from benchmarks import word_errors
from benchmarks.word_errors import Utterance, by_session, errors, numbers, recordings, words_of
from edge_agent.contract import events as e
from edge_agent.contract.pcm import WIRE_BYTES_PER_MS
from edge_agent.contract.transcript import Hints
from edge_agent.realtime.link.connection import RealtimeLink
from edge_agent.simulation.brains import Brain, Reply, Text, Turn
from edge_agent.simulation.clock import run
from edge_agent.simulation.server import RealtimeServer
from edge_agent.simulation.wire import MemoryNetwork

HINTS = Hints("", ("Wattwurm",), ())


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("It's four o'clock.", "it\u2019s FOUR o\u2019clock", 0),
        ("It's four.", "it's four", 0),
        ("oh one seven one", "0171", 1),
        ("zero one seven one", "0171", 0),
        ("a b c d", "", 4),
        ("", "a b", 2),
        ("turn the light on", "turn light on now", 2),
        ("turn the light on", "[unclear] turn the (coughs) light on", 0),
        ("one two", "three", 2),
    ],
)
def test_words_are_compared(said: str, heard: str, wrong: int) -> None:
    assert errors(words_of(said), words_of(heard)) == wrong


def wav(path: Path, level: int, ms: int = 100) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(struct.pack("<h", level) * (16 * ms))


def test_recordings_are_read_and_digits_joined(tmp_path: Path) -> None:
    wav(tmp_path / "a.wav", 1000)
    (tmp_path / "words.tsv").write_text("a.wav\tGood morning.\n")
    [one] = recordings(tmp_path)
    assert one.words == "Good morning."
    assert len(one.pcm24k) == 100 * WIRE_BYTES_PER_MS
    for digit in range(10):
        for speaker in ("ann", "bob"):
            wav(tmp_path / f"{digit}_{speaker}_0.wav", 1000)
    found = numbers(tmp_path)
    assert [sorted(one.words.split()) for one in found] == [sorted(word_errors.DIGITS)] * 2
    assert {len(one.pcm24k) for one in found} == {(10 * 100 + 11 * 250) * WIRE_BYTES_PER_MS}


class Scribe(Brain):
    """Knows an utterance by its first sample; fails at the second, out of band."""

    def transcribe(self, pcm24k: bytes) -> str:
        return ("good morning", "good evening")[struct.unpack_from("<h", pcm24k)[0] // 1000 - 1]

    def reply(self, turn: Turn) -> Reply:
        assert turn.out_of_band
        assert "Wattwurm" in turn.instructions
        [heard] = turn.heard
        if self.transcribe(heard) == "good evening":
            raise RuntimeError
        return Reply((Text("Good morning!"),))


@pytest.mark.parametrize(
    ("way", "heard"),
    [("builtin", ["good morning", "good evening"]), ("out_of_band", ["Good morning!", None])],
)
def test_a_session_is_asked_for_each_alone(way: str, heard: list[str | None]) -> None:
    said = [
        Utterance(words, struct.pack("<h", level) * 24_000)
        for words, level in (("good morning", 1000), ("good night", 2000))
    ]

    def open_link(post: Callable[[e.Event], None]) -> RealtimeLink:
        transcriber = "gpt-transcribe" if way == "builtin" else None
        return RealtimeLink(
            dial=MemoryNetwork(RealtimeServer(Scribe())),
            provider=household_provider(),
            config=household_session(
                turn_detection=None, transcription_model=transcriber, transcription_hints=HINTS
            ),
            key=lambda: "sk-test",
            post=post,
            note=lambda _code, **_fields: None,
            rng=random.Random(1),
            timings=household_timings(),
        )

    assert run(by_session(open_link, said, way, HINTS)) == heard
    row = word_errors.row("hall", way, "the command", said, heard)
    wrong = 1 if way == "builtin" else 2
    assert (row.words, row.wrong, row.failed) == (4, wrong, heard.count(None))
    text = word_errors.page([row], "The end.")
    assert f"| hall | {way} | 2 | 0.03 | 4 |" in text
    assert text.endswith("The end.\n")


def test_the_page_is_what_its_rows_make() -> None:
    folder = word_errors.FOLDER
    known = json.loads((folder / "word_errors.json").read_text())
    rows = [word_errors.Row(**entry) for entry in known["rows"]]
    assert (folder / "word_errors.md").read_text() == word_errors.page(rows, known["tail"])
