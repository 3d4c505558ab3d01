"""Strictness: what the server refuses, how it complains, and that nothing was applied.

Thread: the virtual loop.  It must never depend on the machine's speed.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_talk import SPOKEN, Client, Says, silence, talk, talking

from edge_agent.simulation.brains import ParrotBrain, Speech
from edge_agent.simulation.clock import run
from edge_agent.simulation.realtime_server.schemas import default_session, merged
from edge_agent.simulation.server import RealtimeServer

VAD = {"type": "server_vad"}


def audio(**inside: object) -> dict[str, object]:
    return {"audio": {"input": inside}}


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"instructions": "x"}, "missing_required_parameter", "session.type"),
        ({"type": "realtime", "temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"type": "realtime", "voice": "marin"}, "unknown_parameter", "session.voice"),
        ({"type": "realtime", "modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({"type": "realtime", "instructions": None}, "invalid_type", "session.instructions"),
        ({"type": "realtime", "instructions": 7}, "invalid_type", "session.instructions"),
        (
            {"type": "realtime", "output_modalities": ["text", "audio"]},
            "invalid_value",
            "session.output_modalities",
        ),
        (
            {"type": "realtime", "max_output_tokens": 0},
            "invalid_value",
            "session.max_output_tokens",
        ),
        ({"type": "realtime", "model": "another"}, "invalid_value", "session.model"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"type": "nonsense"}, "invalid_value", "session.type"),
        (
            {"type": "realtime", "audio": {"output": {"voice": "nobody"}}},
            "invalid_value",
            "session.audio.output.voice",
        ),
        (
            {"type": "realtime", "audio": {"output": {"speed": 2}}},
            "invalid_value",
            "session.audio.output.speed",
        ),
        (
            {"type": "realtime", **audio(format={"type": "audio/pcm", "rate": 16_000})},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"type": "realtime", **audio(turn_detection={"threshold": 0.5})},
            "missing_required_parameter",
            "session.audio.input.turn_detection.type",
        ),
        (
            {"type": "realtime", **audio(turn_detection={**VAD, "create_response": None})},
            "invalid_type",
            "session.audio.input.turn_detection.create_response",
        ),
        (
            {"type": "realtime", **audio(turn_detection={**VAD, "eagerness": "low"})},
            "unknown_parameter",
            "session.audio.input.turn_detection.eagerness",
        ),
        (
            {"type": "realtime", **audio(turn_detection={**VAD, "threshold": "0.5"})},
            "invalid_type",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"type": "realtime", "tools": [{"type": "function", "name": "two words"}]},
            "invalid_value",
            "session.tools[0].name",
        ),
        (
            {"type": "realtime", "tools": [{"type": "function"}]},
            "missing_required_parameter",
            "session.tools[0].name",
        ),
    ],
)
def test_bad_session_update_applies_nothing(session: dict[str, Any], code: str, param: str) -> None:
    async def scene(client: Client) -> None:
        before = copy.deepcopy(client.session.config)
        await client.send("session.update", session={"tool_choice": "none", **session})
        error = await client.error()
        assert (error["code"], error["param"]) == (code, param)
        assert error["type"] == "invalid_request_error"
        assert client.session.config == before
        assert "session.updated" not in client.types()

    talk(scene)


def test_reasoning_is_for_the_models_that_reason() -> None:
    async def refused(client: Client) -> None:
        await client.send(
            "session.update", session={"type": "realtime", "reasoning": {"effort": "low"}}
        )
        assert (await client.error())["param"] == "session.reasoning"

    async def taken(client: Client) -> None:
        session = (await client.update(reasoning={"effort": "low"}))["session"]
        assert session["reasoning"] == {"effort": "low"}

    talk(refused, path="/v1/realtime?model=gpt-realtime-1.5")
    talk(taken)


def test_updates_merge_deeply_and_null_switches_off() -> None:
    async def scene(client: Client) -> None:
        tool = {"type": "function", "name": "clock", "parameters": {"type": "object"}}
        await client.update(instructions="Be brief.", tools=[tool])
        await client.update(audio={"input": {"noise_reduction": {"type": "near_field"}}})
        detection = {**VAD, "threshold": 0.7}
        session = (await client.update(audio={"input": {"turn_detection": detection}}))["session"]
        assert session["instructions"] == "Be brief."
        assert session["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
        assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.7
        assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
        detection = {**VAD, "silence_duration_ms": 300}
        session = (await client.update(audio={"input": {"turn_detection": detection}}))["session"]
        assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.7
        gone = {"turn_detection": None, "noise_reduction": None, "transcription": None}
        session = (await client.update(instructions="", tools=[], audio={"input": gone}))["session"]
        assert (session["instructions"], session["tools"]) == ("", [])
        assert {key: session["audio"]["input"][key] for key in gone} == gone
        model = client.session.model
        session = (await client.update(model=model, tracing="auto"))["session"]
        assert session["tracing"] == "auto"

    talk(scene)


def test_voice_is_locked_once_it_was_heard() -> None:
    async def scene(client: Client) -> None:
        await client.update(audio={"output": {"voice": "cedar"}})
        await client.send("response.create")
        await client.until("response.done")
        await client.update(audio={"output": {"voice": "cedar"}}, instructions="fine")
        voice = {"type": "realtime", "audio": {"output": {"voice": "marin"}}}
        await client.send("session.update", session=voice)
        assert (await client.error())["code"] == "cannot_update_voice"
        assert client.session.config["audio"]["output"]["voice"] == "cedar"  # type: ignore[index]

    talk(scene, Says(Speech(SPOKEN, "hello")))


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('{"type": "response.create"', "invalid_json"),
        ("", "invalid_json"),
        ('{"type": "response.create", "x": NaN}', "invalid_json"),
        (b"\x00\x01", "invalid_json"),
        ("[" * 5000, "invalid_json"),
        ("[1, 2]", "invalid_type"),
        ('"hello"', "invalid_type"),
        ("{}", "missing_required_parameter"),
        ('{"type": "response.dance"}', "invalid_value"),
        ('{"type": 7}', "invalid_type"),
        ('{"type": "response.create", "respons": {}}', "unknown_parameter"),
        ('{"type": "output_audio_buffer.clear"}', "invalid_value"),
    ],
)
def test_malformed_frames_are_survived(frame: str | bytes, code: str) -> None:
    async def scene(client: Client) -> None:
        await client.wire.send(frame)
        assert (await client.error())["code"] == code
        await client.update(instructions="still here")

    talk(scene)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "session", "item", "audio", "input", "id", "content", "role", "format"]
            )
            | st.text(max_size=6),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        "session.update",
        "input_audio_buffer.append",
        "conversation.item.create",
        "conversation.item.truncate",
        "response.create",
        "response.cancel",
    ]
)


@settings(max_examples=40)
@given(st.lists(st.tuples(KINDS, st.dictionaries(st.text(max_size=8), JSON, max_size=3), JSON)))
def test_any_json_is_answered_and_survived(
    events: list[tuple[str, dict[str, Any], object]],
) -> None:
    names = {
        "session.update": "session",
        "input_audio_buffer.append": "audio",
        "conversation.item.create": "item",
        "conversation.item.truncate": "item_id",
        "response.create": "response",
        "response.cancel": "response_id",
    }

    async def play() -> None:
        server = RealtimeServer(ParrotBrain())
        async with talking(server) as client:
            await client.until("session.created")
            for kind, extra, value in events:
                await client.wire.send(json.dumps({**extra, "type": kind, names[kind]: value}))
            await client.send("input_audio_buffer.clear")
            await client.until("input_audio_buffer.cleared")
            assert client.closed is None

    run(play())


@given(st.sampled_from(["realtime", "transcription"]))
def test_merging_nothing_or_itself_changes_nothing(kind: str) -> None:
    session = default_session(kind, "sess_1", "gpt-realtime-2.1")
    assert merged(session, {}) == session
    assert merged(session, session) == session


@pytest.mark.parametrize(
    ("payload", "param"),
    [("not base64!", "audio"), (base64.b64encode(b"abc").decode(), "audio")],
)
def test_bad_audio_is_refused(payload: str, param: str) -> None:
    async def scene(client: Client) -> None:
        await client.send("input_audio_buffer.append", audio=payload)
        error = await client.error()
        assert (error["code"], error["param"]) == ("invalid_value", param)
        assert client.session.input.received_ms == 0

    talk(scene)


def test_more_than_15_mib_in_one_append_is_refused() -> None:
    async def scene(client: Client) -> None:
        await client.manual()
        limit = base64.b64encode(bytes(15 * 1024 * 1024)).decode()
        await client.send("input_audio_buffer.append", audio=limit)
        await client.send("input_audio_buffer.append", audio=limit + "AAA=")
        assert "at most 15728640" in (await client.error())["message"]
        assert client.session.input.received_ms == 15 * 1024 * 1024 // 48

    talk(scene)


def user(text: str, **more: object) -> dict[str, object]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **more}


def test_items_are_placed_as_asked() -> None:
    async def scene(client: Client) -> None:
        for item_id, after in (("b", None), ("d", None), ("a", "root"), ("c", "b")):
            fields = {} if after is None else {"previous_item_id": after}
            await client.send("conversation.item.create", item=user(item_id, id=item_id), **fields)
        added = [await client.until("conversation.item.added") for _ in range(4)]
        assert [e["previous_item_id"] for e in added] == [None, "b", None, "b"]
        await client.until("conversation.item.done")
        assert [item.id for item in client.session.items] == ["a", "b", "c", "d"]
        await client.send("conversation.item.delete", item_id="b")
        assert (await client.until("conversation.item.deleted"))["item_id"] == "b"
        await client.send("conversation.item.retrieve", item_id="c")
        assert (await client.until("conversation.item.retrieved"))["item"]["content"] == [
            {"type": "input_text", "text": "c"}
        ]

    talk(scene)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        (
            {"item": user("x"), "previous_item_id": "never"},
            "item_create_invalid_previous_item_id",
            "previous_item_id",
        ),
        ({"item": user("x", id="first")}, "item_create_duplicate_item_id", "item.id"),
        ({"item": user("x", id="i" * 33)}, "invalid_value", "item.id"),
        ({"item": {"type": "message", "content": []}}, "missing_required_parameter", "item.role"),
        (
            {"item": {"type": "message", "role": "user"}},
            "missing_required_parameter",
            "item.content",
        ),
        (
            {
                "item": {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_audio", "audio": ""}],
                }
            },
            "missing_required_parameter",
            "item.content[0].text",
        ),
        (
            {
                "item": {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "input_text", "text": "x"}],
                }
            },
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {
                "item": {
                    "type": "message",
                    "role": "system",
                    "content": [{"type": "input_audio", "audio": ""}],
                }
            },
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {
                "item": {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_audio", "audio": "AAA="[:3]}],
                }
            },
            "invalid_value",
            "item.content[0].audio",
        ),
        (
            {"item": {"type": "function_call_output", "call_id": "c", "output": "x"}},
            "invalid_tool_call_id",
            "item.call_id",
        ),
        ({"item": {"type": "poem"}}, "invalid_value", "item.type"),
    ],
)
def test_bad_items_are_refused(fields: dict[str, object], code: str, param: str) -> None:
    async def scene(client: Client) -> None:
        await client.send("conversation.item.create", item=user("hello", id="first"))
        await client.send("conversation.item.create", **fields)
        error = await client.error()
        assert (error["code"], error["param"]) == (code, param)
        assert [item.id for item in client.session.items] == ["first"]

    talk(scene)


@pytest.mark.parametrize("verb", ["delete", "retrieve", "truncate"])
def test_unknown_items_are_refused(verb: str) -> None:
    async def scene(client: Client) -> None:
        more = {"content_index": 0, "audio_end_ms": 0} if verb == "truncate" else {}
        await client.send(f"conversation.item.{verb}", item_id="never", **more)
        assert (await client.error())["code"] == f"item_{verb}_invalid_item_id"

    talk(scene)


def test_truncation_is_checked_against_what_was_said() -> None:
    async def scene(client: Client) -> None:
        async def cut(end_ms: object, index: int = 0, item_id: str | None = None) -> None:
            where = {"item_id": item_id or said, "content_index": index, "audio_end_ms": end_ms}
            await client.send("conversation.item.truncate", **where)

        await client.send("conversation.item.create", item=user("hello", id="mine"))
        await client.send("response.create")
        said = (await client.until("response.done"))["response"]["output"][0]["id"]
        await cut(0, item_id="mine")
        assert (await client.error())["code"] == "unsupported_content_type"
        await cut(1001)
        assert (await client.error())["message"] == (
            "Audio content of 1000ms is already shorter than 1001ms"
        )
        await cut(-1)
        assert (await client.error())["code"] == "invalid_value"
        await cut(10.5)
        assert (await client.error())["code"] == "invalid_type"
        await cut(10, index=1)
        assert (await client.error())["param"] == "content_index"
        for end_ms in (1000, 400, 0):
            await cut(end_ms)
            truncated = await client.until("conversation.item.truncated")
            assert truncated["audio_end_ms"] == end_ms
        await cut(0)
        assert (await client.error())["code"] == "unsupported_content_type"
        assert client.session.items[-1].text == ""

    talk(scene, Says(Speech(bytes(48 * 1000), "one second")))


def test_truncation_before_the_first_delta_is_unsupported() -> None:
    async def scene(client: Client) -> None:
        await client.send("response.create")
        added = await client.until("response.output_item.added")
        # Written text has no audio at all, however long it gets.
        where = {"item_id": added["item"]["id"], "content_index": 0, "audio_end_ms": 0}
        await client.send("conversation.item.truncate", **where)
        assert (await client.error())["code"] == "unsupported_content_type"

    async def text(client: Client) -> None:
        await client.update(output_modalities=["text"])
        await scene(client)

    talk(text, Says(Speech(SPOKEN, "written only")))


@pytest.mark.parametrize(
    ("response", "code", "param"),
    [
        ({"temperature": 1}, "unknown_parameter", "response.temperature"),
        ({"modalities": ["text"]}, "unknown_parameter", "response.modalities"),
        ({"conversation": "other"}, "invalid_value", "response.conversation"),
        ({"metadata": {"k" * 65: "v"}}, "invalid_value", "response.metadata"),
        ({"metadata": {"k": "v" * 513}}, "invalid_value", "response.metadata.k"),
        ({"metadata": {"k": 7}}, "invalid_type", "response.metadata.k"),
        ({"metadata": {str(n): "" for n in range(17)}}, "invalid_value", "response.metadata"),
        (
            {"input": [{"type": "item_reference", "id": "never"}]},
            "invalid_value",
            "response.input[0].id",
        ),
        ({"input": [{"type": "message"}]}, "missing_required_parameter", "response.input[0].role"),
    ],
)
def test_bad_response_requests_are_refused(
    response: dict[str, object], code: str, param: str
) -> None:
    async def scene(client: Client) -> None:
        await client.send("response.create", response=response, event_id="ask")
        error = await client.error()
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "ask")
        assert client.session.responses == []

    talk(scene)


def test_input_replaces_the_context() -> None:
    brain = Says(Speech(SPOKEN, "hm"))

    async def scene(client: Client) -> None:
        await client.send("conversation.item.create", item=user("first", id="one"))
        await client.send("conversation.item.create", item=user("second", id="two"))
        reference = {"type": "item_reference", "id": "one"}
        request = {"conversation": "none", "input": [reference, user("only here")]}
        await client.send("response.create", response=request)
        await client.until("response.done")
        assert brain.turns[-1].texts == ("first", "only here")
        await client.send("response.create", response={"conversation": "none", "input": []})
        await client.until("response.done")
        assert not brain.turns[-1].texts
        assert len(client.session.items) == 2

    talk(scene, brain)


def test_transcription_session_only_listens() -> None:
    async def scene(client: Client) -> None:
        assert client.log[0]["session"]["type"] == "transcription"
        await client.speak(silence(300) + SPOKEN + silence(700))
        await client.until("conversation.item.input_audio_transcription.completed")
        await asyncio.sleep(1)
        assert client.session.responses == []
        await client.send("response.create")
        assert (await client.error())["code"] == "invalid_value"

    talk(scene, path="/v1/realtime?intent=transcription")


def test_a_brain_that_fails_is_a_server_error() -> None:
    class Broken(Says):
        def reply(self, turn: object) -> Any:
            raise RuntimeError("secret words")

    async def scene(client: Client) -> None:
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        assert done["status_details"]["error"]["code"] == "server_error"
        assert "secret" not in json.dumps(client.log)

    talk(scene, Broken())
