"""Speech over HTTPS: the provider's text-to-speech and speech-to-text (purpose).

Owner thread: the command line's main one or a worker's; never the event loop (every call blocks).
Must never follow a redirect (the key would go along), never put the key, a text or the server's
own words into an error, and never read without a limit of size and time.

The wire is the provider's documented API: `POST BASE/audio/speech` with JSON, sound back;
`POST BASE/audio/transcriptions` with a form, JSON or subtitles back.  Proxies come from
HTTPS_PROXY, HTTP_PROXY and NO_PROXY; this machine is called directly.
"""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from edge_agent.contract.errors import AgentError, ConfigError, LinkLost
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.host.settings_base import is_loopback
from edge_agent.host.speech_faults import (
    error_in,
    garbage,
    no_speech_service,
    no_subtitles,
    refused,
    unfit,
    unreachable,
)

TranscriptFormat = Literal["text", "json", "srt", "vtt"]

SILENCE_TIMEOUT_S = 60.0
"""Longest wait for the next byte: a model may think that long over a long recording."""
CALL_TIMEOUT_S = 600.0
"""Longest call: 25 MB over a slow uplink and back."""
SPEECH_MAX_BYTES = 10_000_000
"""Three minutes of 24 kHz sound; a sentence has five seconds."""
TEXT_MAX_BYTES = 8_000_000
"""A day of talking as text with its times."""
UPLOAD_MAX_BYTES = 25 * 1024 * 1024
"""The provider's limit for a request with a recording."""
FORM_BYTES = 4096
"""Room for the other fields of the form within that limit."""
INPUT_MAX_CHARS = 4096
"""The provider's limit for a text to be spoken."""
SPEECH_MIN_BYTES = WIRE_RATE_HZ // 5
"""A tenth of a second: less is no sentence."""
FILE_KINDS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "ogg", "wav", "webm")
"""What the transcription takes, by the file's extension."""
_CHUNK_BYTES = 65_536


