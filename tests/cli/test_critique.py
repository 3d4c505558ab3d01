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
from edge_agent.host.web import http_retry


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
    result = CliRunner().invoke(cli.app, ["prompt", "critique", *arguments], env={"COLUMNS": "200"})
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


def test_a_rewrite_that_fails_leaves_the_review_on_the_screen(
    service: TextService, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(http_retry, "pause", waited.append)
    down: list[Any] = [lambda h: h.error(500, "down", "server_error")]
    service.answers = [says("1. Too long."), *down * http_retry.TRIES_MAX]
    result = run()
    assert len(waited) == result.stderr.count("Trying again in") == http_retry.TRIES_MAX - 1
    assert result.exit_code == 69
    assert "1. Too long." in result.stdout


# --- one thing that went wrong ---------------------------------------------------------------

ISSUE = "It told a guest the code of the door."
OLD = "The cat is called Minka."
MENDED = f"""<cause>"Help  everybody" lets \x1b[2J it.</cause>
<variant><idea>Say it once.</idea>
<old>
{OLD}
</old><new>
{OLD}
Codes are for nobody but the owner.
</new></variant>
<variant><idea>Say it twice.</idea><old>No such line.</old><new>Codes stay here.</new></variant>
"""


def test_one_failure_is_looked_into_and_every_way_out_is_shown(service: TextService) -> None:
    service.answers = [says(MENDED)]
    result = run("--issue", f"  {ISSUE} ", "--variants", "2")
    assert result.exit_code == 0, result.output
    [asked] = [json.loads(request["body"]) for request in service.requests]
    assert "2 different ways" in asked["instructions"]
    assert asked["input"].startswith("<prompt>\n# Role & Objective\n")
    assert asked["input"].endswith(f"<issue>\n{ISSUE}\n</issue>")
    cause, first, second = result.stdout.split("# Variant ")
    assert cause == '# What gpt-5 takes for the cause\n\n"Help everybody" lets [2J it.\n\n'
    # What fits is a diff of the instructions; what does not, the block to be pasted by hand.
    assert first.startswith("1: Say it once.\n\n--- now\n+++ changed\n@@")
    assert f"\n {OLD}\n+Codes are for nobody but the owner.\n" in first
    assert second == ("2: Say it twice.\n\nInstead of:\nNo such line.\nwrite:\nCodes stay here.\n")
    assert "your words on what went wrong) go to gpt-5 at 127.0.0.1:" in result.stderr
    assert ", once" in result.stderr
    assert "nothing was changed" in result.stderr


def test_no_more_variants_are_asked_for_and_shown_than_wanted(service: TextService) -> None:
    service.answers = [says(MENDED), says("<cause>It misheard.</cause>")]
    one = run("--issue", ISSUE, "--variants", "1")
    assert "# Variant 1" in one.stdout
    assert "# Variant 2" not in one.stdout
    assert "Then write one way" in json.loads(service.requests[0]["body"])["instructions"]
    none = run("--issue", ISSUE)
    assert none.exit_code == 0
    assert "It misheard." in none.stdout
    assert "gpt-5 offers 0 of 3 variants" in none.stderr


def test_an_answer_of_another_form_is_shown_as_it_is(service: TextService) -> None:
    service.answers = [says("Just add \x1b[31ma rule.")]
    result = run("--issue", ISSUE)
    assert result.exit_code == 0
    assert result.stdout == "Just add [31ma rule.\n"
    assert "did not keep to the form" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--variants", "2"), "needs --issue"),
        (("--issue", " ", "--variants", "2"), "needs --issue"),
        (("--issue", ISSUE, "--variants", "6"), "less than or equal to 5"),
        (("--issue", ISSUE, "--variants", "0"), "greater than or equal to 1"),
        (("--issue", "x" * 2001), "at most 2000 characters"),
    ],
)
def test_what_cannot_be_asked_is_not_sent(
    service: TextService, arguments: tuple[str, ...], words: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not service.requests


def test_a_change_is_made_only_where_its_lines_stand_whole_and_once() -> None:
    prompt = "a\nb\nb\nlast one"

    def change(*edits: tuple[str, str]) -> str:
        return prompt_critique.Variant("", edits).applied_to(prompt)

    assert change(("a", "A")) == "A\nb\nb\nlast one"
    assert change(("a\nb", "A"), ("last one", "end\nof it")) == "A\nb\nend\nof it"
    assert change(("b", "B")) == change(("last", "x")) == change(("", "x")) == ""


def test_capitals_are_for_what_must_never_fail() -> None:
    assert "No words in capitals" not in prompt_critique.OPTIMISE
    assert "Capitals for emphasis only in the one or two lines" in prompt_critique.OPTIMISE
