"""Input transcription: words of the household's turns, any time later.

Thread: the event loop that serves the session.  It must never hold up an answer: transcripts arrive
when they arrive, also after `response.done`.
"""

from __future__ import annotations

import asyncio

from edge_agent.simulation.realtime_server.conversation import Item
from edge_agent.simulation.realtime_server.peer import Peer
from edge_agent.simulation.realtime_server.usage import (
    USER_MS_PER_TOKEN,
    audio_tokens,
    text_tokens,
)

DURATION_MODELS = ("whisper-1", "gpt-realtime-whisper")  # billed by the second, not by tokens
EVENT = "conversation.item.input_audio_transcription"


class Transcriber:
    """The transcription jobs of one session."""

    def __init__(self, session: Peer) -> None:
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()
        self._response_done = asyncio.Event()

    def start(self, item: Item, audio_ms: float) -> None:
        """Begin to transcribe a committed item."""
        words = self._session.brain.transcribe(bytes(item.audio[0]))
        self._response_done.clear()
        task = asyncio.create_task(self._run(item, words, audio_ms))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._session.watch)

    def response_ended(self) -> None:
        """An answer is complete: transcripts that were told to wait may come now."""
        self._response_done.set()

    async def aclose(self) -> None:
        """Drop all jobs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, item: Item, words: str, audio_ms: float) -> None:
        session = self._session
        await asyncio.sleep(session.transcription_ms / 1000)
        if session.faults.transcription_after_done:
            await self._response_done.wait()
        if session.faults.no_transcription:
            return
        if session.faults.take("transcription_failures"):
            error = {
                "type": "transcription_error",
                "code": "audio_unintelligible",
                "message": "Input transcription failed for this item.",
                "param": None,
            }
            session.emit(f"{EVENT}.failed", item_id=item.id, content_index=0, error=error)
            return
        pieces = words.split(" ")
        for index, word in enumerate(pieces):
            delta = word + " " * (index + 1 < len(pieces))
            if delta:
                session.emit(f"{EVENT}.delta", item_id=item.id, content_index=0, delta=delta)
        item.content[0]["transcript"] = words
        session.emit(
            f"{EVENT}.completed",
            item_id=item.id,
            content_index=0,
            transcript=words,
            usage=self._usage(words, audio_ms),
        )

    def _usage(self, words: str, audio_ms: float) -> dict[str, object]:
        if self._model() in DURATION_MODELS:
            return {"type": "duration", "seconds": round(audio_ms / 1000, 3)}
        heard, written = audio_tokens(audio_ms, USER_MS_PER_TOKEN), text_tokens(words)
        return {
            "type": "tokens",
            "input_tokens": heard,
            "output_tokens": written,
            "total_tokens": heard + written,
            "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        }

    def _model(self) -> object:
        audio = self._session.config["audio"]
        assert isinstance(audio, dict)
        settings = audio["input"]["transcription"]
        return settings.get("model") if isinstance(settings, dict) else None
