"""One response: the events of an answer in their canonical order and pace.

Thread: the event loop that serves the session.  It must never wait: `steps` says when the next
event is due, the session's task waits, so that a response can be ended between any two events.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.simulation.brains import Call, Part, Speech, Text, Turn
from edge_agent.simulation.realtime_server import codec
from edge_agent.simulation.realtime_server.conversation import BYTES_PER_MS, Item
from edge_agent.simulation.realtime_server.peer import Peer
from edge_agent.simulation.realtime_server.schemas import Json
from edge_agent.simulation.realtime_server.usage import (
    ASSISTANT_MS_PER_TOKEN,
    Piece,
    audio_tokens,
    text_tokens,
    usage,
)

TEXT_DELTA_CHARS = 24  # a few words, as the service sends them
TEXT_DELTA_MS = 40  # a fast text model's pace
FAILURES = {
    "insufficient_quota": (
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "rate_limit_exceeded": ("rate_limit_exceeded", "Rate limit reached. Please try again later."),
    "server_error": ("server_error", "The server had an error while processing your request."),
}


class _Ended(Exception):
    """The answer ends early: a failure or a limit."""

    def __init__(self, status: str, details: Json) -> None:
        super().__init__(status)
        self.status = status
        self.details = details


class _HungUp(Exception):
    """The connection is gone in the middle of the answer."""


@dataclass
class _Open:
    """The output item that is being said now."""

    item: Item
    index: int
    kind: str = ""
    words: str = ""


class Response:
    """An answer in the making; looked at by tests through `Session.responses`.

    `ended` is called once, right after its `response.done`.
    """

    def __init__(
        self,
        session: Peer,
        turn: Turn,
        context: list[Piece],
        previous: list[Piece],
        ended: Callable[[Response], None],
    ) -> None:
        self._session = session
        self._ended = ended
        self._previous = previous
        self._open: _Open | None = None
        self._deltas = 0
        self._text_out = 0
        self.turn = turn
        self.context = context
        self.id = session.ids.new("resp")
        self.status = "in_progress"
        self.status_details: Json | None = None
        self.out_of_band = turn.out_of_band
        self.items: list[Item] = []

    @property
    def audio_ms(self) -> float:
        """Sound generated so far, all items together, ms."""
        return sum(item.audio_ms(index) for item in self.items for index in item.audio)

    def shown(self) -> Json:
        """The `response` object of `response.created` and `response.done`."""
        settings = self.turn.session
        output: Json = {}
        if "audio" in self.turn.modalities:
            own = settings["audio"]["output"]
            output = {"output": {"format": own["format"], "voice": own["voice"]}}
        finished = self.status != "in_progress"
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": self.status_details,
            "output": [item.shown() for item in self.items] if finished else [],
            "conversation_id": None if self.out_of_band else self._session.conversation.id,
            "output_modalities": list(self.turn.modalities),
            "max_output_tokens": settings["max_output_tokens"],
            "audio": output,
            "usage": self._usage() if finished else None,
            "metadata": dict(self.turn.metadata) or None,
        }

    def _usage(self) -> Json | None:
        if self._session.faults.no_usage:
            return None
        spoken = audio_tokens(self.audio_ms, ASSISTANT_MS_PER_TOKEN)
        return usage(self.context, self._previous, self._text_out, spoken)

    # -- the course of an answer ---------------------------------------------------------

    def steps(self) -> Iterator[float]:
        """Say the answer event by event; yields seconds to wait before going on.

        Up to the first yield it is only announced (`response.created`).
        """
        session, faults = self._session, self._session.faults
        session.emit("response.created", response=self.shown())
        session.emit_rate_limits(self.context)
        try:
            yield 0.0
            try:
                reply = session.brain.reply(self.turn)
            except Exception:  # whatever a brain raises, the client sees what it would really see
                raise self._failure("server_error") from None
            if reply.faults:
                faults.set_from(reply.faults)
            yield (session.first_delta_ms + reply.delay_ms + faults.thinking_extra_ms) / 1000
            if faults.fail_code and not faults.fail_after_deltas and faults.take("fail_count"):
                raise self._failure(faults.fail_code)
            for part in self._parts(reply.parts):
                yield from self._part(part)
        except _HungUp:
            return  # left unfinished, as the session's end finds it
        except _Ended as ended:
            self.finish(ended.status, ended.details)
        else:
            self.finish("completed")

    def _parts(self, parts: tuple[Part, ...]) -> Iterator[Part]:
        if not any(isinstance(part, Call) for part in parts):
            yield from self._spoken(parts)
            return
        allowed = self.turn.session.get("tool_choice") != "none"
        for part in self._spoken(parts):
            if allowed or not isinstance(part, Call):
                yield part

    def _spoken(self, parts: tuple[Part, ...]) -> Iterator[Part]:
        for part in parts:
            if isinstance(part, Speech) and "audio" not in self.turn.modalities:
                yield Text(part.transcript, part.phase)
            elif isinstance(part, Speech) and self._session.faults.two_audio_items:
                half = len(part.pcm24k) // 4 * 2
                words = part.transcript.split(" ")
                middle = (len(words) + 1) // 2
                yield Speech(part.pcm24k[:half], " ".join(words[:middle]), "commentary")
                yield Speech(part.pcm24k[half:], " ".join(words[middle:]), "final_answer")
            else:
                yield part

    def _part(self, part: Part) -> Iterator[float]:
        if isinstance(part, Call):
            yield from self._call(part)
        elif isinstance(part, Text):
            yield from self._text(part)
        else:
            yield from self._speech(part)

    def _begin_item(self, body: Json) -> _Open:
        session = self._session
        item = Item(
            {"id": session.ids.new("item"), "object": "realtime.item", **body}
            | {"status": "in_progress"}
        )
        self._open = _Open(item, len(self.items))
        self.items.append(item)
        session.emit(
            "response.output_item.added",
            response_id=self.id,
            output_index=self._open.index,
            item=item.shown(),
        )
        if not self.out_of_band:
            session.conversation.append(item)
            session.emit_item("conversation.item.added", item)
        return self._open

    def _begin_message(self, kind: str, phase: str) -> _Open:
        body: Json = {"type": "message", "role": "assistant", "content": []}
        if phase:
            body["phase"] = phase
        opened = self._begin_item(body)
        opened.kind = kind
        if kind == "audio":
            opened.item.content.append({"type": "output_audio", "transcript": ""})
            opened.item.audio[0] = bytearray()
            part = {"type": "audio", "transcript": ""}
        else:
            opened.item.content.append({"type": "output_text", "text": ""})
            part = {"type": "text", "text": ""}
        self._session.emit("response.content_part.added", **self._where(opened), part=part)
        return opened

    def _where(self, opened: _Open) -> dict[str, object]:
        return {
            "response_id": self.id,
            "item_id": opened.item.id,
            "output_index": opened.index,
            "content_index": 0,
        }

    def _speech(self, part: Speech) -> Iterator[float]:
        session, faults = self._session, self._session.faults
        opened = self._begin_message("audio", part.phase)
        step = session.delta_ms * BYTES_PER_MS
        total = max(1, -(-len(part.pcm24k) // step))
        words = part.transcript.split(" ")
        held_ms = 0.0
        for number in range(total):
            spoken = words[len(words) * number // total : len(words) * (number + 1) // total]
            if any(spoken):
                self._say_words(opened, " ".join(spoken) + " " * (number + 1 < total))
            self._say_audio(opened, part.pcm24k[number * step : (number + 1) * step])
            self._after_delta()
            held_ms += session.delta_ms
            if held_ms >= faults.burst_ms:
                yield held_ms / 1000 / session.audio_speed * faults.slow_factor
                held_ms = 0.0
            if faults.pause_ms and self._deltas == faults.pause_after_deltas:
                yield faults.pause_ms / 1000
        self._end_item("completed")

    def _say_words(self, opened: _Open, delta: str) -> None:
        self._text_out += text_tokens(delta)
        opened.words += delta
        opened.item.content[0]["transcript"] = opened.words
        self._session.emit(
            "response.output_audio_transcript.delta", **self._where(opened), delta=delta
        )

    def _say_audio(self, opened: _Open, pcm24k: bytes) -> None:
        opened.item.audio[0] += pcm24k
        kind = self.turn.session["audio"]["output"]["format"]["type"]
        data = codec.from_pcm24k(kind, pcm24k)
        faults = self._session.faults
        if faults.odd_audio_deltas and faults.take("odd_audio_deltas"):
            data = data[:-1]
        self._session.emit(
            "response.output_audio.delta",
            **self._where(opened),
            delta=base64.b64encode(data).decode("ascii"),
        )

    def _text(self, part: Text) -> Iterator[float]:
        opened = self._begin_message("text", part.phase)
        for start in range(0, len(part.text), TEXT_DELTA_CHARS):
            delta = part.text[start : start + TEXT_DELTA_CHARS]
            self._text_out += text_tokens(delta)
            opened.words += delta
            opened.item.content[0]["text"] = opened.words
            self._session.emit("response.output_text.delta", **self._where(opened), delta=delta)
            self._after_delta()
            yield TEXT_DELTA_MS / 1000 / self._session.audio_speed
        self._end_item("completed")

    def _call(self, part: Call) -> Iterator[float]:
        call_id = part.call_id or self._session.ids.new("call")
        opened = self._begin_item(
            {"type": "function_call", "name": part.name, "call_id": call_id, "arguments": ""}
        )
        opened.kind = "call"
        where = self._where_call(opened)
        for start in range(0, len(part.arguments), TEXT_DELTA_CHARS):
            delta = part.arguments[start : start + TEXT_DELTA_CHARS]
            self._text_out += text_tokens(delta)
            opened.words += delta
            opened.item.body["arguments"] = opened.words
            self._session.emit("response.function_call_arguments.delta", **where, delta=delta)
            self._after_delta()
            yield TEXT_DELTA_MS / 1000 / self._session.audio_speed
        self._end_item("completed")

    def _where_call(self, opened: _Open) -> dict[str, object]:
        return {
            "response_id": self.id,
            "item_id": opened.item.id,
            "output_index": opened.index,
            "call_id": opened.item.body["call_id"],
        }

    def _after_delta(self) -> None:
        """Count a content delta; raises `_Ended` where a fault or a limit stops the answer."""
        self._deltas += 1
        faults = self._session.faults
        if faults.close_after_deltas and self._deltas >= faults.close_after_deltas:
            faults.close_after_deltas = 0
            self._session.hang_up(faults.close_code, "")
            raise _HungUp
        fails = bool(faults.fail_code) and self._deltas == faults.fail_after_deltas
        if fails and faults.take("fail_count"):
            raise self._failure(faults.fail_code)
        stops = bool(faults.incomplete_reason) and self._deltas == faults.incomplete_after_deltas
        if stops and faults.take("incomplete_count"):
            raise _incomplete(faults.incomplete_reason)
        limit = self.turn.session["max_output_tokens"]
        spent = self._text_out + audio_tokens(self.audio_ms, ASSISTANT_MS_PER_TOKEN)
        if isinstance(limit, int) and spent > limit:
            raise _incomplete("max_output_tokens")

    def _failure(self, code: str) -> _Ended:
        kind, message = FAILURES.get(code, ("invalid_request_error", f"Failed: {code}."))
        error = {"type": kind, "code": code, "message": message}
        return _Ended("failed", {"type": "failed", "error": error})

    # -- the end -------------------------------------------------------------------------

    def _end_item(self, status: str) -> None:
        """Close the part and the item that are open."""
        opened, self._open = self._open, None
        if opened is None:
            return
        session = self._session
        opened.item.body["status"] = status
        if opened.kind == "call":
            session.emit(
                "response.function_call_arguments.done",
                **self._where_call(opened),
                name=opened.item.body["name"],
                arguments=opened.words,
            )
        else:
            self._end_content(opened)
        if not self.out_of_band:
            session.emit_item("conversation.item.done", opened.item)
        session.emit(
            "response.output_item.done",
            response_id=self.id,
            output_index=opened.index,
            item=opened.item.shown(),
        )

    def _end_content(self, opened: _Open) -> None:
        session, where = self._session, self._where(opened)
        if opened.kind == "audio":
            session.emit("response.output_audio.done", **where)
            session.emit("response.output_audio_transcript.done", **where, transcript=opened.words)
            part = {"type": "audio", "transcript": opened.words}
        else:
            session.emit("response.output_text.done", **where, text=opened.words)
            part = {"type": "text", "text": opened.words}
        session.emit("response.content_part.done", **where, part=part)

    def finish(self, status: str, details: Mapping[str, Any] | None = None) -> None:
        """End the response now, with all closing events; later calls do nothing."""
        if self.status != "in_progress":
            return
        faults, spoken = self._session.faults, self._open
        late_audio = status == "cancelled" and spoken is not None and spoken.kind == "audio"
        if late_audio and spoken is not None:
            for _ in range(faults.late_deltas):
                self._say_audio(spoken, bytes(self._session.delta_ms * BYTES_PER_MS))
        self._end_item("completed" if status == "completed" else "incomplete")
        self.status = status
        self.status_details = {"type": status} if details is None else dict(details)
        if status == "completed" and details is None:
            self.status_details = None
        self._session.emit("response.done", response=self.shown())
        if late_audio and spoken is not None:
            for _ in range(faults.late_deltas_after_done):
                self._say_audio(spoken, bytes(self._session.delta_ms * BYTES_PER_MS))
        self._ended(self)

    def cancel(self, reason: str) -> None:
        """End it as cancelled: `turn_detected` or `client_cancelled`."""
        self.finish("cancelled", {"type": "cancelled", "reason": reason})


def _incomplete(reason: str) -> _Ended:
    return _Ended("incomplete", {"type": "incomplete", "reason": reason})
