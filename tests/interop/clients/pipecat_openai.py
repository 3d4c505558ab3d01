"""`pipecat-ai`: the OpenAI realtime service in a pipeline holds a talk with our server.

Thread: its loop.  It must never import the project.  The pipeline has the aggregators a real bot
has, so tool results travel through the context and come back as an answer.
"""

from __future__ import annotations

import asyncio

from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMRunFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from talk import ASK_TIME, KEY, MODEL, NOON, URL, Report, perform, speak, until, version_of

QUIET_S = 1.5
"""Ten times the pause between two pieces of an answer."""


class Ear(FrameProcessor):
    """Counts what leaves the service."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report
        self.stopped = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Count, and hand on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSStartedFrame):
            self.report.audio_bytes.append(0)
        elif isinstance(frame, TTSAudioRawFrame):
            self.report.add(len(frame.audio))
        elif isinstance(frame, TTSStoppedFrame):
            self.stopped += 1
            # What an output transport tells the service when the last sound was heard.
            await self.push_frame(BotStoppedSpeakingFrame(), FrameDirection.UPSTREAM)
        elif isinstance(frame, InterruptionFrame):
            self.report.interruptions += 1
        elif isinstance(frame, ErrorFrame):
            self.report.errors.append(frame.error)
        await self.push_frame(frame, direction)


class Alarm(FrameProcessor):
    """Errors of the service travel upstream."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Write errors down, and hand on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, ErrorFrame):
            self.report.errors.append(frame.error)
        await self.push_frame(frame, direction)


async def talk(report: Report) -> None:
    """Text, voice, barge-in, tool."""
    properties = events.SessionProperties(
        instructions="Be brief.",
        audio=events.AudioConfiguration(
            input=events.AudioInput(
                transcription=events.InputAudioTranscription(),
                turn_detection=events.TurnDetection(type="server_vad"),
            )
        ),
    )
    service = OpenAIRealtimeLLMService(
        api_key=KEY,
        base_url=URL,
        settings=OpenAIRealtimeLLMService.Settings(model=MODEL, session_properties=properties),
    )

    async def clock(params: FunctionCallParams) -> None:
        report.calls.append([params.function_name, str(params.arguments.get("city"))])
        await params.result_callback({"time": NOON})

    service.register_function("clock", clock)
    tools = ToolsSchema(
        standard_tools=[
            FunctionSchema(
                name="clock",
                description="Tells the time in a city.",
                properties={"city": {"type": "string"}},
                required=["city"],
            )
        ]
    )
    context = LLMContext([{"role": "user", "content": "Good evening!"}], tools=tools)
    pair = LLMContextAggregatorPair(context)
    ear = Ear(report)
    task = PipelineTask(
        Pipeline([Alarm(report), pair.user(), service, ear, pair.assistant()]),
        params=PipelineParams(audio_in_sample_rate=24_000, audio_out_sample_rate=24_000),
    )
    runner = PipelineRunner(handle_sigint=False)
    running = asyncio.create_task(runner.run(task))

    async def push(block: bytes) -> None:
        await task.queue_frame(InputAudioRawFrame(audio=block, sample_rate=24_000, num_channels=1))

    async def quiet() -> None:
        # An interrupted answer is stopped, or not: the count of stops does not tell.
        heard = -1
        while heard != (heard := sum(report.audio_bytes)):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(QUIET_S)

    await asyncio.sleep(1.0)  # the pipeline has no other sign of having started
    await task.queue_frames([LLMRunFrame()])
    await until(lambda: ear.stopped >= 1, "the answer to the text")
    report.held.append("text")
    await speak(push)
    await until(lambda: ear.stopped >= 2, "the answer to the question")
    report.held.append("voice")
    await speak(push)
    await until(lambda: len(report.audio_bytes) >= 3, "the story")
    await asyncio.sleep(0.3)
    before = report.interruptions
    await speak(push)
    await until(lambda: report.interruptions > before, "the interruption")
    await until(lambda: len(report.audio_bytes) >= 4, "the answer to the interruption")
    await quiet()
    report.held.append("barge-in")
    # The library has no frame for a typed question in mid-talk; the result of the tool travels
    # through its context all the same.
    await service.send_client_event(
        events.ConversationItemCreateEvent(
            item=events.ConversationItem(
                type="message",
                role="user",
                content=[events.ItemContent(type="input_text", text=ASK_TIME)],
            )
        )
    )
    await service.send_client_event(events.ResponseCreateEvent())
    await until(lambda: report.calls, "the call")
    await until(lambda: len(report.audio_bytes) >= 5, "the answer after the tool")
    await quiet()
    report.held.append("tool")
    running.cancel()


perform(Report("pipecat-ai", version_of("pipecat-ai")), talk)
