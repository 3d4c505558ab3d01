"""A busy service is asked again, as long as that is worth somebody's while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from speech_service import KEY, Answer
from text_service import ANSWER, TextService

from edge_agent.contract.errors import AgentError, LinkBusy
from edge_agent.host.settings.root import Settings
from edge_agent.host.web import http_retry
from edge_agent.host.web.http_retry import TALK_PATIENCE, TRIES_MAX, Patience
from edge_agent.host.web.text_model import TextModel, text_model


class Pauses:
    """A clock that goes on only while it is waited for."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waited: list[float] = []
        self.told: list[str] = []

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now_s += seconds

    def tell(self, problem: LinkBusy, _pause_s: float) -> None:
        self.told.append(problem.message)

    def patience(self, total_s: float) -> Patience:
        return Patience(total_s, self.tell, self.wait, lambda _low, high: high)


def busy(status: int, code: str | None = None, **headers: str) -> Answer:
    return lambda h: h.error(status, f"Secret words and {KEY}", code, **headers)


def lost(handler: Any) -> None:
    handler.connection.shutdown(2)


def asked(service: TextService, pauses: Pauses, total_s: float = 6.0, call_s: float = 20.0) -> str:
    """What comes of one question, by the clock of `pauses`."""
    model = TextModel(
        service.base,
        KEY,
        model="gpt-5",
        call_timeout_s=call_s,
        patience=pauses.patience(total_s),
        seconds=lambda: pauses.now_s,
    )
    return model.answer("Be brief.", "How many?", max_output_tokens=500)


@pytest.mark.parametrize(
    ("answers", "waited"),
    [
        ([], []),
        ([busy(500)], [0.5]),
        ([busy(429, "rate_limit_exceeded"), busy(503)], [0.5, 1.0]),
        ([busy(429, Retry_After="3")], [3.0]),
        ([busy(429, Retry_After="0")], [0.5]),
        ([busy(502), busy(529), busy(408)], [0.5, 1.0, 2.0]),
    ],
)
def test_a_busy_service_is_asked_again(
    text_service: TextService, answers: list[Answer], waited: list[float]
) -> None:
    pauses = Pauses()
    text_service.answers = list(answers)
    assert asked(text_service, pauses) == ANSWER
    assert pauses.waited == waited
    assert len(pauses.told) == len(waited)
    bodies = {request["body"] for request in text_service.requests}
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("answer", "code", "waited"),
    [
        (busy(429, Retry_After="30"), "link.busy", []),  # longer than the patience
        (busy(503, Retry_After="4"), "link.busy", [4.0]),  # only once within it
        (busy(500), "link.busy", [0.5, 1.0, 2.0]),
        (busy(429, "insufficient_quota"), "link.no_quota", []),
        (busy(401, "invalid_api_key"), "link.bad_key", []),
        (busy(400, "unknown_parameter"), "text_model.refused", []),
        (lost, "link.lost", []),  # it may have been answered, and charged
    ],
)
def test_what_pauses_do_not_help_is_told(
    text_service: TextService, answer: Answer, code: str, waited: list[float]
) -> None:
    pauses = Pauses()
    text_service.answers = [answer] * TRIES_MAX
    with pytest.raises(AgentError) as caught:
        asked(text_service, pauses)
    assert caught.value.code == code
    assert pauses.waited == waited
    assert len(text_service.requests) == len(waited) + 1
    assert "Secret" not in f"{caught.value}{pauses.told}"


def test_all_tries_share_the_time_of_one_call(text_service: TextService) -> None:
    pauses = Pauses()
    text_service.answers = [busy(500)] * TRIES_MAX
    with pytest.raises(LinkBusy):
        asked(text_service, pauses, total_s=60.0, call_s=1.7)
    assert pauses.waited == [0.5, 1.0]


def test_pauses_are_spread_but_never_shorter_than_asked_for() -> None:
    lows: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        lows.append((low, high))
        return low

    def once() -> str:
        raise LinkBusy("busy", retry_after_s=0.4)

    pauses = Pauses()
    with pytest.raises(LinkBusy):
        Patience(9.0, pauses.tell, pauses.wait, uniform).run(once, lambda: 100.0)
    assert lows == [(0.25, 0.5), (0.5, 1.0), (1.0, 2.0)]
    assert pauses.waited == [0.4, 0.5, 1.0]


def test_a_talk_is_kept_waiting_for_a_part_of_the_time_of_an_answer(
    text_service: TextService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, waited = tmp_path / "key", list[float]()
    key.write_text(KEY)
    raw: dict[str, Any] = {
        "supervisor": {"model": "gpt-5", "url": text_service.base, "api_key_file": str(key)}
    }
    settings = Settings(**raw)
    monkeypatch.setattr(http_retry, "pause", waited.append)
    text_service.answers = [busy(429, Retry_After="5")]
    assert text_model(settings).answer("Brief.", "?", max_output_tokens=99) == ANSWER
    assert waited == [5.0]
    assert 5 < TALK_PATIENCE.total_s < settings.supervisor.max_seconds / 2
