"""Sentences: every text has its recording, every cause its own words."""

from __future__ import annotations

import array
import math
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.audio.resample import Resampler
from edge_agent.contract.errors import AgentError
from edge_agent.contract.pcm import bytes_to_ms
from edge_agent.host.voice import espeak
from edge_agent.host.voice.espeak import Espeak, EspeakError
from edge_agent.host.voice.sentences import (
    PACK_FOLDER,
    SENTENCE_FOR_CODE,
    Sentences,
    languages,
    sentence_for,
)


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


# --- other languages ---------------------------------------------------------------------


def say(path: Path, level: int) -> bytes:
    """A recording of the wire's format, told from others by its level."""
    pcm = level.to_bytes(2, "little") * 2400
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(pcm)
    return pcm


def sentences_in(language: str, tmp_path: Path) -> Sentences:
    return Sentences(language, own=tmp_path / "own", cache=tmp_path / "cache")


@pytest.mark.parametrize("language", ["de", "es", "fr", "it"])
def test_every_catalogue_has_the_sentences_of_the_english_one(language: str) -> None:
    assert languages() == ["de", "en", "es", "fr", "it"]
    english, texts = Sentences("en").texts, Sentences(language).texts
    assert list(texts) == list(english)
    assert len(set(texts.values())) == len(texts)
    for name, text in texts.items():
        assert text != english[name], name
        assert text[-1] in ".?", name
        assert len(text) <= 120, name


def test_an_unknown_language_is_told_and_spoken_in_english() -> None:
    sentences = Sentences("xx")
    assert sentences.language == "en"
    assert '"xx"' in sentences.advice
    assert "de, en, es, fr, it" in sentences.advice
    assert Sentences("de-AT").language == "de"
    assert Sentences("de-AT").advice == ""


def test_whose_voice_is_heard(tmp_path: Path) -> None:
    english = Sentences("en", own=tmp_path / "none").pcm24k("offline")
    assert english
    assert sentences_in("de", tmp_path).pcm24k("link.lost") == english
    rendered = say(tmp_path / "cache" / "de" / "offline.wav", 1)
    assert sentences_in("de", tmp_path).pcm24k("link.lost") == rendered
    own = say(tmp_path / "own" / "de" / "offline.wav", 2)
    assert sentences_in("de", tmp_path).pcm24k("link.lost") == own
    assert sentences_in("fr", tmp_path).pcm24k("link.lost") == english


def test_no_english_is_heard_while_the_own_voice_is_still_at_work(tmp_path: Path) -> None:
    sentences = sentences_in("de", tmp_path)
    sentences.awaited = True
    assert sentences.pcm24k("offline") == b""
    own = say(tmp_path / "own" / "de" / "muted.wav", 7)
    fresh = sentences_in("de", tmp_path)
    fresh.awaited = True
    assert fresh.pcm24k("muted") == own  # what has a recording is heard at once
    assert sentences.prepare(lambda _text: b"\x05\x00" * 2400) > 0
    assert sentences.pcm24k("offline") == b"\x05\x00" * 2400


def test_an_owner_may_replace_an_english_recording(tmp_path: Path) -> None:
    own = say(tmp_path / "own" / "en" / "muted.wav", 3)
    assert sentences_in("en", tmp_path).pcm24k("muted") == own
    assert sentences_in("en", tmp_path).pcm24k("unmuted") == Sentences().pcm24k("unmuted")


def test_a_recording_of_a_text_that_has_changed_is_not_spoken(tmp_path: Path) -> None:
    say(tmp_path / "own" / "de" / "muted.wav", 4)
    manifest = tmp_path / "own" / "de" / "pack.json"
    manifest.write_text('{"texts": {"muted": "Etwas anderes."}}')
    assert sentences_in("de", tmp_path).pcm24k("muted") == Sentences().pcm24k("muted")
    for broken in ("no json", "[1]", '{"texts": 7}', "[" * 100_000):
        manifest.write_text(broken)
        assert sentences_in("de", tmp_path).pcm24k("muted") != Sentences().pcm24k("muted")


