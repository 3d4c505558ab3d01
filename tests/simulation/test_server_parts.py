"""Parts of the simulated server on their own: ear, telephone codec, token counts.

It must never need a wire: these parts are pure.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_talk import SPOKEN, silence

from edge_agent.simulation.realtime_server import codec
from edge_agent.simulation.realtime_server.conversation import Item
from edge_agent.simulation.realtime_server.usage import Piece, item_piece, usage
from edge_agent.simulation.realtime_server.vad import EnergyVad, SpeechStarted, SpeechStopped

TURNS = silence(400) + SPOKEN + silence(800) + SPOKEN + silence(700)


def noticed(pieces: list[bytes]) -> list[SpeechStarted | SpeechStopped]:
    vad = EnergyVad(0.5, 500)
    return [event for piece in pieces for event in vad.feed(piece)]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
def test_the_ear_does_not_care_how_audio_is_cut(sizes: list[int]) -> None:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(TURNS[start : start + 2 * size])
        start += 2 * size
    pieces.append(TURNS[start:])
    assert noticed(pieces) == noticed([TURNS])


def test_two_turns_are_two_turns() -> None:
    kinds = [type(event) for event in noticed([TURNS])]
    assert kinds == [SpeechStarted, SpeechStopped] * 2


def test_clicks_and_knocks_are_not_speech() -> None:
    rng = np.random.default_rng(3)
    sound = np.zeros(24_000 * 10)
    for start in range(12_000, len(sound) - 2400, 12_000):
        sound[start : start + 960] += rng.standard_normal(960) * np.exp(-np.arange(960) / 200) * 0.5
    assert noticed([(sound.clip(-1, 1) * 32_767).astype("<i2").tobytes()]) == []


def test_speech_over_noise_starts_and_ends() -> None:
    rng = np.random.default_rng(5)
    clean = np.frombuffer(TURNS, dtype="<i2").astype(float)
    noisy = clean + rng.standard_normal(len(clean)) * 400  # about 15 dB below the hum
    kinds = [
        type(event) for event in noticed([noisy.clip(-32_768, 32_767).astype("<i2").tobytes()])
    ]
    assert kinds == [SpeechStarted, SpeechStopped] * 2


@pytest.mark.parametrize(
    ("kind", "code", "value"),
    [
        ("audio/pcmu", 0x00, -32_124),
        ("audio/pcmu", 0x80, 32_124),
        ("audio/pcmu", 0xFF, 0),
        ("audio/pcma", 0xD5, 8),
        ("audio/pcma", 0x55, -8),
        ("audio/pcma", 0xAA, 32_256),
        ("audio/pcma", 0x2A, -32_256),
    ],
)
def test_telephone_codes_are_those_of_g711(kind: str, code: int, value: int) -> None:
    wide = np.frombuffer(codec.to_pcm24k(kind, bytes([code] * 4)), dtype="<i2")
    assert set(wide.tolist()) == {value}
    back = codec.from_pcm24k(kind, wide.tobytes())
    assert set(np.frombuffer(codec.to_pcm24k(kind, back), dtype="<i2").tolist()) == {value}


PIECES = st.lists(
    st.builds(
        Piece, st.text(max_size=3), st.integers(0, 99), st.integers(0, 99), st.integers(0, 9)
    ),
    max_size=6,
)


@given(PIECES, PIECES, st.integers(0, 500), st.integers(0, 500))
def test_usage_adds_up(context: list[Piece], before: list[Piece], text: int, audio: int) -> None:
    figures = usage(context, before, text, audio)
    details = figures["input_token_details"]
    assert isinstance(details, dict)
    kinds = ("text_tokens", "audio_tokens", "image_tokens")
    assert figures["input_tokens"] == sum(details[kind] for kind in kinds)
    assert figures["output_tokens"] == text + audio
    assert figures["total_tokens"] == figures["input_tokens"] + text + audio  # type: ignore[operator]
    cached = details["cached_tokens_details"]
    assert details["cached_tokens"] == sum(cached.values())
    assert all(cached[kind] <= details[kind] for kind in kinds)


def test_tokens_follow_the_price_page() -> None:
    body: dict[str, object] = {
        "id": "i",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_audio"}],
    }
    assert item_piece(Item(body, {0: bytearray(48 * 60_000)})).audio == 600
    spoken: dict[str, object] = {
        **body,
        "role": "assistant",
        "content": [{"type": "output_audio", "transcript": "hi"}],
    }
    piece = item_piece(Item(spoken, {0: bytearray(48 * 60_000)}))
    assert (piece.audio, piece.text) == (1200, 0)
