"""`prompt critique`: a review and a rewrite from a text model, or a sentence with the remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from speech_service import KEY
from text_service import TextService, response
from typer.testing import CliRunner, Result

from edge_agent.cli import main as cli
from edge_agent.cli.voice import speech
from edge_agent.dialogue.prompting import prompt_critique


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextService]:
    monkeypatch.setattr(speech, "CREDENTIAL_FOLDER", tmp_path / "etc")
    monkeypatch.setenv("EDGE_AGENT_CONFIG", str(tmp_path / "edge-agent.toml"))
    with TextService() as running:
        settle(tmp_path, running.base)
        yield running


def settle(folder: Path, base: str, *, model: str = "gpt-5", key: str = KEY) -> None:
    (folder / "key").write_text(key)
    (folder / "edge-agent.toml").write_text(
        f'[supervisor]\nmodel = "{model}"\nurl = "{base}"\n'
        f'api_key_file = "{folder / "key"}"\n'
        '[realtime]\ninstructions = "The cat is called Minka."\n'
    )


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli.app, ["prompt", "critique", *arguments])
    assert KEY not in result.output
    return result


def says(text: str) -> Any:
    return lambda h: h.send(200, json.dumps(response(text)).encode())


def test_a_review_and_then_a_rewrite_of_the_same_prompt(service: TextService) -> None:
    service.answers = [says("1. Too \x1b[2Jlong."), says("# Role & Objective\n- Better.")]
    result = run()
    assert result.exit_code == 0, result.output
    assert result.stdout.index("criticises") < result.stdout.index("1. Too [2Jlong.")
    assert result.stdout.endswith("would write it\n\n# Role & Objective\n- Better.\n")
    first, second = [json.loads(request["body"]) for request in service.requests]
    assert first["instructions"] == prompt_critique.CRITIQUE
    assert first["input"].startswith("<prompt>\n# Role & Objective\n")
    assert "The cat is called Minka." in first["input"]
    assert second["instructions"] == prompt_critique.OPTIMISE
    assert second["input"].startswith(first["input"])
    assert "<review>\n1. Too" in second["input"]
    # What goes out and to whom is said, and that nothing was changed.
    assert "go to gpt-5 at 127.0.0.1:" in result.stderr
    assert "household's own rules" in result.stderr
    assert "nothing was changed" in result.stderr


def test_any_persona_and_any_model(service: TextService) -> None:
    assert run("bedtime", "--model", "gpt-5-mini").exit_code == 0
    [first, _] = [json.loads(request["body"]) for request in service.requests]
    assert first["model"] == "gpt-5-mini"
    assert first["input"].count("# The Present Step: ") == 6  # all steps of a guided talk
    assert run("no-such-persona").exit_code == 78


def test_without_a_model_or_a_key_nothing_is_sent(service: TextService, tmp_path: Path) -> None:
    settle(tmp_path, service.base, model="")
    result = run()
    assert result.exit_code == 78
    assert "--model NAME, or set supervisor.model" in result.stderr
    (tmp_path / "edge-agent.toml").write_text("")
    result = run("--model", "gpt-5")
    assert result.exit_code == 69
    assert "There is no key for the text model." in result.stderr
    assert "api_key_file" in result.stderr
    assert not service.requests


def test_a_service_that_refuses_is_told_in_a_sentence(service: TextService, tmp_path: Path) -> None:
    settle(tmp_path, service.base, key="sk-wrong")
    result = run()
    assert result.exit_code == 69
    assert "does not accept the key" in result.stderr
    settle(tmp_path, service.base)
    result = run("--model", "gpt-9")
    assert result.exit_code == 69
    assert "Correct --model, or supervisor.model." in result.stderr


def test_a_rewrite_that_fails_leaves_the_review_on_the_screen(service: TextService) -> None:
    service.answers = [says("1. Too long."), lambda h: h.error(500, "down", "server_error")]
    result = run()
    assert result.exit_code == 69
    assert "1. Too long." in result.stdout
