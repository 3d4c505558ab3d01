"""Speech over HTTPS: right with a good service, a sentence with every other one."""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from speech_service import KEY, SOUND, SRT, VTT, WORDS, Answer, Handler, SpeechService

from edge_agent.contract.errors import AgentError, ConfigError, LinkBusy, LinkLost
from edge_agent.contract.transcript import Hints
from edge_agent.host.settings.house import Speech
from edge_agent.host.voice.sentences import SENTENCE_FOR_CODE
from edge_agent.host.web.http_api import api_base
from edge_agent.host.web.speech_http import UPLOAD_MAX_BYTES, SpeechApi, _pcm24k

TTS: dict[str, Any] = {"model": "gpt-4o-mini-tts", "voice": "marin"}


@pytest.fixture
def service() -> Iterator[SpeechService]:
    with SpeechService() as running:
        yield running


def api(service: SpeechService, **options: Any) -> SpeechApi:
    return SpeechApi(service.base, KEY, **options)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "grandma's secret.wav"
    file.write_bytes(b"RIFF" + SOUND)
    return file


def spoken(*languages: str) -> Hints:
    return Hints("", (), languages)


# --- what is right -----------------------------------------------------------------------


def test_speech_is_asked_for_as_documented(service: SpeechService) -> None:
    sound = api(service).speech("Ich höre zu.", **TTS, instructions="Speak calmly.")
    assert sound == SOUND
    assert service.requests[0]["json"] == {
        "model": "gpt-4o-mini-tts",
        "voice": "marin",
        "input": "Ich höre zu.",
        "response_format": "pcm",
        "instructions": "Speak calmly.",
    }
    api(service).speech("And without.", **TTS)
    assert service.requests[1]["json"].keys() == {"model", "voice", "input", "response_format"}
    api(service).speech("In a hurry.", **TTS, speed=1.25)
    assert service.requests[2]["json"]["speed"] == 1.25


def test_a_transcript_in_every_format(service: SpeechService, recording: Path) -> None:
    assert api(service).transcribe(recording, model="gpt-transcribe", hints=spoken("de")) == WORDS
    form = service.requests[0]["form"]
    assert form == {
        "model": "gpt-transcribe",
        "response_format": "json",
        "language": "de",
        "file": recording.read_bytes(),
        "filename": "recording.wav",  # the household's own name stays at home
    }
    as_json = api(service).transcribe(recording, model="gpt-transcribe", form="json")
    assert json.loads(as_json)["text"] == WORDS
    assert api(service).transcribe(recording, model="whisper-1", form="srt") == SRT.strip()
    assert api(service).transcribe(recording, model="whisper-1", form="vtt") == VTT.strip()
    assert "language" not in service.requests[-1]["form"]


HINTS = Hints('Said "at home"\nby many.', ("Käthe", "Wattwurm"), ("de", "en"))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            "gpt-transcribe",
            {
                "prompt": HINTS.prompt,
                "keywords[]": ["Käthe", "Wattwurm"],
                "languages[]": ["de", "en"],
            },
        ),
        ("whisper-1", {"prompt": f"{HINTS.prompt} Käthe, Wattwurm."}),
        ("gpt-4o-transcribe-diarize", {"chunking_strategy": "auto"}),
    ],
)
def test_each_model_is_told_in_its_own_way(
    service: SpeechService, recording: Path, model: str, told: dict[str, object]
) -> None:
    assert api(service).transcribe(recording, model=model, hints=HINTS) == WORDS
    form = service.requests[0]["form"]
    for known in ("file", "filename", "response_format"):
        del form[known]
    assert form == {"model": model, **told}


def test_times_and_temperature(service: SpeechService, recording: Path) -> None:
    def timed(*named: str) -> dict[str, Any]:
        text = api(service).transcribe(
            recording, model="whisper-1", form="verbose_json", temperature=0.2, timestamps=named
        )
        found: dict[str, Any] = json.loads(text)
        return found

    assert set(timed()) == {"text", "language", "duration", "segments"}
    assert set(timed("word", "segment")) == {"text", "language", "duration", "segments", "words"}
    forms = [request["form"] for request in service.requests]
    assert [form["temperature"] for form in forms] == ["0.2", "0.2"]
    assert "timestamp_granularities[]" not in forms[0]


