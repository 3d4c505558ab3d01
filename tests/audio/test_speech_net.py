"""The trained decision: its features, its arithmetic, its weights and what is wrong with them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.audio.cancel.canceller import BINS, BLOCK, WINDOW, Cancelled
from edge_agent.audio.cancel.speech_features import (
    BANDS,
    COUNT,
    EXCESS,
    KINDS,
    VERSION,
    VOICING,
    SpeechFeatures,
)
from edge_agent.audio.cancel.speech_net import (
    CLEAR_BONUS,
    INPUTS,
    NETS,
    SENSITIVITIES,
    SHAPES,
    UNITS,
    SpeechNet,
    read_weights,
)
from edge_agent.contract.errors import ConfigError

NO_SPECTRA = np.zeros((4, BINS), np.complex64)


def some_weights(seed: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in SHAPES.items()}
    weights["scale"] = np.abs(weights["scale"]) + 1
    return weights


def signals(seed: int, frames: int = 20) -> list[Cancelled]:
    """Blocks in which four fifths of the microphone are taken for echo."""
    rng = np.random.default_rng(seed)
    unsure = np.full(BINS, 1e-8, np.float32)
    blocks = []
    for _ in range(frames):
        heard, played = rng.normal(0, 0.02, (2, BLOCK)).astype(np.float32)
        echo = np.float32(0.8) * heard
        blocks.append(Cancelled(heard, played, echo, heard - echo, unsure, NO_SPECTRA))
    return seen(blocks)


def seen(blocks: list[Cancelled]) -> list[Cancelled]:
    """With their spectra, the canceller's way."""
    done, before = [], np.zeros((4, BLOCK), np.float32)
    for block in blocks:
        now = np.stack((block.reference, block.microphone, block.residual, block.echo))
        spectra = np.fft.rfft(WINDOW * np.hstack((before, now)), axis=1, norm="forward")
        done.append(block._replace(spectra=spectra.astype(np.complex64)))
        before = now
    return done


def pairs(blocks: list[Cancelled]) -> list[list[Cancelled]]:
    """As the detector takes them."""
    return [list(two) for two in zip(blocks[::2], blocks[1::2], strict=True)]


def louder(block: Cancelled, times: float) -> Cancelled:
    """The same with a microphone that is turned up."""
    return Cancelled(
        block.microphone * np.float32(times),
        block.reference,
        block.echo * np.float32(times),
        block.residual * np.float32(times),
        block.uncertainty * np.float32(times**2),
        block.spectra * np.array([1.0, times, times, times], np.float32)[:, None],
    )


def test_a_microphone_that_is_turned_up_changes_no_feature() -> None:
    soft, loud = SpeechFeatures(), SpeechFeatures()
    for two in pairs(signals(3)):
        first, second = soft.of(two), loud.of([louder(block, 10.0) for block in two])
    assert np.abs(second - first).max() < 0.1


def test_a_person_is_seen_above_the_noise_and_above_the_echo() -> None:
    features, rng = SpeechFeatures(), np.random.default_rng(5)
    for two in pairs(signals(4, frames=200)):
        before = features.of(two)[:VOICING].reshape(KINDS, BANDS)
    block = two[1]
    near = rng.normal(0, 0.2, BLOCK).astype(np.float32)
    spoken = block._replace(microphone=block.microphone + near, residual=block.residual + near)
    for both in pairs(seen([spoken] * 4)):
        after = features.of(both)[:VOICING].reshape(KINDS, BANDS)
    above_noise, above_echo = 0, 3
    assert np.all(after[above_noise] > before[above_noise] + 10)
    assert np.all(after[above_echo] > before[above_echo] + 10)


def test_what_the_echo_explains_is_had_in_common_and_a_person_not() -> None:
    features, rng = SpeechFeatures(), np.random.default_rng(9)
    blocks = signals(10, frames=200)
    left, heard = 6, 7
    for two in pairs(blocks[:100]):
        alone = features.of(two)[:VOICING].reshape(KINDS, BANDS)
    spoken = []
    for block in blocks[100:]:
        near = rng.normal(0, 0.02, BLOCK).astype(np.float32)
        microphone, residual = block.microphone + near, block.residual + near
        spoken.append(block._replace(microphone=microphone, residual=residual))
    for two in pairs(seen(spoken)):
        person = features.of(two)[:VOICING].reshape(KINDS, BANDS)
    assert np.min(alone[[left, heard]]) > 0.99
    assert np.median(person[heard]) < 0.8
    assert np.median(person[left]) < 0.4


def test_a_block_alone_and_the_same_twice_have_the_same_powers() -> None:
    """A playback may begin with the second block of two."""
    two = pairs(signals(6))[3]
    alone, twice = (SpeechFeatures().of(blocks)[:VOICING] for blocks in ([two[0]], [two[0]] * 2))
    assert np.abs(alone - twice).max() < 1e-3


def test_digital_silence_has_features_too() -> None:
    features, nothing = SpeechFeatures(), np.zeros(BLOCK, np.float32)
    silent = Cancelled(nothing, nothing, nothing, nothing, np.zeros(BINS, np.float32), NO_SPECTRA)
    for _ in range(300):
        row = features.of([silent, silent])
    assert row.shape == (COUNT,)
    assert np.isfinite(row).all()