def test_prepare_speaks_each_missing_sentence_once_and_pcm24k_none(tmp_path: Path) -> None:
    said: list[str] = []

    def speak(text: str) -> bytes:
        said.append(text)
        return b"\x05\x00" * 2400

    sentences = sentences_in("it", tmp_path)
    own = say(tmp_path / "own" / "it" / "muted.wav", 6)
    assert sentences.pcm24k("offline") == Sentences().pcm24k("offline")
    assert said == []
    assert sentences.prepare(speak) == len(sentences.texts) - 1
    assert set(said) == set(sentences.texts.values()) - {sentences.texts["muted"]}
    assert sentences.pcm24k("offline") == b"\x05\x00" * 2400
    assert sentences.pcm24k("muted") == own
    again = sentences_in("it", tmp_path)
    assert again.prepare(speak) == 0
    assert len(said) == len(sentences.texts) - 1
    # A text that is new since then does not cost the others their recordings.
    (tmp_path / "cache" / "it" / "starting.wav").unlink()
    cached = sorted((tmp_path / "cache" / ".cache").iterdir())
    assert again.prepare(speak) == 1
    assert sorted((tmp_path / "cache" / ".cache").iterdir()) == cached
    assert again.silent_texts() == {}


def test_english_needs_nobody_to_speak(tmp_path: Path) -> None:
    def speak(text: str) -> bytes:
        raise AssertionError(text)

    assert sentences_in("en", tmp_path).prepare(speak) == 0
    assert not (tmp_path / "cache").exists()


def test_a_failure_leaves_the_english_voice(tmp_path: Path) -> None:
    def speak(_text: str) -> bytes:
        raise EspeakError("no voice")

    sentences = sentences_in("fr", tmp_path)
    sentences.awaited = True
    with pytest.raises(EspeakError):
        sentences.prepare(speak)
    assert sentences.pcm24k("offline") == Sentences().pcm24k("offline")


# --- the real espeak-ng ------------------------------------------------------------------


def resampled(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    return Resampler(from_hz, to_hz).process(pcm)


@pytest.mark.parametrize("language", ["de", "en", "es", "fr", "it"])
def test_espeak_speaks_every_language_as_loud_as_the_recordings(language: str) -> None:
    text = Sentences(language).texts["no_internet"]
    pcm = Espeak(language, resampled).speak(text)
    samples = array.array("h", pcm)
    assert 1500 < bytes_to_ms(len(pcm)) < 8000
    rms = math.sqrt(sum(s * s for s in samples) / len(samples)) / 32768
    assert -24 < 20 * math.log10(rms) < -19  # the peaks of some voices allow no more
    assert max(map(abs, samples)) < 32768 * 0.9
    assert abs(samples[0]) < 100
    assert abs(samples[-1]) < 100


def test_espeak_takes_no_text_for_an_option() -> None:
    assert Espeak("en", resampled).speak("--help -w /dev/null")


def test_a_daemon_that_stops_waits_for_one_sentence_at_most(tmp_path: Path) -> None:
    answers = iter([True, False])
    sentences = sentences_in("it", tmp_path)
    with pytest.raises(EspeakError) as caught:
        sentences.prepare(Espeak("it", resampled, lambda: next(answers)).speak)
    assert caught.value.code == "espeak.stopped"
    assert len(list((tmp_path / "cache" / ".cache").iterdir())) == 1  # kept for the next start


def test_espeak_leaves_nothing_in_the_home_or_where_programs_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian 12's makes a folder for a sound server that it does not need."""
    home, scratch = tmp_path / "home", tmp_path / "tmp"
    for folder in (home, scratch, tmp_path / "bin"):
        folder.mkdir()
    program = tmp_path / "bin/espeak-ng"
    program.write_text(
        "#!/bin/sh\n"
        'PATH=/usr/bin:/bin; for one in "$HOME/.config" "$XDG_CONFIG_HOME" "$XDG_RUNTIME_DIR"; do\n'
        'mkdir -p "$one/pulse"; done; mkdir "$TMPDIR/pulse-x"; exit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setenv("PATH", str(program.parent))
    with pytest.raises(EspeakError, match="could not speak"):
        Espeak("en", resampled).speak("hello")
    assert [*home.iterdir(), *scratch.iterdir()] == []


def test_espeak_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EspeakError, match='language "qqq"'):
        Espeak("qqq", resampled).speak("hello")
    with pytest.raises(EspeakError, match="silent"):
        Espeak("en", resampled).speak("")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not espeak.is_installed()
    with pytest.raises(EspeakError, match="apt-get install -y espeak-ng"):
        Espeak("en", resampled).speak("hello")


def test_the_state_directory_is_where_packs_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    own = say(tmp_path / "voice-pack" / "de" / "muted.wav", 7)
    rendered = say(tmp_path / "voice-cache" / "de" / "unmuted.wav", 8)
    assert Sentences("de").pcm24k("muted") == own
    assert Sentences("de").pcm24k("unmuted") == rendered