def test_azure_gets_its_own_header(service: SpeechService) -> None:
    service.answers = [lambda h: h.send(200, SOUND, "audio/pcm")] * 2
    SpeechApi(service.base, KEY, auth="api-key").speech("x", **TTS)
    headers = service.requests[0]["headers"]
    assert headers["Api-Key"] == KEY
    assert "Authorization" not in headers
    SpeechApi(service.base, "").speech("x", **TTS)
    assert KEY not in str(service.requests[1])


def wav(pcm: bytes, *, rate_hz: int = 24_000, size: int | None = None) -> bytes:
    head = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0" + rate_hz.to_bytes(4, "little")
    head += (rate_hz * 2).to_bytes(4, "little") + b"\2\0\x10\0LIST\3\0\0\0abc\0data"
    return head + (len(pcm) if size is None else size).to_bytes(4, "little") + pcm


@pytest.mark.parametrize("size", [None, 0xFFFFFFFF])
def test_a_local_server_may_send_a_wav_file(service: SpeechService, size: int | None) -> None:
    service.answers = [lambda h: h.send(200, wav(SOUND, size=size), "audio/wav")]
    assert api(service).speech("x", **TTS) == SOUND


def test_the_service_of_these_tests_is_one_to_the_official_client(
    service: SpeechService, recording: Path
) -> None:
    import openai

    with openai.OpenAI(base_url=service.base, api_key=KEY, max_retries=0) as client:
        spoken = client.audio.speech.create(
            model="gpt-4o-mini-tts", voice="marin", input="Hello.", response_format="pcm"
        )
        assert spoken.read() == SOUND
        with recording.open("rb") as file:
            heard = client.audio.transcriptions.create(model="gpt-transcribe", file=file)
        assert heard.text == WORDS
        with pytest.raises(openai.NotFoundError) as caught:
            client.audio.speech.create(model="none", voice="marin", input="Hello.")
        assert caught.value.code == "model_not_found"
    theirs, ours = service.requests[0]["json"], {**TTS, "input": "Hello."}
    api(service).speech("Hello.", **TTS)
    assert service.requests[-1]["json"] == theirs == {**ours, "response_format": "pcm"}
    api(service).transcribe(recording, model="gpt-transcribe")
    form = service.requests[-1]["form"]
    assert form["file"] == service.requests[1]["form"]["file"]
    assert set(service.requests[1]["form"]) <= set(form)


# --- what the service refuses -----------------------------------------------------------


