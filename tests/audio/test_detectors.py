"""Voice detector and wake word models: configuration errors, silence, refractory time."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import babble, clip, pcm, room_noise

from edge_agent.audio.detectors import (
    FRAME_BYTES,
    VoiceDetector,
    WakeDetector,
    _WakeModel,
    available_wake_words,
)
from edge_agent.contract.errors import ConfigError


def frames(sound: bytes) -> list[bytes]:
    return [sound[i : i + FRAME_BYTES] for i in range(0, len(sound) - FRAME_BYTES + 1, FRAME_BYTES)]


def test_the_voice_detector_tells_speech_from_a_quiet_room() -> None:
    speech = frames(pcm(babble(3, 16_000, seed=1) + room_noise(48_000, 2)))
    quiet = frames(pcm(room_noise(48_000, 3)))
    detector = VoiceDetector(3)
    assert sum(map(detector.is_speech, quiet)) == 0
    assert sum(map(detector.is_speech, speech)) > 0.6 * len(speech)


def test_the_voice_detector_refuses_other_frames_and_modes() -> None:
    with pytest.raises(ValueError, match="320"):
        VoiceDetector(3).is_speech(bytes(480))
    with pytest.raises(ConfigError, match="mode 4"):
        VoiceDetector(4)


def test_the_bundled_words() -> None:
    assert set(available_wake_words()) >= {"okay_nabu", "alexa", "hey_jarvis", "hey_mycroft"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"okay_nabo": None}, "Did you mean okay_nabu"),
        ({"computer": None}, "hey_mycroft"),
        ({}, "Choose from: alexa"),
        ({"alexa": 1.5}, "between 0 and 1"),
        ({"alexa": 0.0}, "between 0 and 1"),
    ],
)
def test_wrong_words_are_refused_with_the_remedy(words: dict[str, float | None], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        WakeDetector(words)


def test_cut_offs_come_from_the_maker_or_the_owner() -> None:
    detector = WakeDetector({"alexa": 0.5, "okay_nabu": None})
    assert detector.words == ("alexa", "okay_nabu")
    assert detector.cutoffs["alexa"] == 0.5
    assert 0.5 < detector.cutoffs["okay_nabu"] < 1.0


def test_other_sounds_wake_nobody() -> None:
    detector = WakeDetector({"okay_nabu": None, "alexa": None})
    sound = np.concatenate((babble(12, 16_000, seed=4), room_noise(64_000, 5)))
    assert [hit for frame in frames(pcm(sound)) if (hit := detector.process(frame))] == []
    with pytest.raises(ValueError, match="320"):
        detector.process(bytes(100))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("wake_only", "okay_nabu"),
        ("wake_what_time", "okay_nabu"),
        ("wake_tea_second_voice", "okay_nabu"),
        ("hey_jarvis", "hey_jarvis"),
        ("button_question", None),
        ("stop_wait", None),
        ("answer_weather", None),
    ],
)
def test_each_spoken_word_is_heard_once_among_four(name: str, word: str | None) -> None:
    detector = WakeDetector(dict.fromkeys(available_wake_words()))
    speech = np.concatenate((np.zeros(16_000), clip(name, 16_000), np.zeros(16_000)))
    sound = pcm(speech + room_noise(speech.size, 7, rms=4.0))
    hits = [hit for frame in frames(sound) if (hit := detector.process(frame))]
    assert hits == ([word] if word else [])


@pytest.mark.parametrize("quiet_ms", [0, 50, 300, 1000])
@pytest.mark.parametrize("rms", [0.0, 4.0, 60.0])
def test_a_word_is_heard_right_after_the_microphone_was_opened(quiet_ms: int, rms: float) -> None:
    """As soon as somebody switches it on again: the models have no past to compare with."""
    detector = WakeDetector({"okay_nabu": None})
    for frame in frames(pcm(babble(2, 16_000, seed=4))):
        detector.process(frame)
    detector.reset()
    speech = np.concatenate((np.zeros(16 * quiet_ms), clip("wake_only", 16_000), np.zeros(8_000)))
    sound = pcm(speech + room_noise(speech.size, 7, rms=rms))
    assert [hit for frame in frames(sound) if (hit := detector.process(frame))] == ["okay_nabu"]


def test_the_network_is_fed_as_its_maker_feeds_it() -> None:
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    theirs = MicroWakeWord.from_builtin(Model("okay_nabu"))
    ours = _WakeModel(MicroWakeWord.from_builtin(Model("okay_nabu")))
    features = MicroWakeWordFeatures()
    wanted, got = [], []
    for frame in frames(pcm(clip("wake_only", 16_000))):
        for one in features.process_streaming(frame):
            wanted.append(theirs.process_streaming_prob(one))
            got.append(ours.hear(one.reshape(-1).tolist()))
    assert max(got) > 0.9
    assert got == pytest.approx(wanted, abs=1e-6)


class Scores:
    """Stands in for a loaded model: gives the scores it was told to."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores
        self.asked = 0

    def hear(self, features: list[float]) -> float:
        assert len(features) == 40
        self.asked += 1
        return self.scores.pop(0) if self.scores else 0.0

    def reset(self) -> None:
        self.scores = []


def test_one_phrase_is_one_hit_and_the_surer_word_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = WakeDetector({"okay_nabu": 0.8, "alexa": 0.5}, refractory_s=0.5)
    nabu = Scores([0.0] * 5 + [0.9] * 30 + [0.0] * 60 + [0.9] * 3)
    alexa = Scores([0.0] * 5 + [0.9] * 30)
    monkeypatch.setattr(detector, "_models", {"okay_nabu": nabu, "alexa": alexa})
    quiet = frames(bytes(FRAME_BYTES * 150))
    hits = [(number, hit) for number, frame in enumerate(quiet) if (hit := detector.process(frame))]
    assert [hit for _, hit in hits] == ["alexa", "okay_nabu"]
    assert hits[1][0] - hits[0][0] >= 50
    assert nabu.asked == alexa.asked > 140  # they hear everything, also while nobody counts it


def test_a_hit_is_possible_again_at_once_after_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = WakeDetector({"alexa": 0.5}, refractory_s=10.0)
    for _ in range(2):
        monkeypatch.setattr(detector, "_models", {"alexa": Scores([0.9] * 20)})
        quiet = frames(bytes(FRAME_BYTES * 10))
        assert [detector.process(frame) for frame in quiet].count("alexa") == 1
        detector.reset()
