"""A text service on this machine that answers like the provider's documented API.

Thread: the server's own ones; a test reads `requests` when its call is over.  It must never share
code with `host/web/text_model`, and must be as strict about a request as the real one: the
Responses API, and chat/completions as servers at home speak it.
"""

from __future__ import annotations

import json
import ssl
from typing import Any

from speech_service import KEY, Handler, SpeechService

MODELS = ("gpt-5", "gpt-5-mini")
ANSWER = "A leap year has 366 days.\n\nThe next one is 2028."
_RESPONSE_KEYS = {"model", "instructions", "input", "max_output_tokens", "store"}
_CHAT_KEYS = {"model", "messages", "max_tokens"}


class TextHandler(Handler):
    """One question."""

    service: TextService

    def answer(self) -> None:
        """As documented."""
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self.error(401, "Incorrect API key provided: sk-te**90.", "invalid_api_key")
        elif self.path in ("/v1/responses", "/v1/chat/completions"):
            self.write()
        else:
            self.error(404, f"Invalid URL (POST {self.path})", None)

    def write(self) -> None:
        try:
            question = json.loads(self.body)
        except ValueError:
            return self.error(400, "We could not parse the JSON body of your request.", None)
        self.service.requests[-1]["json"] = question
        is_chat = self.path.endswith("completions")
        unknown = set(question) - (_CHAT_KEYS if is_chat else _RESPONSE_KEYS)
        if self.headers["Content-Type"] != "application/json":
            return self.error(400, "Not JSON.", None)
        if unknown:
            name = sorted(unknown)[0]
            return self.error(400, f"Unknown parameter: {name}", "unknown_parameter", name)
        if question.get("model") not in MODELS:
            return self.error(
                404, f"The model {question.get('model')} does not exist.", "model_not_found"
            )
        if is_chat:
            roles = [message["role"] for message in question["messages"]]
            if roles[-1] != "user" or not all(m["content"] for m in question["messages"]):
                return self.error(400, "Invalid messages.", "invalid_value", "messages")
            return self.send(200, json.dumps(chat(self.service.text)).encode())
        if not isinstance(question.get("input"), str) or not question["input"]:
            return self.error(400, "Missing input.", "missing_required_parameter", "input")
        if question.get("max_output_tokens", 16) < 16:
            return self.error(400, "Too small.", "integer_below_min_value", "max_output_tokens")
        return self.send(200, json.dumps(response(self.service.text)).encode())


def response(text: str, **changes: Any) -> dict[str, Any]:
    """A response object with hidden thoughts before its message, as reasoning models give it."""
    content = {"type": "output_text", "text": text, "annotations": []}
    message = {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [content],
    }
    details = {"cached_tokens": 0}
    whole: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_741_476_542,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": "gpt-5",
        "output": [{"type": "reasoning", "id": "rs_1", "summary": []}, message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 36,
            "input_tokens_details": details,
            "output_tokens": 87,
            "output_tokens_details": {"reasoning_tokens": 64},
            "total_tokens": 123,
        },
    }
    return whole | changes


def cut(text: str) -> dict[str, Any]:
    """A response that reached its limit of tokens; without text, all of it went into thoughts."""
    whole = response(text, status="incomplete")
    whole["incomplete_details"] = {"reason": "max_output_tokens"}
    if not text:
        del whole["output"][1]
    return whole


def chat(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_741_476_542,
        "model": "gpt-5",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42},
    }


class TextService(SpeechService):
    """`with TextService() as service:`; `text` is what it answers to every question."""

    handler = TextHandler

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.text = ANSWER