def refusal(status: int, code: str | None, param: str | None = None, **headers: str) -> Answer:
    return lambda h: h.error(status, f"Secret words and {KEY}", code, param, **headers)


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (refusal(401, "invalid_api_key"), "link.bad_key", "key"),
        (refusal(401, None), "link.bad_key", "key"),
        (refusal(403, "unsupported_country_region_territory"), "link.refused", "region"),
        (refusal(403, "model_not_found"), "link.no_model", "speech.tts_model"),
        (refusal(404, "model_not_found", "model"), "link.no_model", "model"),
        (refusal(404, None), "link.bad_url", "speech.api_url"),
        (refusal(405, None), "link.bad_url", "speech.api_url"),
        (refusal(407, None), "link.proxy", "HTTPS_PROXY"),
        (refusal(413, None), "speech.file", "parts"),
        (refusal(429, "insufficient_quota"), "link.no_quota", "billing"),
        (refusal(429, "rate_limit_exceeded"), "link.busy", "in a minute"),
        (refusal(429, None, Retry_After="7"), "link.busy", "in 7 s"),
        (refusal(429, None, Retry_After="soon"), "link.busy", "in a minute"),
        (refusal(500, "server_error"), "link.busy", "later"),
        (refusal(503, None, Retry_After="3"), "link.busy", "later"),
        (refusal(400, "invalid_value", "voice"), "speech.refused", "about voice"),
        (refusal(400, "unsupported_value", "response_format"), "speech.no_subtitles", "--model"),
        (refusal(422, f"<{KEY}>", KEY), "speech.refused", "HTTP 422"),
        (refusal(302, None, Location="http://login.example/"), "link.captive_portal", "sign in"),
        (refusal(307, None, Location="http://127.0.0.1:1/"), "link.captive_portal", "HTTP 307"),
        (lambda h: h.send(502, b"<html>bad gateway"), "link.busy", "HTTP 502"),
        (lambda h: h.send(400, b'{"error": "text"}'), "speech.refused", "HTTP 400"),
        (lambda h: h.send(400, b"[" * 60_000), "speech.refused", "HTTP 400"),
        (lambda h: h.send(200, b"<html>", "text/html"), "link.captive_portal", "web page"),
        (lambda h: h.send(200, b"{}"), "link.garbage", "text instead of sound"),
        (lambda h: h.send(200, b"", "audio/pcm"), "link.garbage", "no sound"),
        (lambda h: h.send(200, b"ID3" + SOUND, "audio/mpeg"), "link.garbage", "another kind"),
        (lambda h: h.send(200, wav(SOUND, rate_hz=8000), "audio/wav"), "link.garbage", "24 kHz"),
        (lambda h: h.send(200, wav(SOUND)[:30], "audio/wav"), "link.garbage", "broken WAV"),
        (lambda h: h.send(200, SOUND, "audio/pcm", length="999999"), "link.lost", "broke"),
        (lambda h: h.connection.shutdown(socket.SHUT_RDWR), "link.lost", "broke"),
        (lambda h: h.connection.sendall(b"SSH-2.0-hello\r\n"), "link.bad_url", "no speech service"),
    ],
)
def test_every_refusal_has_a_sentence(
    service: SpeechService, answer: Answer, code: str, words: str
) -> None:
    service.answers = [answer]
    with pytest.raises(AgentError) as caught:
        api(service).speech("the words", **TTS)
    error = caught.value
    assert error.code == code
    assert words in str(error)
    assert error.fix
    # Neither the key nor what the server said of it, nor what was to be spoken.
    for secret in (KEY, "Secret", "the words"):
        assert secret not in f"{error} {error!r} {error.__cause__}"
    assert len(service.requests) == 1  # a redirect is not followed
    assert not code.startswith("link.") or code in SENTENCE_FOR_CODE


def test_a_wrong_key_is_told_by_the_documented_answer(service: SpeechService) -> None:
    with pytest.raises(AgentError, match="does not accept the key"):
        SpeechApi(service.base, "sk-another-key").speech("x", **TTS)
    with pytest.raises(AgentError, match="invalid_value, about voice"):
        api(service).speech("x", model="tts-1", voice="nobody")
    with pytest.raises(AgentError, match="not use this model"):
        api(service).speech("x", model="none", voice="marin")


def test_when_to_come_back_may_be_a_date(service: SpeechService) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    service.answers = [refusal(429, None, Retry_After=then)]
    with pytest.raises(LinkBusy) as caught:
        api(service).speech("x", **TTS)
    assert caught.value.retry_after_s is not None
    assert 60 < caught.value.retry_after_s <= 90


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"not json", "application/json", "link.garbage"),
        (b'{"txt": 1}', "application/json", "link.garbage"),
        (b'{"text": 1}', "application/json", "link.garbage"),
        (b"[" * 60_000, "application/json", "link.garbage"),
        (b"\xff\xfe", "application/json", "link.garbage"),
        (b"<html>", "text/html; charset=utf-8", "link.captive_portal"),
    ],
)
def test_nonsense_for_a_transcript(
    service: SpeechService, recording: Path, body: bytes, kind: str, code: str
) -> None:
    service.answers = [lambda h: h.send(200, body, kind)]
    with pytest.raises(AgentError) as caught:
        api(service).transcribe(recording, model="gpt-transcribe")
    assert caught.value.code == code


def test_a_model_that_tells_no_times(service: SpeechService, recording: Path) -> None:
    service.answers = [Handler.answer, lambda h: h.send(200, b'{"text": "hello"}')]
    for _ in range(2):
        with pytest.raises(AgentError, match="--model whisper-1") as caught:
            api(service).transcribe(recording, model="gpt-transcribe", form="vtt")
        assert caught.value.code == "speech.no_subtitles"


# --- what is never sent ------------------------------------------------------------------


