"""Speech over HTTPS: the provider's text-to-speech and speech-to-text.

Thread: the command line's main one or a worker's; never the event loop (every call blocks). It must
never follow a redirect (the key would go along), never put the key, a text or the server's own
words into an error, and never read without a limit of size and time.

The wire is the provider's documented API: `POST BASE/audio/speech` with JSON, sound back;
`POST BASE/audio/transcriptions` with a form, JSON or subtitles back.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from edge_agent.contract.errors import AgentError, LinkError
from edge_agent.contract.net_faults import Peer
from edge_agent.contract.pcm import WIRE_RATE_HZ
from edge_agent.contract.voices import on_wire
from edge_agent.host.web.http_api import HttpApi
from edge_agent.host.web.http_faults import garbage as garbage_of
from edge_agent.host.web.http_faults import web_page

TranscriptFormat = Literal["text", "json", "srt", "vtt"]

PEER = Peer(
    name="speech service",
    code="speech",
    url="speech.api_url",
    example="https://api.openai.com/v1",
    model="Correct speech.tts_model or speech.transcription_model.",
    doubt="Is the recording whole, and do the model, the voice and the language exist?",
)
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


class SpeechApi:
    """One service.  `options` are those of `HttpApi`: `auth`, `ca_file`, limits of time."""

    def __init__(self, base: str, key: str, **options: Any) -> None:
        self.base = base
        self._http = HttpApi(base, key, peer=PEER, **options)

    def __repr__(self) -> str:
        return f"SpeechApi({self.base!r})"

    def speech(self, text: str, *, model: str, voice: str, instructions: str = "") -> bytes:
        """24 kHz PCM16 mono of `text`, up to 4096 characters.  Raises AgentError."""
        if not text.strip() or len(text) > INPUT_MAX_CHARS:
            raise AgentError(
                f"A text to be spoken has 1 to {INPUT_MAX_CHARS} characters.", code="speech.text"
            )
        question: dict[str, object] = {"model": model, "voice": on_wire(voice), "input": text}
        question["response_format"] = "pcm"
        if instructions:
            question["instructions"] = instructions
        body = json.dumps(question).encode()
        kind, sound = self._post("audio/speech", body, "application/json", SPEECH_MAX_BYTES)
        if "html" in kind:
            raise web_page(PEER)
        if "json" in kind:
            raise garbage("text instead of sound")
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
            raise web_page(PEER)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise garbage("something that is not text") from None
        return _subtitles(text, form) if form in ("srt", "vtt") else _words(text, form)

    def _post(self, path: str, body: bytes, kind: str, limit_bytes: int) -> tuple[str, bytes]:
        return self._http.post(path, body, kind, limit_bytes, special=_special)


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


# --- what goes wrong with speech alone -------------------------------------------------


def _special(status: int, parameter: str) -> AgentError | None:
    if status == 413:
        return unfit("The recording is larger than the service takes.", "Cut it into parts.")
    return no_subtitles() if status in (400, 422) and parameter == "response_format" else None


def garbage(what: str) -> LinkError:
    """An answer that makes no sense."""
    return garbage_of(PEER, what)


def no_subtitles() -> AgentError:
    """The model cannot tell times."""
    return AgentError(
        "This model does not write subtitles or other text of that format.",
        fix="Name one that tells times (--model whisper-1), or use --format text.",
        code="speech.no_subtitles",
    )


def unfit(message: str, fix: str) -> AgentError:
    """A file that is not sent."""
    return AgentError(message, fix=fix, code="speech.file")
