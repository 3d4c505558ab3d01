"""Messages: whatever a server sends becomes a struct.

It must never need a server or a clock.
"""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.realtime.protocol import messages, shapes
from edge_agent.realtime.protocol.responses import Responses
from edge_agent.realtime.protocol.session import Session
from edge_agent.realtime.protocol.turns import Turns

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        *("response_id", "item_id", "item", "response", "session", "delta", "transcript", "error"),
        *("arguments", "call_id", "name", "usage", "part", "audio_start_ms", "event_id"),
    ]
)


def frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, "event_id": "event_1", **fields})


@given(st.sampled_from(sorted(shapes.SERVER_EVENTS)), st.dictionaries(FIELDS, JSON, max_size=6))
def test_no_event_of_any_shape_raises(kind: str, fields: dict[str, object]) -> None:
    message = messages.decode(frame(kind, **{**fields, "type": kind}))
    assert isinstance(message, (shapes.SERVER_EVENTS[kind], shapes.Malformed))


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_no_frame_raises(data: str | bytes) -> None:
    assert isinstance(messages.decode(data), shapes.ServerMessage)


@given(st.data())
def test_a_truncated_event_is_malformed(data: st.DataObject) -> None:
    whole = frame("response.output_audio.delta", response_id="r", item_id="i", delta="AAAA")
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert isinstance(messages.decode(whole[:cut]), shapes.Malformed)


@pytest.mark.parametrize(
    "data",
    ["", "null", "[]", "[" * 100_000, '{"type":"ping","a":' + "[" * 100_000, "\ud800", b"{}"],
    ids=["empty", "null", "array", "deep", "deep inside", "surrogate", "binary"],
)
def test_garbage_is_malformed(data: str | bytes) -> None:
    assert isinstance(messages.decode(data), shapes.Malformed)


@given(st.binary(max_size=200))
def test_audio_arrives_in_whole_samples(pcm: bytes) -> None:
    text = base64.b64encode(pcm).decode()
    for sent in (text, text.rstrip("=")):
        message = messages.decode(frame("response.audio.delta", delta=sent))
        assert isinstance(message, shapes.AudioDelta)
        assert message.delta == pcm[: len(pcm) // 2 * 2]


@pytest.mark.parametrize("delta", ["A*AA", "AAAAA", "ä", "AA=A"])
def test_bad_base64_is_malformed(delta: str) -> None:
    message = messages.decode(frame("response.output_audio.delta", delta=delta))
    assert isinstance(message, shapes.Malformed)
    assert message.type == "response.output_audio.delta"


def test_unknown_types_and_unknown_fields_survive() -> None:
    assert messages.decode(frame("response.hologram.delta", x=1)) == shapes.Unknown(
        type="response.hologram.delta"
    )
    message = messages.decode(
        frame("input_audio_buffer.speech_started", item_id="i", audio_start_ms=5, mood="good")
    )
    assert message == shapes.SpeechStarted(item_id="i", audio_start_ms=5)


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ("response.audio.delta", "response.output_audio.delta", {"delta": "AAA="}),
        ("response.audio.done", "response.output_audio.done", {}),
        (
            "response.audio_transcript.delta",
            "response.output_audio_transcript.delta",
            {"delta": "hi"},
        ),
        ("response.text.delta", "response.output_text.delta", {"delta": "hi"}),
        ("conversation.item.created", "conversation.item.added", {"item": {"id": "i"}}),
    ],
)
def test_retired_names_mean_the_same(old: str, new: str, fields: dict[str, object]) -> None:
    was = messages.decode(frame(old, **fields))
    assert was == messages.decode(frame(new, **fields))
    assert not isinstance(was, shapes.Malformed)


def test_nulls_are_tolerated_where_a_speaker_can_do_without() -> None:
    done = messages.decode(
        frame("response.done", response={"id": "r", "usage": None, "output": None, "status": 7})
    )
    assert isinstance(done, shapes.ResponseDone)
    assert isinstance(
        messages.decode(frame("response.done", response={"id": None})), shapes.Malformed
    )


def test_a_fault_is_told_without_the_content() -> None:
    message = messages.decode('{"type":"response.output_text.delta","delta":{"secret":"sk-abc"}}')
    assert isinstance(message, shapes.Malformed)
    assert "secret" not in message.reason
    assert "sk-abc" not in message.reason


@given(st.binary(max_size=100), st.text(max_size=30))
def test_what_we_write_is_json(pcm: bytes, words: str) -> None:
    append = json.loads(messages.append_audio("edge_1", pcm))
    assert base64.b64decode(append["audio"]) == pcm
    assert append["type"] == "input_audio_buffer.append"
    item = messages.message_item("item_1", "assistant", words, b"")
    create = json.loads(messages.create_item("edge_2", item, "root"))
    assert create["item"]["content"] == [{"type": "output_text", "text": words}]
    assert create["previous_item_id"] == "root"


def test_whatever_is_decoded_is_looked_at() -> None:
    looked_at = {
        kind
        for part in (Session, Responses, Turns)
        for kind in vars(part)["_on"].dispatcher.registry
        if issubclass(kind, shapes.ServerMessage)
    }
    in_table = set(shapes.SERVER_EVENTS.values())
    assert looked_at - {shapes.ServerMessage, shapes.Unknown} == in_table - {shapes.Ignored}
