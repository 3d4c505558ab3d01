"""What a speech pipeline asks over HTTP, answered without a model.

Three endpoints in the shape of OpenAI's: transcription, chat, speech.  Runs in the foreign server's
environment: the standard library only.  It must never import the project.
"""

from __future__ import annotations

import array
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RATE_HZ = 24_000
SECONDS_PER_WORD = 0.35
TONE_HZ = 220.0
TRANSCRIPT = "please tell me a story"
STORY = "Once there was a lighthouse that was afraid of the dark, so it lit a lamp at night."
"""Six seconds: long enough to talk over."""
HIGH, LOW = 9000, 2500
SYLLABLE_HZ = 3.0


def sound_of(text: str) -> bytes:
    """PCM16 mono 24 kHz that lasts as long as the text would: a tone in syllables."""
    count = int(len(text.split()) * SECONDS_PER_WORD * RATE_HZ)
    wave = array.array("h")
    for n in range(count):
        loud = HIGH if math.sin(2 * math.pi * SYLLABLE_HZ * n / RATE_HZ) > -0.4 else LOW
        wave.append(int(loud * math.sin(2 * math.pi * TONE_HZ * n / RATE_HZ)))
    return wave.tobytes()


def reply_to(request: dict[str, Any]) -> dict[str, Any]:
    """A chat message: a call when asked for the time, else a story."""
    messages = request.get("messages", [])
    last = messages[-1] if messages else {}
    if last.get("role") == "tool":
        return {"role": "assistant", "content": f"The tool says {last.get('content', '')}."}
    if last.get("content") == "Hello":  # their warm-up
        return {"role": "assistant", "content": "Hello."}
    if request.get("tools") and "time" in str(last.get("content")):
        function = {"name": request["tools"][0]["function"]["name"], "arguments": "{}"}
        call = {"id": "call_interop", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": "assistant", "content": STORY}


def serve() -> str:
    """Serve on a free port of this machine, on threads; returns the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith("/audio/transcriptions"):
                self._answer("application/json", json.dumps({"text": TRANSCRIPT}).encode())
            elif self.path.endswith("/audio/speech"):
                self._answer("audio/pcm", sound_of(json.loads(body)["input"]))
            else:
                message = reply_to(json.loads(body))
                reason = "tool_calls" if message.get("tool_calls") else "stop"
                choice = {"index": 0, "message": message, "finish_reason": reason}
                usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
                whole = {
                    "id": "chat",
                    "object": "chat.completion",
                    "created": 0,
                    "model": "none",
                    "choices": [choice],
                    "usage": usage,
                }
                self._answer("application/json", json.dumps(whole).encode())

        def _answer(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: words pass through here."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{httpd.server_address[1]}/v1"
