"""`livekit-plugins-openai`: a RealtimeModel session holds a talk with our server.

Thread: its loop.  It must never import the project.  Driven as the framework's own agent activity
does: generations are drained, an interrupted one is truncated, tool outputs go into the chat
context and the next reply is asked for.
"""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import llm
from livekit.plugins import openai as lk_openai
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad
from talk import ASK_TIME, KEY, MODEL, NOON, URL, Report, perform, speak, until, version_of


@llm.function_tool
async def clock(city: str) -> str:
    """Tells the time in a city."""
    return f"{NOON} ({city})"


async def talk(report: Report) -> None:
    """Text, voice, barge-in with truncation, tool, editing of the context."""
    model = lk_openai.realtime.RealtimeModel(
        base_url=URL.replace("ws://", "http://").removesuffix("/realtime"),
        api_key=KEY,
        model=MODEL,
        voice="marin",
        turn_detection=ServerVad(type="server_vad", silence_duration_ms=300),
    )
    session = model.session()
    done: list[str] = []
    open_ids: list[str] = []
    calls: list[llm.FunctionCall] = []
    heard: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def drain(generation: llm.GenerationCreatedEvent) -> None:
        async for message in generation.message_stream:
            at = len(report.audio_bytes)
            report.audio_bytes.append(0)
            report.words.append("")
            open_ids.append(message.message_id)

            async def sound(message: llm.MessageGeneration = message, at: int = at) -> None:
                async for frame in message.audio_stream:
                    report.audio_bytes[at] += 2 * frame.samples_per_channel

            async def words(message: llm.MessageGeneration = message, at: int = at) -> None:
                async for text in message.text_stream:
                    report.words[at] += str(text)

            await asyncio.gather(sound(), words())
        async for call in generation.function_stream:
            calls.append(call)
            report.calls.append([call.name, call.arguments])
        done.append(generation.response_id or "")

    def begin(generation: llm.GenerationCreatedEvent) -> None:
        task = asyncio.create_task(drain(generation))
        tasks.add(task)

    def interrupted(_event: object) -> None:
        report.interruptions += 1

    session.on("generation_created", begin)
    session.on("input_speech_started", interrupted)
    session.on(
        "input_audio_transcription_completed",
        lambda event: heard.append(event.transcript) if event.is_final else None,
    )
    session.on("error", lambda event: report.errors.append(repr(event.error)))

    async def push(block: bytes) -> None:
        session.push_audio(
            rtc.AudioFrame(
                data=block,
                sample_rate=24_000,
                num_channels=1,
                samples_per_channel=len(block) // 2,
            )
        )

    await session.update_instructions("Be brief.")
    await session.update_tools([clock])
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Good evening!")
    await session.update_chat_ctx(context)
    await session.generate_reply()
    await until(lambda: len(done) >= 1, "the answer to the text")
    report.held.append("text")
    await speak(push)
    await until(lambda: len(done) >= 2, "the answer to the question")
    report.held.append("voice")
    await speak(push)
    await until(lambda: len(report.audio_bytes) >= 3, "the story")
    await asyncio.sleep(0.3)
    await speak(push)
    await until(lambda: len(done) >= 3, "the end of the story")
    session.truncate(
        message_id=open_ids[2], modalities=["audio"], audio_end_ms=200, audio_transcript="Once"
    )
    await until(lambda: len(done) >= 4, "the answer to the interruption")
    report.held.append("barge-in")
    context = session.chat_ctx.copy()
    context.add_message(role="user", content=ASK_TIME)
    await session.update_chat_ctx(context)
    await session.generate_reply()
    await until(lambda: calls, "the call")
    context = session.chat_ctx.copy()
    context.items.append(
        llm.FunctionCallOutput(call_id=calls[0].call_id, name="clock", output=NOON, is_error=False)
    )
    await session.update_chat_ctx(context)
    await session.generate_reply()
    await until(lambda: len(done) >= 6, "the answer after the tool")
    report.held.append("tool")
    context = session.chat_ctx.copy()
    context.items.pop(0)
    await session.update_chat_ctx(context)
    report.held.append("item deleted")
    if heard:
        report.held.append("transcripts")
    await session.aclose()
    await model.aclose()


perform(Report("livekit-plugins-openai", version_of("livekit-plugins-openai")), talk)