def api_base(realtime_url: str, api_url: str = "", *, allow_insecure: bool = False) -> str:
    """The address before `/audio/…`: `api_url` if it is set, else the Realtime address turned
    into a web one (`wss://host/v1/realtime` → `https://host/v1`).  Raises ConfigError."""
    if api_url:
        base = api_url.rstrip("/")
    else:
        parts = urlsplit(realtime_url)
        scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
        path = parts.path.rstrip("/").removesuffix("/realtime")
        base = urlunsplit((scheme, parts.netloc, path, "", ""))
    if base.startswith("http://") and not (
        allow_insecure or is_loopback(urlsplit(base).hostname or "")
    ):
        raise ConfigError(
            "speech.api_url is not encrypted (http://) and goes to another machine.",
            fix="Use https://, or set realtime.allow_insecure_url = true if you trust every "
            "device on that network.",
        )
    return base


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other, and one that we do not want."""

    def redirect_request(self, *_question: object) -> None:
        """As `urllib` wants it: None is "no other request"."""


class SpeechApi:
    """One service.  `auth`: `bearer`, `api-key` (that header) or `none`; `key` may be empty."""

    def __init__(
        self,
        base: str,
        key: str,
        *,
        auth: str = "bearer",
        silence_timeout_s: float = SILENCE_TIMEOUT_S,
        call_timeout_s: float = CALL_TIMEOUT_S,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base = base
        self._headers: dict[str, str] = {}
        if key and auth == "api-key":
            self._headers["api-key"] = key
        elif key and auth != "none":
            self._headers["Authorization"] = f"Bearer {key}"
        self._silence_timeout_s = silence_timeout_s
        self._call_timeout_s = call_timeout_s
        self._seconds = seconds
        here = is_loopback(urlsplit(base).hostname or "")
        # Without an argument it reads the proxies of the environment.
        proxies = urllib.request.ProxyHandler({}) if here else urllib.request.ProxyHandler()
        tls = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        self._opener = urllib.request.build_opener(proxies, tls, _NoRedirect)

    def __repr__(self) -> str:
        return f"SpeechApi({self.base!r})"

    def speech(self, text: str, *, model: str, voice: str, instructions: str = "") -> bytes:
        """24 kHz PCM16 mono of `text`, up to 4096 characters.  Raises AgentError."""
        if not text.strip() or len(text) > INPUT_MAX_CHARS:
            raise AgentError(
                f"A text to be spoken has 1 to {INPUT_MAX_CHARS} characters.", code="speech.text"
            )
        question = {"model": model, "voice": voice, "input": text, "response_format": "pcm"}
        if instructions:
            question["instructions"] = instructions
        body = json.dumps(question).encode()
        kind, sound = self._post("audio/speech", body, "application/json", SPEECH_MAX_BYTES)
        if "html" in kind or "json" in kind:
            raise no_speech_service(kind)
        return _pcm24k(sound)

    def transcribe(
        self, file: Path, *, model: str, form: TranscriptFormat = "text", language: str = ""
    ) -> str:
        """The words in a recording: plain, as JSON (at least `text`), or as subtitles.

        `model` is the owner's setting `speech.transcription_model`, a configuration value: what
        a model can do (subtitles need one that tells times) is the service's business.  The file
        is judged before anything is sent.  Raises AgentError.
        """
        sound = _recording(file)
        fields = {"model": model, "response_format": form if form in ("srt", "vtt") else "json"}
        if language:
            fields["language"] = language
        if not all(value.isprintable() and '"' not in value for value in fields.values()):
            raise AgentError("A model or a language has no such name.", code="speech.text")
        body, kind = _form(fields, file.suffix.lower(), sound)
        kind, raw = self._post("audio/transcriptions", body, kind, TEXT_MAX_BYTES)
        if "html" in kind:
            raise no_speech_service(kind)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise garbage("something that is not text") from None
        return _subtitles(text, form) if form in ("srt", "vtt") else _words(text, form)

    # --- the wire ----------------------------------------------------------------------

    def _post(self, path: str, body: bytes, kind: str, limit_bytes: int) -> tuple[str, bytes]:
        """The content type and the body of a good answer."""
        try:
            request = urllib.request.Request(f"{self.base}/{path}", data=body, method="POST")  # noqa: S310
            request.add_header("Content-Type", kind)
            request.add_header("User-Agent", "edge-agent")
            for name, value in self._headers.items():
                request.add_unredirected_header(name, value)
            began_s = self._seconds()
            with self._opener.open(request, timeout=self._silence_timeout_s) as answer:
                content = self._read(answer, began_s, limit_bytes)
                return answer.headers.get_content_type(), content
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise refused(refusal.code, refusal.headers, error_in(refusal)) from None
        except (OSError, http.client.HTTPException, ValueError) as problem:
            # `from None`: these quote addresses and headers, and so might quote the key.
            raise unreachable(problem) from None

    def _read(self, answer: http.client.HTTPResponse, began_s: float, limit_bytes: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := answer.read1(_CHUNK_BYTES):
            size += len(chunk)
            chunks.append(chunk)
            if size > limit_bytes:
                raise garbage(f"more than {limit_bytes // 1_000_000} MB")
            if self._seconds() - began_s > self._call_timeout_s:
                raise TimeoutError
        if answer.length:  # read1 takes a line that breaks off for the end
            raise LinkLost("The connection broke within the answer.", fix="Try again.")
        return b"".join(chunks)


# --- what goes out ---------------------------------------------------------------------


def _recording(file: Path) -> bytes:
    """The content of a file that may be sent.  Raises AgentError."""
    kinds = ", ".join(FILE_KINDS)
    if file.suffix.lower().lstrip(".") not in FILE_KINDS:
        raise unfit(f"{file} is not a recording that the service takes.", f"It takes {kinds}.")
    limit = UPLOAD_MAX_BYTES - FORM_BYTES
    try:
        if not file.is_file():
            what = "is a folder or a device" if file.exists() else "does not exist"
            raise unfit(f"{file} {what}.", "Name a recording.")
        with file.open("rb") as opened:
            sound = opened.read(limit + 1)
            size = max(file.stat().st_size, len(sound))
    except OSError as problem:
        raise unfit(f"{file} cannot be read: {problem.strerror}.", "") from None
    if not sound:
        raise unfit(f"{file} is empty.", "Record it again.")
    if len(sound) > limit:
        raise unfit(
            f"{file} has {size / 1024 / 1024:.1f} MB and the service takes 25 MB; nothing was "
            "sent.",
            "Cut it into parts, or make it smaller: "
            "ffmpeg -i FILE -ac 1 -ar 16000 -b:a 32k smaller.mp3",
        )
    return sound


def _form(fields: Mapping[str, str], suffix: str, sound: bytes) -> tuple[bytes, str]:
    """`multipart/form-data` (RFC 7578) and its content type.

    The file goes under a name of ours: its own is nobody's business.
    """
    edge = secrets.token_hex(16)  # long enough never to be found in the sound
    head = "".join(
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="recording{suffix}"'
        "\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    tail = f"\r\n--{edge}--\r\n"
    return head.encode() + sound + tail.encode(), f"multipart/form-data; boundary={edge}"


# --- what comes back -------------------------------------------------------------------


def _pcm24k(sound: bytes) -> bytes:
    """Raw PCM as it came, or the samples of a WAV file, which some local servers send."""
    if sound[:4] == b"RIFF" and sound[8:12] == b"WAVE":
        sound = _samples_of_wav(sound)
    elif sound[:4] in (b"OggS", b"fLaC") or sound[:3] == b"ID3" or sound[:2] == b"\xff\xfb":
        raise garbage("sound of another kind than the PCM asked for")
    if len(sound) < SPEECH_MIN_BYTES:
        raise garbage("no sound")
    return sound[: len(sound) // 2 * 2]


def _samples_of_wav(wav: bytes) -> bytes:
    # By hand: a server that streams cannot know the sizes and fills in the largest number.
    rate_hz, at = 0, 12
    while at + 8 <= len(wav):
        name, size = wav[at : at + 4], int.from_bytes(wav[at + 4 : at + 8], "little")
        at += 8
        if name == b"fmt " and at + 16 <= len(wav):
            kind, channels = wav[at : at + 2], wav[at + 2 : at + 4]
            rate_hz = int.from_bytes(wav[at + 4 : at + 8], "little")
            bits = wav[at + 14 : at + 16]
            if (kind, channels, bits) != (b"\1\0", b"\1\0", b"\20\0") or rate_hz != WIRE_RATE_HZ:
                raise garbage("a WAV file that is not 24 kHz, 16 bits, mono")
        elif name == b"data" and rate_hz:
            return wav[at : at + size]
        at += size + size % 2
    raise garbage("a broken WAV file")


def _words(text: str, form: TranscriptFormat) -> str:
    try:
        entry = json.loads(text)
        words = entry["text"]
        if not isinstance(words, str):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise garbage("an answer without a text") from None
    return json.dumps(entry, ensure_ascii=False, indent=2) if form == "json" else words.strip()


def _subtitles(text: str, form: TranscriptFormat) -> str:
    head = text.lstrip("\ufeff \r\n")
    # An empty list of subtitles is right: nobody spoke.
    if head.startswith("WEBVTT") if form == "vtt" else (not head or "-->" in head):
        return text.strip()
    raise no_subtitles()