def test_each_net_is_a_gated_recurrent_unit_and_the_score_their_mean() -> None:
    """Against the textbook's formulas, in double precision."""
    weights = some_weights()
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    net = SpeechNet(weights, "normal")
    rng = np.random.default_rng(5)
    states = np.zeros((NETS, UNITS))

    def logistic(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    for _ in range(50):
        numbers = rng.normal(0, 2, COUNT)
        numbers[EXCESS] += rng.uniform(0, 10)
        scores = []
        for n, state in enumerate(states):
            even = (numbers - w["mean"]) / w["scale"]
            inner = np.tanh(w["dense"][n] @ even + w["dense_bias"][n])
            assert inner.shape == (INPUTS,)
            new = w["gates"][n] @ inner + w["gates_bias"][n]
            old = w["memory"][n] @ state + w["memory_bias"][n]
            reset = logistic(new[:UNITS] + old[:UNITS])
            keep = logistic(new[UNITS : 2 * UNITS] + old[UNITS : 2 * UNITS])
            fresh = np.tanh(new[2 * UNITS :] + reset * old[2 * UNITS :])
            states[n] = (1 - keep) * fresh + keep * state
            scores.append(float(w["out"][n] @ states[n] + w["out_bias"][n]))
        clear = numbers[EXCESS].mean() > 3 and numbers[VOICING] > 0
        score = float(np.mean(scores)) + float(CLEAR_BONUS) * clear
        assert float(net.hear(numbers.astype(np.float32))) == pytest.approx(score, abs=1e-4)


def test_what_stands_clear_of_the_echo_counts_more_only_if_it_is_periodic() -> None:
    """A dish on a table stands as clear as a voice."""
    scores = {}
    for clear, periodic in ((0.0, -1.0), (0.0, 1.0), (20.0, -1.0), (20.0, 1.0)):
        weights = some_weights()
        weights["dense"][:] = 0.0  # the nets themselves see no difference
        numbers = np.zeros(COUNT, np.float32)
        numbers[EXCESS], numbers[VOICING] = clear, periodic
        scores[clear, periodic] = float(SpeechNet(weights, "normal").hear(numbers))
    assert scores[20.0, -1.0] == scores[0.0, -1.0]
    assert scores[20.0, 1.0] == pytest.approx(scores[0.0, 1.0] + float(CLEAR_BONUS), abs=1e-5)
    assert scores[0.0, 1.0] == scores[0.0, -1.0]


def test_many_sessions_side_by_side_are_judged_as_each_alone() -> None:
    weights, rng = some_weights(), np.random.default_rng(6)
    rows = rng.normal(2, 3, (12, 5, COUNT)).astype(np.float32)
    together = SpeechNet(weights, "normal", many=(5,))
    found = np.array([together.hear(row) for row in rows])
    for number in range(5):
        alone = SpeechNet(weights, "normal")
        wanted = [float(alone.hear(row[number])) for row in rows]
        assert found[:, number] == pytest.approx(wanted, abs=1e-4)


def test_another_playback_begins_without_what_was_heard_before() -> None:
    net, fresh = (SpeechNet(some_weights(), "normal") for _ in range(2))
    numbers = np.ones(COUNT, np.float32)
    for _ in range(9):
        net.hear(numbers)
    net.restart()
    assert float(net.hear(numbers)) == float(fresh.hear(numbers))


def test_the_shipped_weights_are_small_and_each_word_is_surer_than_the_next() -> None:
    weights = read_weights()
    assert sum(value.size for value in weights.values()) < 60_000
    limits = [SpeechNet(weights, name).threshold for name in SENSITIVITIES]
    assert limits == sorted(limits, reverse=True)
    assert len(set(limits)) == len(limits)


def stored(path: Path, **changes: Any) -> Path:
    np.savez(path, **{**some_weights(), "version": np.array(VERSION), **changes})
    return path


def test_stored_weights_come_back_as_they_were(tmp_path: Path) -> None:
    found = read_weights(stored(tmp_path / "net.npz"))
    for name, value in some_weights().items():
        assert np.array_equal(found[name], value)


def test_weights_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    whole = stored(tmp_path / "whole.npz").read_bytes()
    half = tmp_path / "half.npz"
    half.write_bytes(whole[: len(whole) // 2])
    flipped = tmp_path / "flipped.npz"
    with zipfile.ZipFile(tmp_path / "whole.npz") as file:
        at = file.getinfo("gates.npy").header_offset + 300
    flipped.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    empty = tmp_path / "empty.npz"
    empty.write_bytes(b"")
    wrong = {
        "missing": tmp_path / "nothing.npz",
        "half": half,
        "a byte is wrong": flipped,
        "empty": empty,
        "text": _text(tmp_path / "text.npz"),
        "not a number": stored(tmp_path / "nan.npz", out=np.full(UNITS, np.nan, np.float32)),
        "another shape": stored(tmp_path / "shape.npz", out=np.zeros(3, np.float32)),
        "other features": stored(tmp_path / "other.npz", version=np.array(99)),
    }
    for what, path in wrong.items():
        with pytest.raises(ConfigError) as caught:
            read_weights(path)
        assert caught.value.code == "config.no_speech_net", what


def _text(path: Path) -> Path:
    path.write_text("these are no weights\n", encoding="utf-8")
    return path
