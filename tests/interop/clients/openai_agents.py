"""`openai-agents`: RealtimeRunner and RealtimeSession hold a talk with our server.

Thread: its loop.  It must never import the project.  The library runs the tool and truncates an
interrupted answer by itself.
"""

from __future__ import annotations

import asyncio

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner
from talk import ASK_TIME, KEY, MODEL, NOON, URL, Report, perform, speak, until, version_of


async def talk(report: Report) -> None:
    """Text, voice, barge-in, tool."""

    @function_tool
    def clock(city: str) -> str:
        """Tells the time in a city."""
        report.calls.append(["clock", city])
        return NOON

    agent = RealtimeAgent(name="speaker", instructions="Be brief.", tools=[clock])
    settings = {
        "model_name": MODEL,
        "voice": "marin",
        "modalities": ["audio"],
        "input_audio_transcription": {"model": "gpt-transcribe"},
        "turn_detection": {"type": "server_vad", "interrupt_response": True},
    }
    runner = RealtimeRunner(starting_agent=agent, config={"model_settings": settings})
    session = await runner.run(model_config={"url": f"{URL}?model={MODEL}", "api_key": KEY})
    items: dict[str, int] = {}
    ended = 0
    interrupted = 0

    async def listen() -> None:
        nonlocal ended, interrupted
        async for event in session:
            if event.type == "audio":
                items[event.item_id] = items.get(event.item_id, 0) + len(event.audio.data)
            elif event.type == "audio_interrupted":
                interrupted += 1
            elif event.type == "agent_end":
                ended += 1
            elif event.type == "error":
                report.errors.append(str(event.error))

    async with session:
        listener = asyncio.create_task(listen())
        await session.send_message("Good evening!")
        await until(lambda: ended >= 1, "the answer to the text")
        report.held.append("text")
        await speak(session.send_audio)
        await until(lambda: ended >= 2, "the answer to the question")
        report.held.append("voice")
        await speak(session.send_audio)
        await until(lambda: len(items) >= 3, "the story")
        await asyncio.sleep(0.3)
        before = interrupted
        await speak(session.send_audio)
        await until(lambda: interrupted > before, "the interruption")
        await until(lambda: len(items) >= 4 and ended >= 4, "the answer to the interruption")
        report.held.append("barge-in")
        await session.send_message(ASK_TIME)
        await until(lambda: report.calls and len(items) >= 5, "the answer after the tool")
        await until(lambda: ended >= 6, "the end of the answer after the tool")
        report.held.append("tool")
        listener.cancel()
    report.audio_bytes = list(items.values())
    report.interruptions = interrupted


perform(Report("openai-agents", version_of("openai-agents")), talk)