def test_files_that_are_not_sent(service: SpeechService, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    with (tmp_path / "long.wav").open("wb") as file:
        file.truncate(UPLOAD_MAX_BYTES + 1)
    os.mkfifo(tmp_path / "pipe.wav")
    for name, words in {
        "empty.wav": "is empty",
        "folder.wav": "is a folder",
        "pipe.wav": "a device",
        "none.wav": "does not exist",
        "notes.txt": "It takes flac, m4a, mp3",
        "long.wav": "has 25.0 MB and the service takes 25 MB; nothing was sent",
        "x" * 300 + ".wav": "cannot be read: File name too long",
    }.items():
        with pytest.raises(AgentError) as caught:
            api(service).transcribe(tmp_path / name, model="whisper-1")
        assert words in str(caught.value)
        assert caught.value.code == "speech.file"
    assert service.requests == []


def test_the_largest_recording_is_within_the_limit(service: SpeechService, tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    with file.open("wb") as opened:
        opened.truncate(UPLOAD_MAX_BYTES - 4096)
    assert api(service).transcribe(file, model="gpt-transcribe", hints=spoken("en")) == WORDS


@pytest.mark.parametrize("text", ["", "  ", "x" * 4097])
def test_texts_that_are_not_sent(service: SpeechService, text: str) -> None:
    with pytest.raises(AgentError, match="1 to 4096"):
        api(service).speech(text, **TTS)
    assert service.requests == []


def test_a_name_does_not_break_the_form(service: SpeechService, recording: Path) -> None:
    with pytest.raises(AgentError, match="no such name"):
        api(service).transcribe(recording, model="x\r\n--edge", hints=spoken("en"))
    assert service.requests == []


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(SpeechApi("https://example.org/v1", KEY))


# --- limits ------------------------------------------------------------------------------


def test_a_silent_service_is_given_up(service: SpeechService) -> None:
    service.answers = [lambda _h: service.gate.wait(5)]
    with pytest.raises(AgentError, match="in time") as caught:
        api(service, silence_timeout_s=0.05).speech("x", **TTS)
    assert caught.value.code == "link.timeout"


def test_an_answer_that_drips_is_given_up(service: SpeechService) -> None:
    clock = iter(range(0, 10_000, 400))
    service.answers = [lambda h: h.send(200, SOUND, "audio/pcm")]
    slow = api(service, call_timeout_s=300, seconds=lambda: float(next(clock)))
    # However many pieces 14 kB come in: each looks at the clock.
    with pytest.raises(AgentError) as caught:
        slow.speech("x", **TTS)
    assert caught.value.code == "link.timeout"


def test_an_endless_answer_is_given_up(service: SpeechService) -> None:
    def endless(h: Handler) -> None:
        h.send(200, b"", "audio/pcm", length=str(10**12))
        while True:
            h.wfile.write(bytes(1_000_000))

    service.answers = [endless]
    with pytest.raises(AgentError, match="more than 10 MB") as caught:
        api(service).speech("x", **TTS)
    assert caught.value.code == "link.garbage"


# --- the way there -----------------------------------------------------------------------


def test_nobody_there() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{door.getsockname()[1]}/v1"
        with pytest.raises(AgentError) as caught:
            SpeechApi(closed, KEY).speech("x", **TTS)
    assert caught.value.code == "link.unreachable"


def test_no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(AgentError) as caught:
        SpeechApi("https://no-such-host.invalid/v1", KEY).speech("x", **TTS)
    assert caught.value.code == "link.dns"


@pytest.mark.parametrize("base", ["nonsense", "http://[::1/v1", "http://127.0.0.1:port/v1"])
def test_no_address(base: str) -> None:
    with pytest.raises((AgentError, ValueError)):
        SpeechApi(base, KEY).speech("x", **TTS)


def test_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    with SpeechService(authority.server()) as service:
        assert service.base.startswith("https:")
        with pytest.raises(AgentError) as caught:
            SpeechApi(service.base, KEY).speech("x", **TTS)
        assert caught.value.code == "link.tls"
        assert service.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        assert SpeechApi(service.base, KEY).speech("x", **TTS) == SOUND
        with pytest.raises(AgentError) as caught:  # spoken to without TLS
            SpeechApi(service.base.replace("https", "http"), KEY).speech("x", **TTS)
        assert caught.value.code.startswith("link.")
    with SpeechService(authority.server(end="20210101000000Z")) as service:
        with pytest.raises(AgentError) as caught:
            SpeechApi(service.base, KEY).speech("x", **TTS)
        assert caught.value.code == "link.clock"
    with SpeechService() as service:
        with pytest.raises(AgentError) as caught:
            SpeechApi(service.base.replace("http", "https"), KEY).speech("x", **TTS)
        assert caught.value.code == "link.tls"


class Proxy:
    """Takes one CONNECT and either leads to `port` or answers with `refusal`."""

    def __init__(self, port: int, refusal: bytes = b"") -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._port, self._refusal = port, refusal
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self.heard = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._door.accept()
        with client:
            while b"\r\n\r\n" not in self.heard:
                self.heard += client.recv(4096)
            if self._refusal:
                client.sendall(self._refusal)
                return
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=self._pump, args=(server, client))
                back.start()
                self._pump(client, server)
                back.join()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while piece := source.recv(65_536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side was quicker

    def close(self) -> None:
        self._thread.join()
        self._door.close()


def test_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    with SpeechService(authority.server(names="DNS:speech.test")) as service:
        base = f"https://speech.test:{service.port}/v1"  # only the proxy knows where that is
        proxy = Proxy(service.port)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert SpeechApi(base, KEY).speech("x", **TTS) == SOUND
        proxy.close()
        assert proxy.heard.startswith(f"CONNECT speech.test:{service.port}".encode())
        assert KEY.encode() not in proxy.heard
        refusing = Proxy(service.port, b"HTTP/1.1 407 Who are you\r\n\r\n")
        monkeypatch.setenv("HTTPS_PROXY", refusing.url)
        with pytest.raises(AgentError) as caught:
            SpeechApi(base, KEY).speech("x", **TTS)
        refusing.close()
        assert caught.value.code == "link.proxy"
        del caught
        with warnings.catch_warnings():
            # `http.client` before Python 3.11.4 leaves a proxy's refusal to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def test_this_machine_is_called_without_the_proxy(
    service: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert api(service).speech("x", **TTS) == SOUND


# --- the address -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("realtime", "own", "base"),
    [
        ("wss://api.openai.com/v1/realtime", "", "https://api.openai.com/v1"),
        (
            "wss://n.openai.azure.com/openai/v1/realtime?a=1",
            "",
            "https://n.openai.azure.com/openai/v1",
        ),
        ("ws://127.0.0.1:8765/v1/realtime", "", "http://127.0.0.1:8765/v1"),
        ("wss://api.openai.com/v1/realtime", "https://tts.local/api/", "https://tts.local/api"),
        ("wss://api.openai.com/v1/realtime", "http://localhost:1/v1", "http://localhost:1/v1"),
    ],
)
def test_where_the_service_is(realtime: str, own: str, base: str) -> None:
    assert api_base(realtime, own) == base


@pytest.mark.parametrize("url", ["wss://a/v1", "https://n:w@a/v1", "api.openai.com", "https://"])
def test_settings_refuse_what_is_no_web_address(url: str) -> None:
    with pytest.raises(ValidationError):
        Speech(api_url=url)
    assert Speech(api_url="https://a/v1").api_url == "https://a/v1"


def test_the_key_does_not_travel_in_the_clear() -> None:
    for own in ("http://tts.example/v1", ""):
        realtime = "ws://tts.example/v1/realtime"
        with pytest.raises(ConfigError, match="not encrypted"):
            api_base(realtime, own)
        assert api_base(realtime, own, allow_insecure=True) == "http://tts.example/v1"


@given(st.binary(max_size=200), st.sampled_from([b"", b"RIFF0000WAVE", wav(b"")[:36]]))
def test_any_bytes_are_sound_or_refused(noise: bytes, head: bytes) -> None:
    answer = head + noise * 50
    try:
        sound = _pcm24k(answer)
    except LinkLost:
        return  # the sentence for it
    assert sound in answer
    assert len(sound) % 2 == 0


def test_the_file_is_loaded_only_by_who_needs_it() -> None:
    code = "import sys, edge_agent.cli.main; print('urllib.request' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
