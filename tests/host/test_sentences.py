"""Sentences: every text has its recording, every cause its own words."""

from __future__ import annotations

import array
import math
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.errors import AgentError
from edge_agent.contract.pcm import bytes_to_ms
from edge_agent.host.sentences import PACK_FOLDER, SENTENCE_FOR_CODE, Sentences, sentence_for


@pytest.mark.parametrize("name", sorted(Sentences().texts))
def test_every_text_has_a_recording_that_is_audible_and_short(name: str) -> None:
    pcm = Sentences().pcm24k(name)
    samples = array.array("h", pcm)
    assert 1000 < bytes_to_ms(len(pcm)) < 6000
    rms = math.sqrt(sum(s * s for s in samples) / len(samples)) / 32768
    assert -21 < 20 * math.log10(rms) < -19
    assert max(map(abs, samples)) < 32768 * 0.9
    # No click where it begins or ends.
    assert abs(samples[0]) < 100
    assert abs(samples[-1]) < 100


def test_no_recording_is_left_over_and_no_two_texts_are_the_same() -> None:
    texts = Sentences().texts
    recordings = {file.stem for file in (PACK_FOLDER / "en").glob("*.wav")}
    assert recordings == set(texts)
    assert len(set(texts.values())) == len(texts)


def test_every_code_leads_to_a_sentence() -> None:
    texts = Sentences().texts
    assert set(SENTENCE_FOR_CODE.values()) <= set(texts)
    for code in SENTENCE_FOR_CODE:
        assert Sentences().text(code)


def error_codes() -> list[str]:
    found, waiting = [], [AgentError]
    while waiting:
        kind = waiting.pop()
        found.append(kind.code)
        waiting.extend(kind.__subclasses__())
    return sorted({code for code in found if code.startswith(("link.", "device."))})


@pytest.mark.parametrize("code", error_codes())
def test_every_link_and_device_error_is_in_the_table(code: str) -> None:
    assert code in SENTENCE_FOR_CODE


def test_what_only_a_person_can_fix_has_its_own_words() -> None:
    codes = ["link.bad_key", "link.no_quota", "link.no_model", "link.dialect", "link.bad_url"]
    codes += ["link.tls", "link.busy", "link.lost", "link.no_key", "link.refused", "device.lost"]
    assert len({sentence_for(code) for code in codes}) == len(codes)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("too_old", "too_old"),
        ("link.brand_new", "offline"),
        ("response.brand_new", "answer_failed"),
        ("device.brand_new", "device_lost"),
        ("weather.brand_new", ""),
    ],
)
def test_younger_codes_fall_back_to_their_family(name: str, sentence: str) -> None:
    assert sentence_for(name) == sentence


@given(st.text(max_size=40))
def test_a_name_from_outside_never_reads_another_file(name: str) -> None:
    sentences = Sentences()
    for key in (name, "../" + name, f"/{name}", "en/../" + name):
        known = sentence_for(key) in sentences.texts
        assert bool(sentences.pcm24k(key)) == known


@pytest.mark.parametrize(
    ("asked", "found"), [("en", "en"), ("en-GB", "en"), ("xx", "en"), ("xx-YY", "en")]
)
def test_an_unknown_language_falls_back(asked: str, found: str) -> None:
    assert Sentences(asked).language == found


def test_a_pack_with_broken_recordings_is_silent(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en.toml").write_text(
        '[text]\nmissing = "a"\nrate = "b"\nnoise = "c"\nnone = "d"\n'
    )
    with wave.open(str(tmp_path / "en" / "rate.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\0\0" * 100)
    (tmp_path / "en" / "noise.wav").write_bytes(b"noise")
    (tmp_path / "en" / "none.wav").write_bytes(b"")
    sentences = Sentences(folder=tmp_path)
    assert [sentences.pcm24k(name) for name in sentences.texts] == [b""] * 4
