"""The webhook: delivered as told, and every refusal has its sentence and its pause."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech_service import Answer
from webhook_service import TOKEN, Hook

from edge_agent.contract.errors import AgentError, ConfigError, LinkBusy, LinkLost, LinkRefused
from edge_agent.host.settings.desk import Messages
from edge_agent.host.stores.message_store import Message
from edge_agent.host.web.webhook import (
    FIRST_PAUSE_S,
    PAUSE_MAX_S,
    REFUSED_PAUSE_S,
    Pauses,
    is_about_this_message,
    send,
)

MESSAGE = Message("f00d", "2026-11-20T18:00:00+01:00", "Grüße, secret", "Anna", "urgent")


def test_a_message_arrives_whole(hook: Hook) -> None:
    send(hook.url, "", 5, MESSAGE)
    assert hook.taken == [
        {
            "type": "edge-agent.message",
            "id": "f00d",
            "created_at": "2026-11-20T18:00:00+01:00",
            "from": "Anna",
            "text": "Grüße, secret",
            "urgency": "urgent",
        }
    ]
    assert hook.requests[0]["path"] == "/hooks/speaker"
    assert "Authorization" not in hook.requests[0]["headers"]


def test_the_token_goes_along(hook: Hook, tmp_path: Path) -> None:
    hook.token = TOKEN
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    send(hook.url, str(file), 5, MESSAGE)
    assert len(hook.taken) == 1
    with pytest.raises(ConfigError, match="webhook_token_file"):
        send(hook.url, str(tmp_path / "none"), 5, MESSAGE)


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (lambda h: h.send(401, b"secret"), "link.bad_key", "webhook_token_file"),
        (lambda h: h.send(403, b"secret"), "link.refused", "HTTP 403"),
        (lambda h: h.send(404, b"secret"), "link.bad_url", "messages.webhook_url"),
        (lambda h: h.send(400, b"secret"), "messages.refused", "JSON"),
        (lambda h: h.send(413, b"secret"), "messages.refused", "HTTP 413"),
        (lambda h: h.send(301, b"", Location="http://127.0.0.1:1/"), "link.captive_portal", "301"),
        (lambda h: h.send(308, b"", Location="http://127.0.0.1:1/"), "link.captive_portal", "308"),
        (lambda h: h.send(429, b"", Retry_After="90"), "link.busy", "in 90 s"),
        (lambda h: h.send(500, b"secret"), "link.busy", "HTTP 500"),
        (lambda h: h.connection.sendall(b"secret\r\n"), "link.bad_url", "no webhook"),
    ],
)
def test_every_refusal_has_a_sentence(hook: Hook, answer: Answer, code: str, words: str) -> None:
    hook.answers = [answer]
    with pytest.raises(AgentError) as caught:
        send(hook.url, "", 5, MESSAGE)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert caught.value.fix
    assert "secret" not in f"{caught.value} {caught.value!r}"
    assert len(hook.requests) == 1


def test_a_hook_that_does_not_answer_is_given_up(hook: Hook) -> None:
    hook.answers = [lambda _h: hook.gate.wait(5)]
    with pytest.raises(AgentError) as caught:
        send(hook.url, "", 0.05, MESSAGE)
    assert caught.value.code == "link.timeout"


@pytest.mark.parametrize("status", [200, 201, 202])
def test_whatever_it_answers_to_a_message_that_it_took_is_no_matter(
    hook: Hook, status: int
) -> None:
    hook.answers = [lambda h: h.send(status, b"<html>" + bytes(100_000), "text/html")]
    send(hook.url, "", 5, MESSAGE)
    assert len(hook.requests) == 1


@given(st.integers(1, 400), st.integers())
def test_pauses_grow_to_a_limit(failures: int, seed: int) -> None:
    pauses = Pauses(Random(seed))
    waits = [pauses.next_s(LinkLost("x")) for _ in range(failures)]
    for number, wait_s in enumerate(waits):
        ceiling_s = min(PAUSE_MAX_S, FIRST_PAUSE_S * 2.0 ** min(number, 30))
        assert ceiling_s / 2 <= wait_s <= ceiling_s
    assert REFUSED_PAUSE_S / 2 <= pauses.next_s(LinkRefused("x")) <= REFUSED_PAUSE_S
    assert pauses.next_s(LinkBusy("x")) <= PAUSE_MAX_S
    assert pauses.next_s(LinkBusy("x", retry_after_s=90)) == 90
    assert pauses.next_s(LinkBusy("x", retry_after_s=0)) == 1
    assert pauses.next_s(LinkBusy("x", retry_after_s=1e9)) == REFUSED_PAUSE_S
    pauses.reset()
    assert pauses.next_s(LinkLost("x")) <= FIRST_PAUSE_S


def test_one_message_may_be_refused_for_itself() -> None:
    assert is_about_this_message(AgentError("x", code="messages.refused"))
    assert not is_about_this_message(LinkRefused("x"))


def test_the_settings_send_nothing_in_the_clear() -> None:
    assert Messages(webhook_url="https://home.example/x").webhook_url
    assert Messages(webhook_url="http://127.0.0.1:8080/x").webhook_url
    for wrong in ("http://home.example/x", "ftp://home.example", "https://me:pw@home.example/"):
        with pytest.raises(ValueError, match="webhook_url"):
            Messages(webhook_url=wrong)
