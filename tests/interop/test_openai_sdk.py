"""The official SDK talks to our server over a real WebSocket.

Thread: the loop of the test.  It must never assert on time: only on the order of events. Every
frame of the server is validated against the SDK's own models, required fields and all.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from edge_agent.simulation.brains import Brain, Call, ParrotBrain, Reply, Speech, Text, Turn, hum
from edge_agent.simulation.server import RealtimeServer, listen

MODEL = "gpt-realtime-2.1"
SPOKEN = hum("is there anything to eat", pitch_hz=160.0)
STORY = hum("once upon a time there was a very long story " * 12)
TOOL = {
    "type": "function",
    "name": "fridge",
    "description": "Looks into the fridge.",
    "parameters": {"type": "object", "properties": {"shelf": {"type": "integer"}}},
}


class Storyteller(Brain):
    """A long story when spoken to, a tool call when asked in writing."""

    def reply(self, turn: Turn) -> Reply:
        if turn.out_of_band:
            return Reply((Text("A short talk about food."),))
        if turn.outputs:
            words = f"There is {turn.outputs[0].output}."
            return Reply((Speech(hum(words), words, "final_answer"),))
        if turn.texts and "fridge" in turn.texts[-1]:
            look = Speech(hum("Let me look."), "Let me look.", "commentary")
            return Reply((look, Call("fridge", '{"shelf": 2}')))
        if turn.heard:
            return Reply((Speech(STORY, "Once upon a time there was a very long story."),))
        return Reply((Speech(hum("Good evening."), "Good evening."),))

    def transcribe(self, pcm24k: bytes) -> str:
        return "is there anything to eat"


async def speak(connection: AsyncRealtimeConnection, pcm24k: bytes) -> None:
    """Stream like a microphone, only faster: 20 ms blocks."""
    for start in range(0, len(pcm24k), 960):
        block = base64.b64encode(pcm24k[start : start + 960]).decode("ascii")
        await connection.input_audio_buffer.append(audio=block)
        await asyncio.sleep(0)


async def until(connection: AsyncRealtimeConnection, kind: str, log: list[Any]) -> Any:
    """The next event of that type; all on the way are kept in `log`."""
    async with asyncio.timeout(20):
        async for event in connection:
            log.append(event)
            if event.type == kind:
                return event
    raise AssertionError(f"the connection ended before {kind}")


async def whole_talk(url: str, log: list[Any]) -> None:
    """Text turn, spoken turn, barge-in with truncation, tool call, side question."""
    client = AsyncOpenAI(api_key="sk-test", websocket_base_url=url.removesuffix("/realtime"))
    async with client.realtime.connect(model=MODEL) as connection:
        await until(connection, "session.created", log)
        await connection.session.update(
            session={
                "type": "realtime",
                "instructions": "Be brief.",
                "output_modalities": ["audio"],
                "tools": [TOOL],  # type: ignore[list-item]
                "audio": {
                    "input": {
                        "transcription": {"model": "gpt-transcribe"},
                        "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
                    },
                    "output": {"voice": "cedar"},
                },
            }
        )
        updated = await until(connection, "session.updated", log)
        assert updated.session.audio.output.voice == "cedar"

        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Good evening!"}],
            }
        )
        await connection.response.create()
        done = await until(connection, "response.done", log)
        assert done.response.status == "completed"
        assert done.response.output[0].content[0].transcript == "Good evening."

        await speak(connection, bytes(48 * 400) + SPOKEN + bytes(48 * 500))
        committed = await until(connection, "input_audio_buffer.committed", log)
        delta = await until(connection, "response.output_audio.delta", log)
        await speak(connection, bytes(48 * 200) + SPOKEN[: 48 * 600])
        await until(connection, "input_audio_buffer.speech_started", log)
        done = await until(connection, "response.done", log)
        assert done.response.status == "cancelled"
        assert done.response.status_details.reason == "turn_detected"
        await connection.conversation.item.truncate(
            item_id=delta.item_id, content_index=0, audio_end_ms=80
        )
        truncated = await until(connection, "conversation.item.truncated", log)
        assert truncated.audio_end_ms == 80
        await connection.conversation.item.retrieve(item_id=delta.item_id)
        kept = await until(connection, "conversation.item.retrieved", log)
        assert len(base64.b64decode(kept.item.content[0].audio)) == 80 * 48
        await connection.input_audio_buffer.clear()
        await until(connection, "input_audio_buffer.cleared", log)

        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "What is in the fridge?"}],
            }
        )
        await connection.response.create()
        done = await until(connection, "response.done", log)
        call = done.response.output[1]
        assert (call.name, json.loads(call.arguments)) == ("fridge", {"shelf": 2})
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "cheese"}
        )
        await connection.response.create()
        done = await until(connection, "response.done", log)
        assert done.response.output[0].content[0].transcript == "There is cheese."

        await connection.response.create(
            response={
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"topic": "summary"},
                "input": [{"type": "item_reference", "id": committed.item_id}],
            }
        )
        done = await until(connection, "response.done", log)
        assert done.response.metadata == {"topic": "summary"}
        assert done.response.conversation_id is None
        assert done.response.output[0].content[0].text == "A short talk about food."
        assert done.response.usage.total_tokens > 0
        await connection.conversation.item.delete(item_id=committed.item_id)
        await until(connection, "conversation.item.deleted", log)


def test_the_official_sdk_holds_a_whole_talk() -> None:
    frames: list[dict[str, object]] = []
    log: list[Any] = []

    def record(side: str, event: dict[str, object], _at: float) -> None:
        if side == "server":
            frames.append(event)

    async def talk() -> None:
        server = RealtimeServer(
            Storyteller(),
            keys=frozenset({"sk-test"}),
            on_event=record,
            first_delta_ms=5,
            transcription_ms=5,
            audio_speed=4.0,  # the story lasts 9 s: time to talk over it on a slow machine
        )
        async with listen(server) as port:
            await whole_talk(port.url, log)
        assert server.open_sessions == []
        assert server.sessions[0].errors == []

    asyncio.run(talk())
    model: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
    for frame in frames:
        model.validate_python(frame)
    kinds = {str(frame["type"]) for frame in frames}
    assert len(kinds) >= 25
    assert "conversation.item.input_audio_transcription.completed" in kinds
    assert [event.type for event in log] == [frame["type"] for frame in frames][: len(log)]
    assert "error" not in kinds


def test_the_sdk_is_told_about_a_bad_key() -> None:
    async def knock() -> int:
        server = RealtimeServer(ParrotBrain(), keys=frozenset({"sk-good"}))
        async with listen(server) as port:
            client = AsyncOpenAI(
                api_key="sk-bad", websocket_base_url=port.url.removesuffix("/realtime")
            )
            try:
                async with client.realtime.connect(model=MODEL):
                    return 101
            except Exception as exc:  # the SDK passes its socket library's exception on
                return int(exc.response.status_code)  # type: ignore[attr-defined]

    assert asyncio.run(knock()) == 401
