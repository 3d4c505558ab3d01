"""`speech-to-speech`: its Realtime server, without any model behind it.

    python speech_to_speech_server.py PORT

Thread: its own.  Everything on the wire and the whole pipeline behind it is theirs: router,
service, conversation, notifier, output processor, and their HTTP backends for transcription, chat
and speech, which talk to `fake_backends`.  Only their voice detector is replaced, because it loads
a network from a hub; ours looks at the level.  It must never import the project.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from queue import Queue
from threading import Event
from typing import Any

import fake_backends
import numpy as np
from speech_to_speech.api.openai_realtime.pipeline_unit import PipelineUnit
from speech_to_speech.api.openai_realtime.server import RealtimeServer
from speech_to_speech.api.openai_realtime.service import RealtimeService
from speech_to_speech.baseHandler import BaseHandler
from speech_to_speech.LLM.chat_completions_language_model import ChatCompletionsApiModelHandler
from speech_to_speech.LLM.lm_output_processor import LMOutputProcessor
from speech_to_speech.pipeline.cancel_scope import CancelScope
from speech_to_speech.pipeline.events import SpeechStartedEvent, SpeechStoppedEvent
from speech_to_speech.pipeline.messages import VADAudio
from speech_to_speech.pipeline.speculative_turns import SpeculativeTurnTracker
from speech_to_speech.pipeline.turn_latency import TurnLatencyStore
from speech_to_speech.STT.openai_compatible_handler import OpenAICompatibleSTTHandler
from speech_to_speech.STT.transcription_notifier import TranscriptionNotifier
from speech_to_speech.TTS.openai_compatible_handler import OpenAICompatibleTTSHandler

RATE_HZ = 16_000
LOUD = 0.01
"""RMS of full scale: the test's speech is ten times that, the room's noise a tenth."""
ONSET_S = 0.15
SILENCE_S = 0.8
PAD_S = 0.4
REOPEN_MS = 300


class LevelDetector(BaseHandler):
    """Speech is what is loud; the events and the bookkeeping are as their own detector has them."""

    def setup(self, should_listen: Event, turns: Any, text_output_queue: Queue[Any]) -> None:
        self.should_listen, self.turns, self.events = should_listen, turns, text_output_queue
        turns.configure_reopen(REOPEN_MS)
        self.on_session_end()

    def on_session_end(self) -> None:
        self.total = self.loud = self.quiet = 0
        self.kept: list[np.ndarray] = []
        self.speaking = False
        self.turn: tuple[str, int] = ("", 0)

    def process(self, chunk: Any) -> Iterator[VADAudio]:
        data, config = chunk if isinstance(chunk, tuple) else (chunk, None)
        if not self.should_listen.is_set():
            return
        block = np.frombuffer(data, dtype=np.int16).astype(np.float32) / 32768.0
        self.total += len(block)
        self.kept.append(block)
        is_loud = bool(len(block)) and float(np.sqrt(np.mean(block**2))) > LOUD
        self.loud = self.loud + len(block) if is_loud else 0 if not self.speaking else self.loud
        self.quiet = 0 if is_loud else self.quiet + len(block)
        now_ms = self.total * 1000 // RATE_HZ
        if not self.speaking:
            while sum(map(len, self.kept)) > PAD_S * RATE_HZ and len(self.kept) > 1:
                self.kept.pop(0)
            if self.loud >= ONSET_S * RATE_HZ:
                self.speaking = True
                start_ms = max(0, now_ms - int(PAD_S * 1000))
                turn, revision, reopened = self.turns.speech_started(start_ms)
                self.turn = (turn, revision)
                self.events.put(
                    SpeechStartedEvent(
                        audio_start_ms=start_ms,
                        turn_id=turn,
                        turn_revision=revision,
                        reopened=reopened,
                    )
                )
        elif self.quiet >= SILENCE_S * RATE_HZ:
            audio = np.concatenate(self.kept)
            turn, revision = self.turn
            self.events.put(
                SpeechStoppedEvent(
                    duration_s=len(audio) / RATE_HZ,
                    audio_end_ms=now_ms,
                    turn_id=turn,
                    turn_revision=revision,
                )
            )
            self.turns.segment_finalized(now_ms, output_hold_ms=0, processing_delay_ms=0)
            self.kept, self.speaking, self.loud = [], False, 0
            yield VADAudio(
                audio=audio,
                runtime_config=config,
                mode="final",
                turn_id=turn,
                turn_revision=revision,
            )


def unit_of(stop: Event, index: int) -> PipelineUnit:
    """One pipeline, wired as their own builder wires it."""
    backend = fake_backends.serve()
    listen, playing, cancel = Event(), Event(), CancelScope()
    turns, latency = SpeculativeTurnTracker(), TurnLatencyStore()
    heard, spoken, texts, prompts = Queue(), Queue(), Queue(), Queue()
    segments, transcripts, replies, ordered = Queue(), Queue(), Queue(), Queue()
    service = RealtimeService(
        text_prompt_queue=prompts,
        should_listen=listen,
        speculative_turns=turns,
        turn_latency_store=latency,
    )
    shared = {"speculative_turns": turns}
    handlers: list[Any] = [
        LevelDetector(stop, heard, segments, setup_args=(listen, turns, texts)),
        OpenAICompatibleSTTHandler(
            stop, segments, transcripts, setup_kwargs={"base_url": backend, "model": "m", **shared}
        ),
        TranscriptionNotifier(
            stop,
            transcripts,
            prompts,
            setup_kwargs={"text_output_queue": texts, "should_listen": listen},
        ),
        ChatCompletionsApiModelHandler(
            stop,
            prompts,
            replies,
            setup_kwargs={
                "model_name": "m",
                "base_url": backend,
                "api_key": "none",
                "stream": False,
                "cancel_scope": cancel,
                **shared,
            },
        ),
        LMOutputProcessor(
            stop, replies, ordered, setup_kwargs={"text_output_queue": texts, **shared}
        ),
        OpenAICompatibleTTSHandler(
            stop,
            ordered,
            spoken,
            setup_kwargs={
                "should_listen": listen,
                "base_url": backend,
                "api_key": "none",
                "model": "m",
                "cancel_scope": cancel,
                **shared,
            },
        ),
    ]
    for handler in handlers:
        handler.pipeline_index = index
        handler.turn_latency_store = latency
    return PipelineUnit(
        index=index,
        service=service,
        cancel_scope=cancel,
        should_listen=listen,
        response_playing=playing,
        input_queue=heard,
        output_queue=spoken,
        text_output_queue=texts,
        text_prompt_queue=prompts,
        handlers=handlers,
    )


def main() -> None:
    stop = Event()
    # Two: a slot is free again only some seconds after its session ended.
    units = [unit_of(stop, index) for index in range(2)]
    for unit in units:
        for handler in unit.handlers:
            threading.Thread(target=handler.run, daemon=True).start()
    RealtimeServer(stop, units, "127.0.0.1", int(sys.argv[1])).run()


if __name__ == "__main__":
    main()
