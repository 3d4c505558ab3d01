"""`transcribe`: a recording as text, and a sentence where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from speech_service import KEY, SOUND, SRT, VTT, WORDS, SpeechService
from typer.testing import CliRunner, Result

from edge_agent.cli.voice import patience, speech
from edge_agent.cli.voice.transcribe import Waits, transcribe, waits_for
from edge_agent.host.web.speech_http import UPLOAD_MAX_BYTES

waited: list[float] = []


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpeechService]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(speech, "CREDENTIAL_FOLDER", tmp_path / "etc")
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(tmp_path / "edge-agent.toml"))
    monkeypatch.setattr(patience, "_wait", waited.append)
    waited.clear()
    with SpeechService() as running:
        url = running.base.replace("http", "ws") + "/realtime"
        (tmp_path / "edge-agent.toml").write_text(f'[realtime]\nurl = "{url}"\n')
        yield running


@pytest.fixture
def recording(tmp_path: Path) -> str:
    (tmp_path / "said.wav").write_bytes(b"RIFF" + SOUND)
    return str(tmp_path / "said.wav")


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(transcribe)
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})
    assert KEY not in result.output
    return result


def test_words(service: SpeechService, recording: str) -> None:
    result = run(recording)
    assert result.exit_code == 0, result.output
    assert result.stdout == WORDS + "\n"
    assert service.requests[0]["form"]["model"] == "gpt-transcribe"
    assert "language" not in service.requests[0]["form"]


@pytest.mark.usefixtures("service")
def test_every_format(recording: str) -> None:
    assert json.loads(run(recording, "--format", "json").stdout)["text"] == WORDS
    whisper = ("--model", "whisper-1")
    assert run(recording, "-f", "srt", *whisper).stdout == SRT
    assert run(recording, "-f", "vtt", *whisper).stdout == VTT
    result = run(recording, "-f", "srt")
    assert result.exit_code == 1
    assert "--model whisper-1" in result.output
    assert run(recording, "-f", "mp3").exit_code == 2


def test_the_language_of_the_settings(
    service: SpeechService, recording: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_AGENT_REALTIME__TRANSCRIPTION_LANGUAGE", "de")
    monkeypatch.setenv("EDGE_AGENT_SPEECH__TRANSCRIPTION_MODEL", "whisper-1")
    run(recording)
    run(recording, "--language", "fr")
    forms = [request["form"] for request in service.requests]
    assert [form["language"] for form in forms] == ["de", "fr"]
    assert {form["model"] for form in forms} == {"whisper-1"}
    assert run(recording, "--language", "German").exit_code == 2


def test_what_is_not_sent(service: SpeechService, tmp_path: Path) -> None:
    with (tmp_path / "day.wav").open("wb") as file:
        file.truncate(UPLOAD_MAX_BYTES)
    result = run(str(tmp_path / "day.wav"))
    assert result.exit_code == 1
    assert "the service takes 25 MB; nothing was sent" in result.output
    assert run(str(tmp_path / "none.wav")).exit_code == 1
    assert service.requests == []


def test_refusals(service: SpeechService, recording: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answers = [lambda h: h.error(429, "Wait", None, Retry_After="86400")]
    result = run(recording)
    assert result.exit_code == 69
    assert "Try again in 86400 s." in result.output
    assert waited == []
    assert run(recording, "--model", "none").exit_code == 69
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    result = run(recording)
    assert result.exit_code == 69
    assert "does not accept the key" in result.output
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "There is no key" in run(recording).output


def test_a_transcript_does_not_steer_the_terminal(service: SpeechService, recording: str) -> None:
    text = json.dumps({"text": "a\u001b[2Jb\u009bc\u0007d\né"}).encode()
    service.answers = [lambda h: h.send(200, text)] * 2
    assert run(recording).stdout == "a[2Jbcd\né\n"
    assert json.loads(run(recording, "-f", "json").stdout)["text"].endswith("d\né")


def test_silence(service: SpeechService, recording: str) -> None:
    service.answers = [lambda h: h.send(200, b'{"text": " "}')]
    result = run(recording)
    assert result.exit_code == 0
    assert "no words were found" in result.output


def test_a_service_elsewhere_gets_the_key_in_sight(
    service: SpeechService, recording: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_AGENT_REALTIME__URL", "")
    monkeypatch.setenv("EDGE_AGENT_SPEECH__API_URL", service.base)
    result = run(recording)
    assert "the key of openai is shown to 127.0.0.1" in result.output
    assert WORDS in result.output


def test_a_busy_service_is_asked_again_when_it_says(service: SpeechService, recording: str) -> None:
    service.answers = [
        lambda h: h.error(429, "Wait", "rate_limit_exceeded", Retry_After="12"),
        lambda h: h.error(503, "Later", "server_error"),
    ]
    result = run(recording)
    assert result.exit_code == 0, result.output
    assert result.stdout == WORDS + "\n"
    assert waited == [12.0, 2.0]
    assert "Trying again in 12 s." in result.stderr


def test_a_busy_service_is_not_asked_for_ever(service: SpeechService, recording: str) -> None:
    service.answers = [lambda h: h.error(500, "Oh", "server_error") for _ in range(9)]
    assert run(recording).exit_code == 69
    assert waited == [1.0, 2.0, 4.0]


def test_what_was_cut_is_not_sent_again(service: SpeechService, recording: str) -> None:
    """The service may have heard all of it, and bills it twice."""
    service.answers = [lambda h: h.connection.close()]
    assert run(recording).exit_code == 69
    assert len(service.requests) == 1


def test_hints_of_the_settings_and_of_the_command_line(
    service: SpeechService, recording: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_AGENT_TRANSCRIPTION__PROMPT", "At home.")
    monkeypatch.setenv("EDGE_AGENT_TRANSCRIPTION__KEYWORDS", '["Wattwurm"]')
    monkeypatch.setenv("EDGE_AGENT_TRANSCRIPTION__LANGUAGES", '["de", "en"]')
    run(recording)
    run(recording, "--prompt", "At sea.", "--language", "fr", "--temperature", "0.3")
    run(recording, "--model", "gpt-4o-transcribe-diarize")
    first, second, third = (request["form"] for request in service.requests)
    assert (first["prompt"], first["languages[]"]) == ("At home.", ["de", "en"])
    assert (second["prompt"], second["language"]) == ("At sea.", "fr")
    assert second["temperature"] == "0.3"
    assert first["keywords[]"] == second["keywords[]"] == ["Wattwurm"]
    assert "prompt" not in third
    assert third["chunking_strategy"] == "auto"


def test_times(service: SpeechService, recording: str) -> None:
    whisper = ("--model", "whisper-1", "--format", "verbose_json")
    told = json.loads(run(recording, *whisper, "--timestamps", "word").stdout)
    assert set(told) == {"text", "language", "duration", "words"}
    assert service.requests[0]["form"]["timestamp_granularities[]"] == ["word"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--timestamps", "word"), "--format verbose_json"),
        (("--temperature", "1.5"), "--temperature"),
        (("--prompt", "x" * 2001), "2000"),
        (("--prompt", "a\x07b"), "control character"),
        (("--prompt", "At home.", "--model", "gpt-4o-transcribe-diarize"), "takes no prompt"),
        (("--max-wait", "0"), "--max-wait"),
    ],
)
def test_options_that_do_not_fit(
    service: SpeechService, recording: str, options: tuple[str, ...], words: str
) -> None:
    result = run(recording, *options)
    assert result.exit_code == 2
    assert words in result.output
    assert service.requests == []


def test_a_large_recording_is_waited_for() -> None:
    """25 MB at 32 kbit/s are one and three quarter hours of speech."""
    assert waits_for(0, None) == Waits(silence_timeout_s=60.0, call_timeout_s=600.0)
    long = waits_for(UPLOAD_MAX_BYTES, None)
    assert 500 < long.silence_timeout_s < long.call_timeout_s < 1800
    assert waits_for(UPLOAD_MAX_BYTES, 90).silence_timeout_s == 90.0
