"""A speech service on this machine that answers like the provider's documented API.

Thread: the server's own ones; a test reads `requests` when its call is over.  It must never share
code with `host/web/speech_http`, and must be as strict about a request as the real one.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import math
import ssl
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "sk-test-1234567890"
VOICES = ["alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"]
SPEECH_MODELS = ["gpt-4o-mini-tts", "tts-1"]
TEXT_MODELS = ["gpt-transcribe", "whisper-1"]
WORDS = "Good morning, said the kettle."
SRT = "1\n00:00:00,000 --> 00:00:02,000\nGood morning, said the kettle.\n"
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nGood morning, said the kettle.\n"

Answer = Callable[["Handler"], object]


def tone(seconds: float, hertz: float = 440.0) -> bytes:
    """24 kHz PCM16 mono."""
    wave = (0.2 * math.sin(2 * math.pi * hertz * n / 24_000) for n in range(int(seconds * 24_000)))
    return b"".join(struct.pack("<h", round(32767 * sample)) for sample in wave)


SOUND = tone(0.3)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    service: SpeechService
    body: bytes

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.close_connection = True
        entry = {"path": self.path, "headers": dict(self.headers), "body": self.body}
        self.service.requests.append(entry)
        try:
            if self.service.answers:
                self.service.answers.pop(0)(self)
            else:
                self.answer()
        except OSError:
            pass  # the client has gone; that is some tests' point

    def answer(self) -> None:
        """As documented."""
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            # The real one repeats a part of the key in the message.
            self.error(401, "Incorrect API key provided: sk-te**90.", "invalid_api_key")
        elif self.path == "/v1/audio/speech":
            self.speak()
        elif self.path == "/v1/audio/transcriptions":
            self.transcribe()
        else:
            self.error(404, f"Invalid URL (POST {self.path})", None)

    def speak(self) -> None:
        try:
            question = json.loads(self.body)
        except ValueError:
            return self.error(400, "We could not parse the JSON body of your request.", None)
        entry = self.service.requests[-1]
        entry["json"] = question
        unknown = set(question) - {"model", "voice", "input", "response_format", "instructions"}
        if self.headers["Content-Type"] != "application/json" or unknown:
            return self.error(400, "Unknown parameter.", "unknown_parameter")
        if question.get("model") not in SPEECH_MODELS:
            return self.error(404, "The model does not exist.", "model_not_found", "model")
        voice = question.get("voice")
        is_own = isinstance(voice, dict) and set(voice) == {"id"} and bool(voice["id"])
        if voice not in VOICES and not is_own:
            return self.error(400, "Invalid voice.", "invalid_value", "voice")
        if not isinstance(question.get("input"), str) or not 0 < len(question["input"]) <= 4096:
            return self.error(400, "Invalid input.", "invalid_value", "input")
        if question.get("response_format") != "pcm":
            return self.error(400, "Not in this test.", "invalid_value", "response_format")
        return self.send(200, SOUND, "audio/pcm")

    def transcribe(self) -> None:
        kind = self.headers["Content-Type"]
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        form = parser.parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + self.body)
        fields: dict[str, Any] = {}
        for part in form.iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            fields[name] = content if name == "file" else content.decode()
            if name == "file":
                fields["filename"] = part.get_filename()
        self.service.requests[-1]["form"] = fields
        if len(self.body) > 26_214_400:
            return self.error(413, "Maximum content size limit (26214400) exceeded", None)
        if fields.get("model") not in TEXT_MODELS:
            return self.error(404, "The model does not exist.", "model_not_found", "model")
        wanted = fields.get("response_format", "json")
        if fields["model"] != "whisper-1" and wanted != "json":
            return self.error(400, "Not compatible.", "unsupported_value", "response_format")
        if not fields["filename"].endswith((".wav", ".mp3")) or not fields["file"]:
            return self.error(400, "Invalid file format.", "invalid_value", "file")
        if wanted in ("srt", "vtt"):
            return self.send(200, (SRT if wanted == "srt" else VTT).encode(), "text/plain")
        usage = {"type": "duration", "seconds": 2}
        return self.send(200, json.dumps({"text": WORDS, "usage": usage}).encode())

    def send(
        self, status: int, body: bytes, kind: str = "application/json", **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", headers.pop("length", str(len(body))))
        # Said aloud: a client that keeps connections would race a silent close with its next call.
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def error(
        self,
        status: int,
        message: str,
        code: str | None,
        param: str | None = None,
        **headers: str,
    ) -> None:
        kind = "invalid_request_error" if status < 429 else "requests"
        error = {"message": message, "type": kind, "param": param, "code": code}
        self.send(status, json.dumps({"error": error}).encode(), **headers)

    def log_message(self, *_arguments: object) -> None:
        """Not on the screen of a test."""


class SpeechService:
    """`with SpeechService() as service:`; put functions into `answers` for what comes next."""

    handler: type[Handler] = Handler

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        self.gate = threading.Event()
        """Whoever keeps a client waiting waits for this; set at the end."""
        handler = type("Bound", (self.handler,), {"service": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False
        self.port = self._server.server_address[1]
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls is not None else "http"
        self.base = f"{scheme}://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
