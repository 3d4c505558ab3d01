"""Text model: right with a good service, a sentence with every other one."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from speech_service import KEY, Answer
from text_service import ANSWER, TextService, chat, cut, response

from edge_agent.contract.errors import AgentError, ConfigError, LinkBusy, LinkRefused
from edge_agent.contract.events import Usage
from edge_agent.host.secret_files import FILE_MAX_BYTES
from edge_agent.host.settings.root import Settings
from edge_agent.host.web.text_model import TextModel, text_model

QUESTION = "How many days has a leap year?"


def model(text_service: TextService, **options: Any) -> TextModel:
    return TextModel(text_service.base, KEY, **{"model": "gpt-5", **options})


def ask(asked: TextModel) -> str:
    return asked.answer("Be brief.", QUESTION, max_output_tokens=500)


# --- what is right -----------------------------------------------------------------------


def test_a_response_is_asked_for_as_documented_and_kept_nowhere(text_service: TextService) -> None:
    assert ask(model(text_service)) == ANSWER
    assert text_service.requests[0]["path"] == "/v1/responses"
    assert text_service.requests[0]["json"] == {
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": QUESTION,
        "max_output_tokens": 500,
        "store": False,
    }


def test_servers_at_home_are_asked_in_their_way(text_service: TextService) -> None:
    assert ask(model(text_service, dialect="chat")) == ANSWER
    assert text_service.requests[0]["path"] == "/v1/chat/completions"
    assert text_service.requests[0]["json"] == {
        "model": "gpt-5",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": QUESTION},
        ],
        "max_tokens": 500,
    }


def test_tokens_are_counted_in_both_ways(text_service: TextService) -> None:
    told = model(text_service).ask("x", "y", max_output_tokens=1)
    assert (told.tokens_in, told.tokens_out) == (36, 87)
    assert text_service.requests[0]["json"]["max_output_tokens"] == 16  # the API takes no less
    told = model(text_service, dialect="chat").ask("x", "y", max_output_tokens=100)
    assert (told.tokens_in, told.tokens_out, told.is_whole) == (30, 12, True)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (response("Fine."), [Usage(text_in=36, text_out=87)]),
        (cut(""), [Usage(text_in=36, text_out=87)]),  # all of it went into thoughts
        (response("Fine.", usage=None), [None]),
        (response("", status="failed", error={"code": "server_error"}, usage=None), []),
        (
            response("a", usage={"input_tokens": 9, "input_tokens_details": {"cached_tokens": 8}}),
            [Usage(text_in=9, cached_text_in=8)],
        ),
        (response("a", usage={"input_tokens": True, "output_tokens": 1 << 70}), [Usage()]),
    ],
)
def test_what_an_answer_cost_is_told_also_of_one_that_is_of_no_use(
    text_service: TextService, entry: object, told: list[Usage | None]
) -> None:
    text_service.answers = [lambda h: h.send(200, json.dumps(entry).encode())]
    heard: list[Usage | None] = []
    with contextlib.suppress(AgentError):
        ask(model(text_service, used=heard.append))
    assert heard == told


def test_the_service_of_these_tests_is_one_to_the_official_client(
    text_service: TextService,
) -> None:
    import openai

    with openai.OpenAI(base_url=text_service.base, api_key=KEY, max_retries=0) as client:
        theirs = client.responses.create(
            model="gpt-5",
            instructions="Be brief.",
            input=QUESTION,
            max_output_tokens=500,
            store=False,
        )
        assert theirs.output_text == ANSWER
        assert theirs.usage is not None
        assert theirs.usage.output_tokens == 87
        text_service.answers = [lambda h: h.send(200, json.dumps(cut("Half")).encode())]
        half = client.responses.create(model="gpt-5", input=QUESTION)
        assert half.incomplete_details is not None
        assert half.incomplete_details.reason == "max_output_tokens"
        written = client.chat.completions.create(
            model="gpt-5", messages=[{"role": "user", "content": QUESTION}], max_tokens=500
        )
        assert written.choices[0].message.content == ANSWER
        with pytest.raises(openai.NotFoundError) as caught:
            client.responses.create(model="none", input=QUESTION)
        assert caught.value.code == "model_not_found"
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="sk-other").responses.create(model="gpt-5", input="x")
    theirs_sent = text_service.requests[0]["json"]
    ask(model(text_service))
    assert text_service.requests[-1]["json"] == theirs_sent


# --- what the service refuses ------------------------------------------------------------


def refusal(status: int, code: str | None, param: str | None = None, **headers: str) -> Answer:
    return lambda h: h.error(status, f"Secret words and {KEY}", code, param, **headers)


def said(entry: object, **changes: Any) -> Answer:
    body = json.dumps(entry | changes if isinstance(entry, dict) else entry).encode()
    return lambda h: h.send(200, body)


def failed(code: str) -> Answer:
    error = {"code": code, "message": f"Secret words and {KEY}"}
    return said(response("", status="failed", error=error, output=[]))


REFUSED_PART = {"type": "message", "content": [{"type": "refusal", "refusal": "Secret words"}]}
FILTERED = response("half", status="incomplete", incomplete_details={"reason": "content_filter"})


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (refusal(401, "invalid_api_key"), "link.bad_key", "supervisor.api_key_file"),
        (refusal(403, "unsupported_country_region_territory"), "link.refused", "region"),
        (refusal(403, "model_not_found"), "link.no_model", "supervisor.model"),
        (refusal(404, "model_not_found", "model"), "link.no_model", "supervisor.model"),
        (refusal(404, None), "link.bad_url", "supervisor.url"),
        (refusal(429, "insufficient_quota"), "link.no_quota", "billing"),
        (refusal(429, "rate_limit_exceeded", Retry_After="7"), "link.busy", "in 7 s"),
        (refusal(500, "server_error"), "link.busy", "later"),
        (refusal(503, None), "link.busy", "later"),
        (refusal(400, "unknown_parameter", "store"), "text_model.refused", "about store"),
        (refusal(302, None, Location="http://login.example/"), "link.captive_portal", "sign in"),
        (failed("server_error"), "link.busy", "server_error"),
        (failed("rate_limit_exceeded"), "link.busy", "rate_limit_exceeded"),
        (failed(f"<{KEY}>"), "text_model.refused", "no code"),
        (said(FILTERED), "text_model.filtered", "declines"),
        (said(response("", output=[REFUSED_PART])), "text_model.filtered", "declines"),
        (said(cut("")), "text_model.cut", "more tokens"),
        (said(cut("Half an answer")), "text_model.cut", "more tokens"),
        (said(response("  ")), "link.garbage", "no answer"),
        (said([]), "link.garbage", "no sense"),
        (said({"status": "completed", "output": [1]}), "link.garbage", "no sense"),
        (said(response("", output="text")), "link.garbage", "no sense"),
        (lambda h: h.send(200, b"\xff\xfe"), "link.garbage", "no sense"),
        (lambda h: h.send(200, b"[" * 60_000), "link.garbage", "no sense"),
        (lambda h: h.send(200, b"<html>", "text/html"), "link.captive_portal", "web page"),
        (lambda h: h.send(200, b" " * 2_100_000), "link.garbage", "more than 2 MB"),
        (lambda h: h.send(200, b"{}", length="9999"), "link.lost", "broke"),
        (lambda h: h.connection.shutdown(socket.SHUT_RDWR), "link.lost", "broke"),
    ],
)
def test_every_refusal_has_a_sentence(
    text_service: TextService, answer: Answer, code: str, words: str
) -> None:
    text_service.answers = [answer]
    with pytest.raises(AgentError) as caught:
        ask(model(text_service))
    error = caught.value
    assert error.code == code
    assert words in str(error)
    assert error.fix
    for secret in (KEY, "Secret", QUESTION):
        assert secret not in f"{error} {error!r} {error.__cause__}"
    assert len(text_service.requests) == 1


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (chat("half", "length"), "text_model.cut"),
        (chat("", "length"), "text_model.cut"),
        (chat("x", "content_filter"), "text_model.filtered"),
        (chat(""), "link.garbage"),
        ({"choices": []}, "link.garbage"),
        ({"choices": [{"message": {"content": 7}}]}, "link.garbage"),
    ],
)
def test_refusals_of_a_server_at_home(text_service: TextService, entry: object, code: str) -> None:
    text_service.answers = [said(entry)]
    with pytest.raises(AgentError) as caught:
        ask(model(text_service, dialect="chat"))
    assert caught.value.code == code


def test_a_cut_answer_can_be_had_as_far_as_it_goes(text_service: TextService) -> None:
    text_service.answers = [said(cut("Half an answer"))]
    told = model(text_service).ask("x", "y", max_output_tokens=20)
    assert (told.text, told.is_whole) == ("Half an answer", False)


def test_a_wrong_key_and_a_wrong_model_by_the_documented_answers(text_service: TextService) -> None:
    with pytest.raises(LinkRefused, match="does not accept the key"):
        ask(TextModel(text_service.base, "sk-other", model="gpt-5"))
    with pytest.raises(LinkRefused, match="none of that name"):
        ask(model(text_service, model="gpt-9"))


def test_a_model_that_thinks_too_long_is_given_up(text_service: TextService) -> None:
    text_service.answers = [lambda _h: text_service.gate.wait(5)]
    with pytest.raises(AgentError) as caught:
        ask(model(text_service, silence_timeout_s=0.05))
    assert caught.value.code == "link.timeout"


def test_when_to_come_back_is_known(text_service: TextService) -> None:
    text_service.answers = [refusal(429, None, Retry_After="12")]
    with pytest.raises(LinkBusy) as caught:
        ask(model(text_service))
    assert caught.value.retry_after_s == 12


def test_no_secret_is_in_a_repr() -> None:
    assert KEY not in repr(TextModel("https://example.org/v1", KEY, model="gpt-5"))


# --- from the settings -------------------------------------------------------------------


def made(desk: dict[str, object], realtime: dict[str, object] | None = None) -> TextModel:
    raw: dict[str, Any] = {"supervisor": {"model": "gpt-5", **desk}, "realtime": realtime or {}}
    return text_model(Settings(**raw))


def test_the_address_follows_the_realtime_service() -> None:
    assert made({}, {"api_key": KEY}).base == "https://api.openai.com/v1"
    azure = {"provider": "azure", "url": "wss://me.openai.azure.com/openai/v1/realtime"}
    assert made({}, {**azure, "api_key": KEY}).base == "https://me.openai.azure.com/openai/v1"


def test_another_host_is_not_shown_the_key(text_service: TextService) -> None:
    elsewhere = made({"url": text_service.base}, {"api_key": KEY})
    with pytest.raises(LinkRefused, match="does not accept the key"):
        ask(elsewhere)
    assert KEY not in str(text_service.requests)


def test_a_key_of_its_own(text_service: TextService, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert ask(made({"url": text_service.base, "api_key_file": str(file)})) == ANSWER
    for content in (b"", b"two words", b"\xff", b"x" * (FILE_MAX_BYTES + 1)):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=r"supervisor\.api_key_file") as caught:
            made({"api_key_file": str(file)})
        assert "words" not in str(caught.value)
    with pytest.raises(ConfigError, match="No such file"):
        made({"api_key_file": str(tmp_path / "none")})


def test_what_cannot_be_asked_is_told_before() -> None:
    with pytest.raises(LinkRefused, match="no key for the text model"):
        made({})
    with pytest.raises(ConfigError, match=r"supervisor\.url is not encrypted"):
        made({"url": "http://example.org/v1"})


def test_the_wait_may_be_shorter_than_the_settings(text_service: TextService) -> None:
    text_service.answers = [lambda _h: text_service.gate.wait(5)]
    desk: dict[str, Any] = {"supervisor": {"model": "gpt-5", "url": text_service.base}}
    with pytest.raises(AgentError) as caught:
        ask(text_model(Settings(**desk), max_seconds=0.05))
    assert caught.value.code == "link.timeout"
