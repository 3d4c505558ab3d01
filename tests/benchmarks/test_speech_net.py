"""The trained decision: its features, its arithmetic, its weights and what is wrong with them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.hearing.speech_features import BANDS, COUNT, FRAME_SAMPLES, SpeechFeatures
from benchmarks.hearing.speech_net import (
    INPUTS,
    SENSITIVITIES,
    SHAPES,
    UNITS,
    SpeechNet,
    read_weights,
)
from edge_agent.contract.errors import ConfigError


def some_weights(seed: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in SHAPES.items()}
    weights["scale"] = np.abs(weights["scale"]) + 1
    return weights


def signals(seed: int, frames: int = 20) -> Any:
    """Frames of (microphone, reference, echo, residual), and how unsure the canceller is."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 0.02, (frames, 4, FRAME_SAMPLES)).astype(np.float32)
    sound[:, 2] = 0.8 * sound[:, 0]
    sound[:, 3] = sound[:, 0] - sound[:, 2]
    return sound, np.full((frames, FRAME_SAMPLES + 1), 1e-3, np.float32)


def row_of(features: SpeechFeatures, four: Any, unsure: Any) -> Any:
    return features.of(four[0], four[1], four[2], four[3], unsure)


def test_sessions_side_by_side_have_the_features_they_have_alone() -> None:
    both = [signals(seed) for seed in (1, 2)]
    many = SpeechFeatures((2,))
    alone = [SpeechFeatures() for _ in both]
    for frame in range(20):
        four = [np.stack([sound[frame, part] for sound, _ in both]) for part in range(4)]
        rows = many.of(four[0], four[1], four[2], four[3], np.stack([u[frame] for _, u in both]))
        for row, (one, (sound, unsure)) in enumerate(zip(alone, both, strict=True)):
            single = row_of(one, sound[frame], unsure[frame])
            assert np.allclose(rows[row], single, rtol=1e-4, atol=1e-3)


def test_a_louder_microphone_shifts_levels_and_leaves_ratios() -> None:
    sound, unsure = signals(3)
    soft, loud = SpeechFeatures(), SpeechFeatures()
    for frame in range(20):
        first = row_of(soft, sound[frame], unsure[frame])
        second = row_of(loud, 10 * sound[frame], 100 * unsure[frame])
    shift = second - first
    assert np.allclose(shift[:BANDS], 20.0, atol=0.1)
    assert np.allclose(shift[BANDS : 3 * BANDS], 0.0, atol=0.1)
    assert np.allclose(shift[6 * BANDS :], 0.0, atol=0.01)


def test_digital_silence_has_features_too() -> None:
    features, nothing = SpeechFeatures(), np.zeros(FRAME_SAMPLES, np.float32)
    for _ in range(300):
        row = features.of(nothing, nothing, nothing, nothing, np.zeros(FRAME_SAMPLES + 1))
    assert row.shape == (COUNT,)
    assert np.isfinite(row).all()


def test_the_net_is_a_gated_recurrent_unit() -> None:
    """Against the textbook's formulas, in double precision."""
    weights = some_weights()
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    net = SpeechNet(weights)
    rng = np.random.default_rng(5)
    state = np.zeros(UNITS)

    def logistic(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    for _ in range(50):
        numbers = rng.normal(0, 2, COUNT)
        inner = np.tanh(w["dense"] @ ((numbers - w["mean"]) / w["scale"]) + w["dense_bias"])
        assert inner.shape == (INPUTS,)
        new, old = w["gates"] @ inner + w["gates_bias"], w["memory"] @ state + w["memory_bias"]
        reset, keep = (
            logistic(new[:UNITS] + old[:UNITS]),
            logistic(new[UNITS : 2 * UNITS] + old[UNITS : 2 * UNITS]),
        )
        state = (1 - keep) * np.tanh(new[2 * UNITS :] + reset * old[2 * UNITS :]) + keep * state
        score = float(w["out"] @ state + w["out_bias"])
        assert float(net.hear(numbers.astype(np.float32))) == pytest.approx(score, abs=1e-4)


def test_another_playback_begins_without_what_was_heard_before() -> None:
    net, fresh = SpeechNet(some_weights()), SpeechNet(some_weights())
    numbers = np.ones(COUNT, np.float32)
    for _ in range(9):
        net.hear(numbers)
    net.restart()
    assert float(net.hear(numbers)) == float(fresh.hear(numbers))


def test_the_shipped_weights_are_small_and_each_word_is_surer_than_the_next() -> None:
    weights = read_weights()
    assert sum(value.size for value in weights.values()) < 15_000
    limits = [SpeechNet(weights, name).threshold for name in SENSITIVITIES]
    assert limits == sorted(limits, reverse=True)
    assert len(set(limits)) == len(limits)


def stored(path: Path, **changes: Any) -> Path:
    np.savez(path, **{**some_weights(), "version": np.array(1), **changes})
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
