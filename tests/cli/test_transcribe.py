"""`transcribe`: a recording as text, and a sentence where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from speech_service import KEY, SOUND, SRT, VTT, WORDS, SpeechService
from typer.testing import CliRunner, Result

from edge_agent.cli.voice import speech
from edge_agent.cli.voice.transcribe import transcribe
from edge_agent.host.web.speech_http import UPLOAD_MAX_BYTES


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpeechService]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(speech, "CREDENTIAL_FOLDER", tmp_path / "etc")
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(tmp_path / "edge-agent.toml"))
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
    service.answers = [lambda h: h.error(429, "Wait", None, Retry_After="12")]
    result = run(recording)
    assert result.exit_code == 69
    assert "Try again in 12 s." in result.output
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
